/** Who hears of what, and that nobody who listens can do harm. */

import assert from "node:assert/strict";
import { afterEach, describe, mock, test } from "node:test";

import { Stage, settled } from "./support.js";

const RESET = { type: "reset", stream: "u.1", reason: "epoch", epoch: "e2", head: 3, oldest: 1 };
const REQUIRED = { type: "reauth_required", reason: "requested", deadline: "2026-03-01T13:00:00Z", grace_seconds: 60 };

describe("listeners", () => {
  const reported = [];
  const { reportError } = globalThis;

  afterEach(() => {
    globalThis.reportError = reportError;
    mock.restoreAll();
    reported.length = 0;
  });

  function reporting() {
    globalThis.reportError = (error) => void reported.push(error.message);
  }

  test("that throw are reported and harm nobody", async () => {
    reporting();
    const stage = new Stage();
    for (const event of ["state", "welcome", "notification", "gap", "change", "replay", "error", "reauth"]) {
      stage.client.on(event, () => {
        throw new Error(event);
      });
    }
    const heard = [];
    stage.client.on("notification", ({ seq }) => heard.push(seq));
    await stage.connected();
    stage.notify(11);
    stage.socket.say(RESET);
    stage.notify(4);
    stage.socket.say(REQUIRED);
    await settled();
    assert.equal(stage.socket.of("reauth").length, 1);
    stage.bye(4400);
    await stage.clock.advance(0);
    assert.equal(stage.socket.url, "ws://site/ws/?since=e2:4");
    assert.deepEqual(heard, [11, 4]);
    assert.deepEqual(reported, [
      "state",
      "state",
      "welcome",
      "notification",
      "gap",
      "notification",
      "reauth",
      "state",
      "state",
    ]);
  });

  test("that are async and reject are reported, too", async () => {
    reporting();
    const stage = new Stage();
    stage.client.on("state", async ({ state }) => {
      throw new Error(state);
    });
    stage.client.open();
    await settled();
    assert.deepEqual(reported, ["connecting"]);
  });

  test("are reported on the console where there is no reportError", async () => {
    globalThis.reportError = undefined;
    const said = mock.method(console, "error", () => {});
    const stage = new Stage();
    stage.client.on("state", () => {
      throw new Error("mine");
    });
    stage.client.open();
    assert.equal(said.mock.calls[0].arguments[0].message, "mine");
  });

  test("a frame that is none is reported, and the connection goes on", async () => {
    reporting();
    const stage = new Stage();
    await stage.connected();
    for (const text of ["no JSON", "null", "[]", "7", '{"type":7}']) stage.socket.say(text);
    stage.socket.say({ type: "a word of tomorrow" });
    stage.notify(11);
    assert.equal(reported.length, 5);
    assert.deepEqual([stage.client.state, stage.of("notification").length], ["connected", 1]);
  });

  test("are called until they are off", async () => {
    const stage = new Stage();
    const heard = [];
    const off = stage.client.on("notification", ({ seq }) => heard.push(seq));
    await stage.connected();
    stage.notify(11);
    off();
    off();
    stage.notify(12);
    assert.deepEqual(heard, [11]);
  });

  test("may take themselves and others off while they are called", async () => {
    const stage = new Stage();
    const heard = [];
    const off = stage.client.on("notification", () => {
      heard.push("first");
      off();
    });
    stage.client.on("notification", () => heard.push("second"));
    await stage.connected();
    stage.notify(11);
    stage.notify(12);
    assert.deepEqual(heard, ["first", "second", "second"]);
  });

  test("that are added while others are called hear of the next event first", async () => {
    const stage = new Stage();
    const heard = [];
    stage.client.on("notification", () => stage.client.on("notification", ({ seq }) => heard.push(seq)));
    await stage.connected();
    stage.notify(11);
    assert.deepEqual(heard, []);
    stage.notify(12);
    assert.deepEqual(heard, [12]);
  });

  for (const when of ["connecting", "connected", "waiting"]) {
    test(`may close the client that tells them it is ${when}`, async () => {
      const stage = new Stage();
      stage.client.on("state", ({ state }) => state === when && stage.client.close());
      stage.client.open();
      await settled();
      if (stage.socket) stage.welcome();
      if (when === "waiting") stage.socket.hangUp();
      await stage.clock.advance(3_600_000);
      assert.equal(stage.client.state, "closed");
      assert.equal(stage.asked.length, when === "connecting" ? 0 : 1);
      assert.equal(stage.clock.pending, 0);
      assert.equal(stage.of("welcome").length, when === "waiting" ? 1 : 0);
    });
  }

  for (const event of ["welcome", "notification", "gap", "reauth", "error", "change", "replay"]) {
    test(`may close the client that tells them of ${event}`, async () => {
      const stage = new Stage();
      stage.client.on(event, () => stage.client.close());
      await stage.connected();
      stage.notify(11);
      stage.socket.say({ type: "caught_up", stream: "u.1", cursor: 11 });
      stage.socket.say({ type: "state", state: "read", ids: ["n11"], state_version: 1, unread: 0, unseen: 0 });
      stage.socket.say({ type: "error", code: "busy", detail: "Busy." });
      stage.socket.say(RESET);
      stage.socket.say(REQUIRED);
      await stage.clock.advance(3_600_000);
      assert.equal(stage.of(event).length, 1);
      assert.equal(stage.client.state, "closed");
      assert.equal(stage.clock.pending, 0);
      assert.equal(stage.sockets.length, 1);
    });
  }
});
