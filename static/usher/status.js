/**
 * `<usher-status>`: one line on the connection, and what the person has to do where nothing else helps.
 *
 * @module
 */

import { page } from "./page.js";
import { button, one } from "./rows.js";

/** @import { StateChange } from "./client.js" */
/** @import { Page } from "./page.js" */

/** How long a lost connection is not worth a word: the blink of a lift or of a deployment. */
const PATIENCE_MS = 1_500;
const TOO_MANY_CONNECTIONS = 4504;
/** What has come to stay and is read out. What passes by itself is not. */
const SAID = ["connected", "waiting", "offline", "unauthorized", "closed"];

export class UsherStatus extends HTMLElement {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #quiet;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #countdown;
  /** What was said of last, so that it is not said twice. */
  #said = "connected";
  /** @type {() => void} */
  #end = () => {};

  connectedCallback() {
    const live = page();
    if (!live) return;
    one("[data-retry]", this).onclick = () => this.#pressed(live);
    this.#end = live.on("state", (change) => this.#tell(change, live));
    this.#show(live.state, live);
  }

  disconnectedCallback() {
    this.#end();
    clearTimeout(this.#quiet);
    clearInterval(this.#countdown);
  }

  /** @param {Page} live */
  #pressed(live) {
    if (this.dataset.state === "waiting") live.connection.retryNow();
    else live.connection.renew();
  }

  /** The connection's state, shown once it has lasted. @param {StateChange} change @param {Page} live */
  #tell(change, live) {
    clearTimeout(this.#quiet);
    const passing = change.state === "connecting" || change.state === "waiting";
    if (passing && this.dataset.state === "connected") {
      this.#quiet = setTimeout(() => this.#show(live.state, live), PATIENCE_MS);
    } else if (!(change.state === "connecting" && this.dataset.state === "waiting")) {
      this.#show(change, live);
    } // between two attempts, “Connecting …” would only make the line flicker
  }

  /** @param {StateChange} change @param {Page} live */
  #show(change, live) {
    clearInterval(this.#countdown);
    this.dataset.state = change.state;
    const replaced = change.state === "closed" && change.code === TOO_MANY_CONNECTIONS;
    const words = live.words.say(replaced ? "state_replaced" : `state_${change.state}`);
    one("[data-words]", this).textContent = words;
    const retry = one("[data-retry]", this);
    retry.hidden = change.state !== "waiting" && change.state !== "closed";
    retry.textContent = live.words.say(change.state === "closed" ? "connect_here" : "try_now");
    if (change.state === "waiting") this.#count(change.retryAt ?? 0, live);
    this.#ask(change.state === "unauthorized", live);
    this.#announce(change.state, words, live);
  }

  /** The seconds to the next attempt: to be seen, never read out. @param {number} until @param {Page} live */
  #count(until, live) {
    const show = () => {
      const n = Math.ceil((until - Date.now()) / 1_000);
      one("[data-words]", this).textContent =
        n > 0 ? live.words.say("state_waiting_for", { n }) : live.words.say("state_waiting");
    };
    show();
    this.#countdown = setInterval(show, 1_000);
  }

  /** @param {string} state @param {string} words @param {Page} live */
  #announce(state, words, live) {
    if (state === this.#said || !SAID.includes(state)) return;
    this.#said = state;
    live.announcer.say(state === "unauthorized" ? `${words}. ${live.words.say("ended_more")}` : words, "state");
  }

  /** To sign in without leaving the page, and what is on it. @param {boolean} wanted @param {Page} live */
  #ask(wanted, live) {
    this.querySelector("[data-notice]")?.remove();
    if (!wanted) return;
    const notice = document.createElement("div");
    notice.className = "usher-notice";
    notice.dataset.notice = "";
    const words = document.createElement("p");
    const strong = document.createElement("strong");
    strong.textContent = live.words.say("state_unauthorized");
    words.append(strong, ` ${live.words.say("ended_more")}`);
    const link = document.createElement("a");
    link.className = "usher-button usher-primary";
    link.href = `${live.urls.login}?next=${encodeURIComponent(location.pathname + location.search)}`;
    link.target = "_blank";
    link.textContent = live.words.say("sign_in");
    const goOn = button(live.words.say("go_on"), "", () => void live.goOn().catch(() => {})); // then it says so again
    notice.append(words, link, goOn);
    this.append(notice);
  }
}
