/**
 * One socket, from its construction to its end: reading frames, acks, and whether the other side is still there. What a
 * frame means, and what comes after the end, is `client.js`'s to know.
 *
 * @module
 */

import { Alarm } from "./timing.js";

/** @import { Bye, Frame, Welcome } from "./frames.js" */
/** @import { Clock } from "./timing.js" */

/**
 * What is needed of a WebSocket: the browser's, Node's or that of the package `ws`.
 *
 * @typedef {object} Socket
 * @property {number} readyState
 * @property {((event: any) => any) | null} onmessage
 * @property {((event: any) => any) | null} onclose
 * @property {((event: any) => any) | null} onerror
 * @property {(text: string) => void} send
 * @property {(code?: number) => void} close
 */

/**
 * Each is called at most once a frame, and none after the end.
 *
 * @typedef {object} Owner
 * @property {(frame: Exclude<Frame, Bye>) => void} heard
 * @property {(code: number | undefined, bye: Bye | undefined) => void} ended With neither: the line was found dead.
 * @property {(error: unknown) => void} report What must not stay unsaid and is nobody's to handle.
 */

const OPEN = 1; // WebSocket.OPEN, which an injected one need not have

/** "Send it when 32 notifications are un-acked, else 5 s after the oldest." */
const ACK_AT = 32;
const ACK_AFTER_MS = 5_000;
/** Of acks that release little the server hears 20 a second, so of many streams some have to wait for their turn. */
const SMALL_ACKS = 8;
const SMALL_ACKS_MS = 500;

/** How long an answer may take before the line is called dead. */
const ANSWER_MS = 10_000;
/** In a hidden tab a timer may come this late: silence alone then only means that nobody has asked. */
const THROTTLED_MS = 60_000;
const PING_SECONDS = 25;

export class Line {
  /** @param {Socket} socket @param {Clock} clock @param {Owner} owner */
  constructor(socket, clock, owner) {
    this.socket = socket;
    this.clock = clock;
    this.owner = owner;
    this.over = false;

    this.pingMs = PING_SECONDS * 1_000;
    this.heardAt = clock.now();
    /** When the ping was sent that nothing has been heard since. @type {number | undefined} */
    this.askedAt = undefined;
    this.heartbeat = new Alarm(clock);

    this.ackAt = ACK_AT;
    this.unacked = 0;
    this.oldestAt = 0;
    /** By their streams; the person's own is "". @type {Map<string, { seq: number, count: number }>} */
    this.waiting = new Map();
    /** How many small ones there were since. */
    this.smallAcks = 0;
    this.smallSince = -Infinity;
    this.ackAlarm = new Alarm(clock);

    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = ({ code }) => this.end(code);
    // `close` follows and tells more; but to `ws` an error that nobody hears is fatal.
    socket.onerror = () => {};
  }

  /** The connection is open: from now on there is something to keep alive and to ack. @param {Welcome} welcome */
  start({ ping_seconds, window }) {
    this.pingMs = Math.max(1, ping_seconds || PING_SECONDS) * 1_000;
    this.ackAt = Math.max(1, Math.min(ACK_AT, Math.ceil(window / 2) || ACK_AT)); // before a small window is full
    this.look();
  }

  /** @param {object} frame */
  send(frame) {
    if (!this.over && this.socket.readyState === OPEN) this.socket.send(JSON.stringify(frame));
  }

  /** @param {unknown} text */
  receive(text) {
    if (this.over) return;
    this.heardAt = this.clock.now();
    if (this.askedAt !== undefined) {
      this.askedAt = undefined;
      this.look(); // the heartbeat was set for the answer that is here
    }
    const frame = this.read(text);
    if (frame?.type === "bye") this.end(frame.code, frame);
    else if (frame) this.owner.heard(frame);
  }

