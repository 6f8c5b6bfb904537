/**
 * What runs in the worker that all tabs of one person share: one client, and a line to each page.
 *
 * A page says where it stands (the position it was rendered at) and is told what it missed, then all that happens. The
 * worker has no credentials: for a ticket it asks a page, the one that was looked at last, then the others.
 *
 * Rules of this file:
 *
 * * A page is told of notifications in order, each once: by its own position, not by the client's.
 * * What is kept for newcomers is bounded; who stands further back is told that there is a gap, and fetches the list.
 * * What a page has subscribed to is a subscription of the client's, which keeps its place; it ends with the page.
 * * Pages come and go without a word. Whoever does not answer is asked last.
 *
 * @module
 */

import { EVENTS, UnauthorizedError } from "./client.js";
import { SUBSCRIPTION_EVENTS } from "./subscription.js";
import { Alarm } from "./timing.js";

/** @import { CommandError, Events, Marking, Options, Position, StateChange, UsherClient } from "./client.js" */
/** @import { Notification, Welcome } from "./frames.js" */
/** @import { Subscription, SubscriptionEvents } from "./subscription.js" */
/** @import { Clock } from "./timing.js" */

/** What a page says.
 * @typedef {{ type: "hello", position: Position | null, online: boolean }
 *   | { type: "looked at" }
 *   | { type: "leave" }
 *   | { type: "ticket", id: number, ticket: any }
 *   | { type: "no ticket", id: number, error: { unauthorized: boolean, message: string, retryAfterMs: number } }
 *   | { type: "mark", id: number, marking: Marking }
 *   | { type: "subscribe", id: number, topic: string, since: Position | null }
 *   | { type: "unsubscribe", id: number }
 *   | { type: "renew" } | { type: "retry" } | { type: "signed out" }
 *   | { type: "online", online: boolean }} FromPage
 */

/** What it is told; `event` as the client tells it, `topic` as a subscription does, with where it stands after it.
 * @typedef {{ type: "event", name: keyof Events, detail: any }
 *   | { type: "topic", id: number, name: keyof SubscriptionEvents, detail: any, position: Position | null }
 *   | { type: "ticket?", id: number, reason: "connect" | "reauth", attempt: number }
 *   | { type: "marked", id: number, frame: any }
 *   | { type: "not marked", id: number, error: { message: string, code: string | undefined } }} ToPage
 */

/**
 * @typedef {object} Port A `MessagePort`.
 * @property {(message: ToPage) => void} postMessage
 */

/** Notifications that are kept for pages that were rendered a moment ago. */
const KEPT = 256;
/** How long a page may take to fetch a ticket before the next one is asked: it may be frozen. */
const TICKET_MS = 6_000;
/** After the last page has gone: the next one of the same person is usually on its way. */
const LINGER_MS = 10_000;

/** Notifications are told to each page by its own position. */
const TOLD = EVENTS.filter((name) => name !== "notification");

export class Switchboard {
  #makeClient;
  #clock;
  /** @type {UsherClient | null} */
  #client = null;
  /** Who was opened or looked at last is first: it can fetch, if anybody can. @type {Map<Port, { position: Position | null }>} */
  #pages = new Map();
  /** Of each page, by its own ids. @type {Map<Port, Map<number, Subscription>>} */
  #subscriptions = new Map();
  /** @type {StateChange} */
  #now = { state: "idle" };
  /** @type {Welcome | null} */
  #welcome = null;
  /** What pages last said of the network. */
  #online = true;

  // What newcomers may have missed: all from `#from` on.
  /** @type {Notification[]} */
  #recent = [];
  /** @type {Position | null} */
  #from = null;
  /** Epochs whose numbers mean nothing any more. @type {Set<string>} */
  #past = new Set();

  /** @type {Map<number, { resolve: (ticket: any) => void, reject: (error: Error) => void }>} */
  #asked = new Map();
  #ids = 0;
  #linger;

  /**
   * @param {(options: Pick<Options, "getTicket" | "position">) => UsherClient} makeClient
   * @param {Clock} clock
   */
  constructor(makeClient, clock) {
    this.#makeClient = makeClient;
    this.#clock = clock;
    this.#linger = new Alarm(clock);
  }

  get pages() {
    return this.#pages.size;
  }

