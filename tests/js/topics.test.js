/** Topics: who hears what of them, from where on, and what the server is asked for. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Stage } from "./support.js";

const SINCE = { epoch: "t1", seq: 4 };

/** A stage with the server's side of topics. */
class Topical extends Stage {
  /** What was said last of a subscription, and all of it. */
  heard = new Map();

  /** A subscription that is listened to: [event, detail or number] of all it tells. */
  listen(topic, since = null) {
    const subscription = this.client.subscribe(topic, { since });
    const heard = [];
    this.heard.set(subscription, heard);
    subscription.on("state", ({ state, code }) => heard.push(code ? `${state}: ${code}` : state));
    subscription.on("notification", ({ seq, replayed }) => heard.push(replayed ? `(${seq})` : seq));
    subscription.on("gap", ({ reason, head }) => heard.push(`gap ${reason} ${head}`));
    subscription.on("replay", ({ cursor }) => heard.push(`replayed ${cursor}`));
    return subscription;
  }

  numbers(subscription) {
    return this.heard.get(subscription).filter((each) => each !== "pending" && each !== "subscribed");
  }

  /** What was asked of the server about topics, on the newest socket, without the refs. */
  get questions() {
    const questions = this.socket.sent.filter(({ type }) => type.endsWith("subscribe"));
    return questions.map(({ type, topic, since }) => [type, topic, ...(since ? [since] : [])].join(" "));
  }

  /** The last question, answered. */
  answer(frame = {}) {
    const { type, topic, since, ref } = this.socket.sent.filter((each) => each.type.endsWith("subscribe")).at(-1);
    const where = { stream: `t.${topic}`, topic, ref };
    if (type === "unsubscribe") return this.socket.say({ type: "unsubscribed", ...where, ...frame });
    const [epoch, seq] = since?.split(":") ?? ["t1", 10];
    this.socket.say({ type: "subscribed", ...where, epoch, head: 10, cursor: Number(seq), ...frame });
  }

  say(topic, ...numbers) {
    for (const seq of numbers) this.notify(seq, { stream: `t.${topic}` });
  }

  replay(topic, ...numbers) {
    for (const seq of numbers) this.notify(seq, { stream: `t.${topic}`, replayed: true });
    this.socket.say({ type: "caught_up", stream: `t.${topic}`, cursor: numbers.at(-1) });
  }

  error(fields) {
    this.socket.say({ type: "error", detail: "", ref: this.socket.sent.at(-1).ref, ...fields });
  }
}

async function topical(options) {
  const stage = new Topical(options);
  await stage.connected();
  return stage;
}

