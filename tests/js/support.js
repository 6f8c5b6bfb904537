/** A client on a stage: a clock that only a test moves, and sockets whose other end is the test. */

import { UsherClient } from "../../static/usher/client.js";

export const START = Date.parse("2026-03-01T12:00:00Z");

/** Everything that is due in promises has run. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

export class FakeClock {
  /** What timers go by. */
  time = START;
  /** How far somebody has moved the hands of the clock since. */
  moved = 0;
  /** What `random()` says. */
  chance = 0;
  #timers = new Map();
  #numbers = 0;

  now = () => this.time + this.moved;
  random = () => this.chance;

  setTimeout = (ring, ms) => {
    if (!(ms >= 0)) throw new RangeError(`a timer for ${ms} ms`);
    this.#numbers += 1;
    // What every engine does with a number that is too big for it.
    this.#timers.set(this.#numbers, { ring, at: this.time + (ms > 2 ** 31 - 1 ? 1 : ms) });
    return this.#numbers;
  };

  clearTimeout = (number) => void this.#timers.delete(number);

  /** How many timers are set. */
  get pending() {
    return this.#timers.size;
  }

  /** Lets time pass, with every timer at its time. */
  async advance(ms) {
    const until = this.time + ms;
    await settled();
    for (let next = this.#next(until); next; next = this.#next(until)) {
      this.time = Math.max(this.time, next.at);
      this.#fire(next);
      await settled();
    }
    this.time = until;
  }

  /** Lets time pass without a timer: a machine that sleeps. */
  sleep(ms) {
    this.time += ms;
  }

  /** Lets time pass as in a hidden tab: what is due rings only now, all of it late. */
  async advanceThrottled(ms) {
    this.time += ms;
    await settled();
    for (const timer of [...this.#timers.entries()].map(([number, timer]) => ({ number, ...timer }))) {
      if (timer.at <= this.time && this.#timers.has(timer.number)) this.#fire(timer);
    }
    await settled();
  }

  #next(until) {
    const due = [...this.#timers.entries()].filter(([, timer]) => timer.at <= until);
    due.sort(([, a], [, b]) => a.at - b.at);
    return due.length ? { number: due[0][0], ...due[0][1] } : undefined;
  }

  #fire({ number, ring }) {
    this.#timers.delete(number);
    ring();
  }
}

export class FakeSocket {
  readyState = 0;
  onmessage = null;
  onclose = null;
  onerror = null;
  /** What the client sent, and with which code it closed. */
  sent = [];
  closedWith = null;

  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
  }

  send(text) {
    if (this.readyState === 0) throw new Error("InvalidStateError: still connecting");
    if (this.readyState === 1) this.sent.push(JSON.parse(text));
  }

  close(code) {
    if (this.readyState >= 2) return;
    this.closedWith = code;
    this.readyState = 2; // a closing handshake takes its time
  }

  get given() {
    return this.closedWith !== null;
  }

  /** The server's doings. */
  say(frame) {
    this.readyState = Math.max(this.readyState, 1);
    this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  hangUp(code = 1006) {
    this.readyState = 3;
    this.onerror?.({});
    this.onclose?.({ code, reason: "", wasClean: code !== 1006 });
  }

  of(type) {
    return this.sent.filter((frame) => frame.type === type);
  }
}

export const GRANT_MS = 900_000;

const utc = (ms) => new Date(ms).toISOString();

/**
 * A client and everything around it. `tickets` may be a function that is asked for each, with the context and the
 * number of the ticket; what it throws is what `getTicket` throws.
 */
export class Stage {
  clock = new FakeClock();
  sockets = [];
  /** Contexts of all tickets that were asked for. */
  asked = [];
  /** [event, detail] of everything that was told. */
  events = [];

  constructor({ tickets = () => {}, ...options } = {}) {
    const { sockets, clock, asked } = this;
    this.client = new UsherClient({
      getTicket: async (context) => {
        asked.push(context);
        const number = asked.length;
        await tickets(context, number);
        return { url: "ws://site/ws/", protocols: ["usher.v1", `usher.ticket.${number}`], ticket: `ticket-${number}` };
      },
      WebSocket: class extends FakeSocket {
        constructor(url, protocols) {
          super(url, protocols);
          const open = sockets.filter((socket) => socket.readyState < 2);
          if (open.length) throw new Error("two sockets at a time");
          sockets.push(this);
        }
      },
      setTimeout: clock.setTimeout,
      clearTimeout: clock.clearTimeout,
      now: clock.now,
      random: clock.random,
      ...options,
    });
    for (const event of ["state", "welcome", "notification", "change", "replay", "gap", "reauth", "error"]) {
      this.client.on(event, (detail) => this.events.push([event, detail]));
    }
  }

  get socket() {
    return this.sockets.at(-1);
  }

  get states() {
    return this.of("state").map(({ state }) => state);
  }

  of(event) {
    return this.events.filter(([name]) => name === event).map(([, detail]) => detail);
  }

  last(event) {
    return this.of(event).at(-1);
  }

  /** Opens the client and welcomes it. */
  async connected(welcome = {}) {
    this.client.open();
    await settled();
    return this.welcome(welcome);
  }

  welcome(fields = {}) {
    const now = this.clock.now() + (fields.ahead ?? 0); // of the server's clock
    this.socket.say({
      type: "welcome",
      connection: "c",
      user: { id: 1, username: "demo" },
      epoch: "e1",
      head: 10,
      cursor: 10,
      recovered: false,
      state_version: 0,
      unread: 0,
      unseen: 0,
      expires_at: utc(now + (fields.grant ?? GRANT_MS)),
      grace_seconds: 60,
      window: 64,
      ping_seconds: 25,
      server_time: utc(now),
      ...fields,
    });
    return this.socket;
  }

  notify(seq, fields = {}) {
    const told = { stream: "u.1", id: `n${seq}`, title: `Number ${seq}`, replayed: false };
    this.socket.say({ type: "notification", seq, ...told, ...fields });
  }

  bye(code, fields = {}) {
    const told = { reason: "told", reconnect: true, need: "ticket", retry_after_ms: 0 };
    this.socket.say({ type: "bye", code, ...told, ...fields });
  }

  /** Keeps the line from being found dead while time passes. */
  async pass(ms) {
    for (const socket = this.socket; ms > 0 && !socket.given; ms -= 20_000) {
      await this.clock.advance(Math.min(ms, 20_000));
      socket.say({ type: "pong" });
    }
  }

  /** What the next attempt would wait at most, in milliseconds. */
  get wait() {
    return this.last("state").retryAt - this.clock.now();
  }
}
