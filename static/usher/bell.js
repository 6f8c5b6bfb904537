/**
 * `<usher-bell>`: counts what is unseen, and opens a panel with the latest. Without this file it is a link to the
 * inbox.
 *
 * @module
 */

import { badge } from "./counts.js";
import { page } from "./page.js";
import { button, isMeant, isRead, linkTo, one, paint, rowOf, tellTimes } from "./rows.js";

/** @import { Notification } from "./frames.js" */
/** @import { Page, PageEvents } from "./page.js" */
/** @import { Item } from "./rows.js" */

const LATEST = 10;
const GAP_PX = 8;

export class UsherBell extends HTMLElement {
  /** @type {HTMLButtonElement | null} */
  #button = null;
  /** @type {HTMLElement | null} */
  #panel = null;
  /** Everything up to here stood in the panel, or could have, when the person looked at it. */
  #through = 0;
  /** What was heard since the list that is on its way was asked for. @type {(() => void)[] | null} */
  #meanwhile = null;
  /** @type {(() => void)[]} */
  #ends = [];

  connectedCallback() {
    const live = page();
    if (!live) return;
    this.#button ??= this.#makeButton(live);
    this.#ends = [
      live.on("counts", () => this.#count(live)),
      live.on("arrived", (frame) => this.#arrived(frame, live)),
      live.on("changed", (change) => this.#changed(change, live)),
      live.on("stale", () => this.open && void this.#fill(live)),
    ];
    this.#count(live);
    for (const event of ["pointerdown", "keydown", "focusin"]) document.addEventListener(event, this);
    addEventListener("resize", this);
    addEventListener("scroll", this, { passive: true });
  }

  disconnectedCallback() {
    for (const end of this.#ends) end();
    for (const event of ["pointerdown", "keydown", "focusin"]) document.removeEventListener(event, this);
    removeEventListener("resize", this);
    removeEventListener("scroll", this);
  }

  get open() {
    return this.#panel?.hidden === false;
  }

  /** What happens anywhere on the page while the panel is open. @param {Event} event */
  handleEvent(event) {
    if (!this.open) return;
    if (event.type === "resize" || event.type === "scroll") this.#place();
    else if (event instanceof KeyboardEvent) {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.#close();
      this.#button?.focus();
    } else if (event.target instanceof Node && !this.contains(event.target)) this.#close();
  }

  // --- The button ---

  /** In the place of the link, which is what there is without this file. @param {Page} live */
  #makeButton(live) {
    const link = one(".usher-bell-button", this);
    const made = document.createElement("button");
    made.type = "button";
    made.className = link.className;
    made.setAttribute("aria-haspopup", "dialog");
    made.setAttribute("aria-expanded", "false");
    made.append(...link.childNodes);
    made.addEventListener("click", () => (this.open ? this.#close() : this.#show(live)));
    link.replaceWith(made);
    return made;
  }

  /** @param {Page} live */
  #count(live) {
    const n = live.counts.unseen;
    const shown = one("[data-badge]", this);
    shown.textContent = badge(n);
    shown.hidden = n === 0;
    // The badge stops at 99; the label has the number.
    this.#button?.setAttribute("aria-label", live.words.say(n ? "badge" : "badge_none", { n }));
    if (!this.#panel) return;
    const all = one("[data-all]", this.#panel);
    if (all instanceof HTMLButtonElement) all.disabled = live.counts.unread === 0;
  }

  // --- The panel ---

  /** @param {Page} live */
  #show(live) {
    this.#panel ??= this.#makePanel(live);
    this.#panel.hidden = false;
    this.#panel.showPopover?.();
    this.#button?.setAttribute("aria-expanded", "true");
    this.#place();
    this.#count(live);
    this.#panel.focus({ preventScroll: true });
    void this.#fill(live);
  }

  #close() {
    if (!this.#panel || !this.open) return;
    this.#panel.hidePopover?.();
    this.#panel.hidden = true;
    this.#button?.setAttribute("aria-expanded", "false");
  }

  /** @param {Page} live */
  #makePanel(live) {
    const panel = document.createElement("div");
    panel.className = "usher-panel";
    panel.hidden = true;
    panel.tabIndex = -1;
    panel.setAttribute("role", "dialog");
    panel.setAttribute("aria-label", live.words.say("panel"));
    if ("popover" in panel) panel.popover = "manual"; // on top of whatever the page has, cut off by nothing
    const head = document.createElement("div");
    head.className = "usher-panel-head";
    const name = document.createElement("strong");
    name.textContent = live.words.say("panel");
    const all = button(live.words.say("mark_all"), "usher-quiet", () => void this.#markAll(live));
    all.dataset.all = "";
    head.append(name, all);
    const body = document.createElement("div");
    body.className = "usher-panel-body";
    body.dataset.body = "";
    const foot = document.createElement("div");
    foot.className = "usher-panel-foot";
    foot.append(linkTo(live.urls.inbox, live.words.say("see_all")));
    panel.append(head, body, foot);
    panel.addEventListener("click", (event) => this.#clicked(event, live));
    this.append(panel);
    return panel;
  }

  /** Under the button, and wholly within the window, whichever way the page is written. */
  #place() {
    const panel = this.#panel;
    if (!panel || !this.#button) return;
    const at = this.#button.getBoundingClientRect();
    const width = panel.offsetWidth;
    const left = getComputedStyle(this).direction === "rtl" ? at.left : at.right - width;
    const most = document.documentElement.clientWidth - width - GAP_PX;
    panel.style.left = `${Math.max(GAP_PX, Math.min(left, most))}px`;
    panel.style.top = `${Math.max(GAP_PX, at.bottom + GAP_PX)}px`;
  }

  /** @param {Page} live */
  async #fill(live) {
    const body = one("[data-body]", this);
    if (!body.querySelector("li")) this.#say(body, live.words.say("loading"));
    body.setAttribute("aria-busy", "true");
    /** @type {(() => void)[]} */
    const meanwhile = (this.#meanwhile = []);
    try {
      const { results, head } = await live.list({ limit: LATEST });
      if (this.#meanwhile !== meanwhile) return; // it was asked for again
      this.#meanwhile = null;
      this.#rows(body, results, live);
      this.#through = head;
      for (const again of meanwhile) again();
      // Whoever looks has seen what there is; what comes now has a higher number.
      const looks = document.visibilityState === "visible";
      if (looks && live.counts.unseen) await live.mark({ through: head, state: "seen" });
    } catch {
      // What stands there stands; the status line says if the session is over.
      if (!body.querySelector("li")) {
        this.#say(body, live.words.say("panel_failed"));
        body.append(button(live.words.say("again"), "", () => void this.#fill(live)));
      }
    } finally {
      if (this.#meanwhile === meanwhile) this.#meanwhile = null;
      if (!this.#meanwhile) body.removeAttribute("aria-busy");
    }
  }

  /** @param {HTMLElement} body @param {Item[]} items @param {Page} live */
  #rows(body, items, live) {
    if (!items.length) {
      this.#say(body, live.words.say("panel_empty"), live.words.say("panel_empty_more"));
      return;
    }
    const focused = body.querySelector("li:focus-within")?.getAttribute("data-id");
    const list = document.createElement("ol");
    list.className = "usher-rows";
    list.append(...items.map((item) => rowInPanel(item, live)));
    body.replaceChildren(list);
    const again = [...list.querySelectorAll("li")].find((row) => row.dataset.id === focused);
    if (again) one("a", again).focus();
  }

  /** @param {HTMLElement} body @param {...string} sentences */
  #say(body, ...sentences) {
    const words = document.createElement("div");
    words.className = "usher-panel-words";
    for (const sentence of sentences) {
      const line = document.createElement("p");
      line.textContent = sentence;
      words.append(line);
    }
    body.replaceChildren(words);
  }

  // --- What happens while it is open ---

  /** @param {Notification} frame @param {Page} live */
  #arrived(frame, live) {
    if (!this.open || frame.seq === null) return;
    this.#meanwhile?.push(() => this.#arrived(frame, live));
    if (frame.seq <= this.#through) return; // a replay of what stands there
    const body = one("[data-body]", this);
    const list = body.querySelector("ol");
    if (!list) return this.#meanwhile ? undefined : void this.#fill(live);
    const row = rowInPanel(frame, live);
    row.classList.add("usher-arrived");
    list.prepend(row);
    while (list.children.length > LATEST) list.lastElementChild?.remove();
    tellTimes(list, live.words);
    // It is not seen before somebody has looked again: the badge says that there is something new.
  }

  /** @param {PageEvents["changed"]} change @param {Page} live */
  #changed(change, live) {
    this.#meanwhile?.push(() => this.#changed(change, live));
    for (const row of this.querySelectorAll("li")) {
      if (!isMeant(row, change)) continue;
      if (change.state === "read" || change.state === "unread") paint(row, change.state === "read", live.words);
      if (change.state === "archived") row.remove();
    }
    // What comes in their place, or comes back, is the server's to say.
    if (change.state.endsWith("archived") && this.open && !this.#meanwhile) void this.#fill(live);
  }

  /** As of what was in the panel: who came meanwhile stays unread. @param {Page} live */
  async #markAll(live) {
    try {
      await live.mark({ through: this.#through, state: "read" });
      one("[data-all]", this).blur();
      this.#panel?.focus();
    } catch {
      live.announcer.say(live.words.say("not_saved"));
    }
  }

  /** @param {MouseEvent} event @param {Page} live */
  #clicked(event, live) {
    const row = event.target instanceof Element ? event.target.closest("li") : null;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link) return;
    if (row && !isRead(row)) void live.mark({ ids: [row.dataset.id ?? ""], state: "read" }).catch(() => {});
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) this.#close();
  }
}

/**
 * A row that is one link: to where it leads, else to itself in the inbox.
 *
 * @param {Item} item
 * @param {Page} live
 */
function rowInPanel(item, live) {
  const row = rowOf({ ...item, url: live.addressOf(item) }, live.words);
  one(".usher-pick", row).remove();
  one(".usher-acts", row).hidden = true;
  row.removeAttribute("tabindex");
  return row;
}
