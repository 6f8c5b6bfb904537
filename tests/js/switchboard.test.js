/** Many pages, one client: who is told what, and who is asked for tickets. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { UsherClient } from "../../static/usher/client.js";
import { Switchboard } from "../../static/usher/switchboard.js";
import { FakeClock, FakeSocket, GRANT_MS, settled } from "./support.js";

const utc = (ms) => new Date(ms).toISOString();

/** A worker with a stage on either side: pages as ports, and the server as sockets. */
class Office {
  clock = new FakeClock();
  sockets = [];
  board = new Switchboard(
    (options) =>
      new UsherClient({
        ...options,
        WebSocket: ((sockets) =>
          class extends FakeSocket {
            constructor(url, protocols) {
              super(url, protocols);
              sockets.push(this);
            }
          })(this.sockets),
        ...this.clock,
      }),
    this.clock,
  );

  get socket() {
    return this.sockets.at(-1);
  }

  /** A page that was rendered at this position, and fetches tickets unless told otherwise. */
  async page({ seq = 10, epoch = "e1", tickets = true, online = true } = {}) {
    const page = new Page(this, tickets);
    page.say({ type: "hello", position: seq === null ? null : { epoch, seq }, online });
    await settled();
    return page;
  }

  welcome(fields = {}) {
    const now = this.clock.now();
    const told = { connection: "c", user: { id: 1, username: "demo" }, epoch: "e1", head: 10, cursor: 10 };
    const counts = { state_version: 0, unread: 0, unseen: 0, recovered: false };
    const times = { expires_at: utc(now + GRANT_MS), server_time: utc(now), grace_seconds: 60 };
    this.socket.say({ type: "welcome", ...told, ...counts, ...times, window: 64, ping_seconds: 25, ...fields });
  }

  notify(seq, fields = {}) {
    this.socket.say({ type: "notification", stream: "u.1", seq, id: `n${seq}`, title: `${seq}`, replayed: false, ...fields });
  }
}

class Page {
  heard = [];
  asked = [];

  constructor(office, tickets) {
    this.office = office;
    this.tickets = tickets;
  }

  say(message) {
    this.office.board.said(this, message);
  }

  postMessage(message) {
    structuredClone(message); // as a port would
    this.heard.push(message);
    if (message.type !== "ticket?") return;
    this.asked.push(message.reason);
    if (!this.tickets) return;
    const ticket = { url: "ws://site/ws/", protocols: ["usher.v1"], ticket: "t" };
    const answer = typeof this.tickets === "function" ? this.tickets() : { type: "ticket", ticket };
    queueMicrotask(() => this.say({ ...answer, id: message.id }));
  }

  of(name) {
    return this.heard.filter((message) => message.type === "event" && message.name === name).map(({ detail }) => detail);
  }

  /** The numbers it was told, in order, those that are no news in brackets. */
  get seqs() {
    return this.of("notification").map(({ seq, replayed }) => (replayed ? `(${seq})` : `${seq}`));
  }

  get state() {
    return this.of("state").at(-1).state;
  }
}

describe("ten pages", () => {
  test("have one socket, and are all told", async () => {
    const office = new Office();
    const pages = [];
    for (let number = 0; number < 10; number += 1) pages.push(await office.page());
    office.welcome();
    office.notify(11);
    office.socket.say({ type: "state", ids: ["n11"], state: "read", unread: 0, unseen: 0, state_version: 1 });
    assert.equal(office.sockets.length, 1);
    for (const page of pages) {
      assert.deepEqual([page.state, page.seqs, page.of("change").length], ["connected", ["11"], 1]);
    }
  });

  test("a newcomer is welcomed with what is known now", async () => {
    const office = new Office();
    await office.page();
    office.welcome({ unread: 3 });
    office.socket.say({ type: "state", ids: ["x"], state: "read", unread: 2, unseen: 1, state_version: 7 });
    const late = await office.page();
    const [welcome] = late.of("welcome");
    assert.deepEqual([welcome.unread, welcome.unseen, welcome.state_version], [2, 1, 7]);
  });
});