  /** @param {Port} port @param {FromPage} message */
  said(port, message) {
    switch (message.type) {
      case "hello":
        return this.#arrived(port, message.position, message.online);
      case "looked at":
        return this.#lookedAt(port);
      case "leave":
        return this.left(port);
      case "ticket":
        return this.#answered(message.id)?.resolve(message.ticket);
      case "no ticket":
        return this.#answered(message.id)?.reject(failure(message.error));
      case "mark":
        return void this.#mark(port, message.id, message.marking);
      case "subscribe":
        return this.#subscribe(port, message.id, message.topic, message.since);
      case "unsubscribe":
        return this.#unsubscribe(port, message.id);
      case "renew":
        return this.#client?.renew();
      case "retry":
        return this.#client?.retryNow();
      case "online":
        return this.#network(message.online);
      case "signed out":
        return this.#signedOut();
    }
  }

  /** A page has gone, by its own word or by what the browser says of it. @param {Port} port */
  left(port) {
    this.#pages.delete(port);
    for (const id of [...(this.#subscriptions.get(port)?.keys() ?? [])]) this.#unsubscribe(port, id);
    this.#subscriptions.delete(port);
    if (this.#pages.size === 0) this.#linger.set(LINGER_MS, () => this.#client?.close());
  }

  /** @param {boolean} online */
  #network(online) {
    this.#online = online;
    this.#client?.setOnline(online);
  }

  #signedOut() {
    this.#client?.close();
    this.#heard("state", { state: "unauthorized", reason: "logged_out", need: "login" });
  }

  // --- Pages ---

  /** @param {Port} port @param {Position | null} position @param {boolean} online */
  #arrived(port, position, online) {
    this.#linger.clear();
    this.#client ??= this.#begin(position);
    this.#toFront(port, { position });
    // The network may have come or gone while no page was there to say so.
    if (online !== this.#online) this.#network(online);
    // Whoever opens a page wants it live, whatever ended the connection before; a new sign-in, perhaps. What that was is
    // nothing to tell them.
    if (["idle", "unauthorized", "closed"].includes(this.#client.state)) this.#client.renew();
    this.#tell(port, "state", this.#now);
    if (this.#now.state === "connected") this.#tell(port, "welcome", this.#welcome);
    this.#catchUp(port);
  }

  /** @param {Port} port */
  #lookedAt(port) {
    const page = this.#pages.get(port);
    if (!page || !this.#client) return;
    this.#toFront(port, page);
    // Among others a connection that lost its place to a newer one comes back when somebody looks.
    if (this.#client.state === "unauthorized" || this.#client.state === "closed") this.#client.renew();
    else this.#client.retryNow();
  }

  /** @param {Port} port @param {{ position: Position | null }} page */
  #toFront(port, page) {
    this.#pages.delete(port);
    this.#pages = new Map([[port, page], ...this.#pages]);
  }

  /** @param {Port} port */
  #toBack(port) {
    const page = this.#pages.get(port);
    if (page && this.#pages.delete(port)) this.#pages.set(port, page);
  }

  /** What was heard after the position at which the page was rendered. @param {Port} port */
  #catchUp(port) {
    const page = this.#pages.get(port);
    const now = this.#client?.position;
    if (!page || !now || !page.position) return;
    const { epoch, seq } = page.position;
    if (epoch !== now.epoch && !this.#past.has(epoch)) {
      page.position = null; // it may know of a new one before the connection is told, which is then told to all
      return;
    }
    if (epoch !== now.epoch || !this.#from || seq < this.#from.seq) {
      page.position = now;
      if (epoch !== now.epoch || seq < now.seq) this.#tell(port, "gap", { ...now, head: now.seq });
      return;
    }
    for (const frame of this.#recent) this.#pass(port, page, { ...frame, replayed: true });
  }

  /** @param {Port} port @param {{ position: Position | null }} page @param {Notification} frame */
  #pass(port, page, frame) {
    if (frame.seq !== null) {
      if (page.position && frame.seq <= page.position.seq) return;
      page.position = page.position && { ...page.position, seq: frame.seq };
    }
    this.#tell(port, "notification", frame);
  }

  /** @param {Port} port @param {keyof Events} name @param {any} detail */
  #tell(port, name, detail) {
    port.postMessage({ type: "event", name, detail: plain(detail) });
  }

  // --- The client ---

  /** @param {Position | null} position */
  #begin(position) {
    const client = this.#makeClient({ getTicket: (context) => this.#ticket(context), position });
    this.#from = position;
    for (const name of TOLD) client.on(name, (detail) => this.#heard(name, detail));
    client.on("notification", (frame) => this.#arrivedFrame(frame));
    return client;
  }

  /** @param {keyof Events} name @param {any} detail */
  #heard(name, detail) {
    if (name === "state") this.#now = detail;
    if (name === "welcome") {
      this.#welcome = detail;
      this.#from ??= this.#client?.position ?? null;
    }
    if (name === "change" && this.#welcome) {
      const { unread, unseen, state_version } = detail;
      this.#welcome = { ...this.#welcome, unread, unseen, state_version };
    }
    if (name === "gap") {
      this.#recent = [];
      if (this.#from && this.#from.epoch !== detail.epoch) this.#past.add(this.#from.epoch);
      this.#from = { epoch: detail.epoch, seq: detail.head };
      for (const page of this.#pages.values()) page.position = this.#from;
    }
    for (const port of this.#pages.keys()) this.#tell(port, name, detail);
  }

  /** @param {Notification} frame */
  #arrivedFrame(frame) {
    if (frame.seq !== null) this.#keep(frame);
    for (const [port, page] of this.#pages) this.#pass(port, page, frame);
  }

  /** @param {Notification} frame */
  #keep(frame) {
    this.#recent.push(frame);
    if (this.#recent.length <= KEPT) return;
    const gone = this.#recent.shift();
    if (gone && this.#from) this.#from = { ...this.#from, seq: gone.seq ?? this.#from.seq };
  }

  // --- Topics ---

  /** @param {Port} port @param {number} id @param {string} topic @param {Position | null} since */
  #subscribe(port, id, topic, since) {
    if (!this.#client || !this.#pages.has(port)) return; // it has left
    const subscription = this.#client.subscribe(topic, { since });
    const ofThePage = this.#subscriptions.get(port) ?? new Map();
    this.#subscriptions.set(port, ofThePage.set(id, subscription));
    const tell = (/** @type {keyof SubscriptionEvents} */ name, /** @type {any} */ detail) =>
      port.postMessage({ type: "topic", id, name, detail, position: subscription.position });
    for (const name of SUBSCRIPTION_EVENTS) subscription.on(name, (detail) => tell(name, detail));
    tell("state", { state: subscription.state });
  }

  /** @param {Port} port @param {number} id */
  #unsubscribe(port, id) {
    const subscription = this.#subscriptions.get(port)?.get(id);
    this.#subscriptions.get(port)?.delete(id);
    subscription?.unsubscribe();
  }

  // --- What pages do for it, and it for them ---

  /** @param {{ reason: "connect" | "reauth", attempt: number }} context */
  async #ticket(context) {
    const asked = new Set();
    for (;;) {
      const port = [...this.#pages.keys()].find((page) => !asked.has(page));
      if (!port) throw new Error("No page is there to fetch a ticket.");
      asked.add(port);
      try {
        return await this.#ask(port, context);
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        this.#toBack(port);
      }
    }
  }

  /** @param {Port} port @param {{ reason: "connect" | "reauth", attempt: number }} context @returns {Promise<any>} */
  #ask(port, context) {
    return new Promise((resolve, reject) => {
      this.#ids += 1;
      const id = this.#ids;
      const patience = new Alarm(this.#clock);
      const settle = (/** @type {(value: any) => void} */ how) => (/** @type {any} */ value) => {
        patience.clear();
        how(value);
      };
      this.#asked.set(id, { resolve: settle(resolve), reject: settle(reject) });
      patience.set(TICKET_MS, () => this.#answered(id)?.reject(new NoAnswer()));
      port.postMessage({ type: "ticket?", id, ...context });
    });
  }

  /** @param {number} id */
  #answered(id) {
    const waiting = this.#asked.get(id);
    this.#asked.delete(id);
    return waiting;
  }

  /** @param {Port} port @param {number} id @param {Marking} marking */
  async #mark(port, id, marking) {
    try {
      if (!this.#client) throw new Error("There is no connection.");
      port.postMessage({ type: "marked", id, frame: await this.#client.mark(marking) });
    } catch (error) {
      const { message, code } = /** @type {CommandError} */ (error);
      port.postMessage({ type: "not marked", id, error: { message, code } });
    }
  }
}

class NoAnswer extends Error {}

/** @param {{ unauthorized: boolean, message: string, retryAfterMs: number }} error */
function failure({ unauthorized, message, retryAfterMs }) {
  return unauthorized ? new UnauthorizedError(message) : Object.assign(new Error(message), { retryAfterMs });
}

/** Errors do not cross to a page as they are. @param {any} detail */
function plain(detail) {
  return detail?.error instanceof Error ? { ...detail, error: { message: detail.error.message } } : detail;
}
