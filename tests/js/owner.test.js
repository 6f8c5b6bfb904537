/** What the owner of a client asks for: open, close, renew, retry, offline and online. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { UnauthorizedError, UsherClient } from "../../static/usher/client.js";
import { CLOSE_CODES } from "../../static/usher/closing.js";
import { Stage, settled } from "./support.js";

/** A `getTicket` whose answers come when the test says so. */
function slowTickets() {
  const answers = [];
  const tickets = () => new Promise((resolve, reject) => answers.push({ resolve, reject }));
  return { answers, tickets };
}

describe("open", () => {
  test("asks for a ticket, and offers it", async () => {
    const stage = new Stage();
    assert.equal(stage.client.state, "idle");
    stage.client.open();
    assert.equal(stage.client.state, "connecting");
    await settled();
    assert.deepEqual(stage.asked, [{ reason: "connect", attempt: 1 }]);
    assert.deepEqual([stage.socket.url, stage.socket.protocols], ["ws://site/ws/", ["usher.v1", "usher.ticket.1"]]);
    stage.welcome();
    assert.deepEqual(stage.states, ["connecting", "connected"]);
    assert.equal(stage.last("welcome").connection, "c");
  });

  test("twice is once", async () => {
    const stage = new Stage();
    stage.client.open();
    stage.client.open();
    await settled();
    stage.client.open();
    stage.welcome();
    stage.client.open();
    await settled();
    assert.equal(stage.asked.length, 1);
  });

  test("needs a WebSocket, and says so", () => {
    const { WebSocket } = globalThis;
    globalThis.WebSocket = undefined;
    assert.throws(() => new UsherClient({ getTicket: async () => {} }), /pass one/);
    globalThis.WebSocket = WebSocket;
  });
});

describe("pause", () => {
  test("lets go of the socket, and open() goes on from where it was", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    stage.notify(11);
    stage.client.pause();
    assert.equal(socket.closedWith, 1000);
    assert.deepEqual(stage.last("state"), { state: "idle" });
    assert.equal(stage.clock.pending, 0);
    stage.client.open();
    await settled();
    assert.match(stage.socket.url, /since=e1:11$/);
  });

  test("is nothing where there is nothing to let go of", async () => {
    const stage = new Stage();
    stage.client.pause();
    await stage.connected();
    stage.client.close();
    stage.client.pause();
    assert.deepEqual(stage.states, ["connecting", "connected", "closed"]);
  });

  test("is also for who waits, and who has no network", async () => {
    const stage = new Stage({ tickets: async () => Promise.reject(new Error("away")) });
    stage.client.open();
    await settled();
    assert.equal(stage.client.state, "waiting");
    stage.client.pause();
    assert.deepEqual([stage.client.state, stage.clock.pending], ["idle", 0]);
    stage.client.setOnline(false);
    stage.client.open();
    stage.client.pause();
    assert.equal(stage.client.state, "idle");
  });
});

describe("ready", () => {
  test("waits for the connection, over attempts that fail", async () => {
    const stage = new Stage();
    let ready = false;
    const waiting = stage.client.ready().then(() => (ready = true));
    stage.client.open();
    await settled();
    stage.socket.hangUp();
    await stage.clock.advance(60_000);
    assert.equal(ready, false);
    stage.welcome();
    await waiting;
    await stage.client.ready();
  });

  test("says why there will be none", async () => {
    const stage = new Stage();
    await stage.connected();
    stage.bye(4504);
    await assert.rejects(stage.client.ready(), { name: "ClosedError", code: 4504, reason: "too_many_connections" });
    stage.client.renew();
    const waiting = stage.client.ready();
    await settled();
    stage.welcome();
    await waiting;
    stage.bye(4501);
    await assert.rejects(stage.client.ready(), (error) => error instanceof UnauthorizedError);
  });
});

