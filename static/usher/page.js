/**
 * What all elements of a page have in common: one connection, the counts, and a way to mark. Elements ask `page()` for
 * it and hear of:
 *
 *     arrived   a notification (`replayed`: it is no news)
 *     changed   some were seen, read or archived, here or elsewhere
 *     stale     no list can be painted from what was heard: fetch it again
 *     counts    how many are unread and unseen
 *     state     of the connection
 *
 * @module
 */

import { Alerts } from "./alerts.js";
import { Announcer } from "./announcer.js";
import { UnauthorizedError } from "./client.js";
import { Counts } from "./counts.js";
import { Listeners } from "./listeners.js";
import { ofTheTab } from "./memory.js";
import { Rest } from "./rest.js";
import { SharedConnection } from "./shared.js";
import { countInTab } from "./tab.js";
import { Words } from "./words.js";

/** @import { Marking, StateChange } from "./client.js" */
/** @import { Counted } from "./counts.js" */
/** @import { Notification, State } from "./frames.js" */
/** @import { Block } from "./words.js" */

/**
 * @typedef {object} PageEvents
 * @property {Notification} arrived
 * @property {Pick<State, "state" | "ids" | "through">} changed
 * @property {null} stale
 * @property {Counted} counts
 * @property {StateChange} state
 */

/** Doubts that come together are settled by one question, and those of many people not at one moment. */
const DOUBT_MS = 1_000;
const RENDERED_MS = 15_000;
/** A page that meets somebody else's data, or words, twice within this time does not help itself by loading anew. */
const RELOAD_MS = 30_000;

export class Page {
  announcer = new Announcer();
  /** @type {Listeners<PageEvents>} */
  #listeners = new Listeners();
  /** @type {StateChange} */
  #now = { state: "idle" };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #doubt;
  /** What is being marked over REST. @type {Promise<unknown>} */
  #marking = Promise.resolve();
  #epoch;

  /** @param {Block} block */
  constructor(block) {
    this.user = block.user;
    this.language = block.language;
    this.urls = block.urls;
    this.words = new Words(block);
    this.rest = new Rest(block.csrf);
    this.#epoch = block.epoch;
    this.counts = new Counts(block);
    this.alerts = new Alerts(this);
    this.connection = new SharedConnection({
      user: block.user,
      position: { epoch: block.epoch, seq: block.head },
      getTicket: ({ reason }) => this.rest.post(this.urls.tickets, { purpose: reason }),
    });
  }

  /** What was last told of the connection. */
  get state() {
    return this.#now;
  }

  /**
   * @template {keyof PageEvents} Name
   * @param {Name} event
   * @param {(detail: PageEvents[Name]) => void} listener
   * @returns {() => void} ends it
   */
  on(event, listener) {
    return this.#listeners.add(event, listener);
  }

