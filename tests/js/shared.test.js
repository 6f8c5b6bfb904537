/** A page that cannot have a worker goes on by itself. With one: tests/browser. */

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import { SharedConnection } from "../../static/usher/shared.js";
import { settled } from "./support.js";

const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");

afterEach(() => {
  delete globalThis.SharedWorker;
  delete globalThis.navigator;
  if (before) Object.defineProperty(globalThis, "navigator", before);
});

describe("where the worker's file comes from another origin", () => {
  test("the page has a connection of its own", async () => {
    Object.defineProperty(globalThis, "navigator", { value: { locks: {} }, configurable: true });
    globalThis.SharedWorker = class {
      constructor() {
        throw new DOMException("Failed to construct 'SharedWorker'", "SecurityError");
      }
    };
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