describe("a subscription", () => {
  test("begins with what is new, and tells it apart from what is the person's own", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    assert.deepEqual([stage.questions, orders.state, orders.position], [["subscribe orders.7"], "pending", null]);
    stage.answer();
    stage.say("orders.7", 11, 12);
    stage.notify(11);
    assert.deepEqual(stage.heard.get(orders), ["subscribed", 11, 12]);
    assert.deepEqual([orders.position, orders.topic], [{ epoch: "t1", seq: 12 }, "orders.7"]);
    assert.deepEqual(stage.of("notification").map(({ stream }) => stream), ["u.1"]);
    assert.equal(stage.client.position.seq, 11);
  });

  test("goes on from a position, with what was missed first", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7", { epoch: "t1", seq: 8 });
    assert.deepEqual(stage.questions, ["subscribe orders.7 t1:8"]);
    stage.answer();
    stage.replay("orders.7", 9, 10);
    stage.say("orders.7", 11);
    assert.deepEqual(stage.heard.get(orders), ["subscribed", "(9)", "(10)", "replayed 10", 11]);
    assert.equal(stage.last("replay"), undefined, "the person's own was never away");
  });

  test("that is made before there is a connection waits for it", async () => {
    const stage = new Topical();
    const orders = stage.listen("orders.7");
    await stage.connected();
    assert.deepEqual(stage.questions, ["subscribe orders.7"]);
    stage.answer();
    await orders.ready();
    assert.equal(orders.state, "subscribed");
  });

  test("is resumed after each reconnection, without loss or repetition", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    stage.answer();
    stage.say("orders.7", 11);
    for (const seq of [12, 13]) {
      stage.socket.hangUp();
      assert.equal(orders.state, "pending");
      await stage.clock.advance(1_000);
      stage.welcome();
      assert.deepEqual(stage.questions, [`subscribe orders.7 t1:${seq - 1}`]);
      stage.say("orders.7", seq); // of nobody's subscription
      stage.answer({ head: seq });
      stage.replay("orders.7", seq);
    }
    assert.deepEqual(stage.numbers(orders), [11, "(12)", "replayed 12", "(13)", "replayed 13"]);
  });

  test("that was never begun begins with what is new then", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    stage.socket.hangUp();
    await stage.clock.advance(1_000);
    stage.welcome();
    assert.deepEqual(stage.questions, ["subscribe orders.7"]);
    stage.answer();
    assert.deepEqual(orders.position, { epoch: "t1", seq: 10 });
  });

  test("is told of a gap, and goes on after it", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7", { epoch: "t0", seq: 99 });
    stage.answer({ epoch: "t1", cursor: 10 });
    assert.deepEqual(orders.position, { epoch: "t0", seq: 99 }, "until it is known to be worth nothing");
    stage.socket.say({ type: "reset", stream: "t.orders.7", reason: "epoch", epoch: "t1", head: 10, oldest: 1 });
    assert.deepEqual(orders.position, { epoch: "t1", seq: 10 });
    stage.say("orders.7", 11);
    assert.deepEqual(stage.heard.get(orders), ["subscribed", "gap epoch 10", 11]);
    assert.deepEqual([stage.questions.length, stage.of("gap")], [1, []]);
  });

  test("is told of numbers that were taken back", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    stage.answer();
    stage.say("orders.7", 11, 12);
    stage.socket.say({ type: "reset", stream: "t.orders.7", reason: "ahead", epoch: "t1", head: 10, oldest: 1 });
    await stage.clock.advance(5_000);
    assert.deepEqual(stage.socket.of("ack"), [], "nobody waits for those");
    stage.say("orders.7", 11);
    assert.deepEqual(stage.numbers(orders), [11, 12, "gap ahead 10", 11]);
    await stage.clock.advance(5_000);
    assert.deepEqual(stage.socket.of("ack"), [{ type: "ack", stream: "t.orders.7", seq: 11 }]);
  });

  test("skips what is not to be told", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    stage.answer();
    stage.socket.say({ type: "skipped", stream: "t.orders.7", through: 15 });
    assert.deepEqual([orders.position.seq, stage.client.position.seq], [15, 10]);
    stage.say("orders.7", 16);
    assert.deepEqual(stage.numbers(orders), [16]);
  });

  test("has a name that can be one", async () => {
    const stage = await topical();
    for (const name of ["", "Orders.7", "a b", "x".repeat(81)]) {
      assert.throws(() => stage.client.subscribe(name), TypeError);
    }
    assert.deepEqual(stage.questions, []);
  });
});