  start() {
    this.announcer.start();
    this.#recall();
    const { connection } = this;
    connection.on("state", (change) => this.#became(change));
    connection.on("notification", (frame) => this.#arrived(frame));
    connection.on("change", (frame) => this.#changed(frame));
    connection.on("welcome", (frame) => {
      const { known } = this.counts.welcomed(frame);
      if (known) this.#counted();
      else this.#stale();
    });
    connection.on("gap", ({ epoch, head }) => {
      this.#epoch = epoch;
      this.counts.restarted(head);
      this.#stale();
    });
    connection.on("reauth", (change) => {
      // What was marked while the connection was held is only told by the version.
      if (change.state === "done" && change.state_version !== this.counts.version) this.#stale();
    });
    this.#watchThePage();
    connection.open();
  }

  #watchThePage() {
    const { connection } = this;
    addEventListener("online", () => connection.setOnline(true));
    addEventListener("offline", () => connection.setOnline(false));
    // A page that is kept for the back button or frozen must hold nothing; and may have missed much when it is back.
    addEventListener("pagehide", () => connection.leave());
    document.addEventListener("freeze", () => connection.leave());
    addEventListener("pageshow", (event) => event.persisted && this.#again());
    document.addEventListener("resume", () => this.#again());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") connection.lookedAt();
    });
    document.addEventListener("submit", ({ target }) => {
      if (target instanceof HTMLFormElement && target.matches("[data-usher-sign-out]")) this.signedOut();
    });
    if (!navigator.onLine) connection.setOnline(false);
  }

  #again() {
    this.#stale();
    this.connection.open();
  }

  // --- What elements ask for ---

  /**
   * Where a notification leads: to what it is about, else to itself in the inbox, however old it is. What was pushed
   * without a number stands in no list.
   *
   * @param {{ id: string, seq: number | null, url: string }} item
   */
  addressOf({ id, seq, url }) {
    if (url || seq === null) return url || this.urls.inbox;
    const address = new URL(this.urls.inbox, location.href);
    address.searchParams.set("at", id);
    address.hash = `usher-${id}`;
    return address.pathname + address.search + address.hash;
  }

  /**
   * Set the state of some notifications, or of all up to a number: over the socket, else over REST.
   *
   * @param {Marking} marking
   */
  async mark(marking) {
    if (this.connection.state === "connected") {
      try {
        await this.connection.mark(marking);
        return;
      } catch {
        // Perhaps it was carried out, perhaps not: marking twice is marking once.
      }
    }
    // One after the other: a mark and its undo, both of which the socket left without an answer, keep their order.
    const marked = this.#marking.then(() => this.#markByRest(marking));
    this.#marking = marked.catch(() => {});
    await marked;
  }

  /** @param {Marking} marking */
  async #markByRest(marking) {
    if (this.#now.state === "unauthorized") throw new UnauthorizedError("The session has ended.");
    // Ids are this person's or nobody's. A number is anybody's: whose the cookie is now has to be known first.
    if ("through" in marking) await this.ask();
    const answer = await this.#asThePerson(this.rest.post(this.urls.state, marking));
    this.#changed({ type: "state", ...marking, ...answer });
  }

  /** No more of this kind, or again. @param {string} kind @param {boolean} muted */
  async mute(kind, muted) {
    await this.makeSure(); // a kind is anybody's, as a number is
    await this.#asThePerson(this.rest.post(this.urls.preferences, { kind, muted }));
  }

  /** The newest notifications, and the counts with them. @param {{ [name: string]: string | number | boolean }} query */
  async list(query) {
    const answer = await this.#asThePerson(this.rest.get(this.urls.list, query));
    if (answer.epoch !== this.#epoch) this.#strange(); // or numbers that were started anew
    this.told(answer);
    return answer;
  }

  /** Whose the cookie is: a connection ends with its session, without one somebody else may have signed in. */
  async makeSure() {
    if (this.connection.state !== "connected") await this.ask();
  }

  /** Ask for the counts alone. */
  ask() {
    return this.list({ limit: 1 });
  }

  /** The server's counts, however they were come by. @param {Counted} counted */
  told(counted) {
    clearTimeout(this.#doubt);
    this.#doubt = undefined;
    this.counts.told(counted);
    this.#counted();
  }

  /**
   * The page at an address as the server renders it now; its counts are taken as well. In another language than this
   * page's it is gone to instead.
   *
   * @param {string} address
   */
  async rendered(address) {
    const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(RENDERED_MS) });
    if (answer.redirected) await this.ask(); // to the sign-in page, most likely: this says so
    if (!answer.ok) throw new Error(`${address} answered ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const block = blockOf(fresh);
    if (block?.user !== this.user) this.#strange();
    else this.told(block);
    if (block) this.rest.csrf = block.csrf;
    if (block && block.language !== this.language && this.#reload(address)) {
      return new Promise(() => {}); // chosen in another tab: nothing of it comes into this page
    }
    return fresh;
  }

  /** After a new sign-in, or because the person asks for it. */
  async goOn() {
    await this.rendered(location.href).catch(() => {}); // this page's token has ended with its session
    this.connection.renew();
    if (this.connection.state !== "connected") return;
    await this.ask();
    this.#became({ state: "connected" });
  }

  signedOut() {
    this.connection.signedOut();
    ofTheTab.forget(this.#key);
  }

  /** What the server says is about somebody else: what is on this page is not for whoever is here now. */
  #strange() {
    this.#became({ state: "unauthorized", reason: "another_person", need: "login" });
    throw new UnauthorizedError("This is another person's.");
  }

  #reload(address = location.href) {
    // However the hands of the clock were moved since.
    if (Math.abs(Date.now() - Number(ofTheTab.recall("usher/reloaded"))) < RELOAD_MS) return false;
    ofTheTab.keep("usher/reloaded", String(Date.now()));
    history.replaceState(null, "", address);
    location.reload();
    return true;
  }

  // --- What is heard ---

  /** @param {StateChange} change */
  #became(change) {
    this.#now = change;
    this.#listeners.tell("state", change);
    if (change.state === "unauthorized" && change.reason === "another_person") this.#reload();
  }

  /** @param {Notification} frame */
  #arrived(frame) {
    const { doubtful } = this.counts.arrived(frame, performance.now());
    this.#listeners.tell("arrived", frame);
    this.#counted(doubtful);
  }

  /** @param {State} frame */
  #changed(frame) {
    const { known, doubtful } = this.counts.changed(frame, performance.now());
    if (known) this.#listeners.tell("changed", frame);
    else this.#stale();
    this.#counted(doubtful);
  }

  #stale() {
    this.#listeners.tell("stale", null);
    this.#counted(true);
  }

  #counted(doubtful = false) {
    this.#listeners.tell("counts", this.counts.now);
    ofTheTab.keep(this.#key, JSON.stringify({ ...this.counts.now, epoch: this.#epoch }));
    if (!doubtful || this.#doubt !== undefined) return; // one that goes on does not put off the question for ever
    this.#doubt = setTimeout(() => {
      this.#doubt = undefined;
      void this.ask().catch(() => {}); // then the next doubt asks again
    }, DOUBT_MS * (1 + Math.random()));
  }

  /** @template T @param {Promise<T>} answer */
  async #asThePerson(answer) {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof UnauthorizedError) {
        this.#became({ state: "unauthorized", reason: "logged_out", need: "login", error });
      }
      throw error;
    }
  }

  // --- A page may be older than what this tab knew: from a cache, or the one before by the back button. ---

  get #key() {
    return `usher/${this.user}`;
  }

  #recall() {
    try {
      const kept = JSON.parse(ofTheTab.recall(this.#key) ?? "null");
      if (kept?.epoch === this.#epoch) this.counts.told(kept);
    } catch {
      ofTheTab.forget(this.#key);
    }
  }
}

/** @param {Document} document @returns {Block | null} */
export function blockOf(document) {
  const block = document.getElementById("usher");
  return block ? JSON.parse(block.textContent ?? "") : null;
}

/** @type {Page | null | undefined} */
let present;

/** This page's, started by whoever asks first; null where nobody is signed in. */
export function page() {
  if (present === undefined) {
    const block = blockOf(document);
    present = block ? new Page(block) : null;
    present?.start();
    if (block && present) countInTab(present, block.tab, block.unread);
  }
  return present;
}
