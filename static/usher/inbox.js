/**
 * Makes the inbox page live. The page works without this file; here nothing is decided that the server does not decide
 * too: what cannot be said row by row is fetched as the page itself.
 *
 * Text of notifications only ever goes through `textContent`.
 *
 * @module
 */

import { UnauthorizedError } from "./client.js";
import { SharedConnection } from "./shared.js";

const TOASTS = 3;
const TOAST_MS = 8_000;

/** How long a lost connection is not worth a word: the blink of a lift or of a deployment. */
const PATIENCE_MS = 1_500;

const WORDS = {
  idle: "Starting …",
  connecting: "Connecting …",
  connected: "Live",
  waiting: "Connection lost",
  offline: "You are offline",
  unauthorized: "Your session has ended",
  closed: "Not live",
};

/** @param {string} selector @param {ParentNode} [within] @returns {HTMLElement} */
function one(selector, within = document) {
  const found = within.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error(`the page has no ${selector}`);
  return found;
}

/** @param {string} name */
function cookie(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

/** @param {string} url @param {object} body */
async function post(url, body) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": cookie("csrftoken") },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000), // a server that hangs must not use up the page's connections
  });
  // Either the session is over, or somebody signed in anew in another tab and this page's CSRF token with it; both are
  // mended by signing in.
  if (answer.status === 401 || answer.status === 403) throw new UnauthorizedError(`${url} answered ${answer.status}`);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  return answer.json();
}

class Inbox {
  constructor() {
    this.main = one("main[data-inbox]");
    this.list = one("#list");
    this.shows = this.main.dataset.show ?? "all";
    this.unread = Number(one("#unread").dataset.count);
    this.version = Number(this.main.dataset.stateVersion);
    /** The text of the tab without its count. */
    this.title = document.title.replace(/^\(\d+\) /, "");
    /** @type {number | undefined} */
    this.quiet = undefined;
    this.refreshing = Promise.resolve();
    this.client = new SharedConnection({
      user: this.main.dataset.user ?? "",
      position: { epoch: this.main.dataset.epoch ?? "", seq: Number(this.main.dataset.head) },
      getTicket: ({ reason }) => post(this.main.dataset.tickets ?? "", { purpose: reason }),
    });
  }

