/** A page beside its worker, and one that cannot have one and goes on by itself. In a browser: tests/browser. */

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import { SharedConnection } from "../../static/usher/shared.js";
import { FakeSocket, settled } from "./support.js";

const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");

/** What a page needs of its browser; each worker's port remembers what was said to it. */
function browser({ refused = false } = {}) {
  const ports = [];
  const request = (_name, held) => Promise.resolve().then(held);
  Object.defineProperty(globalThis, "navigator", { value: { locks: { request } }, configurable: true });
  globalThis.SharedWorker = class extends EventTarget {
    constructor() {
      super();
      if (refused) throw new DOMException("Failed to construct 'SharedWorker'", "SecurityError");
      const said = [];
      this.port = { said, postMessage: (message) => said.push(structuredClone(message)), close: () => {} };
      this.port.tell = (message) => this.port.onmessage({ data: message });
      this.port.of = (type) => said.filter((message) => message.type === type);
      this.port.fail = () => this.dispatchEvent(new Event("error"));
      ports.push(this.port);
    }
  };
  return ports;
}

/** What a subscription tells: states, and numbers. */
function heardOf(subscription) {
  const heard = [];
  subscription.on("state", ({ state }) => heard.push(state));
  subscription.on("notification", ({ seq }) => heard.push(seq));
  return heard;
}

const TICKET = { url: "ws://site/ws/", protocols: ["usher.v1"], ticket: "t" };
const SINCE = { epoch: "t1", seq: 4 };
const told = (id, seq) => {
  return { type: "topic", id, name: "notification", detail: { seq }, position: { epoch: "t1", seq } };
};

afterEach(() => {
  delete globalThis.SharedWorker;
  delete globalThis.navigator;
  if (before) Object.defineProperty(globalThis, "navigator", before);
});

describe("where the worker's file comes from another origin", () => {
  test("the page has a connection of its own", async () => {
    browser({ refused: true });
    const asked = [];
    const getTicket = (/** @type {any} */ { reason }) => {
      asked.push(reason);
      return new Promise(() => {});
    };
    const connection = new SharedConnection({ user: "7", getTicket, WebSocket: class {} });
    connection.open();
    await settled();
    assert.deepEqual(asked, ["connect"]);
    assert.equal(connection.state, "connecting");
    connection.leave();
  });
});

describe("topics", () => {
  test("are asked for as soon as the worker knows of the page, and again where they were when it is back", async () => {
    const ports = browser();
    const connection = new SharedConnection({ user: "7", getTicket: async () => TICKET });
    const orders = connection.subscribe("orders.7", { since: SINCE });
    const heard = heardOf(orders);
    connection.open();
    assert.deepEqual(ports[0].said, [], "before the lock is held");
    await settled();
    assert.deepEqual(ports[0].said.map(({ type }) => type), ["hello", "subscribe"]);
    const [{ id, ...asked }] = ports[0].of("subscribe");
    assert.deepEqual(asked, { type: "subscribe", topic: "orders.7", since: SINCE });
    ports[0].tell({ type: "topic", id, name: "state", detail: { state: "subscribed" }, position: SINCE });
    ports[0].tell(told(id, 5));
    connection.leave();
    connection.open();
    await settled();
    assert.deepEqual(ports[1].of("subscribe"), [{ type: "subscribe", id, topic: "orders.7", since: { epoch: "t1", seq: 5 } }]);
    ports[1].tell(told(id, 6));
    assert.deepEqual([heard, orders.position.seq], [["subscribed", 5, "pending", 6], 6]);
  });

  test("that nobody listens to any more are told no more", async () => {
    const ports = browser();
    const connection = new SharedConnection({ user: "7", getTicket: async () => TICKET });
    connection.open();
    await settled();
    const orders = connection.subscribe("orders.7");
    const heard = heardOf(orders);
    const [{ id }] = ports[0].of("subscribe");
    orders.unsubscribe();
    ports[0].tell(told(id, 5));
    connection.leave();
    connection.open();
    await settled();
    assert.deepEqual([heard, ports[0].of("unsubscribe")], [["unsubscribed"], [{ type: "unsubscribe", id }]]);
    assert.deepEqual(ports[1].of("subscribe"), []);
    assert.throws(() => connection.subscribe("no name"), TypeError);
  });

  test("that were refused are asked for no more", async () => {
    const ports = browser();
    const connection = new SharedConnection({ user: "7", getTicket: async () => TICKET });
    const orders = connection.subscribe("orders.7");
    connection.open();
    await settled();
    const [{ id }] = ports[0].of("subscribe");
    const detail = { state: "denied", code: "forbidden" };
    ports[0].tell({ type: "topic", id, name: "state", detail, position: null });
    await assert.rejects(orders.ready(), { code: "forbidden" });
    connection.leave();
    connection.open();
    await settled();
    assert.deepEqual(ports[1].of("subscribe"), []);
  });

  test("go on where the worker fails, by the page's own connection", async () => {
    const ports = browser();
    const sockets = [];
    const Socket = class extends FakeSocket {
      constructor(...args) {
        super(...args);
        sockets.push(this);
      }
    };
    const connection = new SharedConnection({ user: "7", getTicket: async () => TICKET, WebSocket: Socket });
    const orders = connection.subscribe("orders.7", { since: SINCE });
    const heard = heardOf(orders);
    connection.open();
    await settled();
    ports[0].fail();
    await settled();
    const user = { id: "7", username: "demo" };
    const now = new Date().toISOString();
    const times = { expires_at: now, server_time: now, window: 64, ping_seconds: 25 };
    sockets[0].say({ type: "welcome", user, epoch: "e1", cursor: 0, ...times });
    const [{ topic, since, ref }] = sockets[0].of("subscribe");
    assert.deepEqual([topic, since], ["orders.7", "t1:4"]);
    const stream = "t.orders.7";
    sockets[0].say({ type: "subscribed", stream, topic, epoch: "t1", head: 4, cursor: 4, ref });
    sockets[0].say({ type: "notification", stream, seq: 5 });
    assert.deepEqual([heard, orders.position.seq], [["subscribed", 5], 5]);
    orders.unsubscribe();
    assert.equal(sockets[0].of("unsubscribe").length, 1);
    assert.deepEqual(heard, ["subscribed", 5, "unsubscribed"]);
    connection.leave();
  });
});
