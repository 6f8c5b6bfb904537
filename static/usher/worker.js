/**
 * The worker that all tabs of one person share: its name is the person's key. See `switchboard.js`; here is only what a
 * browser has: ports, and a way to know that a page has gone.
 *
 * @module
 */

import { UsherClient } from "./client.js";
import { Switchboard } from "./switchboard.js";

const scope = /** @type {any} */ (globalThis);
const clock = {
  now: Date.now,
  random: Math.random,
  setTimeout: (/** @type {() => void} */ ring, /** @type {number} */ ms) => scope.setTimeout(ring, ms),
  clearTimeout: (/** @type {any} */ timer) => scope.clearTimeout(timer),
};
const user = /** @type {string} */ (scope.name).slice("usher/".length); // keys of people may have a slash as well
const board = new Switchboard((options) => new UsherClient({ ...options, user: user || null }), clock);

scope.onconnect = (/** @type {any} */ { ports: [port] }) => {
  port.onmessage = (/** @type {any} */ { data }) => {
    board.said(port, data);
    // A page holds a lock for as long as it lives, and can be closed, killed or forgotten without a word: whoever else
    // gets its lock knows that it has gone.
    if (data.type === "hello" && data.lock) {
      void scope.navigator.locks?.request(data.lock, () => board.left(port));
    }
  };
};
