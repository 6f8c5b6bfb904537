/**
 * A connection that all tabs of a person share, where the browser has shared workers; else one of this page's own. To
 * the page it is the same: what a `UsherClient` has, this has, and `leave()` and `lookedAt()`. What it has subscribed to
 * it goes on with after a `leave()`, where it was.
 *
 *     const connection = new SharedConnection({ user: "7", position, getTicket });
 *     connection.on("notification", show);
 *     connection.open();
 *
 * @module
 */

import { EVENTS, UnauthorizedError, UsherClient } from "./client.js";
import { Listeners } from "./listeners.js";
import { resumable } from "./position.js";
import { Subscription, SUBSCRIPTION_EVENTS } from "./subscription.js";

/** @import { Events, Marking, Options, Position, StateChange, StateName } from "./client.js" */
/** @import { FromPage, ToPage } from "./switchboard.js" */
/** @import { State } from "./frames.js" */
/** @import { SubscriptionEvents } from "./subscription.js" */

const ANSWER_MS = 12_000; // longer than the client in the worker waits for its server

export class SharedConnection {
  #options;
  #shared;
  /** @type {MessagePort | null} */
  #port = null;
  /** Where the worker could not be started: this page's own. @type {UsherClient | null} */
  #own = null;
  /** @type {Listeners<Events>} */
  #listeners = new Listeners();
  /** @type {StateChange} */
  #now = { state: "idle" };
  /** @type {Position | null} */
  #position;
  /** @type {Map<number, { resolve: (frame: State) => void, reject: (error: Error) => void }>} */
  #marks = new Map();
  /** By the ids that the worker knows them by. @type {Map<number, Subscription>} */
  #subscriptions = new Map();
  /** What they are where this page has a client of its own, by the same ids. @type {Map<number, Subscription>} */
  #handed = new Map();
  /** Whether the worker knows of this page, and so of its subscriptions. */
  #joined = false;
  #ids = 0;
  /** Lets go of the lock that tells the worker that this page lives. */
  #release = () => {};
  #online = true;

  /** @param {Options & { user: string }} options @param {{ shared?: boolean }} [how] */
  constructor(options, { shared = true } = {}) {
    this.#options = options;
    this.#shared = shared && "SharedWorker" in globalThis && Boolean(navigator.locks); // secure contexts have both
    this.#position = options.position ?? null;
  }

  /** @returns {StateName} */
  get state() {
    return this.#own?.state ?? this.#now.state;
  }

  /** @returns {Position | null} */
  get position() {
    return this.#own ? this.#own.position : this.#position && { ...this.#position };
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} event
   * @param {(detail: Events[Name]) => void} listener
   * @returns {() => void}
   */
  on(event, listener) {
    return this.#listeners.add(event, listener);
  }