describe("close", () => {
  test("lets go of the socket and leaves nothing ticking", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    stage.notify(11);
    stage.client.close();
    assert.equal(socket.closedWith, 1000);
    assert.deepEqual(stage.last("state"), { state: "closed" });
    assert.equal(stage.clock.pending, 0);
    await stage.clock.advance(3_600_000);
    assert.equal(stage.asked.length, 1);
  });

  test("while a ticket is awaited: it is not used", async () => {
    const { answers, tickets } = slowTickets();
    const stage = new Stage({ tickets });
    stage.client.open();
    stage.client.close();
    answers[0].resolve();
    await settled();
    assert.deepEqual([stage.sockets.length, stage.client.state, stage.clock.pending], [0, "closed", 0]);
  });

  test("while a ticket is awaited that is then refused: stays closed", async () => {
    for (const error of [new Error("503"), new UnauthorizedError("401")]) {
      const { answers, tickets } = slowTickets();
      const stage = new Stage({ tickets });
      stage.client.open();
      stage.client.close();
      answers[0].reject(error);
      await settled();
      assert.deepEqual([stage.states, stage.clock.pending], [["connecting", "closed"], 0]);
    }
  });

  test("and open again while the first ticket is awaited: only the second is used", async () => {
    const { answers, tickets } = slowTickets();
    const stage = new Stage({ tickets });
    stage.client.open();
    stage.client.close();
    stage.client.open();
    answers[0].resolve();
    await settled();
    assert.equal(stage.sockets.length, 0);
    answers[1].resolve();
    await settled();
    assert.deepEqual(stage.sockets.map(({ protocols }) => protocols[1]), ["usher.ticket.2"]);
  });

  test("during a handshake", async () => {
    const stage = new Stage();
    stage.client.open();
    await settled();
    stage.client.close();
    assert.ok(stage.socket.given);
    assert.equal(stage.clock.pending, 0);
  });

  test("during a wait", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.5;
    await stage.connected();
    stage.socket.hangUp();
    stage.client.close();
    await stage.clock.advance(3_600_000);
    assert.equal(stage.asked.length, 1);
  });

  test("after the server's last word changes nothing of it", async () => {
    const stage = new Stage();
    await stage.connected();
    stage.bye(4504, CLOSE_CODES[4504]);
    stage.client.close();
    assert.equal(stage.last("state").code, 4504);
  });

  test("then open: from where it was", async () => {
    const stage = new Stage();
    await stage.connected();
    stage.notify(11);
    stage.client.close();
    stage.client.open();
    await settled();
    assert.equal(stage.socket.url, "ws://site/ws/?since=e1:11");
  });
});

describe("renew", () => {
  test("after a sign-in", async () => {
    let signedIn = false;
    const stage = new Stage({
      tickets: () => {
        if (!signedIn) throw new UnauthorizedError("401");
      },
    });
    stage.client.open();
    await settled();
    stage.client.retryNow();
    stage.client.setOnline(true);
    stage.client.open();
    assert.equal(stage.client.state, "unauthorized", "only renew() ends it");
    signedIn = true;
    stage.client.renew();
    await settled();
    stage.welcome();
    assert.deepEqual(stage.states, ["connecting", "unauthorized", "connecting", "connected"]);
  });

  test("after too many connections", async () => {
    const stage = new Stage();
    await stage.connected();
    stage.bye(4504, CLOSE_CODES[4504]);
    assert.deepEqual(
      [stage.client.state, stage.last("state").need, stage.last("state").reason],
      ["closed", "nothing", "too_many_connections"],
    );
    stage.client.renew();
    await settled();
    assert.equal(stage.sockets.length, 2);
  });

  test("disturbs nothing that goes well", async () => {
    const stage = new Stage();
    await stage.connected();
    stage.client.renew();
    await settled();
    assert.deepEqual([stage.asked.length, stage.socket.given], [1, false]);
  });

  test("forgets past failures", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.5;
    stage.client.open();
    for (let failures = 0; failures < 6; failures += 1) {
      await settled();
      stage.socket.hangUp();
      await stage.clock.advance(stage.wait);
    }
    await settled();
    stage.bye(4501, CLOSE_CODES[4501]);
    stage.client.renew();
    await settled();
    stage.socket.hangUp();
    assert.equal(stage.wait, 250);
  });
});

describe("retryNow", () => {
  test("ends a wait", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.5;
    await stage.connected();
    stage.socket.hangUp();
    stage.client.retryNow();
    await settled();
    assert.equal(stage.sockets.length, 2);
    await stage.clock.advance(10_000);
    assert.equal(stage.sockets.length, 2, "the wait's own end is forgotten");
  });

  test("comes no sooner than the server asked", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.5;
    await stage.connected();
    stage.bye(4429, { reason: "rate_limited", retry_after_ms: 10_000 });
    assert.equal(stage.wait, 10_250);
    stage.client.retryNow();
    assert.equal(stage.wait, 10_000);
    assert.equal(stage.last("state").reason, "rate_limited");
    stage.client.setOnline(false);
    stage.client.setOnline(true);
    await stage.clock.advance(9_999);
    assert.equal(stage.asked.length, 1);
    await stage.clock.advance(1);
    assert.equal(stage.asked.length, 2);
  });

  for (const state of ["idle", "connecting", "closed"]) {
    test(`does nothing while ${state}`, async () => {
      const stage = new Stage();
      if (state !== "idle") stage.client.open();
      if (state === "closed") stage.client.close();
      await settled();
      const asked = stage.asked.length;
      stage.client.retryNow();
      await settled();
      assert.deepEqual([stage.asked.length, stage.client.state], [asked, state]);
    });
  }
});

