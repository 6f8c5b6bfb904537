/** How the grant is kept going. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { UnauthorizedError } from "../../static/usher/client.js";
import { CLOSE_CODES } from "../../static/usher/closing.js";
import { GRANT_MS, Stage, settled } from "./support.js";

const ALMOST = 1 - 2 ** -40;
const utc = (ms) => new Date(ms).toISOString();

const asksForReauth = (stage) => stage.asked.filter(({ reason }) => reason === "reauth").length;

function require(stage) {
  const deadline = utc(stage.clock.now() + 60_000);
  stage.socket.say({ type: "reauth_required", reason: "session_expired", deadline, grace_seconds: 60 });
  return deadline;
}

function grant(stage, { length = GRANT_MS, ahead = 0, held = 0 } = {}) {
  const { ref } = stage.socket.of("reauth").at(-1);
  const expires_at = utc(stage.clock.now() + ahead + length);
  stage.socket.say({ type: "reauthenticated", expires_at, held, state_version: 3, ref });
}

function refuse(stage, fields = {}) {
  const { ref } = stage.socket.of("reauth").at(-1);
  const told = { code: "ticket_refused", attempts_left: 2, retry_after_ms: 1_000 };
  stage.socket.say({ type: "reauth_failed", ref, ...told, ...fields });
}

/** When after the welcome the client asks for a ticket by itself. */
async function comesAfter(chance, welcome = {}) {
  const stage = new Stage();
  stage.clock.chance = chance;
  await stage.connected(welcome);
  const start = stage.clock.now();
  while (!asksForReauth(stage)) {
    await stage.clock.advance(500);
    stage.socket.say({ type: "pong" });
    assert.ok(stage.clock.now() < start + 2 * GRANT_MS, "never");
  }
  return stage.clock.now() - start;
}

describe("by itself", () => {
  test("at a random point of the grant's last tenth to third", async () => {
    assert.equal(await comesAfter(0), 0.9 * GRANT_MS);
    assert.equal(await comesAfter(0.5), (0.9 * GRANT_MS + (2 / 3) * GRANT_MS) / 2);
    assert.ok(Math.abs((await comesAfter(ALMOST)) - (2 / 3) * GRANT_MS) <= 500);
    assert.equal(await comesAfter(0, { grant: 20_000 }), 18_000);
  });

  test("by the server's clock, however wrong one's own is", async () => {
    for (const ahead of [-3_600_000, 3_600_000]) assert.equal(await comesAfter(0, { ahead }), 0.9 * GRANT_MS);
  });

  test("again for the next grant, by the same clock", async () => {
    const ahead = 7_200_000;
    const stage = new Stage();
    await stage.connected({ ahead });
    for (const times of [1, 2, 3]) {
      await stage.pass(0.9 * GRANT_MS - 1);
      assert.equal(asksForReauth(stage), times - 1);
      await stage.clock.advance(1);
      assert.deepEqual(stage.asked.at(-1), { reason: "reauth", attempt: 1 });
      await settled();
      assert.equal(stage.socket.of("reauth").length, times);
      grant(stage, { ahead });
    }
    assert.deepEqual(stage.of("reauth").map(({ state }) => state), ["done", "done", "done"]);
    assert.equal(stage.sockets.length, 1);
  });

  test("not ever faster where the login itself ends and no ticket moves that", async () => {
    const stage = new Stage();
    await stage.connected({ grant: 100_000 });
    const end = stage.clock.now() + 100_000;
    await stage.pass(90_000);
    assert.equal(asksForReauth(stage), 1);
    grant(stage, { length: end - stage.clock.now() });
    await stage.pass(9_999);
    assert.equal(asksForReauth(stage), 1);
    require(stage);
    await settled();
    assert.equal(asksForReauth(stage), 2, "until the server asks");
  });

  test("a grant longer than the longest timer is waited for", async () => {
    const stage = new Stage();
    const month = 30 * 24 * 3_600_000;
    await stage.connected({ grant: month, ping_seconds: 100_000_000 });
    await stage.clock.advance(0.9 * month - 1);
    assert.equal(asksForReauth(stage), 0);
    await stage.clock.advance(1);
    assert.equal(asksForReauth(stage), 1);
  });

  test("a time that cannot be read is waited for by nobody: the server asks", async () => {
    const stage = new Stage();
    await stage.connected({ expires_at: "soon" });
    await stage.pass(3_600_000);
    assert.equal(asksForReauth(stage), 0);
  });
});

