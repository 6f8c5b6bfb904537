/**
 * How many notifications are unread and unseen, from what the connection and the server tell. No DOM, no clock.
 *
 * Rules of this file:
 *
 * * A number is counted once: what the server counted up to its head is not counted again when it is replayed.
 * * An arrival and a change that cross may both have counted the same notification. Nobody can tell from here, so it is
 *   said (`doubtful`), and the page asks the server.
 *
 * @module
 */

/** @import { Notification, State, Welcome } from "./frames.js" */

/** @typedef {{ unread: number, unseen: number, state_version: number, head: number }} Counted As of one moment. */

/** An arrival and a change this close together may cross. */
const CROSSING_MS = 2_000;

export class Counts {
  /** @param {Counted} counted */
  constructor({ unread, unseen, state_version, head }) {
    this.unread = unread;
    this.unseen = unseen;
    this.version = state_version;
    /** Everything up to this number is in the counts. */
    this.through = head;
    this.arrivedAt = -Infinity;
    this.changedAt = -Infinity;
  }

  /** @param {Pick<Notification, "seq" | "read" | "seen" | "archived">} frame @param {number} now */
  arrived({ seq, read, seen, archived }, now) {
    if (seq === null || seq <= this.through) return { doubtful: false }; // a transient push is in no list
    this.through = seq;
    if (!archived && !read) this.unread += 1;
    if (!archived && !seen) this.unseen += 1;
    this.arrivedAt = now;
    return { doubtful: now - this.changedAt < CROSSING_MS };
  }

  /**
   * Not `known`: something between was missed, so no list can be painted from this alone.
   *
   * @param {Pick<State, "state" | "state_version" | "unread" | "unseen">} frame
   * @param {number} now
   */
  changed({ state, state_version, unread, unseen }, now) {
    if (state_version < this.version) return { known: true, doubtful: true }; // overtaken by a later one
    // The same version again: the answer to a mark of this page, which was heard of twice.
    const known = state_version <= this.version + 1 && state !== "changed";
    this.version = state_version;
    this.unread = unread;
    this.unseen = unseen;
    this.changedAt = now;
    return { known, doubtful: now - this.arrivedAt < CROSSING_MS };
  }

  /**
   * A welcome may be an old one: the worker that tabs share hands newcomers the one it had.
   *
   * @param {Pick<Welcome, "head" | "state_version" | "unread" | "unseen">} frame
   */
  welcomed({ head, state_version, unread, unseen }) {
    if (state_version !== this.version) return { known: false };
    if (head >= this.through) this.told({ head, state_version, unread, unseen });
    return { known: true };
  }

  /** By the server, as of now. @param {Counted} counted */
  told({ unread, unseen, state_version, head }) {
    if (state_version < this.version || head < this.through) return; // it was overtaken on its way
    this.unread = unread;
    this.unseen = unseen;
    this.version = state_version;
    this.through = head;
  }

  /** The numbers were started anew: what was counted means nothing, nor does the version. @param {number} head */
  restarted(head) {
    this.through = head;
    this.version = -1;
  }

  /** @returns {Counted} */
  get now() {
    return { unread: this.unread, unseen: this.unseen, state_version: this.version, head: this.through };
  }
}

/** On a badge: up to 99. @param {number} count */
export function badge(count) {
  return count > 99 ? "99+" : String(count);
}
