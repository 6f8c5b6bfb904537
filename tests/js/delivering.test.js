/** The position, and what is acked. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";

import { Stage, settled } from "./support.js";

const RESET = { type: "reset", stream: "u.1", reason: "expired", epoch: "e2", head: 40, oldest: 30 };

/** The socket that follows when this one is lost. */
async function next(stage) {
  stage.socket.hangUp();
  await stage.clock.advance(20_000);
  return stage.socket;
}

const acks = (socket) => socket.of("ack").map(({ seq }) => seq);

function notifyMany(stage, first, last) {
  for (let seq = first; seq <= last; seq += 1) stage.notify(seq);
}

describe("position", () => {
  test("none: nothing is asked for, and the first welcome gives one", async () => {
    const stage = new Stage();
    assert.equal(stage.client.position, null);
    const socket = await stage.connected({ cursor: 7 });
    assert.equal(socket.url, "ws://site/ws/");
    assert.deepEqual(stage.client.position, { epoch: "e1", seq: 7 });
  });

  test("given: is asked for from the first attempt on", async () => {
    const stage = new Stage({ position: { epoch: "e1", seq: 5 } });
    const socket = await stage.connected({ cursor: 5, recovered: true });
    assert.equal(socket.url, "ws://site/ws/?since=e1:5");
    assert.deepEqual(stage.client.position, { epoch: "e1", seq: 5 });
  });

  const numbers = [undefined, null, NaN, -1, 1.5, "1", 2 ** 53];
  const nonsense = [undefined, null, {}, { epoch: "", seq: 1 }, ...numbers.map((seq) => ({ epoch: "e", seq }))];
  for (const position of nonsense) {
    test(`${inspect(position)} is none: the server would take it for nonsense`, async () => {
      const stage = new Stage({ position });
      const socket = await stage.connected();
      assert.equal(socket.url, "ws://site/ws/");
    });
  }

  test("stands in a URL that has a query already, escaped", async () => {
    const stage = new Stage({
      position: { epoch: "a&b", seq: 5 },
      getTicket: async () => ({ url: "ws://site/ws/?x=1", protocols: [], ticket: "t" }),
    });
    const socket = await stage.connected();
    assert.equal(socket.url, "ws://site/ws/?x=1&since=a%26b:5");
  });

  test("moves with notifications and what is skipped, not with what is transient", async () => {
    const stage = new Stage();
    await stage.connected();
    const seen = [];
    for (const act of [
      () => stage.notify(11),
      () => stage.notify(null),
      () => stage.notify(12),
      () => stage.socket.say({ type: "skipped", stream: "u.1", through: 20 }),
      () => stage.notify(21, { replayed: true }),
      () => stage.socket.say({ type: "caught_up", stream: "u.1", cursor: 21 }),
    ]) {
      act();
      seen.push(stage.client.position.seq);
    }
    assert.deepEqual(seen, [11, 11, 12, 20, 21, 21]);
    assert.deepEqual(stage.of("notification").map(({ seq }) => seq), [11, null, 12, 21]);
    assert.deepEqual(stage.of("replay"), [{ cursor: 21 }]);
    assert.equal((await next(stage)).url, "ws://site/ws/?since=e1:21");
  });

  test("has moved before a listener hears", async () => {
    const stage = new Stage();
    const seen = [];
    stage.client.on("notification", ({ seq }) => seen.push([seq, stage.client.position.seq]));
    await stage.connected();
    notifyMany(stage, 11, 13);
    assert.deepEqual(seen, [[11, 11], [12, 12], [13, 13]]);
  });

  test("is a copy", async () => {
    const given = { epoch: "e1", seq: 5 };
    const stage = new Stage({ position: given });
    given.seq = 900;
    stage.client.position.seq = 900;
    assert.equal(stage.client.position.seq, 5);
  });

  test("never goes back: what was said is not said again", async () => {
    const stage = new Stage();
    await stage.connected();
    for (const seq of [11, 12, 12, 11, 3, 13]) stage.notify(seq);
    stage.socket.say({ type: "skipped", stream: "u.1", through: 2 });
    assert.deepEqual(stage.of("notification").map(({ seq }) => seq), [11, 12, 13]);
    assert.equal(stage.client.position.seq, 13);
  });

  test("a reset starts it anew, and tells of the gap", async () => {
    const stage = new Stage({ position: { epoch: "e1", seq: 99 } });
    await stage.connected({ epoch: "e2", cursor: 40, head: 40 });
    stage.socket.say(RESET);
    assert.deepEqual(stage.client.position, { epoch: "e2", seq: 40 });
    assert.deepEqual(stage.of("gap"), [RESET]);
    stage.notify(41);
    assert.equal(stage.of("notification").length, 1, "a lower number than before is news in another epoch");
    assert.equal((await next(stage)).url, "ws://site/ws/?since=e2:41");
  });

  test("a welcome that does not recover leaves it alone: the reset may be lost with the connection", async () => {
    const stage = new Stage({ position: { epoch: "e1", seq: 5 } });
    await stage.connected({ epoch: "e2", cursor: 40, head: 40, recovered: false });
    const second = await next(stage);
    assert.equal(second.url, "ws://site/ws/?since=e1:5", "and so the next connection is told of it, too");
    stage.welcome({ epoch: "e2", cursor: 40, head: 40, recovered: false });
    stage.socket.say(RESET);
    assert.equal(stage.of("gap").length, 1);
  });

  test("is remembered through everything", async () => {
    const stage = new Stage();
    await stage.connected();
    stage.notify(11);
    for (let times = 0; times < 4; times += 1) {
      assert.equal((await next(stage)).url, "ws://site/ws/?since=e1:11");
    }
    stage.client.close();
    stage.client.renew();
    await settled();
    assert.equal(stage.socket.url, "ws://site/ws/?since=e1:11");
  });
});

