/**
 * Keeps the grant of one connection going: with a fresh ticket before it ends, and again when the server asks.
 *
 * @module
 */

import { Alarm, backOff } from "./timing.js";

/** @import { ErrorFrame, Reauthenticated, ReauthFailed, ReauthRequired, Welcome } from "./frames.js" */
/** @import { Clock } from "./timing.js" */

/** What `getTicket` throws when the login is over: nothing is tried again until `renew()`. */
export class UnauthorizedError extends Error {
  name = "UnauthorizedError";
}

/**
 * `required`: nothing private is delivered until it is done. `done`: `held` notifications follow. `failed`: it is not
 * tried again on this connection.
 *
 * @typedef {{ state: "required", reason: string, deadline: string }
 *   | { state: "done", held: number, state_version: number }
 *   | { state: "failed", reason: "unauthorized" | "refused" }} ReauthChange
 */

/**
 * @typedef {object} Host
 * @property {Clock} clock
 * @property {(attempt: number) => Promise<string>} ticket
 * @property {(frame: object) => void} send
 * @property {(change: ReauthChange) => void} tell
 */

/** How much of the grant is left when a client comes by itself: a random share, so that not all come at once. */
const LEAST_LEFT = 1 / 10;
const MOST_LEFT = 1 / 3;

/** The server spaces attempts a second apart. */
const SPACING_MS = 1_000;

export class Reauth {
  /** @param {Host} host */
  constructor(host) {
    this.host = host;
    this.alarm = new Alarm(host.clock);
    this.skew = 0;
    this.end = -Infinity;
    /** From the first step of one until it has succeeded, through all its attempts. */
    this.underWay = false;
    this.failures = 0;
    this.stopped = false;
    this.attempts = 0;
    this.ref = "";
  }

  stop() {
    this.stopped = true;
    this.alarm.clear();
  }

  // --- What is heard ---

  /** @param {Welcome} frame */
  welcomed(frame) {
    this.skew = Date.parse(frame.server_time) - this.host.clock.now();
    this.plan(frame.expires_at);
  }

  /** @param {ReauthRequired} frame */
  required({ reason, deadline }) {
    // First: by the time a listener hears of it the attempt is under way, whatever the listener does.
    if (!this.underWay) this.begin();
    this.host.tell({ state: "required", reason, deadline });
  }

  /** @param {Reauthenticated} frame */
  done({ expires_at, held, state_version }) {
    this.underWay = false;
    this.failures = 0;
    this.plan(expires_at);
    this.host.tell({ state: "done", held, state_version });
  }

  /** @param {ReauthFailed} frame */
  failed({ attempts_left, retry_after_ms }) {
    if (attempts_left > 0) this.again(retry_after_ms);
    else this.giveUp("refused"); // `bye` follows
  }

  /** An `error` frame: ours, if it answers the reauth that was sent. @param {ErrorFrame} frame */
  erred({ ref, retry_after_ms = SPACING_MS }) {
    if (this.underWay && ref === this.ref) this.again(retry_after_ms);
  }

  // --- When ---

  /** @param {string} expiresAt */
  plan(expiresAt) {
    const end = Date.parse(expiresAt) - this.skew;
    // Where the login session itself ends, a new ticket moves nothing, and shares of ever less time would be asked for
    // ever faster. The server asks when it is over.
    if (!(end > this.end)) return;
    this.end = end;
    const { now, random } = this.host.clock;
    const share = LEAST_LEFT + random() * (MOST_LEFT - LEAST_LEFT);
    this.sleep(end - (end - now()) * share);
  }

  /** @param {number} until */
  sleep(until) {
    const rest = until - this.host.clock.now();
    // Looks again when it rings: a grant may be longer than the longest timer.
    this.alarm.set(rest, () => (this.host.clock.now() < until ? this.sleep(until) : this.begin()));
  }

  // --- How ---

  begin() {
    if (this.stopped || this.underWay) return;
    this.underWay = true;
    void this.attempt();
  }

  async attempt() {
    try {
      const ticket = await this.host.ticket(this.failures + 1);
      if (this.stopped) return;
      this.attempts += 1;
      this.ref = `reauth-${this.attempts}`;
      this.host.send({ type: "reauth", ticket, ref: this.ref });
    } catch (error) {
      if (this.stopped) return;
      if (error instanceof UnauthorizedError) this.giveUp("unauthorized");
      else this.again(0);
    }
  }

  /** Until the server's deadline, which ends the connection and with it this. @param {number} afterMs */
  again(afterMs) {
    this.alarm.set(afterMs + backOff(this.failures, this.host.clock), () => void this.attempt());
    this.failures += 1;
  }

  /** @param {"unauthorized" | "refused"} reason */
  giveUp(reason) {
    this.stop();
    this.host.tell({ state: "failed", reason });
  }
}
