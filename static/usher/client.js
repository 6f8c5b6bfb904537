/**
 * The client of `usher.v1` (`docs/wire.md`): one connection that is kept, by whatever it takes, and tells what arrives.
 * No DOM and no dependency: it runs in pages, workers and Node.
 *
 *     const client = new UsherClient({ getTicket: async ({ reason }) => post("/api/tickets/", { purpose: reason }) });
 *     client.on("notification", (frame) => show(frame));
 *     client.on("gap", () => fetchTheList());
 *     client.open();
 *     const orders = client.subscribe("orders.7"); // see subscription.js
 *
 *      idle ──► connecting ──► connected       open(), and by itself for as long as there is reason to hope
 *                 ▲    └─ waiting ◄┘            a back-off, until `retryAt`
 *                 └─ offline                    the page says there is no network: setOnline()
 *               unauthorized                    the person must sign in; then renew()
 *               closed                          by close(), or nothing to be done: see `code` and `need`
 *
 * pause() leads back to idle, from where open() goes on.
 *
 * Rules of this file:
 *
 * * One socket at a time. `#turn` counts attempts: who finds it changed after waiting was overtaken and says nothing.
 * * A ticket is used once, so every attempt gets its own.
 * * The position moves before a listener hears, and never back but by a `reset`.
 * * Listeners are called last: they may call anything here.
 *
 * @module
 */

import { CLOSE_CODES, TICKET_REFUSED } from "./closing.js";
import { Line } from "./line.js";
import { Listeners, report } from "./listeners.js";
import { resumable, withPosition } from "./position.js";
import { Reauth, UnauthorizedError } from "./reauth.js";
import { DeniedError } from "./subscription.js";
import { Alarm, backOff } from "./timing.js";
import { Topics } from "./topics.js";

/** @import { Bye, ErrorFrame, Frame, Notification, Reset, State, Welcome } from "./frames.js" */
/** @import { Socket } from "./line.js" */
/** @import { ReauthChange } from "./reauth.js" */
/** @typedef {import("./subscription.js").Subscription} Subscription */
/** @import { Clock } from "./timing.js" */

/** @typedef {import("./position.js").Position} Position */

/**
 * What `POST /api/tickets/` answers; `url` and `protocols` are the two arguments of `WebSocket()`.
 *
 * @typedef {{ url: string, protocols: string[], ticket: string }} Ticket
 */

/**
 * @typedef {object} Options
 * @property {(context: { reason: "connect" | "reauth", attempt: number }) => Promise<Ticket>} getTicket Called for
 *   every attempt. Throws `UnauthorizedError` if the person must sign in. Whatever else it throws is a failed attempt;
 *   a number `retryAfterMs` of it is how long to wait at least.
 * @property {number | string | null} [user] Whose connection it is to be, by their key. Where another person has signed
 *   in meanwhile, tickets are theirs: then it ends in `unauthorized`, with the reason `another_person`, and nothing of
 *   theirs is told. Without it nobody is expected.
 * @property {Position | null} [position] Where to resume; without it the first connection starts with what is new.
 * @property {new (url: string, protocols: string[]) => Socket} [WebSocket]
 * @property {Clock["setTimeout"]} [setTimeout]
 * @property {Clock["clearTimeout"]} [clearTimeout]
 * @property {Clock["now"]} [now]
 * @property {Clock["random"]} [random]
 */

/** @typedef {"idle" | "connecting" | "connected" | "waiting" | "offline" | "unauthorized" | "closed"} StateName */

/**
 * `code`, `reason` and `need` as in `docs/wire.md`, where the server said why; `error` where there was no ticket.
 *
 * @typedef {object} StateChange
 * @property {StateName} state
 * @property {number} [retryAt] When the next attempt is made, by the client's clock.
 * @property {number | undefined} [code]
 * @property {string | undefined} [reason]
 * @property {string | undefined} [need]
 * @property {unknown} [error]
 */

