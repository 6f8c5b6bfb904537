/** What follows each way in which a connection, or an attempt at one, can end. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { UnauthorizedError } from "../../static/usher/client.js";
import { CLOSE_CODES } from "../../static/usher/closing.js";
import { Stage, settled } from "./support.js";

const BACK_OFF = { state: "waiting", tries: true };
const SIGN_IN = { state: "unauthorized", need: "login", tries: false };
const STOP = { state: "closed", need: "nothing", tries: false };

// Written out and not computed: this is the table that people rely on.
const AFTER = {
  1000: STOP,
  4400: BACK_OFF,
  4401: BACK_OFF,
  4402: { state: "waiting", tries: true, atOnce: true },
  4408: BACK_OFF,
  4409: BACK_OFF,
  4413: BACK_OFF,
  4429: BACK_OFF,
  4500: SIGN_IN,
  4501: SIGN_IN,
  4502: SIGN_IN,
  4503: SIGN_IN,
  4504: STOP,
  4505: STOP,
  4506: STOP,
  4507: SIGN_IN,
};

/** What the client did about an end, judged by its effects. */
async function assertFollows(stage, expected) {
  const change = stage.last("state");
  assert.equal(change.state, expected.state);
  if (expected.need) assert.equal(change.need, expected.need);
  if (expected.tries) assert.equal(stage.wait, expected.atOnce ? 0 : 250, "half of 0.5 s, by the dice of this test");
  const asked = stage.asked.length;
  await stage.clock.advance(3_600_000);
  assert.equal(stage.asked.length > asked, expected.tries);
  if (!expected.tries) assert.equal(stage.clock.pending, 0, "nothing is left ticking");
}

async function connectedStage() {
  const stage = new Stage();
  stage.clock.chance = 0.5;
  await stage.connected();
  return stage;
}

test("the table names every close code there is", () => {
  assert.deepEqual(Object.keys(AFTER), Object.keys(CLOSE_CODES));
});

describe("bye", () => {
  for (const [code, expected] of Object.entries(AFTER)) {
    const { reason, reconnect, need } = CLOSE_CODES[code];
    test(`${code} ${reason}`, async () => {
      const stage = await connectedStage();
      stage.bye(Number(code), { reason, reconnect, need });
      assert.deepEqual([stage.last("state").code, stage.last("state").reason], [Number(code), reason]);
      assert.ok(stage.socket.given, "the socket is let go of");
      await assertFollows(stage, expected);
    });
  }

  test("a code of tomorrow is answered as the server says", async () => {
    let stage = await connectedStage();
    stage.bye(4599, { reason: "new", reconnect: false, need: "login" });
    await assertFollows(stage, SIGN_IN);
    stage = await connectedStage();
    stage.bye(4499, { reason: "new" });
    await assertFollows(stage, BACK_OFF);
  });
});

describe("a close without bye", () => {
  for (const [code, expected] of Object.entries(AFTER)) {
    if (code === "1000") continue;
    test(`${code}: the code says enough`, async () => {
      const stage = await connectedStage();
      stage.socket.hangUp(Number(code));
      await assertFollows(stage, expected);
    });
  }

  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 3000, 4000, 4599, undefined]) {
    test(`${code}: come back`, async () => {
      const stage = await connectedStage();
      stage.socket.hangUp(code);
      await assertFollows(stage, BACK_OFF);
    });
  }

  test("before welcome: come back", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.5;
    stage.client.open();
    await settled();
    stage.socket.hangUp();
    assert.deepEqual(stage.states, ["connecting", "waiting"]);
    await assertFollows(stage, BACK_OFF);
  });

  test("a bye is acted on without waiting for the close, which changes nothing any more", async () => {
    const stage = await connectedStage();
    const { socket } = stage;
    const { onclose } = socket;
    stage.bye(4501, CLOSE_CODES[4501]);
    onclose({ code: 1006 });
    await assertFollows(stage, SIGN_IN);
  });
});