describe("what ends it", () => {
  test("whoever listens no longer hears nothing of it, at once", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    stage.answer();
    orders.unsubscribe();
    assert.deepEqual(stage.questions, ["subscribe orders.7", "unsubscribe orders.7"]);
    stage.say("orders.7", 11);
    stage.answer();
    orders.unsubscribe();
    assert.deepEqual(stage.heard.get(orders), ["subscribed", "unsubscribed"]);
    stage.socket.hangUp();
    await stage.clock.advance(1_000);
    stage.welcome();
    assert.deepEqual(stage.questions, []);
  });

  test("before it was answered", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    orders.unsubscribe();
    stage.answer();
    assert.deepEqual(stage.questions, ["subscribe orders.7", "unsubscribe orders.7"]);
    await assert.rejects(orders.ready(), { name: "DeniedError", message: "unsubscribed" });
  });

  test("who comes while it is being ended begins anew", async () => {
    const stage = await topical();
    stage.listen("orders.7").unsubscribe();
    const again = stage.listen("orders.7", SINCE);
    stage.answer();
    stage.say("orders.7", 11);
    stage.answer();
    stage.answer();
    stage.replay("orders.7", 5, 6);
    assert.deepEqual(stage.questions, ["subscribe orders.7", "unsubscribe orders.7", "subscribe orders.7 t1:4"]);
    assert.deepEqual(stage.numbers(again), ["(5)", "(6)", "replayed 6"]);
  });

  test("a refusal is told, and not asked about again", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    const { ref } = stage.socket.sent.at(-1);
    const waiting = assert.rejects(orders.ready(), { name: "DeniedError", code: "forbidden" });
    stage.socket.say({ type: "denied", stream: "t.orders.7", topic: "orders.7", code: "forbidden", ref });
    await waiting;
    stage.socket.hangUp();
    await stage.clock.advance(1_000);
    stage.welcome();
    assert.deepEqual([stage.heard.get(orders), stage.questions], [["denied: forbidden"], []]);
  });

  test("a right that was lost is told to all who listen; who asks again is asked about again", async () => {
    const stage = await topical();
    const both = [stage.listen("orders.7"), stage.listen("orders.7")];
    stage.answer();
    stage.say("orders.7", 11);
    stage.socket.say({ type: "denied", stream: "t.orders.7", topic: "orders.7", code: "forbidden" });
    stage.say("orders.7", 12);
    for (const each of both) assert.deepEqual(stage.heard.get(each), ["subscribed", 11, "denied: forbidden"]);
    const again = stage.listen("orders.7", both[0].position);
    assert.equal(stage.questions.at(-1), "subscribe orders.7 t1:11");
    stage.socket.say({ type: "denied", stream: "t.orders.7", topic: "orders.7", code: "forbidden" });
    assert.equal(again.state, "pending", "that was said before the question came");
    stage.answer({ head: 12 });
    stage.replay("orders.7", 12);
    assert.deepEqual(stage.heard.get(again), ["subscribed", "(12)", "replayed 12"]);
  });

  test("a listener that throws or leaves harms nobody", async () => {
    const stage = await topical();
    const before = globalThis.reportError;
    const reported = [];
    globalThis.reportError = (error) => reported.push(error.message);
    const [first, second] = [stage.listen("orders.7"), stage.listen("orders.7")];
    first.on("notification", () => {
      second.unsubscribe();
      throw new Error("of the page");
    });
    stage.answer();
    stage.say("orders.7", 11, 12);
    globalThis.reportError = before;
    assert.deepEqual([stage.numbers(first), stage.numbers(second)], [[11, 12], ["unsubscribed"]]);
    assert.deepEqual(reported, ["of the page", "of the page"]);
  });
});

describe("what cannot be decided now", () => {
  test("is asked again, ever more rarely", async () => {
    const stage = await topical();
    stage.clock.chance = 0.5;
    stage.listen("orders.7");
    for (const wait of [250, 500, 1_000]) {
      const before = stage.questions.length;
      stage.error({ code: "unavailable" });
      await stage.clock.advance(wait - 1);
      assert.equal(stage.questions.length, before);
      await stage.clock.advance(1);
      assert.equal(stage.questions.length, before + 1);
    }
    stage.answer();
    stage.say("orders.7", 11);
    assert.equal(stage.of("error").length, 3);
  });

  test("is not asked sooner because somebody else comes", async () => {
    const stage = await topical();
    stage.clock.chance = 0.5;
    stage.listen("orders.7");
    stage.error({ code: "unavailable" });
    stage.listen("orders.7");
    assert.equal(stage.questions.length, 1);
    await stage.clock.advance(250);
    assert.equal(stage.questions.length, 2);
  });

  test("waits as long as the server asks", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    stage.error({ code: "rate_limited", retry_after_ms: 700 });
    await stage.clock.advance(699);
    assert.equal(stage.questions.length, 1);
    await stage.clock.advance(1);
    stage.answer();
    assert.equal(orders.state, "subscribed");
    orders.unsubscribe();
    stage.error({ code: "rate_limited", retry_after_ms: 700 });
    await stage.clock.advance(700);
    assert.deepEqual(stage.questions.slice(2), ["unsubscribe orders.7", "unsubscribe orders.7"]);
  });

  test("waits for the person to prove anew who they are", async () => {
    const stage = await topical();
    stage.listen("orders.7");
    stage.error({ code: "reauth_required" });
    await stage.pass(60_000);
    assert.equal(stage.questions.length, 1);
    const later = new Date(stage.clock.now() + 900_000).toISOString();
    stage.socket.say({ type: "reauthenticated", expires_at: later, held: 0, state_version: 0 });
    assert.equal(stage.questions.length, 2);
  });

  test("what the server can make nothing of is refused", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    stage.error({ code: "invalid" });
    assert.deepEqual(stage.heard.get(orders), ["denied: invalid"]);
  });
});