describe("offline", () => {
  test("lets go at once, tries nothing, and tries at once when it is over", async () => {
    const stage = new Stage();
    const first = await stage.connected();
    stage.client.setOnline(false);
    assert.equal(stage.client.state, "offline");
    assert.ok(first.given);
    assert.equal(stage.clock.pending, 0);
    await stage.clock.advance(3_600_000);
    assert.equal(stage.asked.length, 1);
    stage.client.setOnline(true);
    await settled();
    assert.equal(stage.sockets.length, 2);
    assert.equal(stage.socket.url, "ws://site/ws/?since=e1:10");
    stage.welcome({ recovered: true });
    assert.deepEqual(stage.states, ["connecting", "connected", "offline", "connecting", "connected"]);
  });

  test("while a ticket is awaited: it is not used", async () => {
    const { answers, tickets } = slowTickets();
    const stage = new Stage({ tickets });
    stage.client.open();
    stage.client.setOnline(false);
    answers[0].resolve();
    await settled();
    assert.equal(stage.sockets.length, 0);
  });

  test("from the start", async () => {
    const stage = new Stage();
    stage.client.setOnline(false);
    assert.equal(stage.client.state, "idle", "nobody has asked for a connection");
    stage.client.open();
    assert.equal(stage.client.state, "offline");
    stage.client.setOnline(true);
    await settled();
    assert.equal(stage.sockets.length, 1);
  });

  test("is no news to whoever is closed or signed out", async () => {
    for (const [code, state] of [
      [4501, "unauthorized"],
      [4504, "closed"],
    ]) {
      const stage = new Stage();
      await stage.connected();
      stage.bye(code, CLOSE_CODES[code]);
      stage.client.setOnline(false);
      assert.equal(stage.client.state, state);
      stage.client.setOnline(true);
      await stage.clock.advance(60_000);
      assert.deepEqual([stage.client.state, stage.asked.length], [state, 1]);
    }
  });

  test("can be closed", async () => {
    const stage = new Stage();
    await stage.connected();
    stage.client.setOnline(false);
    stage.client.close();
    stage.client.setOnline(true);
    await settled();
    assert.deepEqual([stage.client.state, stage.asked.length], ["closed", 1]);
  });

  test("online ends a wait, too", async () => {
    const stage = new Stage();
    stage.clock.chance = 0.5;
    await stage.connected();
    stage.socket.hangUp();
    stage.client.setOnline(true);
    await settled();
    assert.equal(stage.sockets.length, 2);
  });
});

describe("a socket of the past", () => {
  test("is heard no more, whatever it says", async () => {
    const stage = new Stage();
    const old = await stage.connected();
    const { onmessage, onclose } = old;
    stage.client.setOnline(false);
    stage.client.setOnline(true);
    await settled();
    stage.welcome({ recovered: true });
    const before = stage.events.length;
    for (const frame of [
      { type: "notification", seq: 11 },
      { type: "reset", epoch: "e0", head: 0, reason: "epoch" },
      { type: "bye", code: 4501, reconnect: false, need: "login" },
    ]) {
      onmessage({ data: JSON.stringify(frame) });
    }
    onclose({ code: 4501 });
    assert.equal(stage.events.length, before);
    assert.deepEqual(stage.client.position, { epoch: "e1", seq: 10 });
    assert.equal(stage.client.state, "connected");
    assert.equal(stage.socket.given, false);
  });

  test("may still fail without harm: `ws` throws what nobody listens to", async () => {
    const stage = new Stage();
    const socket = await stage.connected();
    stage.client.close();
    assert.equal(typeof socket.onerror, "function");
  });
});

describe("whose connection it is", () => {
  for (const user of [1, "1"]) {
    test(`its own person's, by ${JSON.stringify(user)}`, async () => {
      const stage = new Stage({ user });
      await stage.connected({ user: { id: 1, username: "demo" } });
      assert.equal(stage.client.state, "connected");
    });
  }

  test("nobody else's: somebody signed in meanwhile, and tickets are theirs", async () => {
    const stage = new Stage({ user: 1 });
    await stage.connected();
    stage.socket.hangUp();
    await stage.clock.advance(1_000);
    const theirs = stage.welcome({ user: { id: 2, username: "other" } });
    stage.notify(11);
    assert.equal(theirs.closedWith, 1000);
    assert.deepEqual(stage.last("state"), { state: "unauthorized", reason: "another_person", need: "login" });
    assert.deepEqual([stage.of("welcome").length, stage.of("notification").length], [1, 0]);
    await stage.clock.advance(3_600_000);
    assert.equal(stage.sockets.length, 2, "only renew() tries again");
  });
});
