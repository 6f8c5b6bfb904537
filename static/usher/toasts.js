/**
 * `<usher-toasts>`: what arrives while somebody looks. At most three; what comes faster than that becomes one that says
 * how many. They wait while somebody points at them, has the focus in them, or does not see the page at all.
 *
 * @module
 */

import { page } from "./page.js";
import { linkTo } from "./rows.js";

/** @import { Notification } from "./frames.js" */
/** @import { Page } from "./page.js" */

const MOST = 3;
const SHOWN_MS = 8_000;

export class UsherToasts extends HTMLElement {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #alarm;
  /** How many the one toast of a flood stands for; 0: there is no flood. */
  #flood = 0;
  #end = () => {};
  #listening = new AbortController();

  connectedCallback() {
    const live = page();
    if (!live) return;
    this.#end = live.on("arrived", (frame) => {
      if (!frame.replayed) this.#arrived(frame, live);
    });
    const { signal } = this.#listening;
    for (const event of ["pointerenter", "pointerleave", "focusin", "focusout"]) {
      this.addEventListener(event, () => queueMicrotask(() => this.#wait()), { signal });
    }
    this.addEventListener("keydown", (event) => event.key === "Escape" && this.#clear(), { signal });
    document.addEventListener("visibilitychange", () => this.#wait(), { signal });
  }

  disconnectedCallback() {
    this.#end();
    clearTimeout(this.#alarm);
    this.#listening.abort();
    this.#listening = new AbortController();
  }

  /** @param {Notification} frame @param {Page} live */
  #arrived(frame, live) {
    if (this.#flood || this.children.length >= MOST) {
      this.#flood += this.#flood ? 1 : this.children.length + 1;
      this.#showFlood(live);
    } else {
      this.#show(toastOf(frame, live));
      // Several at once are said as what they are: so many.
      const n = this.children.length;
      const one = [frame.title, frame.body].filter(Boolean).join(". ");
      live.announcer.say(n > 1 ? live.words.say("new", { n }) : one, "new");
    }
  }

  /** @param {Page} live */
  #showFlood(live) {
    const words = live.words.say("new", { n: this.#flood });
    const title = linkTo(live.urls.inbox, words);
    const focused = this.contains(document.activeElement);
    const toast = toastWith(title, "", live, () => this.#clear());
    toast.dataset.flood = String(this.#flood);
    this.replaceChildren(); // whatever it stands for is in it
    this.#show(toast);
    if (focused) title.focus();
    live.announcer.say(words, "new");
  }

  /** @param {HTMLElement} toast */
  #show(toast) {
    this.hidden = false;
    this.append(toast);
    toast.addEventListener("usher-gone", () => this.#tidy());
    this.#wait();
  }

  /** One alarm for all: the oldest goes, then the next. */
  #wait() {
    clearTimeout(this.#alarm);
    const held = this.matches(":hover, :focus-within") || document.visibilityState === "hidden";
    if (this.children.length === 0 || held) return;
    const share = SHOWN_MS / this.children.length;
    this.#alarm = setTimeout(() => {
      this.firstElementChild?.remove();
      this.#tidy();
    }, Math.max(share, SHOWN_MS / 2));
  }

  #tidy() {
    if (this.children.length === 0) this.#clear();
    else this.#wait();
  }

  #clear() {
    clearTimeout(this.#alarm);
    this.#flood = 0;
    this.replaceChildren();
    this.hidden = true;
  }
}

/** @param {Notification} frame @param {Page} live */
function toastOf(frame, live) {
  const title = linkTo(live.addressOf(frame), frame.title);
  const read = () => live.mark({ ids: [frame.id], state: "read" }).catch(() => {}); // it stays unread, which is no harm
  if (frame.url && frame.seq !== null) title.addEventListener("click", () => void read());
  const toast = toastWith(title, frame.body, live, () => {});
  toast.dataset.level = frame.level;
  return toast;
}

/** @param {HTMLElement} title @param {string} body @param {Page} live @param {() => void} dismissed */
function toastWith(title, body, live, dismissed) {
  const toast = document.createElement("div");
  toast.className = "usher-toast";
  title.classList.add("usher-toast-title");
  const close = document.createElement("button");
  close.className = "usher-close";
  close.type = "button";
  close.textContent = "×";
  close.setAttribute("aria-label", live.words.say("dismiss"));
  close.addEventListener("click", () => {
    toast.remove();
    dismissed();
    toast.dispatchEvent(new Event("usher-gone"));
  });
  toast.append(title, close);
  if (body) {
    const text = document.createElement("p");
    text.append(document.createElement("bdi"));
    text.lastElementChild?.append(body); // as text
    toast.append(text);
  }
  return toast;
}
