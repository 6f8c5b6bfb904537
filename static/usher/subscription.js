/**
 * One listener's part in a topic: what `client.subscribe()` answers.
 *
 *     const orders = client.subscribe("orders.7", { since });
 *     orders.on("notification", (frame) => show(frame));
 *     orders.on("gap", () => fetchTheList());
 *     orders.on("state", ({ state, code }) => paint(state, code));
 *
 *      pending ◄──► subscribed      for as long as there is a connection
 *         └──► denied ◄──┘          not, or not any more, for this person
 *          unsubscribed             by unsubscribe()
 *
 * The last two are final: ask again by a new `subscribe()`, with the `position` of this one.
 *
 * @module
 */

import { Listeners } from "./listeners.js";

/** @import { CaughtUp, Notification, Reset } from "./frames.js" */
/** @import { Position } from "./position.js" */

/** @typedef {"pending" | "subscribed" | "denied" | "unsubscribed"} SubscriptionState */

/** `code` says why it is denied: `forbidden`, `too_many_topics`, or why the server could make nothing of it.
 * @typedef {{ state: SubscriptionState, code?: string }} SubscriptionChange */

/**
 * @typedef {object} SubscriptionEvents
 * @property {SubscriptionChange} state
 * @property {Notification} notification
 * @property {Pick<CaughtUp, "cursor">} replay What was missed has all been told.
 * @property {Reset} gap What was missed cannot be told: fetch the list.
 */

/** All of them. @type {(keyof SubscriptionEvents)[]} */
export const SUBSCRIPTION_EVENTS = ["state", "notification", "replay", "gap"];

const NAME = /^[a-z0-9._-]{1,80}$/;

/** Why a subscription is over: as `ready()` says it. */
export class DeniedError extends Error {
  name = "DeniedError";

  /** @param {SubscriptionChange} change */
  constructor({ state, code }) {
    super(code ?? state);
    this.code = code;
  }
}

export class Subscription {
  #topic;
  #position;
  #end;
  /** @type {SubscriptionChange} */
  #now = { state: "pending" };
  /** @type {Listeners<SubscriptionEvents>} */
  #listeners = new Listeners();

  /**
   * Not for anybody but a client, which moves it and tells it what it hears.
   *
   * @param {string} topic
   * @param {Position | null} position
   * @param {() => void} end
   */
  constructor(topic, position, end) {
    if (!NAME.test(topic)) throw new TypeError("A topic is named by 1 to 80 of a-z 0-9 . _ -");
    this.#topic = topic;
    this.#position = position;
    this.#end = end;
  }

  get topic() {
    return this.#topic;
  }

  /** @returns {SubscriptionState} */
  get state() {
    return this.#now.state;
  }

  /** Null until it has begun somewhere. @returns {Position | null} */
  get position() {
    return this.#position && { ...this.#position };
  }

  /** Whether nothing is told any more. */
  get over() {
    return this.state === "denied" || this.state === "unsubscribed";
  }

  /**
   * Hear of an event; the answer ends it. A listener that throws is reported and harms nobody.
   *
   * @template {keyof SubscriptionEvents} Name
   * @param {Name} event
   * @param {(detail: SubscriptionEvents[Name]) => void} listener
   * @returns {() => void}
   */
  on(event, listener) {
    return this.#listeners.add(event, listener);
  }

  /**
   * Resolves once the server has said yes, which may be now. Rejects with a `DeniedError` where it said no, or where
   * nobody listens any more.
   *
   * @returns {Promise<void>}
   */
  ready() {
    return new Promise((resolve, reject) => {
      const settle = (/** @type {SubscriptionChange} */ change) => {
        if (change.state === "subscribed") resolve();
        else if (this.over) reject(new DeniedError(change));
        else return;
        end();
      };
      const end = this.on("state", settle);
      settle(this.#now);
    });
  }

  /** Hear no more of it. The last one that does so ends it for the server, too. */
  unsubscribe() {
    if (this.over) return;
    this.#end();
    this.become({ state: "unsubscribed" });
  }

  // --- For the client ---

  /** @param {Position} position */
  move(position) {
    this.#position = position;
  }

  /** @param {SubscriptionChange} change */
  become(change) {
    if (this.over || (change.state === this.state && change.code === this.#now.code)) return;
    this.#now = change;
    this.#listeners.tell("state", change);
  }

  /**
   * @template {Exclude<keyof SubscriptionEvents, "state">} Name
   * @param {Name} event
   * @param {SubscriptionEvents[Name]} detail
   */
  tell(event, detail) {
    if (!this.over) this.#listeners.tell(event, detail);
  }
}