describe("no ticket", () => {
  test("any error: come back, and say which", async () => {
    const error = new TypeError("failed to fetch");
    const stage = new Stage({
      tickets: () => {
        throw error;
      },
    });
    stage.clock.chance = 0.5;
    stage.client.open();
    await settled();
    assert.equal(stage.last("state").error, error);
    assert.equal(stage.sockets.length, 0);
    await assertFollows(stage, BACK_OFF);
  });

  test("an error that says when to come back is believed", async () => {
    const stage = new Stage({
      tickets: () => {
        throw Object.assign(new Error("429"), { retryAfterMs: 7_000 });
      },
    });
    stage.client.open();
    await settled();
    assert.equal(stage.wait, 7_000);
  });

  test("UnauthorizedError: sign in", async () => {
    const stage = new Stage({
      tickets: () => {
        throw new UnauthorizedError("401");
      },
    });
    stage.client.open();
    await settled();
    await assertFollows(stage, SIGN_IN);
  });

  test("thrown at once and not later: the same", async () => {
    const stage = new Stage({
      getTicket: () => {
        throw new UnauthorizedError("401");
      },
    });
    stage.client.open();
    await settled();
    assert.deepEqual(stage.states, ["connecting", "unauthorized"]);
  });

  test("something that is no ticket, or that WebSocket refuses: come back", async () => {
    for (const options of [
      { getTicket: async () => undefined },
      {
        WebSocket: class {
          constructor() {
            throw new SyntaxError("bad URL");
          }
        },
      },
    ]) {
      const stage = new Stage(options);
      stage.client.open();
      await settled();
      assert.equal(stage.client.state, "waiting");
      assert.ok(stage.last("state").error instanceof Error);
    }
  });

  test("an answer that never comes is given up, and not used when it does come", async () => {
    let answer;
    const late = new Promise((resolve) => (answer = resolve));
    const stage = new Stage({ tickets: (_, number) => (number === 1 ? late : null) });
    stage.client.open();
    await stage.clock.advance(14_999);
    assert.equal(stage.client.state, "connecting");
    await stage.clock.advance(1);
    assert.deepEqual([stage.states.at(1), stage.of("state")[1].reason], ["waiting", "timeout"]);
    await stage.clock.advance(1);
    answer();
    await settled();
    assert.equal(stage.sockets.length, 1);
    assert.deepEqual(stage.socket.protocols, ["usher.v1", "usher.ticket.2"]);
  });
});

describe("a refused ticket", () => {
  const refuse = (stage) => stage.bye(4402, CLOSE_CODES[4402]);

  test("once: at once with another one", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.99;
    stage.client.open();
    await settled();
    refuse(stage);
    await stage.clock.advance(0);
    assert.equal(stage.client.state, "connecting");
    assert.deepEqual(stage.socket.protocols, ["usher.v1", "usher.ticket.2"]);
  });

  test("twice without a welcome in between: stop", async () => {
    const stage = new Stage();
    stage.client.open();
    await settled();
    refuse(stage);
    await stage.clock.advance(0);
    refuse(stage);
    const { state, code, need } = stage.last("state");
    assert.deepEqual({ state, code, need }, { state: "closed", code: 4402, need: "ticket" });
    await stage.clock.advance(3_600_000);
    assert.equal(stage.asked.length, 2);
  });

  test("another failure in between does not make it a first one", async () => {
    const stage = new Stage();
    stage.client.open();
    await settled();
    refuse(stage);
    await stage.clock.advance(0);
    stage.socket.hangUp();
    await stage.clock.advance(0);
    refuse(stage);
    assert.equal(stage.client.state, "closed");
  });

  test("a welcome in between does", async () => {
    const stage = new Stage();
    stage.client.open();
    for (let times = 0; times < 5; times += 1) {
      await stage.clock.advance(0);
      stage.welcome();
      refuse(stage);
      assert.equal(stage.client.state, "waiting");
    }
  });

  test("renew() begins anew", async () => {
    const stage = new Stage();
    stage.client.open();
    for (const again of [1, 2, 3]) {
      await settled();
      refuse(stage);
      await stage.clock.advance(0);
      refuse(stage);
      assert.equal(stage.client.state, "closed", `${again}`);
      stage.client.renew();
    }
  });
});

