/**
 * The way back from what was just done in the inbox: a bar with one button, for as long as it is looked at.
 *
 * @module
 */

import { button } from "./rows.js";

/** @import { Page } from "./page.js" */

const SHOWN_MS = 10_000;

/** @type {{ [state: string]: string }} */
const BACK = { read: "unread", unread: "read", archived: "unarchived", unarchived: "archived" };

export class Undo {
  #inbox;
  #live;
  #act;
  /** @type {HTMLElement | null} */
  #bar = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #alarm;
  /** @type {(() => void) | null} */
  #back = null;

  /** @param {HTMLElement} inbox @param {Page} live @param {(state: string, ids: string[]) => void} act */
  constructor(inbox, live, act) {
    this.#inbox = inbox;
    this.#live = live;
    this.#act = act;
  }

  /** @param {string} state what was done @param {string[]} ids to these */
  offer(state, ids) {
    const back = BACK[state];
    if (back) this.offerTo(this.#live.words.say(`done_${state}`, { n: ids.length }), () => this.#act(back, ids));
  }

  /** @param {string} words what was done @param {() => void} back */
  offerTo(words, back) {
    this.clear();
    this.#back = back;
    const bar = document.createElement("div");
    bar.className = "usher-undo";
    const text = document.createElement("span");
    text.textContent = words;
    bar.append(text, button(this.#live.words.say("undo"), "usher-quiet", () => this.undo()));
    for (const event of ["pointerenter", "pointerleave", "focusin", "focusout"]) {
      bar.addEventListener(event, () => queueMicrotask(() => this.#wait()));
    }
    this.#bar = bar;
    this.#inbox.append(bar);
    this.#wait();
    this.#live.announcer.say(words, "undo");
  }

  undo() {
    const back = this.#back;
    if (!back) return;
    this.clear();
    back();
    this.#live.announcer.say(this.#live.words.say("undone"), "undo");
  }

  clear() {
    clearTimeout(this.#alarm);
    const focused = this.#bar?.contains(document.activeElement);
    this.#bar?.remove();
    this.#bar = this.#back = null;
    const row = focused ? this.#inbox.querySelector("li") : null;
    row?.focus();
  }

  #wait() {
    clearTimeout(this.#alarm);
    if (this.#bar?.matches(":hover, :focus-within")) return;
    this.#alarm = setTimeout(() => this.clear(), SHOWN_MS);
  }
}
