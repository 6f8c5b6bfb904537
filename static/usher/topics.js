/**
 * What a client listens to besides the person's own stream: each topic once, however many listen to it.
 *
 * Rules of this file:
 *
 * * A topic has one question under way at a time, and after every answer looks at what is still wanted.
 * * Each listener has a position of its own and hears what lies behind it, in order and once. The connection asks for
 *   the furthest back; who comes later and stands further back makes it unsubscribe and ask again from there.
 * * Positions move before a listener hears, and never back but by a `reset`.
 * * What the server cannot decide now is asked again later. What it refuses is over for all who listen.
 *
 * @module
 */

import { spelled } from "./position.js";
import { Subscription } from "./subscription.js";
import { Alarm, backOff } from "./timing.js";

/** @import { Bye, CaughtUp, Denied, ErrorFrame, Frame, Notification, Reset, Skipped } from "./frames.js" */
/** @import { Subscribed, Unsubscribed } from "./frames.js" */
/** @import { Line } from "./line.js" */
/** @import { Position } from "./position.js" */
/** @import { Clock } from "./timing.js" */

const STREAM = "t.";
/** What is not decided now and may be a moment later. */
const LATER = ["unavailable", "rate_limited", "busy"];

export class Topics {
  #clock;
  /** @type {Line | null} */
  #line = null;
  /** By their names. @type {Map<string, Topic>} */
  #topics = new Map();
  #refs = 0;

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /** @param {string} name @param {Position | null} since */
  subscribe(name, since) {
    const subscription = new Subscription(name, since, () => this.#left(subscription));
    const topic = this.#topics.get(name) ?? new Topic(name, this.#clock, (command) => this.#ask(command));
    this.#topics.set(name, topic);
    topic.join(subscription);
    return subscription;
  }

  /** @param {Subscription} subscription */
  #left(subscription) {
    const topic = this.#topics.get(subscription.topic);
    topic?.leave(subscription);
    if (topic) this.#tidy(topic);
  }

  // --- The connection ---

  /** @param {Line} line */
  connected(line) {
    this.#line = line;
    for (const topic of this.#topics.values()) topic.look();
  }

  /** Whoever listens is told by `settle()`. */
  disconnected() {
    this.#line = null;
    for (const topic of [...this.#topics.values()]) {
      topic.disconnected();
      this.#tidy(topic);
    }
  }

  /** The connection has become what it is: those that listen to it learn that they do not hear it now. */
  settle() {
    for (const topic of [...this.#topics.values()]) topic.settle();
  }

  reauthenticated() {
    for (const topic of this.#topics.values()) topic.again();
  }

  /** @param {Exclude<Frame, Bye>} frame Whether it was about a topic. */
  heard(frame) {
    if (!("stream" in frame) || !frame.stream.startsWith(STREAM)) return false;
    const topic = this.#topics.get(frame.stream.slice(STREAM.length));
    if (topic && this.#line) {
      topic.heard(frame, this.#line);
      this.#tidy(topic);
    }
    return true; // one that nobody listens to may still have been on its way
  }

  /** @param {ErrorFrame} frame */
  erred(frame) {
    for (const topic of [...this.#topics.values()]) {
      topic.erred(frame);
      this.#tidy(topic);
    }
  }

  /** @param {{ type: string, topic: string, since?: string }} command @returns {string | null} its `ref`, if it was sent */
  #ask(command) {
    if (!this.#line) return null;
    this.#refs += 1;
    const ref = `topic-${this.#refs}`;
    if (command.type === "unsubscribe") this.#line.forget(STREAM + command.topic);
    this.#line.send({ ...command, ref });
    return ref;
  }

  /** @param {Topic} topic */
  #tidy(topic) {
    if (topic.isOver && this.#topics.get(topic.name) === topic) this.#topics.delete(topic.name);
  }
}

/** @typedef {{ ref: string, type: "subscribe" | "unsubscribe", since: Position | null }} Question */
/** @typedef {Notification | Skipped | CaughtUp | Reset | Subscribed | Unsubscribed | Denied} OfTopic */

/** One of them, as far as the connection is concerned. */
class Topic {
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