describe("several who listen to one topic", () => {
  test("are one for the server, until the last has left", async () => {
    const stage = await topical();
    const all = [stage.listen("orders.7"), stage.listen("orders.7")];
    stage.answer();
    all.push(stage.listen("orders.7"));
    assert.equal(all[2].state, "subscribed");
    stage.say("orders.7", 11);
    all[0].unsubscribe();
    stage.say("orders.7", 12);
    all[1].unsubscribe();
    assert.deepEqual(stage.questions, ["subscribe orders.7"]);
    all[2].unsubscribe();
    assert.deepEqual(stage.questions, ["subscribe orders.7", "unsubscribe orders.7"]);
    assert.deepEqual(all.map((each) => stage.numbers(each)), [
      [11, "unsubscribed"],
      [11, 12, "unsubscribed"],
      [11, 12, "unsubscribed"],
    ]);
  });

  test("each hear what lies behind their own position, once", async () => {
    const stage = await topical();
    const live = stage.listen("orders.7");
    stage.answer();
    stage.say("orders.7", 11);
    const back = stage.listen("orders.7", { epoch: "t1", seq: 8 });
    const ahead = stage.listen("orders.7", { epoch: "t1", seq: 13 });
    assert.equal(stage.questions.at(-1), "unsubscribe orders.7");
    stage.say("orders.7", 12); // on its way meanwhile: for whom it is the next one
    stage.answer();
    assert.equal(stage.questions.at(-1), "subscribe orders.7 t1:8");
    stage.answer({ head: 12 });
    stage.replay("orders.7", 9, 10, 11, 12);
    stage.say("orders.7", 13, 14);
    assert.deepEqual(stage.numbers(live), [11, 12, "replayed 12", 13, 14]);
    assert.deepEqual(stage.numbers(back), ["(9)", "(10)", "(11)", "(12)", "replayed 12", 13, 14]);
    assert.deepEqual(stage.numbers(ahead), ["replayed 12", 14]);
  });

  test("who begins with what is new while another is told what it missed hears nothing of that", async () => {
    const stage = await topical();
    const back = stage.listen("orders.7", SINCE);
    stage.answer();
    stage.notify(5, { stream: "t.orders.7", replayed: true });
    const late = stage.listen("orders.7");
    stage.replay("orders.7", 6, 7, 8, 9, 10);
    stage.say("orders.7", 11);
    assert.deepEqual([stage.numbers(late), stage.questions.length], [["replayed 10", 11], 1]);
    assert.deepEqual(stage.numbers(back).slice(-3), ["(10)", "replayed 10", 11]);
  });

  test("of whom some are further back than what is kept: the others miss nothing", async () => {
    const stage = await topical();
    const [old, kept] = [1, 6].map((seq) => stage.listen("orders.7", { epoch: "t1", seq }));
    stage.answer({ cursor: 10 });
    stage.socket.say({ type: "reset", stream: "t.orders.7", reason: "expired", epoch: "t1", head: 10, oldest: 4 });
    assert.deepEqual([stage.numbers(old), stage.numbers(kept)], [["gap expired 10"], []]);
    stage.answer();
    assert.equal(stage.questions.at(-1), "subscribe orders.7 t1:6");
    stage.answer();
    stage.replay("orders.7", 7, 8, 9, 10);
    assert.deepEqual(stage.numbers(kept), ["(7)", "(8)", "(9)", "(10)", "replayed 10"]);
    assert.deepEqual(stage.numbers(old), ["gap expired 10", "replayed 10"]);
  });

  test("a position that nobody can go on from costs the others nothing", async () => {
    const stage = await topical();
    const live = stage.listen("orders.7");
    stage.answer();
    stage.say("orders.7", 11);
    const strange = stage.listen("orders.7", { epoch: "t0", seq: 3 });
    stage.answer();
    assert.equal(stage.questions.at(-1), "subscribe orders.7 t0:3");
    stage.answer({ epoch: "t1", head: 12, cursor: 12 });
    stage.socket.say({ type: "reset", stream: "t.orders.7", reason: "epoch", epoch: "t1", head: 12, oldest: 1 });
    assert.deepEqual(stage.numbers(strange), ["gap epoch 12"]);
    stage.answer(); // of the one that asks for what the others lack
    assert.equal(stage.questions.at(-1), "subscribe orders.7 t1:11");
    stage.answer({ head: 12 });
    stage.replay("orders.7", 12);
    stage.say("orders.7", 13);
    assert.deepEqual(stage.numbers(live), [11, "(12)", "replayed 12", 13]);
    assert.deepEqual(stage.numbers(strange).filter(Number), [13]);
  });
});

