/**
 * Time as the client sees it. The clock and the timers are handed in, so that tests need not wait.
 *
 * @module
 */

/**
 * @typedef {object} Clock
 * @property {() => number} now Milliseconds since 1970.
 * @property {() => number} random From 0 to, but without, 1.
 * @property {(ring: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/** A timer set for longer than this fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;

/**
 * How long to wait after so many failures: anything from nothing to a limit that doubles with each ("full jitter"), so
 * that those who lost the same server do not come back as one.
 *
 * @param {number} failures
 * @param {Clock} clock
 */
export function backOff(failures, clock) {
  return clock.random() * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** failures);
}

/** One thing to do later. Setting it again forgets what it was set for. */
export class Alarm {
  /** @param {Clock} clock */
  constructor(clock) {
    this.clock = clock;
    /** @type {any} */
    this.timer = undefined;
  }

  /** @param {number} ms @param {() => void} ring */
  set(ms, ring) {
    this.clear();
    const { setTimeout } = this.clock; // a browser's own refuses to be called as another object's method
    this.timer = setTimeout(ring, Math.min(Math.max(0, ms), LONGEST_MS));
  }

  clear() {
    const { clearTimeout } = this.clock;
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