  open() {
    if (this.#own) this.#own.open();
    else if (!this.#port) this.#join();
  }

  /** Leave it to the others: this page is told nothing any more, until `open()`. */
  leave() {
    this.#own?.close();
    this.#say({ type: "leave" });
    this.#release();
    this.#port?.close();
    this.#port = null;
    this.#joined = false;
    this.#now = { state: "idle" };
    for (const { reject } of this.#marks.values()) reject(new Error("The connection has ended."));
    this.#marks.clear();
    for (const subscription of [...this.#subscriptions.values()]) subscription.become({ state: "pending" });
  }

  /** The person signs out: nothing more is heard, on any tab. */
  signedOut() {
    if (this.#own) this.#own.close();
    else this.#say({ type: "signed out" });
  }

  renew() {
    if (this.#own) this.#own.renew();
    else if (this.#port) this.#say({ type: "renew" });
    else this.#join();
  }

  retryNow() {
    if (this.#own) this.#own.retryNow();
    else this.#say({ type: "retry" });
  }

  /** @param {boolean} online */
  setOnline(online) {
    this.#online = online;
    if (this.#own) this.#own.setOnline(online);
    else this.#say({ type: "online", online });
  }

  /** @param {Marking} marking @returns {Promise<State>} */
  mark(marking) {
    if (this.#own) return this.#own.mark(marking);
    return new Promise((resolve, reject) => {
      if (!this.#port) throw new Error("There is no connection.");
      this.#ids += 1;
      const id = this.#ids;
      this.#marks.set(id, { resolve, reject });
      setTimeout(() => this.#answered(id)?.reject(new Error("The server did not answer.")), ANSWER_MS);
      this.#say({ type: "mark", id, marking });
    });
  }

  /**
   * As a client's. However many of a person's pages listen to a topic, they are one for the server.
   *
   * @param {string} topic
   * @param {{ since?: Position | null }} [options]
   * @returns {Subscription}
   */
  subscribe(topic, { since = null } = {}) {
    if (this.#own) return this.#own.subscribe(topic, { since });
    this.#ids += 1;
    const id = this.#ids;
    const subscription = new Subscription(topic, resumable(since), () => this.#unsubscribed(id));
    this.#subscriptions.set(id, subscription);
    if (this.#joined) this.#listen(id, subscription);
    return subscription;
  }

  /** Somebody looks at this page: whatever it waits for, it is to try now, and what had ended begins anew. */
  lookedAt() {
    if (!this.#own) this.#say({ type: "looked at" });
    else if (this.#own.state === "unauthorized" || this.#own.state === "closed") this.#own.renew();
    else this.#own.retryNow();
  }

  // --- The worker ---

  #join() {
    const worker = this.#shared ? this.#worker() : null;
    if (!worker) {
      this.#alone();
      return;
    }
    const failed = () => {
      if (this.#port === worker.port) this.#alone(); // else this page has left it, and may be with another
    };
    worker.addEventListener("error", failed);
    this.#port = worker.port;
    this.#port.onmessage = ({ data }) => this.#hears(data);
    const lock = `usher/${crypto.randomUUID()}`;
    const asked = navigator.locks.request(lock, () => {
      const held = new Promise((/** @type {(value?: any) => void} */ release) => (this.#release = release));
      this.#say({ type: "hello", position: this.#position, online: this.#online, ...{ lock } });
      this.#joined = true;
      for (const [id, subscription] of this.#subscriptions) this.#listen(id, subscription);
      return held;
    });
    asked.catch(failed);
  }

  /** Null where it is forbidden: by a browser that is to store nothing, a policy, or since files are another origin's. */
  #worker() {
    try {
      return new SharedWorker(new URL("worker.js", import.meta.url), {
        type: "module",
        name: `usher/${this.#options.user}`,
        // Between two pages nobody is there; with this the worker, and its socket, lives on until the next one is.
        ...{ extendedLifetime: true },
      });
    } catch {
      return null;
    }
  }

  /** Go on by a connection of this page's own. */
  #alone() {
    this.#port = null;
    this.#release();
    this.#shared = false;
    const own = new UsherClient({ ...this.#options, position: this.#position });
    for (const name of EVENTS) own.on(name, (detail) => this.#listeners.tell(name, detail));
    this.#own = own;
    this.#joined = false;
    for (const [id, subscription] of this.#subscriptions) this.#hand(id, subscription);
    own.setOnline(this.#online);
    own.open();
  }

  // --- Topics ---

  /** @param {number} id @param {Subscription} subscription */
  #listen(id, { topic, position }) {
    this.#say({ type: "subscribe", id, topic, since: position });
  }

  /** What the worker was to do for this page its own client goes on with. @param {number} id @param {Subscription} listener */
  #hand(id, listener) {
    const subscription = this.#own?.subscribe(listener.topic, { since: listener.position });
    if (!subscription) return;
    this.#handed.set(id, subscription);
    for (const name of SUBSCRIPTION_EVENTS) {
      subscription.on(name, (detail) => this.#heardOf(id, name, detail, subscription.position));
    }
  }

  /** @param {number} id */
  #unsubscribed(id) {
    this.#subscriptions.delete(id);
    if (this.#joined) this.#say({ type: "unsubscribe", id });
    this.#handed.get(id)?.unsubscribe();
    this.#handed.delete(id);
  }

  /** @param {number} id @param {keyof SubscriptionEvents} name @param {any} detail @param {Position | null} position */
  #heardOf(id, name, detail, position) {
    const subscription = this.#subscriptions.get(id);
    if (!subscription) return; // it has left meanwhile
    if (position) subscription.move(position);
    if (name !== "state") subscription.tell(name, detail);
    else if (detail.state !== "unsubscribed") subscription.become(detail);
    if (subscription.over) this.#subscriptions.delete(id);
  }

  /** @param {FromPage} message */
  #say(message) {
    this.#port?.postMessage(message);
  }

  /** @param {ToPage} message */
  #hears(message) {
    switch (message.type) {
      case "event":
        return this.#heard(message.name, message.detail);
      case "ticket?":
        return void this.#fetch(message);
      case "marked":
        return this.#answered(message.id)?.resolve(message.frame);
      case "not marked":
        return this.#answered(message.id)?.reject(Object.assign(new Error(message.error.message), message.error));
      case "topic":
        return this.#heardOf(message.id, message.name, message.detail, message.position);
    }
  }

  /** @param {keyof Events} name @param {any} detail */
  #heard(name, detail) {
    if (name === "state") this.#now = detail;
    if (name === "welcome") this.#position ??= { epoch: detail.epoch, seq: detail.cursor };
    if (name === "gap") this.#position = { epoch: detail.epoch, seq: detail.head };
    if (name === "notification" && detail.seq !== null && this.#position) {
      this.#position = { ...this.#position, seq: Math.max(this.#position.seq, detail.seq) };
    }
    this.#listeners.tell(name, detail);
  }

  /** @param {{ id: number, reason: "connect" | "reauth", attempt: number }} asked */
  async #fetch({ id, reason, attempt }) {
    try {
      this.#say({ type: "ticket", id, ticket: await this.#options.getTicket({ reason, attempt }) });
    } catch (error) {
      const { message = "", retryAfterMs = 0 } = /** @type {any} */ (error);
      const unauthorized = error instanceof UnauthorizedError;
      this.#say({ type: "no ticket", id, error: { unauthorized, message: String(message), retryAfterMs } });
    }
  }

  /** @param {number} id */
  #answered(id) {
    const waiting = this.#marks.get(id);
    this.#marks.delete(id);
    return waiting;
  }
}
