/**
 * `<usher-inbox>`: makes the list live. It works without this file, and here nothing is decided that the server does
 * not decide too: what cannot be said row by row is fetched as the page itself.
 *
 * @module
 */

import { Keys } from "./keys.js";
import { page } from "./page.js";
import { groupByDay, isMeant, isRead, one, paint, rowOf, tellTimes } from "./rows.js";
import { Selection } from "./selection.js";
import { Undo } from "./undo.js";

/** @import { Notification } from "./frames.js" */
/** @import { Page, PageEvents } from "./page.js" */

/** What the server renders anew. */
const PARTS = ["unread", "all", "tabs", "missing", "days", "empty", "pages"];
const TYPING_MS = 250;
/** Longer than an arrival and a change may cross: see `counts.js`. */
const LOOKED_MS = 2_500;
const MINUTE_MS = 60_000;
/** Rows of a page that is left open; beyond these it is fetched anew. One mark may name twice as many. */
const MOST = 100;

export class UsherInbox extends HTMLElement {
  /** @type {Page} */
  #live = /** @type {any} */ (null);
  /** @type {Selection | undefined} */
  selection;
  /** @type {Undo | undefined} */
  undo;
  #work = Promise.resolve();
  #waits = false;
  #loads = 0;
  /** Where the person is going: nothing that happens meanwhile calls them back. */
  #going = Promise.resolve();
  /** What was heard and done since the page that is on its way was asked for: perhaps it was rendered before.
   * @type {(() => void)[] | null} */
  #meanwhile = null;
  /** New ones that this page of the list does not show, by number. @type {Set<number>} */
  #newer = new Set();
  #day = new Date().getDate();
  /** @type {(() => void)[]} */
  #ends = [];
  #listening = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #typing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #looked;

