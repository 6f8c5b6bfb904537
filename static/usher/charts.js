/**
 * Lines over the last hour, as inline SVG: shapes by attributes and classes, so that the strictest policy lets them be.
 * A point that is null was told by nobody, and is a gap in the line.
 *
 * @module
 */

/** @typedef {(number | null)[]} Values one for each point; null: nobody knows */
/** @typedef {{ name: string, label: string, look: number, values: Values, area?: boolean }} Series `look`: which colour */
/** @typedef {{ first: number, step: number }} Axis in POSIX seconds */

const SVG = "http://www.w3.org/2000/svg";

/** Pixels; how wide, the page decides. */
export const HEIGHT = 150;
const TOP = 8;
const BOTTOM = 20;
const LEFT = 40;
const RIGHT = 8;
const LINES = 3;
const MARK_SECONDS = 900;

/**
 * A round number that is not below, so that the lines of a chart stand at numbers one can read.
 *
 * @param {number} greatest
 * @param {number} [parts]
 */
export function ceiling(greatest, parts = LINES) {
  const part = Math.max(greatest, 1) / parts;
  const ten = 10 ** Math.floor(Math.log10(part));
  const halves = part < 10 ? [] : [1.5, 2.5]; // of what is counted one by one there are none
  const round = [1, 2, 3, 4, 5, 6, 8, 10, ...halves].sort((one, other) => one - other);
  return Math.max((round.find((each) => each * ten >= part * 0.999_999) ?? 10) * ten * parts, parts);
}

/**
 * The stretches of a line without a gap, each as the points of a path.
 *
 * @param {Values} values
 * @param {number} top what stands at the upper edge
 * @param {number} width
 * @returns {{ x: number, y: number }[][]}
 */
export function stretches(values, top, width) {
  /** @type {{ x: number, y: number }[][]} */
  const found = [];
  let before = false;
  values.forEach((value, point) => {
    if (value !== null) {
      if (!before) found.push([]);
      found.at(-1)?.push({ x: across(point, values.length, width), y: down(value, top) });
    }
    before = value !== null;
  });
  return found;
}

/** @param {number} point @param {number} many @param {number} width */
function across(point, many, width) {
  return round(LEFT + ((point + 0.5) / many) * (width - LEFT - RIGHT));
}

/** @param {number} value @param {number} top */
function down(value, top) {
  return round(HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM));
}

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;

/**
 * The gaps, as the first point of each and the first after it.
 *
 * @param {Values} values
 * @returns {[number, number][]}
 */
export function gaps(values) {
  /** @type {[number, number][]} */
  const found = [];
  values.forEach((value, point) => {
    if (value !== null) return;
    const last = found.at(-1);
    if (last && last[1] === point) last[1] = point + 1;
    else found.push([point, point + 1]);
  });
  return found;
}

/**
 * Of what comes in bursts, the mean of so many points up to each. Gaps stay, and count for nothing.
 *
 * @param {Values} values
 * @param {number} many
 * @returns {Values}
 */
export function smooth(values, many) {
  return values.map((value, point) => {
    if (value === null) return null;
    const known = values.slice(Math.max(0, point + 1 - many), point + 1).filter((each) => each !== null);
    return known.reduce((one, other) => one + other, 0) / known.length;
  });
}

/**
 * A number as it is read at a glance.
 *
 * @param {number | null | undefined} value
 */
export function short(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 10_000) return `${(value / 1000).toFixed(value >= 100_000 ? 0 : 1)}k`;
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return value < 10 ? String(Math.round(value * 100) / 100) : Math.round(value).toLocaleString("en");
}

/** A moment's time of day, of whoever looks. @param {number} seconds @param {boolean} [exact] */
export function clock(seconds, exact = false) {
  const second = exact ? { second: /** @type {const} */ ("2-digit") } : {};
  const how = { hour: /** @type {const} */ ("2-digit"), minute: /** @type {const} */ ("2-digit"), ...second };
  return new Intl.DateTimeFormat("en-GB", how).format(new Date(seconds * 1000));
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
export function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

/**
 * Fill an `svg` with the lines of an hour.
 *
 * @param {SVGElement} svg
 * @param {Series[]} series
 * @param {Axis} axis
 * @param {number | null} chosen the point that is looked at
 * @param {number} width
 */
export function draw(svg, series, axis, chosen, width) {
  const many = series[0]?.values.length ?? 0;
  const top = ceiling(Math.max(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0))));
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.replaceChildren(...grid(top, width), ...marks(axis, many, width), ...unknown(series[0]?.values ?? [], width));
  for (const each of series) svg.append(...line(each, top, width));
  if (chosen !== null && chosen < many) svg.append(...looked(series, chosen, top, width));
}

/** @param {number} top @param {number} width */
function grid(top, width) {
  return Array.from({ length: LINES + 1 }, (_, number) => (top / LINES) * number).flatMap((value) => {
    const y = down(value, top);
    return [
      shape("line", { class: value ? "dash-grid-line" : "dash-base-line", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
      shape("text", { class: "dash-y", x: LEFT - 6, y: y + 3.5 }, short(value)),
    ];
  });
}

/** The quarters of an hour. @param {Axis} axis @param {number} many @param {number} width */
function marks({ first, step }, many, width) {
  const found = [];
  for (let at = Math.ceil(first / MARK_SECONDS) * MARK_SECONDS; at < first + many * step; at += MARK_SECONDS) {
    const x = across((at - first) / step - 0.5, many, width);
    if (x > LEFT + 15 && x < width - RIGHT - 15) {
      found.push(shape("text", { class: "dash-x", x, y: HEIGHT - 5 }, clock(at)));
    }
  }
  return found;
}

/** Where nobody said anything. @param {Values} values @param {number} width */
function unknown(values, width) {
  const wide = (width - LEFT - RIGHT) / values.length;
  return gaps(values).map(([from, to]) => {
    const x = round(LEFT + from * wide);
    const size = { width: round((to - from) * wide), height: HEIGHT - TOP - BOTTOM };
    return shape("rect", { class: "dash-gap", x, y: TOP, ...size });
  });
}

/** @param {Series} series @param {number} top @param {number} width */
function line({ values, area, look }, top, width) {
  return stretches(values, top, width).flatMap((points) => {
    const path = points.map(({ x, y }, index) => `${index ? "L" : "M"}${x} ${y}`).join("");
    const begin = points[0]?.x ?? 0;
    const end = points.at(-1)?.x ?? 0;
    const d = points.length === 1 ? `${path}h1` : path;
    const drawn = [shape("path", { class: `dash-line dash-s${look}`, d })];
    const base = HEIGHT - BOTTOM;
    const under = `${path}L${end} ${base}L${begin} ${base}Z`;
    if (area) drawn.unshift(shape("path", { class: `dash-area dash-s${look}`, d: under }));
    return drawn;
  });
}

/** @param {Series[]} series @param {number} point @param {number} top @param {number} width */
function looked(series, point, top, width) {
  const many = series[0]?.values.length ?? 1;
  const x = across(point, many, width);
  const dots = series.flatMap(({ values, look }) => {
    const value = values[point];
    return value === null || value === undefined
      ? []
      : [shape("circle", { class: `dash-dot-at dash-s${look}`, cx: x, cy: down(value, top), r: 3 })];
  });
  return [shape("line", { class: "dash-cross", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }), ...dots];
}

/** Which point is at a place of the drawing. @param {number} x in pixels @param {number} many @param {number} width */
export function pointAt(x, many, width) {
  const inside = (x - LEFT) / (width - LEFT - RIGHT);
  return Math.min(many - 1, Math.max(0, Math.floor(inside * many)));
}
