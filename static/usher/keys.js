/**
 * The inbox by the keyboard. Off while somebody types, with any modifier, and for whoever switches it off (WCAG 2.2,
 * 2.1.4): who dictates says letters all the time.
 *
 * @module
 */

import { ofTheDevice } from "./memory.js";
import { isRead, one } from "./rows.js";

/** @import { Selection } from "./selection.js" */
/** @import { Undo } from "./undo.js" */

/**
 * @typedef {HTMLElement & {
 *   rows: HTMLElement[], shows: string, selection?: Selection | undefined, undo?: Undo | undefined,
 *   do: (state: string, rows: HTMLElement[]) => unknown,
 * }} Inbox
 */

const OFF = "usher/keys-off";

/**
 * Whether a key was meant for what has the focus, and not for the page.
 *
 * @param {{ key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, defaultPrevented: boolean }} event
 * @param {{ tagName: string, type?: string, isContentEditable?: boolean } | null} target
 */
export function isTyping(event, target) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return true;
  if (!target) return false;
  if (target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  return target.tagName === "INPUT" && target.type !== "checkbox";
}

export class Keys {
  #inbox;
  #dialog;
  #listen = (/** @type {KeyboardEvent} */ event) => this.#pressed(event);
  /** Where `j` and `k` go on from when nothing has the focus. */
  #at = -1;

  /** @param {Inbox} inbox */
  constructor(inbox) {
    this.#inbox = inbox;
    this.#dialog = /** @type {HTMLDialogElement} */ (one("dialog", inbox));
    const help = one("[data-help]", inbox);
    help.hidden = false;
    help.addEventListener("click", () => this.#dialog.showModal());
    const on = /** @type {HTMLInputElement} */ (one("[data-keys-on]", inbox));
    on.checked = !this.#off;
    on.addEventListener("change", () => (on.checked ? ofTheDevice.forget(OFF) : ofTheDevice.keep(OFF, "yes")));
    document.addEventListener("keydown", this.#listen);
  }

  get #off() {
    return ofTheDevice.recall(OFF) !== null;
  }

  end() {
    document.removeEventListener("keydown", this.#listen);
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const [inner] = event.composedPath(); // within another element of the site, too
    const target = inner instanceof HTMLElement ? inner : null;
    const elsewhere = event.target instanceof Element && event.target.closest("dialog, [role=dialog], usher-toasts");
    if (isTyping(event, /** @type {any} */ (target)) || elsewhere || this.#dialog.open || this.#off) {
      if (event.key === "Escape" && target?.matches("[type=search]")) target.blur();
      return;
    }
    const act = this.#acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** @type {{ [key: string]: () => void }} */
  #acts = {
    j: () => this.#move(1),
    k: () => this.#move(-1),
    o: () => this.#current?.querySelector("a")?.click(),
    e: () => this.#do(this.#inbox.shows === "archived" ? "unarchived" : "archived"),
    u: () => this.#current && this.#do(isRead(this.#current) ? "unread" : "read"),
    x: () => this.#current && this.#inbox.selection?.toggle(this.#current),
    z: () => this.#inbox.undo?.undo(),
    "/": () => one("[type=search]", this.#inbox).focus(),
    "?": () => this.#dialog.showModal(),
  };

  /** @returns {HTMLElement | undefined} */
  get #current() {
    return this.#inbox.rows.find((row) => row.contains(document.activeElement));
  }

  /** @param {number} by */
  #move(by) {
    const { rows } = this.#inbox;
    const current = this.#current;
    const from = current ? rows.indexOf(current) : this.#at;
    this.#at = Math.max(0, Math.min(rows.length - 1, from + by));
    rows[this.#at]?.focus();
  }

  /** To those that are selected, else to the one that has the focus. @param {string} state */
  #do(state) {
    const selected = this.#inbox.selection?.rows ?? [];
    const current = this.#current;
    if (selected.length || current) this.#inbox.do(state, selected.length ? selected : current ? [current] : []);
  }
}