  connectedCallback() {
    const live = page();
    if (!live) return;
    this.#live = live;
    this.selection ??= new Selection(this, live.words);
    this.undo ??= new Undo(this, live, (state, ids) => this.act(state, ids));
    const keys = new Keys(this);
    const minute = setInterval(() => this.#everyMinute(), MINUTE_MS);
    this.#ends = [
      live.on("arrived", (frame) => this.#arrived(frame)),
      live.on("changed", (change) => this.#apply(change)),
      live.on("stale", () => void this.refresh()),
      live.on("counts", () => this.#count()),
      () => keys.end(),
      () => clearInterval(minute),
    ];
    const { signal } = this.#listening;
    this.addEventListener("submit", (event) => this.#submitted(event), { signal });
    this.addEventListener("click", (event) => this.#clicked(event), { signal });
    this.addEventListener("input", (event) => this.#typed(event), { signal });
    one("[data-again]", this).addEventListener("click", () => void this.refresh(), { signal });
    addEventListener("popstate", () => void this.#goTo(location.href), { signal });
    document.addEventListener("visibilitychange", () => this.#looking(), { signal });
    this.#regroup();
    this.#count();
    this.#goToTheOne();
    this.#looking(0);
  }

  disconnectedCallback() {
    for (const end of this.#ends) end();
    this.#listening.abort();
    this.#listening = new AbortController();
    clearTimeout(this.#typing);
    clearTimeout(this.#looked);
    this.#looked = undefined;
  }

  get shows() {
    return this.dataset.show ?? "all";
  }

  /** @returns {HTMLElement[]} */
  get rows() {
    return [...this.querySelectorAll("li")].filter((row) => row.dataset.id);
  }

  /** Everything up to this number was there when the list was rendered. */
  get #head() {
    return Number(this.querySelector('[data-part="all"] [name=through]')?.getAttribute("value"));
  }

  get #searches() {
    return /** @type {HTMLInputElement} */ (one("[type=search]", this)).value !== "";
  }

  /** That of this page; of one that was led to by a notification, as it was then, wherever that has moved since. */
  get #address() {
    const address = new URL(location.href);
    if (address.searchParams.has("at")) address.search = this.dataset.here ?? "";
    return address.href;
  }

  // --- What is heard ---

  /** @param {Notification} frame */
  #arrived(frame) {
    const { seq } = frame;
    this.#meanwhile?.push(() => this.#arrived(frame));
    if (seq === null || seq <= this.#head || this.shows === "archived") return;
    this.#looking();
    // Whether it is found is the server's to say; and where there is more than anybody reads, what is shown.
    if (this.#searches || (this.dataset.firstPage === "yes" && this.rows.length >= MOST)) {
      void this.refresh();
      return;
    }
    if (this.dataset.firstPage !== "yes") {
      const link = one("[data-newer]", this);
      link.textContent = this.#live.words.say("new", { n: this.#newer.add(seq).size });
      link.hidden = false;
      return;
    }
    const row = rowOf(frame, this.#live.words);
    row.id = `usher-${frame.id}`;
    row.classList.add("usher-arrived");
    this.#group([row, ...this.rows]);
  }

  /** @param {PageEvents["changed"]} change */
  #apply(change) {
    const { state } = change;
    if (state === "seen") return;
    this.#meanwhile?.push(() => this.#apply(change));
    const meant = this.rows.filter((row) => isMeant(row, change));
    const painted = state === "read" || state === "unread";
    if (painted) for (const row of meant) paint(row, state === "read", this.#live.words);
    const { shows } = this;
    const goes = { archived: shows !== "archived", unarchived: shows === "archived", read: shows === "unread" };
    if (goes[/** @type {keyof typeof goes} */ (state)]) this.#remove(meant);
    // What comes into this list, or fills it up from the next page, is the server's to say.
    else if (!painted || shows === "unread") void this.refresh();
  }

  /** @param {HTMLElement[]} rows */
  #remove(rows) {
    const held = rows.find((row) => row.contains(document.activeElement));
    const next = held && this.rows.slice(this.rows.indexOf(held)).find((row) => !rows.includes(row));
    for (const row of rows) row.remove();
    this.#group(this.rows);
    if (held) (next ?? this.rows.at(-1) ?? one("h1", this)).focus();
    if (rows.length && this.querySelector("[rel=next]")) void this.refresh();
  }

  // --- What the person does ---

  /**
   * Set a state on some of the rows: shown at once, taken back if it could not be done.
   *
   * @param {string} state
   * @param {string[]} ids
   */
  async act(state, ids) {
    if (!ids.length) return;
    const loads = this.#loads;
    const before = this.rows.filter((row) => isMeant(row, { ids })).map((row) => ({ row, read: isRead(row) }));
    const marked = this.#live.mark({ ids, state });
    this.#work = this.#work.then(() => marked).catch(() => {}); // before what `#apply` may ask of the server
    this.#apply({ state: /** @type {any} */ (state), ids });
    try {
      await marked;
      this.#problem("");
    } catch {
      this.undo?.clear();
      if (loads === this.#loads) this.#putBack(before); // else this is another list, or a newer one
      this.#problem(this.#live.words.say("not_saved"));
      void this.refresh({ quietly: true });
    }
  }

  /** @param {{ row: HTMLElement, read: boolean }[]} before */
  #putBack(before) {
    for (const { row, read } of before) paint(row, read, this.#live.words);
    const rows = new Set([...this.rows, ...before.map(({ row }) => row)]);
    this.#group([...rows].sort((one, other) => Number(other.dataset.seq) - Number(one.dataset.seq)));
  }

  /** The same, with a way back. @param {string} state @param {HTMLElement[]} rows */
  do(state, rows) {
    const wanted = rows.filter((row) => !(state === "read" && isRead(row)) && !(state === "unread" && !isRead(row)));
    const ids = wanted.map((row) => row.dataset.id ?? "");
    if (ids.length) this.undo?.offer(state, ids);
    return this.act(state, ids);
  }

  /** @param {SubmitEvent} event */
  #submitted(event) {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    if (form.matches("[role=search]")) {
      event.preventDefault();
      this.#search(form);
      return;
    }
    const pressed = event.submitter;
    if (!(pressed instanceof HTMLButtonElement) || form.method === "dialog") return;
    event.preventDefault();
    if (pressed.name === "mute") void this.#mute(pressed.value);
    else if (pressed.value === "all") void this.#markAll(pressed.name);
    else if (pressed.value === "selected") void this.do(pressed.name, this.selection?.rows ?? []);
    else void this.do(pressed.name, this.rows.filter((row) => row.dataset.id === pressed.value));
  }

  /** @param {string} kind @param {boolean} [muted] */
  async #mute(kind, muted = true) {
    const { words } = this.#live;
    try {
      await this.#live.mute(kind, muted);
      this.#problem("");
      if (muted) this.undo?.offerTo(words.say("done_muted", { kind: words.kind(kind) }), () => this.#mute(kind, false));
    } catch {
      this.#problem(words.say("not_saved"));
    }
  }

  /** As of what was told to this page: who comes meanwhile stays as it is. @param {string} state */
  async #markAll(state) {
    try {
      await this.#live.mark({ through: this.#live.connection.position?.seq ?? 0, state });
      this.#problem("");
    } catch {
      this.#problem(this.#live.words.say("not_saved"));
    }
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link) return;
    const row = link.closest("li");
    if (row?.dataset.id && !isRead(row)) void this.act("read", [row.dataset.id]);
    const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0;
    if (row || elsewhere || !link.matches(".usher-tabs a, .usher-pages a, .usher-empty a, [data-newer]")) return;
    event.preventDefault();
    const tab = link.closest(".usher-tabs") !== null;
    void this.#goTo(link.href, { push: true }).then(() => {
      if (tab) one(".usher-tabs [aria-current]", this).focus();
      else this.#toTheTop();
    });
  }

  #toTheTop() {
    this.scrollIntoView({ block: "start" });
    (this.rows[0] ?? one("h1", this)).focus({ preventScroll: true });
  }

  /** @param {Event} event */
  #typed(event) {
    const { target } = event;
    if (!(target instanceof HTMLInputElement) || target.type !== "search" || !target.form) return;
    const { form } = target;
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#search(form), TYPING_MS);
  }

  /** @param {HTMLFormElement} form */
  async #search(form) {
    clearTimeout(this.#typing);
    const asked = new URL(location.href);
    asked.search = new URLSearchParams(/** @type {any} */ (new FormData(form))).toString();
    if (!asked.searchParams.get("q")) asked.searchParams.delete("q");
    await this.#goTo(asked.href, { replace: true });
    if (asked.searchParams.has("q")) {
      const found = this.querySelector("[rel=next]") ? "found_more" : "found";
      this.#live.announcer.say(this.#live.words.say(found, { n: this.rows.length }), "search");
    }
  }

  // --- The page as the server renders it ---

  /** @param {{ quietly?: boolean }} [how] quietly: a problem that is shown stays */
  refresh({ quietly = false } = {}) {
    if (!this.#waits) {
      this.#waits = true;
      // After what is being marked: or a row would come back for a moment.
      this.#work = this.#work
        .then(() => this.#gone())
        .then(() => {
          this.#waits = false;
          return this.#load(this.#address, { quietly });
        });
    }
    return this.#work;
  }

  async #gone() {
    /** @type {Promise<void> | undefined} */
    let going;
    while (going !== this.#going) {
      going = this.#going;
      await going;
    }
  }

  /** Because the person asks for it. @param {string} address @param {{ push?: boolean, replace?: boolean }} [how] */
  #goTo(address, how) {
    this.#going = this.#load(address, how);
    return this.#going;
  }

