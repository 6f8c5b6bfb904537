/**
 * Rows of notifications: made in one place, of the template that the server renders its own rows with. Text of
 * notifications only ever goes through `textContent`.
 *
 * @module
 */

import { ago, dayName } from "./times.js";

/** @import { Words } from "./words.js" */

/**
 * What a row is made of: a frame of the socket or an item of the list.
 *
 * @typedef {object} Item
 * @property {string} id
 * @property {number | null} seq
 * @property {string} level
 * @property {string} title
 * @property {string} body
 * @property {string} url
 * @property {string} kind
 * @property {string} created_at
 * @property {boolean} read
 * @property {boolean} archived
 */

/** @param {string} selector @param {ParentNode} [within] @returns {HTMLElement} */
export function one(selector, within = document) {
  const found = within.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error(`there is no ${selector}`);
  return found;
}

/** @param {Item} item @param {Words} words */
export function rowOf(item, words) {
  const template = document.querySelector("template#usher-row");
  if (!(template instanceof HTMLTemplateElement)) throw new Error("{% usher_head %} is missing");
  const row = one("li", /** @type {DocumentFragment} */ (document.importNode(template.content, true)));
  row.dataset.id = item.id;
  row.dataset.seq = String(item.seq);
  row.dataset.level = item.level;
  const title = one("[data-title]", row);
  title.textContent = item.title;
  if (item.url) {
    const link = linkTo(item.url, item.title);
    link.dataset.title = "";
    title.replaceWith(link);
  }
  one("[data-name]", row).textContent = item.title;
  fill(one("[data-body]", row), item.body);
  fill(one("[data-kind]", row), words.kind(item.kind));
  one("[data-time]", row).setAttribute("datetime", item.created_at);
  for (const button of row.querySelectorAll("button")) button.value = button.name === "mute" ? item.kind : item.id;
  for (const box of row.querySelectorAll("input")) box.value = item.id;
  one('[data-act="archived"]', row).hidden = item.archived;
  one('[data-act="unarchived"]', row).hidden = !item.archived;
  one('[data-act="mute"]', row).hidden = item.archived || !words.mayMute(item.kind);
  paint(row, item.read, words);
  tellTimes(row, words);
  return row;
}

/** @param {string} url @param {string} words */
export function linkTo(url, words) {
  const link = document.createElement("a");
  link.dir = "auto";
  link.textContent = words;
  // The server accepts only these; a page does not have to believe that.
  if (/^(https?:\/\/|\/(?![/\\]))/i.test(url)) link.href = url;
  return link;
}

/** @param {HTMLElement} element @param {string} text */
function fill(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

/** @param {HTMLElement} row */
export function isRead(row) {
  return !row.classList.contains("usher-unread");
}

/** @param {HTMLElement} row @param {boolean} read @param {Words} words */
export function paint(row, read, words) {
  row.classList.toggle("usher-unread", !read);
  one("[data-mark]", row).textContent = read ? "" : `${words.say("unread")} `;
  swap(one('[data-act="read"]', row), one('[data-act="unread"]', row), read);
}

/**
 * One of two buttons; who has the focus on the one that goes gets the other.
 *
 * @param {HTMLElement} first
 * @param {HTMLElement} second
 * @param {boolean} toSecond
 */
function swap(first, second, toSecond) {
  const [goes, comes] = toSecond ? [first, second] : [second, first];
  const focused = document.activeElement === goes;
  goes.hidden = true;
  comes.hidden = false;
  if (focused) comes.focus();
}

/**
 * Whether a change is about this row.
 *
 * @param {HTMLElement} row
 * @param {{ ids?: string[] | undefined, through?: number | undefined }} change
 */
export function isMeant(row, { ids, through }) {
  return ids ? ids.includes(row.dataset.id ?? "") : Number(row.dataset.seq) <= Number(through);
}

/** @param {HTMLElement} row */
function momentOf(row) {
  return new Date(one("[data-time]", row).getAttribute("datetime") ?? "");
}

/** Times in the words of the person's own place. @param {ParentNode} within @param {Words} words */
export function tellTimes(within, words) {
  const full = new Intl.DateTimeFormat(words.language, { dateStyle: "full", timeStyle: "short" });
  const brief = new Intl.DateTimeFormat(words.language, { dateStyle: "medium", timeStyle: "short" });
  for (const time of within.querySelectorAll("time[data-time]")) {
    const moment = new Date(time.getAttribute("datetime") ?? "");
    if (Number.isNaN(moment.getTime())) continue;
    const wanted = time.getAttribute("data-time") === "full";
    time.textContent = wanted ? brief.format(moment) : ago(moment, new Date(), words.language);
    time.setAttribute("title", full.format(moment));
  }
}

/**
 * Puts rows, newest first, under the days they are of.
 *
 * @param {HTMLElement} list
 * @param {HTMLElement[]} rows
 * @param {Words} words
 */
export function groupByDay(list, rows, words) {
  const named = { language: words.language, today: words.say("today"), yesterday: words.say("yesterday") };
  /** @type {Map<string, HTMLElement>} */
  const days = new Map();
  for (const row of rows) {
    const name = dayName(momentOf(row), new Date(), named);
    const day = days.get(name) ?? emptyDay(name);
    days.set(name, day);
    one("ol", day).append(row);
  }
  list.replaceChildren(...days.values());
}

/** @param {string} name */
function emptyDay(name) {
  const day = document.createElement("section");
  day.className = "usher-day";
  const heading = document.createElement("h2");
  heading.className = "usher-day-name";
  heading.textContent = name;
  const rows = document.createElement("ol");
  rows.className = "usher-rows";
  day.append(heading, rows);
  return day;
}

/** A button of the elements' looks. @param {string} words @param {string} kind @param {() => void} press */
export function button(words, kind, press) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = `usher-button ${kind}`.trim();
  made.textContent = words;
  made.addEventListener("click", press);
  return made;
}