describe("where a page stands", () => {
  for (const [name, seq, told] of [
    ["a page that was rendered before is told what came since", 10, ["(11)", "(12)", "(13)", "14"]],
    ["one that was rendered in between is told the rest", 12, ["(13)", "14"]],
    ["one that is up to date only hears what is new", 13, ["14"]],
    ["one that knows more than the worker yet does not hear it again", 14, []],
  ]) {
    test(name, async () => {
      const office = new Office();
      await office.page();
      office.welcome();
      for (const number of [11, 12, 13]) office.notify(number);
      const late = await office.page({ seq });
      office.notify(14);
      assert.deepEqual([late.seqs, late.of("gap").length], [told, 0]);
    });
  }

  test("a page from before all that is kept is told of the gap", async () => {
    const office = new Office();
    await office.page();
    office.welcome();
    office.notify(11);
    const late = await office.page({ seq: 5 });
    assert.deepEqual(late.of("gap"), [{ epoch: "e1", seq: 11, head: 11 }]);
    office.notify(12);
    assert.deepEqual(late.seqs, ["12"]);
  });

  test("a page of numbers that are over is told of the gap, one of numbers to come waits for it with the others", async () => {
    const office = new Office();
    await office.page();
    office.welcome();
    office.notify(11);
    const reset = (epoch) => office.socket.say({ type: "reset", stream: "u.1", reason: "epoch", epoch, head: 3, oldest: 1 });
    reset("e2");
    const before = await office.page({ epoch: "e1", seq: 11 });
    assert.deepEqual(before.of("gap"), [{ epoch: "e2", seq: 3, head: 3 }]);
    const ahead = await office.page({ epoch: "e3", seq: 3 });
    assert.deepEqual(ahead.of("gap"), []);
    reset("e3");
    assert.deepEqual(ahead.of("gap").map(({ epoch }) => epoch), ["e3"]);
    office.notify(4);
    assert.deepEqual(ahead.seqs, ["4"]);
  });

  test("what is kept is bounded", async () => {
    const office = new Office();
    await office.page();
    office.welcome();
    for (let seq = 11; seq <= 10 + 300; seq += 1) office.notify(seq);
    const early = await office.page({ seq: 20 });
    const late = await office.page({ seq: 100 });
    assert.deepEqual([early.of("gap").length, early.seqs], [1, []]);
    assert.deepEqual([late.of("gap").length, late.seqs.length], [0, 210]);
  });

  test("a gap of the connection is everybody's", async () => {
    const office = new Office();
    const page = await office.page();
    office.welcome();
    office.notify(11);
    office.socket.say({ type: "reset", stream: "u.1", reason: "epoch", epoch: "e2", head: 3, oldest: 1 });
    office.notify(4);
    const late = await office.page({ epoch: "e2", seq: 3 });
    assert.deepEqual([page.of("gap").length, page.seqs, late.seqs], [1, ["11", "4"], ["(4)"]]);
  });

  test("what is transient is for those who are there", async () => {
    const office = new Office();
    const page = await office.page();
    office.welcome();
    office.notify(null);
    const late = await office.page();
    assert.deepEqual([page.seqs, late.seqs], [["null"], []]);
  });
});

describe("tickets", () => {
  test("are asked of the page that was looked at last", async () => {
    const office = new Office();
    const pages = [await office.page(), await office.page(), await office.page()];
    assert.deepEqual(pages[0].asked, ["connect"], "there was no other");
    for (const looked of [undefined, pages[1]]) {
      looked?.say({ type: "looked at" });
      office.welcome();
      office.socket.hangUp();
      await office.clock.advance(1_000);
    }
    assert.deepEqual(pages.map(({ asked }) => asked.length), [1, 1, 1]);
  });

  test("a page that is frozen is passed over", async () => {
    const office = new Office();
    const frozen = await office.page({ tickets: false });
    const well = await office.page();
    assert.equal(office.sockets.length, 0);
    await office.clock.advance(6_000);
    assert.deepEqual([frozen.asked.length, well.asked.length, office.sockets.length], [1, 1, 1]);
  });

  test("pages that are frozen keep nobody waiting twice", async () => {
    const office = new Office();
    await office.page();
    office.welcome();
    for (let number = 0; number < 3; number += 1) await office.page({ tickets: false });
    office.socket.hangUp();
    await office.clock.advance(25_000);
    assert.equal(office.sockets.length, 2, "the second attempt asks whoever answers");
  });

  test("an answer that comes too late is nobody's", async () => {
    const office = new Office();
    const slow = await office.page({ tickets: false });
    await office.page();
    await office.clock.advance(6_000);
    slow.say({ type: "ticket", id: 1, ticket: { url: "ws://elsewhere/", protocols: [], ticket: "x" } });
    await settled();
    assert.deepEqual(office.sockets.map(({ url }) => new URL(url).host), ["site"]);
  });

  test("whoever must sign in is told so, on all pages", async () => {
    const office = new Office();
    const error = { unauthorized: true, message: "401", retryAfterMs: 0 };
    const signedOut = () => ({ type: "no ticket", error });
    const page = await office.page({ tickets: signedOut });
    assert.deepEqual([page.state, page.of("state").at(-1).need], ["unauthorized", "login"]);
    const next = await office.page();
    office.welcome();
    assert.deepEqual([page.state, next.state], ["connected", "connected"], "a page that can is one that has signed in");
  });

  test("with nobody to ask it is tried again later", async () => {
    const office = new Office();
    const page = await office.page({ tickets: false });
    await office.clock.advance(6_000);
    const [waits] = page.of("state").filter(({ state }) => state === "waiting");
    assert.match(waits.error.message, /No page/);
  });
});