describe("when the server asks", () => {
  test("a ticket for the purpose, the frame, and what is told", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    const deadline = require(stage);
    await settled();
    assert.deepEqual(stage.asked.at(-1), { reason: "reauth", attempt: 1 });
    assert.deepEqual(socket.of("reauth"), [{ type: "reauth", ticket: "ticket-2", ref: "reauth-1" }]);
    grant(stage, { held: 4 });
    assert.deepEqual(stage.of("reauth"), [
      { state: "required", reason: "session_expired", deadline },
      { state: "done", held: 4, state_version: 3 },
    ]);
    assert.equal(stage.client.state, "connected");
    assert.equal(stage.sockets.length, 1);
  });

  test("while one is under way already: no second", async () => {
    const stage = new Stage();
    await stage.connected({ grant: 10_000 });
    await stage.clock.advance(9_000);
    require(stage);
    await settled();
    assert.equal(asksForReauth(stage), 1);
    grant(stage);
    assert.deepEqual(stage.of("reauth").map(({ state }) => state), ["required", "done"]);
  });

  test("before the client would have come by itself: that is forgotten", async () => {
    const stage = new Stage();
    await stage.connected({ grant: 20_000 });
    await stage.clock.advance(10_000);
    require(stage);
    await settled();
    await stage.clock.advance(9_000);
    assert.equal(asksForReauth(stage), 1);
  });
});

describe("refused", () => {
  test("again with a new ticket, not before the server said", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.5;
    await stage.connected();
    require(stage);
    await settled();
    refuse(stage);
    await stage.clock.advance(1_249);
    assert.equal(asksForReauth(stage), 1);
    await stage.clock.advance(1);
    assert.equal(asksForReauth(stage), 2);
    refuse(stage, { attempts_left: 1 });
    await stage.clock.advance(1_500);
    assert.deepEqual(
      stage.socket.of("reauth").map(({ ticket, ref }) => [ticket, ref]),
      [["ticket-2", "reauth-1"], ["ticket-3", "reauth-2"], ["ticket-4", "reauth-3"]],
    );
    assert.deepEqual(stage.asked.slice(1).map(({ attempt }) => attempt), [1, 2, 3]);
    grant(stage);
    assert.deepEqual(stage.of("reauth").map(({ state }) => state), ["required", "done"]);
    require(stage);
    assert.equal(stage.asked.at(-1).attempt, 1, "what is over counts no more");
  });

  for (const code of ["too_soon", "unavailable"]) {
    test(`${code}: again, as long as the server lets it`, async () => {
      const stage = new Stage();
      await stage.connected();
      require(stage);
      for (let times = 1; times <= 10; times += 1) {
        await settled();
        assert.equal(asksForReauth(stage), times);
        refuse(stage, { code, attempts_left: 3, retry_after_ms: 800 });
        await stage.clock.advance(800);
      }
    });
  }

  test("for the last time: told, and the server's bye brings a new connection", async () => {
    const stage = new Stage();
    await stage.connected();
    require(stage);
    await settled();
    refuse(stage, { attempts_left: 0 });
    assert.deepEqual(stage.last("reauth"), { state: "failed", reason: "refused" });
    assert.equal(stage.client.state, "connected");
    stage.bye(4402, CLOSE_CODES[4402]);
    await stage.clock.advance(0);
    assert.equal(stage.asked.at(-1).reason, "connect");
    stage.welcome({ recovered: true });
    assert.equal(stage.client.state, "connected");
  });

  test("an error that answers the frame counts as a failure; another's does not", async () => {
    const stage = new Stage();
    await stage.connected();
    require(stage);
    await settled();
    stage.socket.say({ type: "error", code: "busy", detail: "", ref: "mark-1" });
    await stage.clock.advance(5_000);
    assert.equal(asksForReauth(stage), 1);
    stage.socket.say({ type: "error", code: "rate_limited", detail: "", ref: "reauth-1", retry_after_ms: 2_000 });
    await stage.clock.advance(1_999);
    assert.equal(asksForReauth(stage), 1);
    await stage.clock.advance(1);
    assert.equal(asksForReauth(stage), 2);
  });

  test("somebody else's ticket: that connection is over, and the person must say who they are", async () => {
    const stage = new Stage();
    await stage.connected();
    require(stage);
    await settled();
    stage.bye(4507, CLOSE_CODES[4507]);
    assert.deepEqual([stage.client.state, stage.last("state").need], ["unauthorized", "login"]);
  });

  test("the deadline passes: a new connection", async () => {
    const stage = new Stage({
      tickets: ({ reason }) => {
        if (reason === "reauth") throw new Error("503");
      },
    });
    stage.clock.chance = 0.5;
    await stage.connected();
    require(stage);
    await stage.clock.advance(5_000);
    stage.bye(4401, CLOSE_CODES[4401]);
    await stage.clock.advance(250);
    assert.equal(stage.asked.at(-1).reason, "connect");
    stage.welcome({ recovered: true });
    const asked = asksForReauth(stage);
    await stage.pass(60_000);
    assert.equal(asksForReauth(stage), asked, "the old one's attempts ended with it");
  });
});

