/**
 * One topic, as far as the connection is concerned: what is asked about it, and who hears what comes.
 *
 * Rules of this file:
 *
 * * One question is under way at a time, and after every answer it is looked at what is still wanted.
 * * Each listener has a position of its own and hears what lies behind it, in order and once. The connection asks for
 *   the furthest back; who comes later and stands further back makes it unsubscribe and ask again from there.
 * * Positions move before a listener hears, and never back but by a `reset`.
 * * What the server cannot decide now is asked again later. What it refuses is over for all who listen.
 *
 * @module
 */

import { spelled } from "./position.js";
import { Alarm, backOff } from "./timing.js";

/** @import { CaughtUp, Denied, ErrorFrame, Notification, Reset, Skipped, Subscribed, Unsubscribed } from "./frames.js" */
/** @import { Line } from "./line.js" */
/** @import { Position } from "./position.js" */
/** @import { Subscription } from "./subscription.js" */
/** @import { Clock } from "./timing.js" */

/** What is not decided now and may be a moment later. */
const LATER = ["unavailable", "rate_limited", "busy"];

/** @typedef {{ ref: string, type: "subscribe" | "unsubscribe", since: Position | null }} Question */
/** @typedef {Notification | Skipped | CaughtUp | Reset | Subscribed | Unsubscribed | Denied} OfTopic */

export class Topic {
  /** @type {Set<Subscription>} */
  #subscriptions = new Set();
  /** Without its answer yet. @type {Question | null} */
  #asked = null;
  /** The server says it. */
  #on = false;
  /** The last number it said. @type {Position} */
  #cursor = { epoch: "", seq: 0 };
  /** The newest it is known to have. */
  #head = 0;
  #alarm;
  /** For the alarm, or for the person to re-authenticate. */
  #waits = false;
  #failures = 0; // in a row, for the back-off

  /** @param {string} name @param {Clock} clock @param {(command: any) => string | null} ask */
  constructor(name, clock, ask) {
    this.name = name;
    this.clock = clock;
    this.ask = ask;
    this.#alarm = new Alarm(clock);
  }

  /** Nobody listens and the server says nothing. */
  get isOver() {
    return this.#subscriptions.size === 0 && !this.#on && !this.#asked;
  }