describe("coming and going", () => {
  test("a page that has gone is told nothing and asked nothing", async () => {
    const office = new Office();
    const [gone, stays] = [await office.page(), await office.page()];
    office.welcome();
    gone.say({ type: "leave" });
    const before = gone.heard.length;
    office.notify(11);
    office.socket.hangUp();
    await office.clock.advance(1_000);
    assert.deepEqual([gone.heard.length, stays.asked.length], [before, 1]);
  });

  test("the connection outlives the blink between two pages", async () => {
    const office = new Office();
    const page = await office.page();
    office.welcome();
    page.say({ type: "leave" });
    await office.clock.advance(9_000);
    office.notify(11);
    const next = await office.page({ seq: 10 });
    await office.clock.advance(20_000);
    assert.deepEqual([office.sockets.length, next.seqs, next.state], [1, ["(11)"], "connected"]);
  });

  test("but not for long, and comes back with the next page", async () => {
    const office = new Office();
    const page = await office.page();
    office.welcome();
    page.say({ type: "leave" });
    await office.clock.advance(10_000);
    assert.equal(office.socket.closedWith, 1000);
    const next = await office.page();
    assert.deepEqual([office.sockets.length, next.state], [2, "connecting"]);
  });

  test("nobody who comes is told how it ended for those who were there before", async () => {
    const office = new Office();
    const page = await office.page();
    office.welcome();
    page.say({ type: "signed out" });
    page.say({ type: "leave" });
    const next = await office.page();
    office.welcome();
    next.say({ type: "leave" });
    await office.clock.advance(10_000);
    const last = await office.page();
    assert.deepEqual(
      [next, last].map((each) => [...new Set(each.of("state").map(({ state }) => state))]),
      [["connecting", "connected"], ["connecting"]],
    );
  });

  test("a page that comes when the network is back says so: nobody else was there to hear it", async () => {
    const office = new Office();
    const page = await office.page();
    office.welcome();
    page.say({ type: "online", online: false });
    page.say({ type: "leave" });
    const next = await office.page();
    office.welcome();
    const without = await office.page({ online: false });
    assert.deepEqual([next.of("state").some(({ state }) => state === "connected"), without.state], [true, "offline"]);
  });

  test("signing out on one page closes for all", async () => {
    const office = new Office();
    const pages = [await office.page(), await office.page()];
    office.welcome();
    pages[0].say({ type: "signed out" });
    assert.deepEqual([office.socket.closedWith, ...pages.map(({ state }) => state)], [1000, "unauthorized", "unauthorized"]);
  });

  test("one that lost its place to a newer one comes back when somebody looks", async () => {
    const office = new Office();
    const page = await office.page();
    office.welcome();
    office.socket.say({ type: "bye", code: 4504, reason: "too_many_connections", reconnect: false, need: "none", retry_after_ms: 0 });
    office.socket.hangUp(4504);
    await office.clock.advance(60_000);
    assert.deepEqual([page.state, office.sockets.length], ["closed", 1]);
    page.say({ type: "looked at" });
    await settled();
    assert.equal(office.sockets.length, 2);
  });
});

