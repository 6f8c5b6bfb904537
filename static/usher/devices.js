/**
 * `<usher-devices>`: where the person is signed in, kept up to date while somebody looks, and without a new page after
 * each button.
 *
 * @module
 */

import { page } from "./page.js";
import { one, tellTimes } from "./rows.js";

/** @import { Page } from "./page.js" */

/** Connections are some seconds late anyway. */
const LOOK_MS = 10_000;

export class UsherDevices extends HTMLElement {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #looks;
  #loads = 0;

  connectedCallback() {
    const live = page();
    if (!live) return;
    tellTimes(this, live.words);
    this.onsubmit = (/** @type {SubmitEvent} */ event) => void this.#submitted(event, live);
    this.#looks = setInterval(() => {
      if (document.visibilityState === "visible" && live.state.state !== "unauthorized") void this.#load(live);
    }, LOOK_MS);
  }

  disconnectedCallback() {
    clearInterval(this.#looks);
  }

  /** @param {SubmitEvent} event @param {Page} live */
  async #submitted(event, live) {
    const pressed = event.submitter;
    if (!(pressed instanceof HTMLButtonElement)) return;
    event.preventDefault();
    pressed.disabled = true;
    try {
      if (pressed.value === "others") {
        await live.makeSure();
        await live.rest.post(`${live.urls.sessions}end-others/`, {});
      } else await live.rest.delete(`${live.urls.sessions}${pressed.value}/`);
      await this.#load(live);
      this.#say(live.words.say("ended"));
      one("h1", this).focus();
    } catch {
      pressed.disabled = false;
      this.#say(live.words.say("not_ended"));
    }
  }

  /** What the server renders now. @param {Page} live */
  async #load(live) {
    this.#loads += 1;
    const turn = this.#loads;
    try {
      const fresh = await live.rendered(location.pathname);
      if (turn !== this.#loads) return; // a later one was quicker, and knows more
      const focused = document.activeElement?.closest("li")?.getAttribute("data-id");
      for (const part of ["others", "devices"]) {
        const [old, now] = [one(`[data-part="${part}"]`, this), one(`[data-part="${part}"]`, fresh)];
        old.replaceWith(now);
      }
      tellTimes(this, live.words);
      const again = focused ? this.querySelector(`[data-id="${CSS.escape(focused)}"] button`) : null;
      if (again instanceof HTMLElement) again.focus();
    } catch {
      // what stands there stands, until the next look
    }
  }

  /** @param {string} words */
  #say(words) {
    const done = one("[data-done]", this);
    done.textContent = words;
    done.hidden = false;
  }
}
