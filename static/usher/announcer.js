/**
 * The one live region of a page: what is said to people who do not see it, politely, one thing at a time.
 *
 * @module
 */

/** So that a screen reader has begun with one thing before the next one takes its place. */
const SPACING_MS = 1_200;

export class Announcer {
  /** What waits: a newer word on the same matter takes the place of the older. @type {Map<string, string>} */
  #waiting = new Map();
  /** @type {HTMLElement | null} */
  #region = null;
  #busy = false;

  /** In the page before there is anything to say: a region that appears together with its words is not read. */
  start() {
    this.#region = document.createElement("div");
    this.#region.className = "usher-spoken";
    this.#region.dataset.usherAnnouncer = "";
    this.#region.setAttribute("role", "status");
    document.body.append(this.#region);
  }

  /** @param {string} text @param {string} [matter] */
  say(text, matter = text) {
    this.#waiting.delete(matter);
    this.#waiting.set(matter, text);
    if (!this.#busy) this.#next();
  }

  #next() {
    const [first] = this.#waiting;
    this.#busy = first !== undefined;
    if (!first || !this.#region) return;
    this.#waiting.delete(first[0]);
    this.#region.textContent = first[1];
    setTimeout(() => this.#next(), SPACING_MS);
  }
}
