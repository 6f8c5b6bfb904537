/**
 * The dashboard of the admin: asks for the last hour every few seconds and draws it, or tells it as tables.
 *
 * @module
 */

import { clock, draw, pointAt, shape, short, smooth } from "./charts.js";

/** @import { Series, Values } from "./charts.js" */

/** @typedef {{ server: string, open: number, degraded: boolean }} Process */
/** @typedef {Record<string, Record<string, number>>} Totals */
/**
 * @typedef {object} Hour
 * @property {number} now
 * @property {number} first
 * @property {number} step
 * @property {Record<string, Values>} series
 * @property {Totals} totals
 * @property {{ open: number, held: number, degraded: number } | null} present
 * @property {Process[]} processes
 */
/** @typedef {{ title: string, unit: string, per: number, area?: boolean, lines: [string, string, number?][] }} Chart */

const MINUTE = 60;
const TIMEOUT_MS = 10_000;

/**
 * `per`: of what is added, how much in so many seconds; 0: what is there. Of a line its series, its name and, if it is
 * not the next, its colour.
 *
 * @type {Chart[]}
 */
const CHARTS = [
  { title: "Connections", unit: "now", per: 0, area: true, lines: [["open", "open"], ["held", "held"]] },
  { title: "Notifications", unit: "a second", per: 1, area: true, lines: [["live", "live"], ["replayed", "replayed"]] },
  {
    title: "Tickets",
    unit: "a minute",
    per: MINUTE,
    lines: [["issued", "issued"], ["redeemed", "redeemed"], ["refused", "refused"]],
  },
  { title: "Opened and closed", unit: "a minute", per: MINUTE, lines: [["opened", "opened"], ["closed", "closed"]] },
  {
    title: "Resumed, reset, lost",
    unit: "a minute",
    per: MINUTE,
    lines: [["replays", "resumed"], ["resets", "reset"], ["lost", "announcements lost"]],
  },
  { title: "Processes", unit: "now", per: 0, lines: [["processes", "all"], ["degraded", "degraded", 2]] },
];

/** What is told altogether, by word: figures of one heading. @type {[string, string[]][]} */
const LISTS = [
  ["Tickets refused, by reason", ["tickets_refused", "tickets_denied"]],
  ["Closed, by code", ["connections_closed"]],
  ["Handshakes refused, by reason", ["handshakes_refused"]],
  ["Resets and errors", ["resets", "errors", "bad_frames"]],
];