  /** @param {unknown} text @returns {Frame | undefined} */
  read(text) {
    try {
      const frame = JSON.parse(String(text));
      if (typeof frame?.type === "string") return frame;
      throw new TypeError("The server said something that is no frame.");
    } catch (error) {
      this.owner.report(error);
      return undefined;
    }
  }

  /**
   * With the last frame, not with the close: that may take long, or never come.
   *
   * @param {number} [code]
   * @param {Bye} [bye]
   */
  end(code, bye) {
    if (this.over) return;
    this.drop();
    this.owner.ended(code, bye);
  }

  /** Close it and hear no more of it. */
  drop() {
    if (this.over) return;
    this.over = true;
    this.heartbeat.clear();
    this.ackAlarm.clear();
    this.socket.close(1000);
  }

  // --- Is somebody there? ---

  /** Looks at the clock, for a timer may have come late, and at what was heard since it was set. */
  look() {
    if (this.over) return;
    if (this.isDead()) {
      this.end();
      return;
    }
    if (this.silence() >= this.pingMs) this.ask();
    const next = this.askedAt === undefined ? this.heardAt + this.pingMs : this.askedAt + ANSWER_MS;
    this.heartbeat.set(next - this.clock.now(), () => this.look());
  }

  /** Find out now: somebody is looking, or the network is another. */
  probe() {
    if (!this.isDead()) this.ask();
    this.look();
  }

  ask() {
    if (this.askedAt !== undefined) return;
    this.askedAt = this.clock.now();
    this.send({ type: "ping" });
  }

  isDead() {
    const now = this.clock.now();
    const unanswered = this.askedAt !== undefined && now - this.askedAt >= ANSWER_MS;
    // No throttled timer explains so much: the machine slept, and whatever arrives first would be the reset.
    return unanswered || this.silence() >= this.pingMs + ANSWER_MS + THROTTLED_MS;
  }

  /** Milliseconds since the last frame. A clock that was set back starts it anew. */
  silence() {
    const now = this.clock.now();
    this.heardAt = Math.min(this.heardAt, now);
    if (this.askedAt !== undefined) this.askedAt = Math.min(this.askedAt, now);
    return now - this.heardAt;
  }

  // --- Acks ---

  /** A notification with this number has arrived. @param {number} seq @param {string} [stream] If of a topic. */
  arrived(seq, stream = "") {
    const now = this.clock.now();
    if (this.unacked === 0) {
      this.oldestAt = now;
      this.ackAlarm.set(ACK_AFTER_MS, () => this.ack());
    }
    this.unacked += 1;
    this.waiting.set(stream, { seq, count: (this.waiting.get(stream)?.count ?? 0) + 1 });
    if (this.unacked >= this.ackAt || now - this.oldestAt >= ACK_AFTER_MS) this.ack();
  }

  /** Those first that make the most room in the window. */
  ack() {
    const largestFirst = [...this.waiting].sort(([, a], [, b]) => b.count - a.count);
    for (const [stream, { seq, count }] of largestFirst) {
      if (!this.mayAck(count)) break;
      this.send({ type: "ack", ...(stream && { stream }), seq });
      this.forget(stream);
    }
    if (this.unacked > 0) this.ackAlarm.set(SMALL_ACKS_MS, () => this.ack());
  }

  /** @param {number} count of the notifications that it releases */
  mayAck(count) {
    if (count * 2 >= this.ackAt) return true; // always heard
    const now = this.clock.now();
    if (!(Math.abs(now - this.smallSince) < SMALL_ACKS_MS)) {
      this.smallSince = now;
      this.smallAcks = 0;
    }
    this.smallAcks += 1;
    return this.smallAcks <= SMALL_ACKS;
  }

  /** Its numbers were started anew, or nobody listens any more: what was un-acked is nobody's business. */
  forget(stream = "") {
    this.unacked -= this.waiting.get(stream)?.count ?? 0;
    this.waiting.delete(stream);
    if (this.unacked === 0) this.ackAlarm.clear();
  }
}