/**
 * @typedef {object} Events
 * @property {StateChange} state
 * @property {Welcome} welcome
 * @property {Notification} notification Of the person's own; what topics say their subscriptions tell.
 * @property {State} change Something was seen, read or archived, here or elsewhere.
 * @property {{ cursor: number }} replay What was missed has all been told.
 * @property {Reset} gap What was missed cannot be told: fetch the list.
 * @property {ReauthChange} reauth
 * @property {ErrorFrame} error
 */

/** All of them. @type {(keyof Events)[]} */
export const EVENTS = ["state", "welcome", "notification", "change", "replay", "gap", "reauth", "error"];

/** @typedef {{ ids: string[], state: string } | { through: number, state: string }} Marking */

/**
 * @typedef {object} Waiting A `mark` without its answer.
 * @property {(frame: State) => void} resolve
 * @property {(error: Error) => void} reject
 * @property {Alarm} alarm
 */

/** For the ticket, and again from there to `welcome`; the server itself gives up after 5 s. */
const ATTEMPT_MS = 15_000;
/** A connection that lasted so long was a good one: the back-off starts anew. */
const PROVEN_MS = 5_000;
const ANSWER_MS = 10_000;
/** The most a frame may have. A larger one would be the connection's end, so it is not sent. */
const FRAME_CHARACTERS = 8_192;

/** The server's `error` frame as the reason of a rejected `mark`. */
export class CommandError extends Error {
  name = "CommandError";

  /** @param {ErrorFrame} frame */
  constructor(frame) {
    super(frame.detail);
    this.code = frame.code;
    this.frame = frame;
  }
}

/** Why there is no connection and will be none until somebody asks for it: `code` and `reason` as in `docs/wire.md`. */
export class ClosedError extends Error {
  name = "ClosedError";

  /** @param {StateChange} change */
  constructor({ code, reason }) {
    super(reason ?? "closed");
    this.code = code;
    this.reason = reason;
  }
}

export { DeniedError, UnauthorizedError };

export class UsherClient {
  #getTicket;
  #user;
  #WebSocket;
  #clock;
  #online = true;

  /** @type {Listeners<Events>} */
  #listeners = new Listeners();
  /** What was last told of the state. @type {StateChange} */
  #now = { state: "idle" };
  /** @type {Position | null} */
  #position;

  // The attempt, or the wait for it.
  #turn = 0;
  #alarm;
  #failures = 0; // in a row, for the back-off
  #refusals = 0; // tickets refused without a welcome in between
  #notBefore = 0; // what the server asked for: nobody's impatience overrides it

  // The connection.
  /** @type {Line | null} */
  #line = null;
  /** @type {Reauth | null} */
  #reauth = null;
  /** @type {number | null} */
  #welcomedAt = null;

  #topics;
  /** By their `ref`. @type {Map<string, Waiting>} */
  #marks = new Map();
  #refs = 0;

  /** @param {Options} options */
  constructor(options) {
    this.#getTicket = options.getTicket;
    this.#user = options.user ?? null;
    this.#WebSocket = options.WebSocket ?? globalWebSocket();
    this.#clock = clockOf(options);
    this.#alarm = new Alarm(this.#clock);
    this.#topics = new Topics(this.#clock);
    this.#position = resumable(options.position);
  }

  /** @returns {StateName} */
  get state() {
    return this.#now.state;
  }

  /** @returns {Position | null} */
  get position() {
    return this.#position && { ...this.#position };
  }

  /**
   * Hear of an event; the answer ends it. A listener that throws is reported and harms nobody.
   *
   * @template {keyof Events} Name
   * @param {Name} event
   * @param {(detail: Events[Name]) => void} listener
   * @returns {() => void}
   */
  on(event, listener) {
    return this.#listeners.add(event, listener);
  }

  // --- What its owner asks for ---

  /** Connect, if nobody has yet or since `close()`. */
  open() {
    if (this.state === "idle" || this.state === "closed") this.#start();
  }

  /** Disconnect, and stay so. */
  close() {
    this.#abandon();
    if (this.state !== "closed") this.#become({ state: "closed" });
  }

  /** Disconnect for a while: for an app in the background. `open()` goes on from the same position. */
  pause() {
    if (["connecting", "connected", "waiting", "offline"].includes(this.state)) {
      this.#abandon();
      this.#become({ state: "idle" });
    }
  }

