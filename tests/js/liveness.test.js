/** Whether somebody is still there, as far as a client can tell. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Stage } from "./support.js";

const pings = (socket) => socket.of("ping").length;
const pong = { type: "pong" };

describe("a quiet line", () => {
  test("is asked after ping_seconds, and only then", async () => {
    const stage = new Stage();
    const socket = await stage.connected({ ping_seconds: 7 });
    await stage.clock.advance(6_999);
    assert.equal(pings(socket), 0);
    await stage.clock.advance(1);
    assert.equal(pings(socket), 1);
    socket.say(pong);
    await stage.clock.advance(6_999);
    assert.equal(pings(socket), 1);
    await stage.clock.advance(1);
    assert.equal(pings(socket), 2);
  });

  test("any frame is a sign of life", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    for (let seq = 11; seq < 31; seq += 1) {
      await stage.clock.advance(20_000);
      stage.notify(seq);
    }
    assert.equal(pings(socket), 0);
    assert.equal(stage.client.state, "connected");
  });

  test("is dead 10 s after nobody answered", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.5;
    const socket = await stage.connected();
    await stage.clock.advance(34_999);
    assert.equal(stage.client.state, "connected");
    await stage.clock.advance(1);
    assert.equal(stage.client.state, "waiting");
    assert.ok(socket.given);
    assert.equal(pings(socket), 1);
    await stage.clock.advance(250);
    assert.equal(stage.socket.url, "ws://site/ws/?since=e1:10");
  });

  test("an answer at the last moment saves it", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    await stage.clock.advance(34_999);
    socket.say(pong);
    await stage.clock.advance(24_999);
    assert.equal(stage.client.state, "connected");
    assert.equal(pings(socket), 1);
  });

  test("nothing is asked before welcome", async () => {
    const stage = new Stage();
    stage.client.open();
    await stage.clock.advance(14_000);
    stage.socket.readyState = 1;
    assert.equal(pings(stage.socket), 0);
  });

  for (const ping_seconds of [0, undefined, null, -1]) {
    test(`a server that says ping_seconds: ${ping_seconds} is not asked without end`, async () => {
      const stage = new Stage();
      const socket = await stage.connected({ ping_seconds });
      for (let second = 0; second < 60; second += 1) {
        await stage.clock.advance(1_000);
        socket.say(pong);
      }
      assert.ok(pings(socket) <= 60);
    });
  }
});

describe("late timers", () => {
  test("a hidden tab whose timers ring once a minute stays connected", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    for (let minute = 1; minute <= 30; minute += 1) {
      await stage.clock.advanceThrottled(60_000);
      assert.equal(stage.client.state, "connected");
      if (pings(socket)) socket.say(pong);
    }
    assert.ok(pings(socket) >= 15);
  });

  test("and finds a dead line all the same", async () => {
    const stage = new Stage();
    await stage.connected();
    await stage.clock.advanceThrottled(60_000);
    assert.equal(pings(stage.socket), 1);
    await stage.clock.advanceThrottled(60_000);
    assert.equal(stage.client.state, "waiting");
  });

  test("after a night's sleep the line is dead without asking", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    await stage.clock.advanceThrottled(8 * 3_600_000);
    assert.equal(stage.client.state, "waiting");
    assert.equal(pings(socket), 0);
  });

  test("a sleep after the question counts as no answer", async () => {
    const stage = new Stage();
    await stage.connected();
    await stage.clock.advance(25_000);
    await stage.clock.advanceThrottled(11_000);
    assert.equal(stage.client.state, "waiting");
  });
});

describe("somebody looks (retryNow, online)", () => {
  for (const look of [(client) => client.retryNow(), (client) => client.setOnline(true)]) {
    test(`${look}: asks at once, and believes no answer after 10 s`, async () => {
      const stage = new Stage();
      stage.clock.chance = 0.5;
      const socket = await stage.connected();
      await stage.clock.advance(3_000);
      look(stage.client);
      look(stage.client);
      assert.equal(pings(socket), 1);
      await stage.clock.advance(9_999);
      assert.equal(stage.client.state, "connected");
      await stage.clock.advance(1);
      assert.equal(stage.client.state, "waiting");
    });

    test(`${look}: an answer is enough`, async () => {
      const stage = new Stage();
      const socket = await stage.connected();
      look(stage.client);
      socket.say(pong);
      await stage.clock.advance(24_999);
      assert.deepEqual([stage.client.state, pings(socket)], ["connected", 1]);
    });

    test(`${look}: by the clock, before any timer has rung`, async () => {
      const stage = new Stage();
      await stage.connected();
      stage.clock.sleep(3_600_000);
      look(stage.client);
      assert.equal(stage.client.state, "waiting");
      await stage.clock.advance(0);
      assert.equal(stage.sockets.length, 2);
    });
  }
});

describe("a clock that is set back", () => {
  test("does not stop the questions", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    await stage.clock.advance(10_000);
    stage.clock.moved -= 3_600_000;
    await stage.clock.advance(50_000);
    assert.equal(pings(socket), 1);
  });

  test("does not prolong the wait for an answer by as much", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.5;
    await stage.connected();
    await stage.clock.advance(26_000);
    stage.clock.moved -= 3_600_000;
    await stage.clock.advance(60_000);
    assert.notEqual(stage.client.state, "connected");
  });
});