describe("back-off", () => {
  /** The waits after so many failures in a row, if the dice always show the same. */
  async function waits(chance, count, { tickets } = {}) {
    const stage = new Stage({ tickets });
    stage.clock.chance = chance;
    stage.client.open();
    const found = [];
    while (found.length < count) {
      await settled();
      if (!tickets) stage.socket.hangUp();
      found.push(stage.wait);
      await stage.clock.advance(stage.wait);
    }
    return found;
  }

  test("full jitter: from nothing …", async () => {
    assert.deepEqual(await waits(0, 8), [0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("… to a limit that doubles from 0.5 s to 20 s", async () => {
    const almost = 1 - 2 ** -40;
    const found = (await waits(almost, 9)).map(Math.round);
    assert.deepEqual(found, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000]);
  });

  test("a failed ticket counts like a failed socket", async () => {
    const tickets = () => {
      throw new Error("503");
    };
    assert.deepEqual(await waits(0.5, 8, { tickets }), [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  test("stays finite for a night of failures", async () => {
    const found = await waits(0.5, 2_000);
    assert.equal(found.at(-1), 10_000);
  });

  test("every attempt has a ticket of its own, and tells its number", async () => {
    const stage = new Stage();
    stage.client.open();
    for (let failures = 0; failures < 3; failures += 1) {
      await stage.clock.advance(0);
      stage.socket.hangUp();
    }
    assert.deepEqual(stage.asked, [1, 2, 3].map((attempt) => ({ reason: "connect", attempt })));
    assert.equal(new Set(stage.sockets.map(({ protocols }) => protocols[1])).size, 3);
  });

  for (const [uptime, wait] of [
    [0, 2_000],
    [4_999, 2_000],
    [5_000, 250],
    [60_000, 250],
  ]) {
    test(`after three failures and ${uptime} ms connected: ${wait} ms`, async () => {
      const stage = new Stage();
      stage.clock.chance = 0.5;
      stage.client.open();
      for (const failures of [1, 2, 3]) {
        await settled();
        stage.socket.hangUp();
        assert.equal(stage.wait, 125 * 2 ** failures);
        await stage.clock.advance(stage.wait);
      }
      stage.welcome();
      await stage.pass(uptime);
      stage.socket.hangUp();
      assert.equal(stage.wait, wait);
    });
  }

  test("a long handshake is no uptime", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.5;
    stage.client.open();
    await settled();
    stage.socket.hangUp();
    await stage.clock.advance(250 + 10_000);
    stage.socket.hangUp();
    assert.equal(stage.wait, 500);
  });

  test("retry_after_ms is a floor, and the jitter comes on top", async () => {
    for (const [chance, wait] of [
      [0, 10_000],
      [0.5, 10_250],
    ]) {
      const stage = await connectedStage();
      stage.clock.chance = chance;
      stage.bye(4429, { retry_after_ms: 10_000 });
      assert.equal(stage.wait, wait);
      await stage.clock.advance(wait - 1);
      assert.equal(stage.asked.length, 1);
      await stage.clock.advance(1);
      assert.equal(stage.asked.length, 2);
    }
  });

  test("retry_after_ms holds for the one immediate retry, too", async () => {
    const stage = await connectedStage();
    stage.bye(4402, { retry_after_ms: 3_000 });
    assert.equal(stage.wait, 3_000);
  });
});

describe("a handshake that hangs", () => {
  test("is given up after 15 s", async () => {
    const stage = new Stage();
    stage.client.open();
    await stage.clock.advance(14_999);
    assert.equal(stage.client.state, "connecting");
    const first = stage.socket;
    await stage.clock.advance(1);
    assert.ok(first.given);
    await stage.clock.advance(0);
    assert.equal(stage.sockets.length, 2);
  });

  test("is no reason to give up a connection later", async () => {
    const stage = new Stage();
    await stage.connected();
    await stage.pass(60_000);
    assert.equal(stage.client.state, "connected");
    assert.equal(stage.sockets.length, 1);
  });
});