/** @template {keyof HTMLElementTagNameMap} T @param {T} tag @param {string} [text] @param {string} [name] */
function make(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

class Dashboard {
  /** @type {Hour | null} */
  #hour = null;
  /** The point that is looked at, in POSIX seconds, so that it stays while the chart moves on. @type {number | null} */
  #looked = null;
  #paused = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #next;
  /** @type {{ chart: Chart, svg: SVGElement, values: HTMLElement[], at: HTMLElement }[]} */
  #drawn = [];

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.codes = JSON.parse(document.getElementById("dashboard-codes")?.textContent ?? "{}");
    this.one("[data-pause]").onclick = () => this.#pause();
    this.one("[data-table]").onclick = () => this.#turn();
    this.one("[data-charts]").append(...CHARTS.map((chart) => this.#card(chart)));
    new ResizeObserver(() => this.#draw()).observe(this.one("[data-charts]"));
    document.addEventListener("visibilitychange", () => this.#look());
    this.#look();
  }

  /** @param {string} selector @returns {HTMLElement} */
  one(selector) {
    const found = this.root.querySelector(selector);
    if (!(found instanceof HTMLElement)) throw new Error(`no ${selector}`);
    return found;
  }

  // --- Asking ---

  /** Now, and again in a while; not while nobody looks. */
  #look() {
    clearTimeout(this.#next);
    if (this.#paused || document.visibilityState === "hidden") return;
    void this.#ask().finally(() => {
      clearTimeout(this.#next);
      this.#next = setTimeout(() => this.#look(), Number(this.root.dataset.lookSeconds) * 1000);
    });
  }

  async #ask() {
    try {
      const how = { headers: { Accept: "application/json" }, redirect: /** @type {const} */ ("manual") };
      const answer = await fetch(this.root.dataset.live ?? "", { ...how, signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (answer.type === "opaqueredirect" || answer.status === 403) {
        this.#say("away", "You are signed out. Load the page again to sign in.");
      } else if (!answer.ok) {
        this.#say("away", `The site answers ${answer.status}: what is shown is old.`);
      } else {
        const hour = await answer.json();
        if (this.#paused) return; // pressed meanwhile
        this.#hour = hour;
        this.#show();
      }
    } catch {
      this.#say("away", "The site does not answer: what is shown is old.");
    }
  }

  #pause() {
    this.#paused = !this.#paused;
    const button = this.one("[data-pause]");
    button.setAttribute("aria-pressed", String(this.#paused));
    button.textContent = this.#paused ? "Go on" : "Pause";
    if (this.#paused) this.#say("paused", "Paused");
    this.#look();
  }

  #turn() {
    const button = this.one("[data-table]");
    const table = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(table));
    this.one("[data-charts]").hidden = table;
    this.one("[data-tables]").hidden = !table;
    this.#showTables();
  }

  // --- Showing ---

  /** Said once, and not each time again. @param {string} state @param {string} words */
  #say(state, words) {
    this.one(".dash-state").dataset.state = state;
    const place = this.one("[data-words]");
    if (place.textContent !== words) place.textContent = words;
  }

  #show() {
    const hour = this.#hour;
    if (!hour) return;
    if (!hour.present) this.#say("unknown", "No process tells anything");
    else if (hour.present.degraded) this.#say("degraded", "Degraded: the layer is not heard, the sync delivers");
    else this.#say("ok", "All is well");
    this.one("[data-at]").textContent = `at ${clock(hour.now, true)}`;
    this.#showTiles(hour);
    this.#draw();
    this.#showTables();
    const lists = LISTS.map(([title, names]) => this.#list(title, names, hour));
    this.one("[data-lists]").replaceChildren(...lists, this.#processes(hour));
  }

  /** @param {Hour} hour */
  #showTiles(hour) {
    const rate = (hour.series.frames ?? []).filter((value) => value !== null).at(-1) ?? null;
    const all = (/** @type {string} */ name) => sum(hour.totals[name]);
    const refused = all("tickets_refused") + all("tickets_denied");
    const tiles = [
      ["Connected", short(hour.present?.open ?? null), hour.present?.held ? `${short(hour.present.held)} held` : "now"],
      ["Frames", rate === null ? "–" : short(rate / hour.step), "a second"],
      ["Tickets issued", short(all("tickets_issued")), "last hour"],
      ["Redeemed", short(all("tickets_redeemed")), "last hour"],
      ["Refused", short(refused), "last hour"],
      ["Resets", short(all("resets")), "last hour"],
      ["Processes", short(hour.processes.length), hour.present?.degraded ? `${hour.present.degraded} degraded` : "now"],
    ];
    this.one("[data-tiles]").replaceChildren(
      ...tiles.map(([name, value, more]) => {
        const tile = make("div", undefined, "dash-tile");
        const number = make("dd", value);
        number.append(make("small", more));
        tile.append(make("dt", name), number);
        return tile;
      }),
    );
  }

  /** @param {Chart} chart */
  #card(chart) {
    const card = make("figure", undefined, "dash-card");
    const head = make("figcaption");
    const title = make("h2", chart.title);
    title.append(make("small", chart.unit));
    const at = make("span", undefined, "dash-when");
    head.append(title, at);
    const svg = /** @type {SVGElement} */ (shape("svg", { "aria-hidden": "true" }));
    // As a slider it is moved by keys and said aloud by what it stands at.
    const stage = make("div", undefined, "dash-stage");
    for (const [name, value] of [["role", "slider"], ["tabindex", "0"], ["aria-label", `${chart.title}, ${chart.unit}`]]) {
      stage.setAttribute(String(name), String(value));
    }
    stage.append(svg);
    const legend = make("ul", undefined, "dash-legend");
    const values = chart.lines.map(([, label, look], number) => {
      const item = make("li");
      const key = shape("svg", { viewBox: "0 0 20 8", "aria-hidden": "true" });
      key.append(shape("path", { class: `dash-line dash-s${look ?? number}`, d: "M0 4H20" }));
      const value = make("b", "–");
      item.append(key, `${label} `, value);
      legend.append(item);
      return value;
    });
    this.#drawn.push({ chart, svg, values, at });
    stage.onpointermove = (event) => this.#lookAt(this.#pointOf(event, svg));
    stage.onpointerleave = () => this.#lookAt(null);
    stage.onkeydown = (event) => this.#move(event);
    stage.onblur = () => this.#lookAt(null);
    card.append(head, stage, legend);
    return card;
  }

  /** @param {PointerEvent} event @param {SVGElement} svg */
  #pointOf(event, svg) {
    const box = svg.getBoundingClientRect();
    return pointAt(event.clientX - box.left, this.#many(), box.width);
  }

  #many() {
    return this.#hour?.series.open?.length ?? 0;
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const hour = this.#hour;
    if (!hour) return;
    const last = this.#many() - 1;
    const at = this.#chosen() ?? last;
    const minute = Math.round(MINUTE / hour.step);
    /** @type {Record<string, number>} */
    const ways = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: last };
    const to = { ...ways, PageDown: at - minute, PageUp: at + minute }[event.key];
    if (event.key === "Escape") this.#lookAt(null);
    if (to === undefined) return;
    event.preventDefault();
    this.#lookAt(Math.min(last, Math.max(0, to)));
  }

  /** @param {number | null} point */
  #lookAt(point) {
    const hour = this.#hour;
    this.#looked = point === null || !hour ? null : hour.first + point * hour.step;
    this.#draw();
  }

  /** The point that is looked at; null: the latest. */
  #chosen() {
    if (this.#looked === null || !this.#hour) return null;
    const point = Math.round((this.#looked - this.#hour.first) / this.#hour.step);
    return point < 0 || point >= this.#many() ? null : point;
  }

  #draw() {
    const hour = this.#hour;
    if (!hour) return;
    const chosen = this.#chosen();
    for (const { chart, svg, values, at } of this.#drawn) {
      const series = seriesOf(chart, hour);
      const width = svg.clientWidth;
      if (width) draw(svg, series, hour, chosen, width);
      const point = chosen ?? this.#many() - 1;
      const told = series.map(({ values: all }) => short(all[point]));
      values.forEach((place, number) => (place.textContent = told[number] ?? "–"));
      const time = clock(hour.first + point * hour.step, true);
      at.textContent = chosen === null ? "" : time;
      const words = series.map(({ label }, number) => `${label} ${told[number] === "–" ? "unknown" : told[number]}`);
      const stage = svg.parentElement;
      for (const [name, value] of Object.entries({ valuemin: 0, valuemax: this.#many() - 1, valuenow: point })) {
        stage?.setAttribute(`aria-${name}`, String(value));
      }
      stage?.setAttribute("aria-valuetext", `${time}: ${words.join(", ")}`);
    }
  }

  // --- As tables ---

  /** The same by minutes, the latest first. Only while it is looked at. */
  #showTables() {
    const place = this.one("[data-tables]");
    const hour = this.#hour;
    if (place.hidden || !hour) return;
    const columns = CHARTS.flatMap((chart) => chart.lines.map(([name, label]) => ({ chart, name, label })));
    const table = make("table");
    const means = "What happened: how often in that minute. What is there: at its end.";
    table.append(make("caption", `The last hour by minutes. ${means}`));
    const groups = make("tr");
    groups.append(heading("", "col"));
    for (const chart of CHARTS) {
      const group = heading(chart.title, "colgroup");
      group.colSpan = chart.lines.length;
      groups.append(group);
    }
    const head = make("tr");
    head.append(heading("Minute", "col"), ...columns.map(({ label }) => heading(label, "col")));
    const top = make("thead");
    top.append(groups, head);
    const body = make("tbody");
    for (const minute of minutesOf(hour)) {
      const row = make("tr");
      row.append(heading(clock(minute.at), "row"));
      row.append(...columns.map(({ name }) => make("td", short(minute.values[name]))));
      body.append(row);
    }
    table.append(top, body);
    const scroller = make("div", undefined, "dash-card dash-scroll");
    scroller.tabIndex = 0;
    scroller.setAttribute("role", "region");
    scroller.setAttribute("aria-label", "The last hour by minutes");
    scroller.append(table);
    const before = place.firstElementChild;
    const [left, over] = [before?.scrollLeft ?? 0, before?.scrollTop ?? 0];
    const focused = before !== null && document.activeElement === before;
    place.replaceChildren(scroller);
    scroller.scrollTo(left, over);
    if (focused) scroller.focus();
  }

  /** @param {string} title @param {string[]} names @param {Hour} hour */
  #list(title, names, hour) {
    const rows = names.flatMap((name) => Object.entries(hour.totals[name] ?? {}));
    rows.sort(([, one], [, other]) => other - one);
    const greatest = Math.max(1, ...rows.map(([, value]) => value));
    const card = make("section", undefined, "dash-card");
    const head = make("h2", title);
    head.append(make("small", "last hour"));
    card.append(head);
    if (!rows.length) {
      card.append(make("p", "None.", "dash-none"));
      return card;
    }
    const table = make("table", undefined, "dash-bars");
    for (const [word, value] of rows) {
      const row = make("tr");
      const name = heading(word === "" ? "all" : word.replaceAll("_", " "), "row");
      if (this.codes[word]) name.append(make("small", this.codes[word]));
      const cell = make("td", undefined, "dash-bar");
      const bar = shape("svg", { "aria-hidden": "true", preserveAspectRatio: "none", viewBox: "0 0 100 6" });
      bar.append(shape("rect", { class: "dash-bar-fill", width: (100 * value) / greatest, height: 6 }));
      cell.append(bar);
      row.append(name, cell, make("td", value.toLocaleString("en"), "dash-count"));
      table.append(row);
    }
    card.append(table);
    return card;
  }

  /** @param {Hour} hour */
  #processes(hour) {
    const card = make("section", undefined, "dash-card");
    const head = make("h2", "Processes");
    head.append(make("small", "now"));
    card.append(head);
    if (!hour.processes.length) {
      card.append(make("p", "None tells anything.", "dash-none"));
      return card;
    }
    const table = make("table", undefined, "dash-bars");
    for (const { server, open, degraded } of hour.processes) {
      const row = make("tr");
      row.append(heading(server, "row"), make("td", degraded ? "degraded" : "ok", degraded ? "dash-bad" : "dash-good"));
      row.append(make("td", `${open.toLocaleString("en")} open`, "dash-count"));
      table.append(row);
    }
    card.append(table);
    return card;
  }
}

/** @param {string} text @param {string} scope */
function heading(text, scope) {
  const made = make(text || scope !== "col" ? "th" : "td", text);
  if (made instanceof HTMLTableCellElement && text) made.scope = scope;
  return made;
}

/** @param {Record<string, number> | undefined} words */
function sum(words) {
  return Object.values(words ?? {}).reduce((one, other) => one + other, 0);
}

/** As a chart draws them. @param {Chart} chart @param {Hour} hour @returns {Series[]} */
function seriesOf(chart, hour) {
  return chart.lines.map(([name, label, look], number) => {
    const all = hour.series[name] ?? [];
    const values = chart.per
      ? smooth(all, chart.per / hour.step).map((value) => (value === null ? null : (value * chart.per) / hour.step))
      : all;
    return { name, label, look: look ?? number, values, area: Boolean(chart.area) };
  });
}

/**
 * Whole minutes, the latest first: what was added in each, what was there at its end, null where nobody knows.
 *
 * @param {Hour} hour
 */
function minutesOf(hour) {
  const added = new Set(CHARTS.filter(({ per }) => per).flatMap(({ lines }) => lines.map(([name]) => name)));
  /** @type {Map<number, number[]>} */
  const points = new Map();
  for (let point = 0; point < (hour.series.open?.length ?? 0); point++) {
    const minute = Math.floor((hour.first + point * hour.step) / MINUTE) * MINUTE;
    points.set(minute, [...(points.get(minute) ?? []), point]);
  }
  return [...points].reverse().map(([at, within]) => {
    /** @type {Record<string, number | null>} */
    const values = {};
    for (const [name, all] of Object.entries(hour.series)) {
      const known = within.map((point) => all[point]).filter((value) => value !== null && value !== undefined);
      const total = known.reduce((one, other) => one + other, 0);
      values[name] = known.length ? Math.round((added.has(name) ? total : (known.at(-1) ?? 0)) * 100) / 100 : null;
    }
    return { at, values };
  });
}

const root = document.getElementById("dashboard");
if (root) new Dashboard(root);
