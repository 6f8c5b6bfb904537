/** The lines of the dashboard: round numbers beside them, gaps where nobody knows, and no more said than there is. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ceiling, gaps, pointAt, short, smooth, stretches } from "../../static/usher/charts.js";

describe("the numbers at the side", () => {
  test("are round, and nothing is above them", () => {
    const tops = [0, 1, 3, 3.1, 7, 30, 31, 99, 1_000, 1_500, 1_501, 123_456].map((value) => ceiling(value));
    assert.deepEqual(tops, [3, 3, 3, 6, 9, 30, 45, 120, 1_200, 1_500, 1_800, 150_000]);
  });

  test("are short", () => {
    const told = [null, undefined, 0, 7, 1_085, 9_999, 10_000, 123_456, 0.333, 2.5, 22.7].map(short);
    assert.deepEqual(told, ["–", "–", "0", "7", "1,085", "9,999", "10.0k", "123k", "0.33", "2.5", "23"]);
  });
});

describe("a gap", () => {
  const values = [null, 1, 2, null, null, 0, null];

  test("is where nobody knows", () => assert.deepEqual(gaps(values), [[0, 1], [3, 5], [6, 7]]));
  test("ends a line, and zero does not", () => {
    assert.deepEqual(stretches(values, 3, 600).map((points) => points.length), [2, 1]);
    assert.deepEqual(stretches([null, null], 3, 600), []);
  });
  test("stays one in a mean, and counts for nothing", () => {
    assert.deepEqual(smooth([2, 4, null, 8, null], 3), [2, 3, null, 6, null]);
    assert.deepEqual(smooth([2, 4], 1), [2, 4]);
  });
});

describe("a place of the drawing", () => {
  test("has its point", () => {
    const many = 360;
    const [first, last] = [stretches([1, ...Array(359).fill(null)], 3, 600), stretches([...Array(359).fill(null), 1], 3, 600)];
    assert.equal(pointAt(first[0][0].x, many, 600), 0);
    assert.equal(pointAt(last[0][0].x, many, 600), many - 1);
  });
  test("outside of it has the nearest", () => assert.deepEqual([pointAt(-9, 10, 600), pointAt(900, 10, 600)], [0, 9]));
});

test("the greatest stands at the top and nothing at the base", () => {
  const [[zero, all]] = stretches([0, 3], 3, 600);
  assert.ok(all.y < 15 && zero.y > 120 && zero.x < all.x);
});
