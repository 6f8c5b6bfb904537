/** `mark`: what is asked, and which answer is whose. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { CommandError } from "../../static/usher/client.js";
import { Stage, settled } from "./support.js";

function answer(ref, fields = {}) {
  return { type: "state", state: "read", ids: ["n1"], state_version: 1, unread: 0, unseen: 0, ref, ...fields };
}

/** What became of a promise by now. */
function fate(promise) {
  const found = { value: undefined, error: undefined };
  promise.then(
    (value) => (found.value = value),
    (error) => (found.error = error),
  );
  return found;
}

describe("mark", () => {
  test("is answered by the state frame with its ref, which is an event as well", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    const { pending } = stage.clock;
    const [one, two] = [
      fate(stage.client.mark({ ids: ["n1"], state: "read" })),
      fate(stage.client.mark({ through: 9, state: "seen" })),
    ];
    assert.deepEqual(socket.of("state"), [
      { type: "state", ids: ["n1"], state: "read", ref: "mark-1" },
      { type: "state", through: 9, state: "seen", ref: "mark-2" },
    ]);
    socket.say(answer(undefined));
    socket.say(answer("mark-2", { state: "seen" }));
    await settled();
    assert.equal(one.value, undefined);
    assert.equal(two.value.state, "seen");
    socket.say(answer("mark-1"));
    await settled();
    assert.equal(one.value.state, "read");
    assert.equal(stage.clock.pending, pending, "nothing is waited for any more");
    assert.equal(stage.of("change").length, 3);
  });

  test("an error with its ref rejects, and is an event as well", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    const marked = fate(stage.client.mark({ ids: ["n1"], state: "read" }));
    socket.say({ type: "error", code: "not_found", detail: "No such notification.", ref: "mark-1" });
    await settled();
    assert.ok(marked.error instanceof CommandError);
    assert.deepEqual([marked.error.code, marked.error.message], ["not_found", "No such notification."]);
    assert.equal(stage.of("error").length, 1);
  });

  test("an error without one is only an event", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    const marked = fate(stage.client.mark({ ids: ["n1"], state: "read" }));
    socket.say({ type: "error", code: "malformed", detail: "?" });
    await settled();
    assert.equal(marked.error, undefined);
    assert.equal(stage.of("error").length, 1);
  });

  test("10 s without an answer rejects; one that comes then is an event only", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    const marked = fate(stage.client.mark({ ids: ["n1"], state: "read" }));
    await stage.clock.advance(9_999);
    assert.equal(marked.error, undefined);
    await stage.clock.advance(1);
    assert.match(marked.error.message, /did not answer/);
    socket.say(answer("mark-1"));
    await settled();
    assert.equal(marked.value, undefined);
    assert.equal(stage.of("change").length, 1);
  });

  for (const [how, end] of Object.entries({
    "close()": (stage) => stage.client.close(),
    "a lost connection": (stage) => stage.socket.hangUp(),
    "bye": (stage) => stage.bye(4400),
    "offline": (stage) => stage.client.setOnline(false),
  })) {
    test(`${how} rejects`, async () => {
      const stage = new Stage();
      await stage.connected();
      const marked = fate(stage.client.mark({ ids: ["n1"], state: "read" }));
      end(stage);
      await settled();
      assert.match(marked.error.message, /connection has ended/);
    });
  }

  test("without a connection rejects at once", async () => {
    const stage = new Stage();
    await assert.rejects(stage.client.mark({ ids: ["n1"], state: "read" }), /no connection/);
    stage.client.open();
    await settled();
    await assert.rejects(stage.client.mark({ ids: ["n1"], state: "read" }), /no connection/, "nor before welcome");
    stage.welcome();
    stage.socket.hangUp();
    await assert.rejects(stage.client.mark({ ids: ["n1"], state: "read" }), /no connection/);
  });

  test("200 ids fit; what would be the end of the connection is not sent", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    const ids = (count) => Array.from({ length: count }, () => crypto.randomUUID());
    fate(stage.client.mark({ ids: ids(200), state: "unarchived" }));
    assert.equal(socket.of("state").length, 1);
    assert.ok(JSON.stringify(socket.sent[0]).length <= 8_192);
    await assert.rejects(stage.client.mark({ ids: ids(230), state: "read" }), RangeError);
    assert.equal(socket.of("state").length, 1);
  });
});