describe("acks", () => {
  test("name the topic, and are of all streams together", async () => {
    const stage = await topical();
    stage.listen("orders.7");
    stage.answer();
    for (let seq = 11; seq <= 25; seq += 1) stage.notify(seq);
    for (let seq = 11; seq <= 26; seq += 1) stage.say("orders.7", seq);
    assert.deepEqual(stage.socket.of("ack"), []);
    stage.say("orders.7", 27);
    assert.deepEqual(stage.socket.of("ack"), [
      { type: "ack", stream: "t.orders.7", seq: 27 },
      { type: "ack", seq: 25 },
    ]);
  });

  test("of what was told before, too: the server waits for them", async () => {
    const stage = await topical();
    stage.listen("orders.7", { epoch: "t1", seq: 10 });
    stage.answer();
    stage.listen("orders.7", SINCE);
    stage.answer();
    stage.answer();
    stage.replay("orders.7", 5, 6, 7);
    await stage.clock.advance(5_000);
    assert.deepEqual(stage.socket.of("ack"), [{ type: "ack", stream: "t.orders.7", seq: 7 }]);
  });

  test("are not for what nobody listens to any more", async () => {
    const stage = await topical();
    const orders = stage.listen("orders.7");
    stage.answer();
    stage.say("orders.7", 11);
    orders.unsubscribe();
    stage.say("orders.7", 12);
    await stage.clock.advance(6_000);
    assert.deepEqual(stage.socket.of("ack"), []);
  });

  test("are not for what is not theirs any more", async () => {
    const stage = await topical();
    stage.listen("orders.7");
    stage.answer();
    stage.say("orders.7", 11);
    stage.socket.say({ type: "denied", stream: "t.orders.7", topic: "orders.7", code: "forbidden" });
    await stage.clock.advance(6_000);
    assert.deepEqual(stage.socket.of("ack"), []);
  });

  test("that make much room are always heard", async () => {
    const stage = await topical();
    for (const name of ["large", ...Array.from({ length: 8 }, (_, number) => `desk.${number}`)]) {
      stage.listen(name);
      stage.answer();
      if (name !== "large") stage.say(name, 11);
    }
    await stage.clock.advance(5_000);
    for (let seq = 11; seq <= 42; seq += 1) stage.say("large", seq);
    assert.deepEqual(stage.socket.of("ack").slice(8), [{ type: "ack", stream: "t.large", seq: 42 }]);
  });

  test("of many streams come no faster than the server hears them", async () => {
    const stage = await topical();
    const names = Array.from({ length: 30 }, (_, number) => `desk.${number}`);
    for (const name of names) {
      stage.listen(name);
      stage.answer();
    }
    for (const name of names) stage.say(name, 11);
    await stage.clock.advance(5_000);
    const counts = [stage.socket.of("ack").length];
    for (let half = 0; half < 3; half += 1) {
      await stage.clock.advance(500);
      counts.push(stage.socket.of("ack").length);
    }
    assert.deepEqual(counts, [8, 16, 24, 30]);
    assert.deepEqual(new Set(stage.socket.of("ack").map(({ stream }) => stream)), new Set(names.map((name) => `t.${name}`)));
    assert.equal(stage.clock.pending, 2, "the heartbeat and the grant's");
  });
});