describe("no ticket", () => {
  test("any error: again, with a back-off", async () => {
    const stage = new Stage({
      tickets: ({ reason, attempt }) => {
        if (reason === "reauth" && attempt < 4) throw new Error("503");
      },
    });
    stage.clock.chance = 0.5;
    await stage.connected();
    require(stage);
    for (const [attempt, wait] of [250, 500, 1_000].entries()) {
      await stage.clock.advance(wait - 1);
      assert.equal(asksForReauth(stage), attempt + 1);
      await stage.clock.advance(1);
    }
    assert.equal(asksForReauth(stage), 4);
    grant(stage);
    assert.equal(stage.client.state, "connected");
  });

  test("UnauthorizedError: told, and nothing is tried any more; but what still comes is heard", async () => {
    const stage = new Stage({
      tickets: ({ reason }) => {
        if (reason === "reauth") throw new UnauthorizedError("401");
      },
    });
    const socket = await stage.connected({ grant: 10_000 });
    await stage.clock.advance(9_000);
    assert.deepEqual(stage.of("reauth"), [{ state: "failed", reason: "unauthorized" }]);
    assert.deepEqual(stage.last("state"), { state: "unauthorized", need: "login" });
    assert.equal(socket.given, false);
    stage.notify(11);
    assert.equal(stage.of("notification").length, 1);
    require(stage);
    await stage.clock.advance(20_000);
    assert.equal(asksForReauth(stage), 1);
    stage.bye(4401, CLOSE_CODES[4401]);
    await stage.clock.advance(3_600_000);
    assert.deepEqual([stage.client.state, stage.sockets.length, stage.clock.pending], ["unauthorized", 1, 0]);
    assert.deepEqual(stage.states, ["connecting", "connected", "unauthorized"]);
  });

  test("UnauthorizedError, then renew(): another socket, from the same position", async () => {
    let signedIn = true;
    const stage = new Stage({
      tickets: () => {
        if (!signedIn) throw new UnauthorizedError("401");
      },
    });
    const first = await stage.connected();
    stage.notify(11);
    signedIn = false;
    require(stage);
    await settled();
    assert.equal(stage.client.state, "unauthorized");
    signedIn = true;
    stage.client.renew();
    await settled();
    assert.ok(first.given);
    assert.equal(stage.socket.url, "ws://site/ws/?since=e1:11");
    stage.welcome({ recovered: true });
    assert.equal(stage.client.state, "connected");
  });

  test("a ticket that comes after the connection is gone is not sent to the next one", async () => {
    let answer;
    const stage = new Stage({
      tickets: ({ reason }) => (reason === "reauth" ? new Promise((resolve) => (answer = resolve)) : null),
    });
    const first = await stage.connected();
    require(stage);
    await settled();
    first.hangUp();
    await stage.clock.advance(0);
    stage.welcome({ recovered: true });
    answer();
    await settled();
    assert.deepEqual([first.of("reauth"), stage.socket.of("reauth")], [[], []]);
  });

  test("no login that comes after the connection is gone is not the next one's business", async () => {
    let answer;
    const stage = new Stage({
      tickets: ({ reason }) => (reason === "reauth" ? new Promise((_, reject) => (answer = reject)) : null),
    });
    await stage.connected();
    require(stage);
    await settled();
    stage.socket.hangUp();
    await stage.clock.advance(0);
    stage.welcome({ recovered: true });
    answer(new UnauthorizedError("401"));
    await settled();
    assert.equal(stage.client.state, "connected");
  });
});