  /**
   * Resolves once there is a connection, which may be now. Rejects where none will come by itself: `UnauthorizedError`,
   * or `ClosedError` with the reason.
   *
   * @returns {Promise<void>}
   */
  ready() {
    return new Promise((resolve, reject) => {
      const settle = (/** @type {StateChange} */ change) => {
        if (change.state === "connected") resolve();
        else if (change.state === "unauthorized") reject(new UnauthorizedError(change.reason ?? "unauthorized"));
        else if (change.state === "closed") reject(new ClosedError(change));
        else return;
        end();
      };
      const end = this.on("state", settle);
      settle(this.#now);
    });
  }

  /** Connect whatever ended it: after a new sign-in, or because somebody is looking again. */
  renew() {
    if (this.state !== "connecting" && this.state !== "connected") this.#start();
  }

  /** Do not wait any longer; if connected, make sure of it. For a button, and for a page that is looked at again. */
  retryNow() {
    if (this.state === "waiting") this.#hurry();
    else if (this.state === "connected") this.#line?.probe();
  }

  /** The page's word on the network. @param {boolean} online */
  setOnline(online) {
    this.#online = online;
    if (online && this.state === "offline") this.#hurry();
    else if (online) this.retryNow(); // perhaps another network: what was connected over the last one may be gone
    else if (["connecting", "connected", "waiting"].includes(this.state)) {
      this.#abandon();
      this.#become({ state: "offline" });
    }
  }

  /**
   * Set the state of some notifications, or of all up to a number. Resolves with the server's `state` frame; rejects
   * with its `error` (`CommandError`), without a connection, at its end, and after 10 s.
   *
   * @param {Marking} marking
   * @returns {Promise<State>}
   */
  mark(marking) {
    return new Promise((resolve, reject) => {
      const line = this.#line;
      if (!line || this.#welcomedAt === null) throw new Error("There is no connection.");
      this.#refs += 1;
      const ref = `mark-${this.#refs}`;
      const frame = { type: "state", ...marking, ref };
      if (JSON.stringify(frame).length > FRAME_CHARACTERS) throw new RangeError("Too many ids for one frame.");
      const alarm = new Alarm(this.#clock);
      this.#marks.set(ref, { resolve, reject, alarm });
      alarm.set(ANSWER_MS, () => this.#answered(ref)?.reject(new Error("The server did not answer.")));
      line.send(frame);
    });
  }

  /**
   * Listen to a topic, from now or from a position on, over every reconnection until `unsubscribe()`: without a
   * connection from the next one on. Many who listen to one topic are one for the server.
   *
   * @param {string} topic
   * @param {{ since?: Position | null }} [options]
   * @returns {Subscription}
   */
  subscribe(topic, { since = null } = {}) {
    return this.#topics.subscribe(topic, resumable(since));
  }

  // --- Attempts ---

  #start() {
    this.#abandon();
    this.#failures = 0;
    this.#refusals = 0;
    this.#notBefore = 0;
    this.#connect();
  }

  #hurry() {
    const rest = this.#notBefore - this.#clock.now();
    if (rest > 0) this.#wait(rest, this.#now);
    else this.#connect();
  }

  #connect() {
    if (!this.#online) {
      this.#become({ state: "offline" });
      return;
    }
    this.#turn += 1;
    const turn = this.#turn;
    this.#alarm.set(ATTEMPT_MS, () => this.#retry({ reason: "timeout" }));
    this.#become({ state: "connecting" });
    if (turn === this.#turn) void this.#attempt(turn);
  }

  /** @param {number} turn */
  async #attempt(turn) {
    try {
      const ticket = await this.#getTicket({ reason: "connect", attempt: this.#failures + 1 });
      if (turn === this.#turn) this.#dial(ticket);
    } catch (error) {
      if (turn === this.#turn) this.#undone(error);
    }
  }

  /** @param {Ticket} ticket */
  #dial({ url, protocols }) {
    const socket = new this.#WebSocket(withPosition(url, this.#position), protocols);
    this.#alarm.set(ATTEMPT_MS, () => this.#retry({ reason: "timeout" }));
    this.#line = new Line(socket, this.#clock, {
      heard: (frame) => this.#heard(frame),
      ended: (code, bye) => this.#ended(code, bye),
      report,
    });
  }

