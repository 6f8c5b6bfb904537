/** The counts of a page: each notification once, whatever order things are heard in. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Counts, badge } from "../../static/usher/counts.js";

const START = { unread: 3, unseen: 2, state_version: 7, head: 10 };
const LATER = 60_000;

const fresh = (seq, fields = {}) => ({ seq, read: false, seen: false, archived: false, ...fields });
const change = (version, unread, unseen, state = "read") => ({ state, state_version: version, unread, unseen });
const figures = ({ unread, unseen, version, through }) => [unread, unseen, version, through];

describe("what arrives", () => {
  test("is counted once", () => {
    const counts = new Counts(START);
    assert.deepEqual(counts.arrived(fresh(11), 0), { doubtful: false });
    counts.arrived(fresh(11), 1);
    counts.arrived(fresh(9), 2); // a replay of what the server had counted
    assert.deepEqual(figures(counts), [4, 3, 7, 11]);
  });

  test("counts as what it is", () => {
    const counts = new Counts(START);
    counts.arrived(fresh(11, { seen: true }), 0);
    counts.arrived(fresh(12, { seen: true, read: true }), 0);
    counts.arrived(fresh(13, { archived: true }), 0);
    assert.deepEqual(figures(counts), [4, 2, 7, 13]);
  });

  test("and is in no list does not count", () => {
    const counts = new Counts(START);
    counts.arrived(fresh(null), 0);
    assert.deepEqual(figures(counts), [3, 2, 7, 10]);
  });

  test("together with a change is doubtful, whichever was first", () => {
    const one = new Counts(START);
    one.arrived(fresh(11), 0);
    assert.equal(one.changed(change(8, 0, 0), 1_000).doubtful, true);
    const other = new Counts(START);
    assert.equal(other.changed(change(8, 0, 0), 0).doubtful, false);
    assert.equal(other.arrived(fresh(11), 1_000).doubtful, true);
    assert.equal(other.arrived(fresh(12), LATER).doubtful, false);
  });
});

describe("a change", () => {
  test("brings the counts, and is known if it is the next one", () => {
    const counts = new Counts(START);
    assert.deepEqual(counts.changed(change(8, 1, 0), LATER), { known: true, doubtful: false });
    assert.deepEqual(figures(counts), [1, 0, 8, 10]);
  });

  test("that was heard of twice is painted twice, which does no harm", () => {
    const counts = new Counts(START);
    counts.changed(change(8, 1, 0), LATER);
    assert.equal(counts.changed(change(8, 1, 0), LATER).known, true);
  });

  test("after a gap is not known, nor one of which only the fact is told", () => {
    assert.equal(new Counts(START).changed(change(9, 1, 0), LATER).known, false);
    assert.equal(new Counts(START).changed(change(8, 1, 0, "changed"), LATER).known, false);
  });

  test("that was overtaken says nothing of the counts", () => {
    const counts = new Counts(START);
    counts.changed(change(9, 1, 0), LATER);
    assert.equal(counts.changed(change(8, 5, 5), LATER).doubtful, true);
    assert.deepEqual(figures(counts), [1, 0, 9, 10]);
  });
});

describe("a welcome", () => {
  test("of now is believed", () => {
    const counts = new Counts(START);
    assert.deepEqual(counts.welcomed({ unread: 5, unseen: 4, state_version: 7, head: 12 }), { known: true });
    counts.arrived(fresh(12, {}), 0); // replayed, and counted by the server
    assert.deepEqual(figures(counts), [5, 4, 7, 12]);
  });

  test("that the shared worker had long ago is not", () => {
    const counts = new Counts(START);
    counts.welcomed({ unread: 0, unseen: 0, state_version: 7, head: 4 });
    assert.deepEqual(figures(counts), [3, 2, 7, 10]);
  });

  test("with another version means that something was missed", () => {
    const welcome = { unread: 0, unseen: 0, state_version: 8, head: 10 };
    assert.deepEqual(new Counts(START).welcomed(welcome), { known: false });
  });
});

describe("what the server says", () => {
  test("is believed, unless it was overtaken on its way", () => {
    const counts = new Counts(START);
    counts.told({ unread: 9, unseen: 9, state_version: 8, head: 11 });
    counts.told({ unread: 1, unseen: 1, state_version: 7, head: 12 });
    counts.told({ unread: 2, unseen: 2, state_version: 8, head: 10 });
    assert.deepEqual(figures(counts), [9, 9, 8, 11]);
    assert.deepEqual(counts.now, { unread: 9, unseen: 9, state_version: 8, head: 11 });
  });

  test("after the numbers were started anew is believed as well", () => {
    const counts = new Counts(START);
    counts.restarted(0);
    counts.told({ unread: 0, unseen: 0, state_version: 7, head: 1 });
    assert.deepEqual(figures(counts), [0, 0, 7, 1]);
  });

  test("after the numbers were started anew is believed, with whatever version: a backup has an older one", () => {
    const counts = new Counts(START);
    counts.restarted(4);
    counts.told({ unread: 1, unseen: 1, state_version: 2, head: 5 });
    assert.deepEqual(figures(counts), [1, 1, 2, 5]);
    assert.equal(counts.changed(change(3, 0, 0), LATER).known, true);
  });
});

test("a badge stops at 99", () => {
  assert.deepEqual([1, 99, 100, 5_000].map(badge), ["1", "99", "99+", "99+"]);
});
