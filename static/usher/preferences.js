/**
 * `<usher-preferences>`: which kinds of notifications the person is told of, and whether this device alerts them. A
 * switch is shown as it will be at once, and as it was if that could not be saved.
 *
 * @module
 */

import { Alerts } from "./alerts.js";
import { page } from "./page.js";
import { one } from "./rows.js";

/** @import { Page } from "./page.js" */

export class UsherPreferences extends HTMLElement {
  connectedCallback() {
    const live = page();
    if (!live) return;
    this.onsubmit = (/** @type {SubmitEvent} */ event) => void this.#submitted(event, live);
    this.#showAlerts(live);
    const alerts = one("[data-alerts-switch]", this);
    alerts.onclick = () => void this.#alert(live, alerts);
  }

  // --- Kinds ---

  /** @param {SubmitEvent} event @param {Page} live */
  async #submitted(event, live) {
    const pressed = event.submitter;
    if (!(pressed instanceof HTMLButtonElement)) return;
    event.preventDefault();
    const muted = pressed.name === "mute";
    paintKind(pressed, muted, live);
    try {
      await live.mute(pressed.value, muted);
      this.#problem("");
    } catch {
      paintKind(pressed, !muted, live);
      this.#problem(live.words.say("not_saved"));
    }
  }

  /** @param {string} words */
  #problem(words) {
    const problem = one("[data-problem]", this);
    problem.textContent = words;
    problem.hidden = !words;
  }

  // --- This device ---

  /** @param {Page} live @param {HTMLElement} pressed */
  async #alert(live, pressed) {
    await live.alerts.turn(pressed.getAttribute("aria-checked") !== "true");
    this.#showAlerts(live);
  }

  /** @param {Page} live */
  #showAlerts(live) {
    const { state } = live.alerts;
    one("[data-alerts]", this).hidden = state === Alerts.UNSUPPORTED;
    const alerts = one("[data-alerts-switch]", this);
    alerts.setAttribute("aria-checked", String(state === Alerts.ON));
    one("[data-said]", alerts).textContent = live.words.say(state === Alerts.ON ? "on" : "off");
    one("[data-about]", this).textContent = live.words.say(state === Alerts.BLOCKED ? "alerts_blocked" : "alerts_about");
  }
}

/** @param {HTMLButtonElement} button @param {boolean} muted @param {Page} live */
function paintKind(button, muted, live) {
  button.name = muted ? "unmute" : "mute";
  button.setAttribute("aria-checked", String(!muted));
  one("[data-said]", button).textContent = live.words.say(muted ? "muted" : "on");
}