  /** @param {any} error */
  #undone(error) {
    if (error instanceof UnauthorizedError) this.#stop({ state: "unauthorized", need: "login", error });
    else this.#retry({ error }, Number(error?.retryAfterMs) || 0);
  }

  /** Let go of the connection or of the attempt, whichever there is. */
  #abandon() {
    this.#turn += 1;
    this.#alarm.clear();
    this.#reauth?.stop();
    this.#reauth = null;
    this.#line?.drop();
    this.#line = null;
    this.#topics.disconnected();
    this.#welcomedAt = null;
    for (const ref of [...this.#marks.keys()]) this.#answered(ref)?.reject(new Error("The connection has ended."));
  }

  // --- Ends ---

  /** @param {number | undefined} code @param {Bye | undefined} bye */
  #ended(code, bye) {
    if (this.#welcomedAt !== null && this.#clock.now() - this.#welcomedAt >= PROVEN_MS) this.#failures = 0;
    if (this.state === "unauthorized") this.#abandon(); // it was only listened to until here
    else this.#decide(code, verdict(code, bye), bye?.retry_after_ms ?? 0);
  }

  /** @param {number | undefined} code @param {Verdict} verdict @param {number} floor */
  #decide(code, { reason, reconnect, need }, floor) {
    const why = { code, reason, need };
    if (!reconnect) {
      this.#stop({ state: need === "login" ? "unauthorized" : "closed", ...why });
    } else if (code !== TICKET_REFUSED) {
      this.#retry(why, floor);
    } else if (this.#refusals === 0) {
      // A ticket may have been too old, or from before a change of networks. The next one must be good.
      this.#refusals += 1;
      this.#retry(why, floor, 0);
    } else {
      this.#stop({ state: "closed", ...why });
    }
  }

  /** @param {StateChange} change */
  #stop(change) {
    this.#abandon();
    this.#become(change);
  }

  /**
   * @param {Omit<StateChange, "state">} why
   * @param {number} [floor] Milliseconds that the server asked for. All who were told the same wait differently on top.
   * @param {number} [delay]
   */
  #retry(why, floor = 0, delay = backOff(this.#failures, this.#clock)) {
    this.#abandon();
    this.#failures += 1;
    this.#notBefore = this.#clock.now() + floor;
    this.#wait(floor + delay, why);
  }

  /** @param {number} delay @param {Omit<StateChange, "state">} why */
  #wait(delay, why) {
    this.#alarm.set(delay, () => this.#connect());
    this.#become({ ...why, state: "waiting", retryAt: this.#clock.now() + delay });
  }

  // --- What is heard ---

  /** @param {Exclude<Frame, Bye>} frame */
  #heard(frame) {
    if (this.#topics.heard(frame)) return undefined;
    switch (frame.type) {
      case "welcome":
        return this.#welcomed(frame);
      case "notification":
        return this.#notified(frame);
      case "skipped":
        return this.#moveTo(frame.through);
      case "caught_up":
        return this.#emit("replay", { cursor: frame.cursor });
      case "reset":
        return this.#restarted(frame);
      case "state":
        this.#answered(frame.ref)?.resolve(frame);
        return this.#emit("change", frame);
      case "reauth_required":
        return this.#reauth?.required(frame);
      case "reauthenticated":
        this.#topics.reauthenticated();
        return this.#reauth?.done(frame);
      case "reauth_failed":
        return this.#reauth?.failed(frame);
      case "error":
        this.#reauth?.erred(frame);
        this.#topics.erred(frame);
        this.#answered(frame.ref)?.reject(new CommandError(frame));
        return this.#emit("error", frame);
      case "pong": // that it came is all it says
      default: // the server may learn new words
        return undefined;
    }
  }

  /** @param {Welcome} frame */
  #welcomed(frame) {
    if (this.#user !== null && String(frame.user.id) !== String(this.#user)) {
      this.#stop({ state: "unauthorized", reason: "another_person", need: "login" });
      return;
    }
    this.#alarm.clear();
    this.#refusals = 0;
    this.#welcomedAt = this.#clock.now();
    // If a position was asked for it stands: either it is being resumed, or `reset` follows. Should the connection end
    // before that came, the next one must be told it as well.
    this.#position ??= { epoch: frame.epoch, seq: frame.cursor };
    const line = this.#line;
    line?.start(frame);
    this.#reauth = this.#reauthOf(frame);
    if (line) this.#topics.connected(line);
    this.#become({ state: "connected" });
    if (line?.over === false) this.#emit("welcome", frame);
  }

  /** @param {Welcome} frame */
  #reauthOf(frame) {
    const line = this.#line;
    const reauth = new Reauth({
      clock: this.#clock,
      ticket: async (attempt) => (await this.#getTicket({ reason: "reauth", attempt })).ticket,
      send: (command) => line?.send(command),
      tell: (change) => this.#reauthed(change),
    });
    reauth.welcomed(frame);
    return reauth;
  }

  /** @param {ReauthChange} change */
  #reauthed(change) {
    this.#emit("reauth", change);
    // The connection is let live until the server ends it: the grant may have minutes left.
    if (change.state === "failed" && change.reason === "unauthorized" && this.state === "connected") {
      this.#become({ state: "unauthorized", need: "login" });
    }
  }

  /** @param {Notification} frame */
  #notified(frame) {
    if (frame.seq !== null) {
      if (this.#position && frame.seq <= this.#position.seq) return; // said before
      this.#moveTo(frame.seq);
      this.#line?.arrived(frame.seq);
    }
    this.#emit("notification", frame);
  }

  /** @param {Reset} frame */
  #restarted(frame) {
    this.#position = { epoch: frame.epoch, seq: frame.head };
    this.#line?.forget();
    this.#emit("gap", frame);
  }

  /** @param {number} seq */
  #moveTo(seq) {
    if (this.#position && seq > this.#position.seq) this.#position = { ...this.#position, seq };
  }

  /** Takes the `mark` that this answers from those that wait. @param {string} [ref] */
  #answered(ref = "") {
    const waiting = this.#marks.get(ref);
    waiting?.alarm.clear();
    this.#marks.delete(ref);
    return waiting;
  }

  // --- What is told ---

  /** @param {StateChange} change */
  #become(change) {
    this.#now = change;
    this.#emit("state", change);
    this.#topics.settle();
  }

  /** @template {keyof Events} Name @param {Name} event @param {Events[Name]} detail */
  #emit(event, detail) {
    this.#listeners.tell(event, detail);
  }
}

/** @typedef {{ reason: string | undefined, reconnect: boolean, need: string }} Verdict */

/**
 * What the end of a socket asks of its client: by the table, else by the server's own words. An end without a reason,
 * and a 1000 that nobody said `bye` to (a proxy's, or a server's that stops), mean: come back.
 *
 * @param {number | undefined} code
 * @param {Bye | undefined} bye
 * @returns {Verdict}
 */
function verdict(code = 0, bye) {
  const known = code === 1000 && !bye ? undefined : CLOSE_CODES[code];
  return known ?? bye ?? { reason: undefined, reconnect: true, need: "ticket" };
}

/** @param {Options} options @returns {Clock} */
function clockOf(options) {
  const global = /** @type {any} */ (globalThis);
  return {
    now: options.now ?? Date.now,
    random: options.random ?? Math.random,
    setTimeout: options.setTimeout ?? ((ring, ms) => global.setTimeout(ring, ms)),
    clearTimeout: options.clearTimeout ?? ((timer) => global.clearTimeout(timer)),
  };
}

function globalWebSocket() {
  const { WebSocket } = /** @type {any} */ (globalThis);
  if (!WebSocket) throw new TypeError("There is no WebSocket here (Node has one from version 22 on): pass one.");
  return WebSocket;
}