  /** @param {string} address @param {{ push?: boolean, replace?: boolean, quietly?: boolean }} [how] */
  async #load(address, { push = false, replace = false, quietly = false } = {}) {
    this.#loads += 1;
    const turn = this.#loads;
    /** @type {(() => void)[]} */
    const meanwhile = (this.#meanwhile = []);
    const busy = one("[data-rows]", this);
    busy.setAttribute("aria-busy", "true");
    try {
      const fresh = await this.#live.rendered(address);
      if (turn !== this.#loads) return; // somebody asked for something else meanwhile
      if (push) history.pushState(null, "", address);
      if (replace) history.replaceState(null, "", address);
      this.#meanwhile = null;
      this.#take(one("usher-inbox", fresh));
      for (const again of meanwhile) again();
      if (!quietly) this.#problem("");
    } catch {
      // A page that cannot be had while the connection is down is no news; what the person asked for is.
      if (turn === this.#loads && (push || replace || this.#live.state.state === "connected")) {
        this.#problem(this.#live.words.say("not_loaded"));
      }
    } finally {
      if (turn === this.#loads) {
        this.#meanwhile = null;
        busy.removeAttribute("aria-busy");
      }
    }
  }

  /** @param {HTMLElement} fresh */
  #take(fresh) {
    const focused = document.activeElement?.closest("li")?.id;
    const act = document.activeElement?.getAttribute("data-act");
    const selected = this.selection?.ids ?? [];
    for (const part of PARTS) one(`[data-part="${part}"]`, this).replaceWith(one(`[data-part="${part}"]`, fresh));
    one(".usher-bulk-acts", this).replaceWith(one(".usher-bulk-acts", fresh));
    for (const name of ["csrfmiddlewaretoken", "next", "show"]) {
      const from = fresh.querySelector(`[name=${name}]`);
      for (const to of this.querySelectorAll(`[name=${name}]`)) {
        if (to instanceof HTMLInputElement && from instanceof HTMLInputElement) to.value = from.value;
      }
    }
    const box = /** @type {HTMLInputElement} */ (one("[type=search]", this));
    if (box !== document.activeElement) box.value = one("[type=search]", fresh).getAttribute("value") ?? "";
    this.dataset.show = fresh.dataset.show;
    this.dataset.firstPage = fresh.dataset.firstPage;
    this.dataset.here = fresh.dataset.here;
    if (this.dataset.firstPage === "yes") {
      this.#newer.clear();
      one("[data-newer]", this).hidden = true;
      this.#looking();
    }
    this.#regroup();
    this.selection?.restore(selected);
    const row = focused ? document.getElementById(focused) : null;
    const button = row?.querySelector(`[data-act="${act}"]:not([hidden])`);
    if (button instanceof HTMLElement) button.focus();
    else row?.focus();
  }