  /** @param {Subscription} subscription */
  join(subscription) {
    this.#subscriptions.add(subscription);
    if (this.#on) this.#begin(subscription);
    this.look();
  }

  /** @param {Subscription} subscription */
  leave(subscription) {
    this.#subscriptions.delete(subscription);
    this.look();
  }

  disconnected() {
    this.#on = false;
    this.#asked = null;
    this.#waits = false;
    this.#alarm.clear();
  }

  settle() {
    if (!this.#on) for (const each of [...this.#subscriptions]) each.become({ state: "pending" });
  }

  // --- What is wanted ---

  /** Ask for what is wanted and not so. */
  look() {
    if (this.#asked || this.#waits) return;
    const wanted = this.#subscriptions.size > 0;
    if (this.#on && !(wanted && this.#reachesAll())) this.#put("unsubscribe", null);
    else if (!this.#on && wanted) this.#put("subscribe", this.#furthestBack());
  }

  again() {
    this.#waits = false;
    this.#alarm.clear();
    this.look();
  }

  /** @param {Question["type"]} type @param {Position | null} since */
  #put(type, since) {
    const ref = this.ask({ type, topic: this.name, ...(since && { since: spelled(since) }) });
    if (ref) this.#asked = { ref, type, since };
  }

  /** Whether nobody needs a number that was said before they came. */
  #reachesAll() {
    return [...this.#subscriptions].every(({ position }) => position && !this.#isBehind(position));
  }

  /** @param {Position} position */
  #isBehind({ epoch, seq }) {
    return epoch !== this.#cursor.epoch || seq < this.#cursor.seq;
  }

  /** Numbers of another epoch come first: only the server can tell what they are worth. */
  #furthestBack() {
    const positions = [...this.#subscriptions].flatMap(({ position }) => position ?? []);
    const strange = positions.find(({ epoch }) => epoch !== this.#cursor.epoch);
    const epoch = strange?.epoch ?? this.#cursor.epoch;
    const [first = null] = positions.filter((each) => each.epoch === epoch).sort((a, b) => a.seq - b.seq);
    return first;
  }

  // --- What is heard ---

  /** @param {OfTopic} frame @param {Line} line */
  heard(frame, line) {
    if (frame.type === "subscribed") this.#subscribed(frame);
    else if (frame.type === "unsubscribed") this.#unsubscribed(frame);
    else if (frame.type === "denied") this.#denied(frame, line);
    else if (!this.#on) return; // of a subscription that has ended
    else if (frame.type === "notification") this.#notified(frame, line);
    else if (frame.type === "skipped") this.#moved(frame.through);
    else if (frame.type === "reset") this.#restarted(frame, line);
    else for (const each of [...this.#subscriptions]) each.tell("replay", { cursor: frame.cursor });
  }

  /** @param {Subscribed} frame */
  #subscribed({ ref, epoch, cursor, head }) {
    const asked = this.#answered(ref);
    if (!asked) return;
    this.#on = true;
    this.#failures = 0;
    this.#cursor = { epoch, seq: cursor };
    this.#head = head;
    // A position that is not where it begins is about to be reset; until then it stands.
    const { since } = asked;
    const resumed = !since || (since.epoch === epoch && since.seq === cursor);
    const here = [...this.#subscriptions];
    for (const each of here) if (!each.position) each.move({ epoch, seq: head });
    if (resumed) this.look();
    for (const each of here) each.become({ state: "subscribed" });
  }

  /** The topic is said already. @param {Subscription} subscription */
  #begin(subscription) {
    if (!subscription.position) subscription.move({ epoch: this.#cursor.epoch, seq: this.#head });
    subscription.become({ state: "subscribed" });
  }

  /** @param {Unsubscribed} frame */
  #unsubscribed({ ref }) {
    if (!this.#answered(ref)) return;
    this.#on = false;
    this.look();
  }

  /** @param {Denied} frame @param {Line} line */
  #denied({ ref, code, stream }, line) {
    if (ref === undefined ? !this.#on : !this.#answered(ref)) return;
    line.forget(stream);
    this.#end(code);
  }

  /** @param {string} code */
  #end(code) {
    this.disconnected();
    const here = [...this.#subscriptions];
    this.#subscriptions.clear();
    for (const each of here) each.become({ state: "denied", code });
  }

  /** @param {ErrorFrame} frame */
  erred({ ref, code, retry_after_ms = 0 }) {
    const asked = this.#answered(ref);
    if (!asked) return;
    if (LATER.includes(code)) {
      this.#waits = true;
      this.#alarm.set(retry_after_ms + backOff(this.#failures, this.clock), () => this.again());
      this.#failures += 1;
    } else if (code === "reauth_required") {
      this.#waits = true;
    } else {
      this.#end(code);
    }
  }

  /** @param {Notification} frame @param {Line} line */
  #notified(frame, line) {
    // Who is unsubscribed by now owes no ack, and the server would not know what for.
    if (frame.seq !== null && this.#asked?.type !== "unsubscribe") line.arrived(frame.seq, frame.stream);
    const whom = frame.seq === null ? [...this.#subscriptions] : this.#moved(frame.seq);
    for (const each of whom) each.tell("notification", frame);
  }

  /** The number was said: to all who had come so far, whom it answers. @param {number} seq */
  #moved(seq) {
    const { epoch, seq: before } = this.#cursor;
    const whom = [...this.#subscriptions].filter(({ position }) => {
      return position?.epoch === epoch && position.seq >= before && position.seq < seq;
    });
    for (const each of whom) each.move({ epoch, seq });
    this.#cursor = { epoch, seq: Math.max(before, seq) };
    this.#head = Math.max(this.#head, seq);
    return whom;
  }

  /** @param {Reset} frame @param {Line} line */
  #restarted(frame, line) {
    const { epoch, head, oldest } = frame;
    line.forget(frame.stream);
    this.#cursor = { epoch, seq: head };
    this.#head = head;
    // Others of those who listen may be within what is kept: for them it is asked again.
    const lost = [...this.#subscriptions].filter(({ position }) => {
      return position?.epoch !== epoch || position.seq > head || position.seq < oldest - 1;
    });
    for (const each of lost) each.move({ epoch, seq: head });
    this.look();
    for (const each of lost) each.tell("gap", frame);
  }

  /** The question that this answers. @param {string | undefined} ref */
  #answered(ref) {
    const asked = this.#asked;
    if (!asked || asked.ref !== ref) return null;
    this.#asked = null;
    return asked;
  }
}
