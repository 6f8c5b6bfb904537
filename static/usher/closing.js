/**
 * Why a socket was closed, and what its client should do about it. The table of `docs/wire.md`; a test holds it equal
 * to the server's own.
 *
 * @module
 */

/**
 * @typedef {object} Closing
 * @property {string} reason
 * @property {boolean} reconnect Whether the client may come back by itself.
 * @property {"nothing" | "ticket" | "login"} need What it must have before it may.
 */

/** @param {string} reason @returns {Readonly<Closing>} */
const comeBack = (reason) => Object.freeze({ reason, reconnect: true, need: "ticket" });

/** @param {string} reason @param {"nothing" | "login"} need @returns {Readonly<Closing>} */
const stayAway = (reason, need) => Object.freeze({ reason, reconnect: false, need });

/** @type {Readonly<Record<number, Readonly<Closing>>>} */
export const CLOSE_CODES = Object.freeze({
  1000: stayAway("normal", "nothing"),

  4400: comeBack("going_away"),
  4401: comeBack("session_expired"),
  4402: comeBack("ticket_refused"),
  4408: comeBack("authentication_timeout"),
  4409: comeBack("too_slow"),
  4413: comeBack("unavailable"),
  4429: comeBack("rate_limited"),

  4500: stayAway("disconnected_by_staff", "login"),
  4501: stayAway("logged_out", "login"),
  4502: stayAway("account_disabled", "login"),
  4503: stayAway("credentials_changed", "login"),
  4504: stayAway("too_many_connections", "nothing"),
  4505: stayAway("protocol_error", "nothing"),
  4506: stayAway("message_too_big", "nothing"),
  4507: stayAway("forbidden", "login"),
});

/** "The ticket was refused" is retried once only: see `client.js`. */
export const TICKET_REFUSED = 4402;