describe("marking", () => {
  test("is answered to whoever asked", async () => {
    const office = new Office();
    const [asks, other] = [await office.page(), await office.page()];
    office.welcome();
    asks.say({ type: "mark", id: 7, marking: { ids: ["n1"], state: "read" } });
    const [{ ref }] = office.socket.of("state");
    office.socket.say({ type: "state", ref, ids: ["n1"], state: "read", unread: 0, unseen: 0, state_version: 1 });
    await settled();
    assert.deepEqual(asks.heard.filter(({ type }) => type === "marked").map(({ id }) => id), [7]);
    assert.deepEqual(other.heard.filter(({ type }) => type === "marked"), []);
  });

  test("and so is what cannot be", async () => {
    const office = new Office();
    const page = await office.page();
    page.say({ type: "mark", id: 7, marking: { ids: ["n1"], state: "read" } });
    await settled();
    assert.match(page.heard.find(({ type }) => type === "not marked").error.message, /no connection/);
  });
});

describe("topics", () => {
  /** The server's side: the last question about a topic, answered. */
  const answer = (office, fields = {}) => {
    const { type, topic, since, ref } = office.socket.sent.filter((each) => each.type.endsWith("subscribe")).at(-1);
    const [epoch, seq] = since?.split(":") ?? ["t1", 10];
    const where = type === "subscribe" ? { epoch, head: 10, cursor: Number(seq) } : {};
    office.socket.say({ type: `${type}d`, stream: `t.${topic}`, topic, ref, ...where, ...fields });
  };
  const said = (page, id) => page.heard.filter((message) => message.type === "topic" && message.id === id);
  const numbers = (page, id) => said(page, id).filter(({ name }) => name === "notification").map(({ detail }) => detail.seq);
  const listen = (page, id, since = null) => page.say({ type: "subscribe", id, topic: "orders.7", since });
  const questions = (office) => office.socket.sent.filter(({ type }) => type.endsWith("subscribe")).map(({ type }) => type);

  test("that several pages listen to are one subscription, which the last one ends", async () => {
    const office = new Office();
    const [first, second] = [await office.page(), await office.page()];
    office.welcome();
    listen(first, 1);
    answer(office);
    listen(first, 2);
    listen(second, 1);
    office.notify(11, { stream: "t.orders.7" });
    assert.deepEqual([numbers(first, 1), numbers(first, 2), numbers(second, 1)], [[11], [11], [11]]);
    assert.deepEqual(said(second, 1).at(-1).position, { epoch: "t1", seq: 11 });
    first.say({ type: "unsubscribe", id: 1 });
    office.notify(12, { stream: "t.orders.7" });
    assert.deepEqual([numbers(first, 1), numbers(first, 2)], [[11], [11, 12]]);
    first.say({ type: "leave" });
    assert.deepEqual(questions(office), ["subscribe"]);
    second.say({ type: "leave" });
    assert.deepEqual(questions(office), ["subscribe", "unsubscribe"]);
    assert.deepEqual([first.seqs, second.seqs], [[], []], "nothing of it is the person's own");
  });

  test("are told to whoever comes later from where they are", async () => {
    const office = new Office();
    const [first, second] = [await office.page(), await office.page()];
    office.welcome();
    listen(first, 1);
    answer(office);
    office.notify(11, { stream: "t.orders.7" });
    listen(second, 1, { epoch: "t1", seq: 9 });
    answer(office);
    answer(office, { head: 11 });
    for (const seq of [10, 11]) office.notify(seq, { stream: "t.orders.7", replayed: true });
    assert.deepEqual([numbers(first, 1), numbers(second, 1)], [[11], [10, 11]]);
  });

  test("that are refused are refused to all, and a page that has left asks for nothing", async () => {
    const office = new Office();
    const [page, gone] = [await office.page(), await office.page()];
    office.welcome();
    gone.say({ type: "leave" });
    listen(gone, 1);
    assert.deepEqual(questions(office), []);
    listen(page, 1);
    answer(office, { type: "denied", code: "forbidden" });
    assert.deepEqual(said(page, 1).map(({ detail }) => detail), [
      { state: "pending" },
      { state: "denied", code: "forbidden" },
    ]);
  });
});