  start() {
    this.client.on("state", (change) => this.tell(change));
    this.client.on("notification", (frame) => this.arrived(frame));
    this.client.on("change", (frame) => this.changed(frame));
    this.client.on("gap", () => this.refresh());
    this.client.on("welcome", (frame) => this.welcomed(frame));
    this.client.on("reauth", (change) => {
      if (change.state === "failed" && change.reason === "unauthorized") this.say();
      // What was marked while the connection was held is only told by the version.
      if (change.state === "done" && change.state_version !== this.version) this.refresh();
    });
    document.addEventListener("submit", (event) => this.submitted(event));
    one("[data-retry]").addEventListener("click", () => this.client.retryNow());
    addEventListener("online", () => this.client.setOnline(true));
    addEventListener("offline", () => this.client.setOnline(false));
    // A page that is kept for the back button or frozen must hold nothing; and may have missed much when it is back.
    addEventListener("pagehide", () => this.client.leave());
    document.addEventListener("freeze", () => this.client.leave());
    addEventListener("pageshow", (event) => event.persisted && this.again());
    document.addEventListener("resume", () => this.again());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.client.lookedAt();
    });
    if (!navigator.onLine) this.client.setOnline(false);
    this.localTimes(document);
    this.client.open();
  }

  async again() {
    await this.refresh();
    this.client.open();
  }

  // --- What is heard ---

  /** @param {any} frame */
  welcomed(frame) {
    one("#notice").hidden = true;
    if (frame.state_version !== this.version) this.refresh();
  }

  /** @param {any} frame */
  arrived(frame) {
    if (!frame.read) this.count(this.unread + 1);
    if (!frame.replayed) this.toast(frame);
    if (frame.seq === null || this.shows === "archived" || this.main.dataset.firstPage !== "yes") return;
    const row = this.rowOf(frame);
    row.classList.add("arrived");
    this.list.prepend(row);
    this.emptiness();
  }

  /** @param {any} frame */
  changed(frame) {
    const known = frame.state_version === this.version + 1 && frame.state !== "changed";
    this.version = Math.max(this.version, frame.state_version);
    this.count(frame.unread);
    // What moves between the tabs is the server's to say.
    if (!known || frame.state === "archived" || frame.state === "unarchived" || this.shows !== "all") {
      this.refresh();
      return;
    }
    for (const row of this.list.querySelectorAll("li")) {
      const meant = frame.ids ? frame.ids.includes(row.dataset.id) : Number(row.dataset.seq) <= frame.through;
      if (meant && (frame.state === "read" || frame.state === "unread")) this.paint(row, frame.state === "read");
    }
  }

  /** Take the list, the counts and the forms from the page as the server renders it now. */
  refresh() {
    this.refreshing = this.refreshing.then(() => this.fetchPage()).catch(() => {}); // the next change asks again
    return this.refreshing;
  }

  async fetchPage() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return; // signed out: the status line says so already
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (one("main", page).dataset.user !== this.main.dataset.user) return location.reload(); // whoever is here now
    for (const id of ["list", "empty", "unread"]) one(`#${id}`).replaceWith(one(`#${id}`, page));
    one("[data-mark-all]").replaceWith(one("[data-mark-all]", page));
    one(".pages").replaceWith(one(".pages", page));
    for (const form of document.querySelectorAll("form")) {
      const token = form.querySelector("[name=csrfmiddlewaretoken]");
      const fresh = page.querySelector("[name=csrfmiddlewaretoken]");
      if (token instanceof HTMLInputElement && fresh instanceof HTMLInputElement) token.value = fresh.value;
    }
    this.list = one("#list");
    this.version = Math.max(this.version, Number(one("main", page).dataset.stateVersion));
    this.count(Number(one("#unread").dataset.count));
    this.localTimes(this.list);
  }

  // --- What the person does ---

  /** @param {SubmitEvent} event */
  async submitted(event) {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    if (form.matches("[data-sign-out]")) {
      this.client.signedOut();
      return;
    }
    const button = event.submitter;
    if (!(button instanceof HTMLButtonElement) || !form.matches("#rows, [data-mark-all]")) return;
    event.preventDefault();
    const state = button.name;
    const which = button.value === "all" ? { through: this.client.position?.seq ?? 0 } : { ids: [button.value] };
    try {
      await post(this.main.dataset.stateUrl ?? "", { state, ...which });
      if (this.client.state !== "connected") await this.refresh(); // else the change is heard
    } catch (error) {
      if (error instanceof UnauthorizedError) this.say();
      else this.fallBack(form, button);
    }
  }

  /** The page's own way, without this script. @param {HTMLFormElement} form @param {HTMLButtonElement} button */
  fallBack(form, button) {
    const chosen = document.createElement("input");
    Object.assign(chosen, { type: "hidden", name: button.name, value: button.value });
    form.append(chosen);
    form.submit();
  }

  // --- What is shown ---

  /** @param {any} frame */
  rowOf(frame) {
    const template = one("template#row");
    if (!(template instanceof HTMLTemplateElement)) throw new Error("#row is no template");
    const row = one("li", /** @type {DocumentFragment} */ (template.content.cloneNode(true)));
    row.dataset.id = frame.id;
    row.dataset.seq = frame.seq;
    row.dataset.level = frame.level;
    const title = one("[data-title]", row);
    title.textContent = frame.title;
    if (frame.url) title.replaceWith(this.linkTo(frame));
    this.fill(one("[data-body]", row), frame.body);
    this.fill(one("[data-kind]", row), frame.kind);
    const time = one("[data-time]", row);
    time.setAttribute("datetime", frame.created_at);
    for (const button of row.querySelectorAll("button")) button.value = frame.id;
    this.paint(row, frame.read);
    this.localTimes(row);
    return row;
  }

  /** @param {any} frame */
  linkTo(frame) {
    const link = document.createElement("a");
    link.dataset.title = "";
    link.textContent = frame.title;
    // The server accepts only these; a page does not have to believe that.
    if (/^(https?:\/\/|\/(?![/\\]))/i.test(frame.url)) link.href = frame.url;
    return link;
  }

  /** @param {HTMLElement} element @param {string} text */
  fill(element, text) {
    element.textContent = text;
    element.hidden = !text;
  }

  /** @param {HTMLElement} row @param {boolean} read */
  paint(row, read) {
    row.classList.toggle("unread", !read);
    one(".mark", row).textContent = read ? "" : "Unread: ";
    one(".act-read", row).hidden = read;
    one(".act-unread", row).hidden = !read;
  }

  /** @param {number} unread */
  count(unread) {
    this.unread = unread;
    const badge = one("#unread");
    badge.dataset.count = String(unread);
    badge.hidden = unread === 0;
    badge.firstChild && (badge.firstChild.nodeValue = String(unread));
    document.title = unread ? `(${unread}) ${this.title}` : this.title;
    const all = one("[data-mark-all] button");
    if (all instanceof HTMLButtonElement) all.disabled = unread === 0;
  }

  emptiness() {
    one("#empty").hidden = this.list.children.length > 0;
  }

  /** @param {any} frame */
  toast(frame) {
    const toasts = one("#toasts");
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.dataset.level = frame.level;
    const title = document.createElement("strong");
    title.textContent = frame.title;
    const close = document.createElement("button");
    close.className = "quiet";
    close.type = "button";
    close.textContent = "×";
    close.setAttribute("aria-label", "Dismiss");
    close.addEventListener("click", () => toast.remove());
    toast.append(title, close);
    if (frame.body) {
      const body = document.createElement("p");
      body.textContent = frame.body;
      toast.append(body);
    }
    toasts.append(toast);
    while (toasts.children.length > TOASTS) toasts.firstElementChild?.remove();
    let left = setTimeout(() => toast.remove(), TOAST_MS);
    toast.addEventListener("pointerenter", () => clearTimeout(left));
    toast.addEventListener("pointerleave", () => (left = setTimeout(() => toast.remove(), TOAST_MS / 2)));
  }

  /** The connection's state, said once it has lasted. @param {any} change */
  tell(change) {
    clearTimeout(this.quiet);
    const passing = change.state === "connecting" || change.state === "waiting";
    if (passing && one("#status").dataset.state === "connected") {
      this.quiet = setTimeout(() => this.show(change), PATIENCE_MS);
    } else {
      this.show(change);
    }
  }

  /** @param {any} change */
  show(change) {
    const status = one("#status");
    status.dataset.state = change.state;
    one("[data-words]").textContent = WORDS[/** @type {keyof typeof WORDS} */ (change.state)] ?? change.state;
    one("[data-retry]").hidden = change.state !== "waiting";
    if (change.reason === "another_person") location.reload(); // what is on this page is not theirs to see
    else if (change.state === "unauthorized") this.say();
    if (change.state === "closed" && change.code === 4504) this.say("This inbox is open in too many places.");
  }

  /** What the person has to do, without leaving the page. */
  say(words = "Your session has ended. What is on this page stays as it is.") {
    const notice = one("#notice");
    notice.textContent = words;
    const link = document.createElement("a");
    link.href = `${this.main.dataset.login}?next=${encodeURIComponent(location.pathname + location.search)}`;
    link.target = "_blank";
    link.textContent = "Sign in again";
    const on = document.createElement("button");
    on.type = "button";
    on.textContent = "Go on";
    on.addEventListener("click", () => this.client.renew());
    notice.append(link, on);
    notice.hidden = false;
  }

  /** Times in the words of the person's own place. @param {ParentNode} within */
  localTimes(within) {
    const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
    for (const time of within.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.getAttribute("datetime") ?? "");
      if (!Number.isNaN(moment.getTime())) time.textContent = format.format(moment);
    }
  }
}

new Inbox().start();