  #regroup() {
    this.#group(this.rows);
  }

  /** @param {HTMLElement[]} rows */
  #group(rows) {
    const focused = document.activeElement;
    groupByDay(one('[data-part="days"]', this), rows, this.#live.words);
    if (focused instanceof HTMLElement && this.contains(focused)) focused.focus({ preventScroll: true });
    tellTimes(this, this.#live.words);
    one('[data-part="empty"]', this).hidden = rows.length > 0;
    this.selection?.changed();
  }

  #everyMinute() {
    tellTimes(this, this.#live.words);
    if (this.#day === new Date().getDate()) return;
    this.#day = new Date().getDate();
    this.#regroup();
  }

  // --- What is shown ---

  #count() {
    const { unread } = this.#live.counts;
    const shown = one('[data-part="unread"]', this);
    shown.hidden = unread === 0;
    one("[data-number]", shown).textContent = String(unread);
    const all = one('[data-part="all"] button', this);
    if (all instanceof HTMLButtonElement) all.disabled = unread === 0;
  }

  /** @param {string} words */
  #problem(words) {
    const problem = one("[data-problem]", this);
    one("[data-words]", problem).textContent = words;
    problem.hidden = !words;
  }

  /** Whoever looks at the newest has seen them: after a moment, and not behind another tab. @param {number} [ms] */
  #looking(ms = LOOKED_MS) {
    if (this.#looked !== undefined) return; // what comes all the time does not put it off for ever
    this.#looked = setTimeout(() => {
      this.#looked = undefined;
      const newest = this.dataset.firstPage === "yes" && this.shows !== "archived" && !this.#searches;
      if (!newest || document.visibilityState !== "visible" || !this.#live.counts.unseen) return;
      const through = this.#live.connection.position?.seq ?? 0;
      this.#live.mark({ through, state: "seen" }).catch(() => {}); // it is marked the next time
    }, ms);
  }

  /** The notification that the address names. */
  #goToTheOne() {
    const row = this.rows.find((each) => `#${each.id}` === location.hash);
    if (!row) return;
    row.classList.add("usher-here");
    row.focus();
  }
}