describe("acks", () => {
  test("at 32 un-acked, for all up to there", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    notifyMany(stage, 11, 41);
    assert.deepEqual(acks(socket), []);
    stage.notify(42);
    assert.deepEqual(acks(socket), [42]);
    notifyMany(stage, 43, 73);
    assert.deepEqual(acks(socket), [42]);
    stage.notify(74);
    assert.deepEqual(acks(socket), [42, 74]);
  });

  test("else 5 s after the oldest", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    stage.notify(11);
    await stage.clock.advance(3_000);
    stage.notify(12);
    await stage.clock.advance(1_999);
    assert.deepEqual(acks(socket), []);
    await stage.clock.advance(1);
    assert.deepEqual(acks(socket), [12]);
    await stage.clock.advance(20_000);
    assert.deepEqual(acks(socket), [12], "and once");
    stage.notify(13);
    await stage.clock.advance(5_000);
    assert.deepEqual(acks(socket), [12, 13]);
  });

  test("an ack by number starts the five seconds anew", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    await stage.clock.advance(1_000);
    notifyMany(stage, 11, 42);
    await stage.clock.advance(4_000);
    stage.notify(43);
    await stage.clock.advance(4_999);
    assert.deepEqual(acks(socket), [42]);
    await stage.clock.advance(1);
    assert.deepEqual(acks(socket), [42, 43]);
  });

  test("by the clock where timers are late", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    stage.notify(11);
    stage.clock.sleep(5_000);
    stage.notify(12);
    assert.deepEqual(acks(socket), [12]);
  });

  test("transient ones, duplicates and what is skipped are not acked", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    for (let times = 0; times < 40; times += 1) {
      stage.notify(null);
      stage.notify(10);
    }
    stage.socket.say({ type: "skipped", stream: "u.1", through: 90 });
    await stage.clock.advance(10_000);
    assert.deepEqual(acks(socket), []);
  });

  test("sooner in a smaller window, before it is full", async () => {
    for (const [window, at] of [[64, 32], [1_000, 32], [10, 5], [1, 1]]) {
      const stage = new Stage();
      const socket = await stage.connected({ window });
      notifyMany(stage, 11, 10 + at - 1);
      assert.deepEqual(acks(socket), []);
      stage.notify(10 + at);
      assert.deepEqual(acks(socket), [10 + at]);
    }
  });

  test("a reset leaves nothing to ack", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    stage.notify(11);
    stage.socket.say(RESET);
    await stage.clock.advance(10_000);
    assert.deepEqual(acks(socket), []);
  });

  test("belong to their connection", async () => {
    const stage = new Stage();
    await stage.connected();
    notifyMany(stage, 11, 30);
    const second = await next(stage);
    stage.welcome({ recovered: true, cursor: 30 });
    notifyMany(stage, 31, 61);
    assert.deepEqual(acks(second), []);
    stage.notify(62);
    assert.deepEqual(acks(second), [62]);
  });
});
