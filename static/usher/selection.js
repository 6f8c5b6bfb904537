/**
 * Which rows of the inbox are selected. The boxes are the truth; here is what is said of them.
 *
 * @module
 */

import { one } from "./rows.js";

/** @import { Words } from "./words.js" */

export class Selection {
  #inbox;
  #words;

  /** @param {HTMLElement & { rows: HTMLElement[] }} inbox @param {Words} words */
  constructor(inbox, words) {
    this.#inbox = inbox;
    this.#words = words;
    one("[data-pick-all]", inbox).hidden = false;
    inbox.addEventListener("change", ({ target }) => {
      if (target === this.#all) for (const row of inbox.rows) this.#box(row).checked = this.#all.checked;
      this.changed();
    });
  }

  get #all() {
    return /** @type {HTMLInputElement} */ (one("[data-pick-all] input", this.#inbox));
  }

  /** @param {HTMLElement} row */
  #box(row) {
    return /** @type {HTMLInputElement} */ (one(".usher-pick input", row));
  }

  /** @returns {HTMLElement[]} */
  get rows() {
    return this.#inbox.rows.filter((row) => this.#box(row).checked);
  }

  get ids() {
    return this.rows.map((row) => row.dataset.id ?? "");
  }

  /** @param {HTMLElement} row */
  toggle(row) {
    this.#box(row).checked = !this.#box(row).checked;
    this.changed();
  }

  /** @param {string[]} ids */
  restore(ids) {
    for (const row of this.#inbox.rows) this.#box(row).checked = ids.includes(row.dataset.id ?? "");
    this.changed();
  }

  changed() {
    const [n, of] = [this.rows.length, this.#inbox.rows.length];
    this.#all.checked = n > 0 && n === of;
    this.#all.indeterminate = n > 0 && n < of;
    one("[data-selected]", this.#inbox).textContent = this.#words.say("selected", { n });
  }
}
