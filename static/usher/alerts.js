/**
 * Alerts of the person's desktop, for what arrives while they look at none of this site's pages. Only for whoever
 * switched them on, on this device; browsers ask for permission only after a click.
 *
 * All pages of a person hear of a notification. One alerts: whoever gets its lock first, and a page that is looked at
 * is always first and does not alert.
 *
 * @module
 */

import { ofTheDevice } from "./memory.js";

/** @import { Notification as Frame } from "./frames.js" */
/** @import { Page } from "./page.js" */

/** How long pages that nobody looks at let the others go first. */
const COURTESY_MS = 250;
/** How long who was first holds the lock: timers of pages in the background run late. */
const HELD_MS = 5_000;
/** More than so many within this time are told as one. */
const FLOOD = 3;
const FLOOD_MS = 10_000;

export class Alerts {
  static UNSUPPORTED = "unsupported";
  /** By the browser: only the person can change that, in its own settings. */
  static BLOCKED = "blocked";
  static OFF = "off";
  static ON = "on";

  #live;
  #broken = false;
  /** When the last few came. @type {number[]} */
  #lately = [];

  /** @param {Page} live */
  constructor(live) {
    this.#live = live;
    live.on("arrived", (frame) => {
      if (!frame.replayed && this.state === Alerts.ON) this.#arrived(frame).catch(() => {}); // locks can be forbidden
    });
  }

  /** @returns {string} */
  get state() {
    if (this.#broken || !("Notification" in globalThis) || !navigator.locks) return Alerts.UNSUPPORTED;
    if (Notification.permission === "denied") return Alerts.BLOCKED;
    return Notification.permission === "granted" && ofTheDevice.recall(this.#key) ? Alerts.ON : Alerts.OFF;
  }

  /** To be called for a click. @param {boolean} on */
  async turn(on) {
    ofTheDevice.forget(this.#key);
    if (!on || (await Notification.requestPermission()) !== "granted") return;
    ofTheDevice.keep(this.#key, "on");
    // The first one is what shows that it works; some browsers have the word and refuse the thing.
    this.#show(this.#live.words.say("alerts_on"), { tag: this.#key });
  }

  get #key() {
    return `usher/alerts/${this.#live.user}`;
  }

  /** @param {Frame} frame */
  async #arrived(frame) {
    const now = performance.now(); // hands of clocks are moved
    this.#lately = [...this.#lately.filter((moment) => now - moment < FLOOD_MS), now];
    const many = this.#lately.length;
    const hidden = document.visibilityState === "hidden";
    if (hidden) await pause(COURTESY_MS);
    await navigator.locks.request(`usher/alert/${frame.id}`, { ifAvailable: true }, async (lock) => {
      if (!lock) return;
      if (hidden) this.#alert(frame, many);
      await pause(HELD_MS);
    });
  }

  /** @param {Frame} frame @param {number} many */
  #alert(frame, many) {
    const { urls, words } = this.#live;
    if (many > FLOOD) {
      this.#show(words.say("new", { n: many }), { tag: `${this.#key}/many` }, urls.inbox);
      return;
    }
    this.#show(frame.title, { body: frame.body, tag: frame.id }, this.#live.addressOf(frame));
  }

  /** @param {string} title @param {NotificationOptions} options @param {string} [url] */
  #show(title, options, url) {
    try {
      const shown = new Notification(title, { ...options, lang: this.#live.words.language, dir: "auto" });
      shown.onclick = () => {
        shown.close();
        focus();
        if (url) open(url, "_blank", "noopener"); // what the person was doing on this page stays
      };
    } catch {
      this.#broken = true; // Chrome on Android has the word, but only for service workers
    }
  }
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
