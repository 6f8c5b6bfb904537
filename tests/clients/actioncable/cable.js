/**
 * A client of Action Cable that nobody here wrote, in Node, against the site that is named: says what it hears, one JSON
 * array a line, and does what it is told on its standard input in the same way: `["subscribe", {"channel": …}]`,
 * `["perform", ["reauth", {…}]]` on what was subscribed first, `["unsubscribe"]` likewise, `["close"]`.
 *
 *     node tests/clients/actioncable/cable.js '{"client": "rails", "site": "http://127.0.0.1:8000", "username": "demo", …}'
 *
 * `client`: `rails`, or the protocol of AnyCable's. `way`: `ticket`, or how AnyCable's is to carry a JWT, which is made
 * here as another application would make it: `param`, `header`, `sub-protocol`.
 */

import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";

import { createCable } from "@anycable/core";
import ActionCable from "@rails/actioncable";
import { WebSocket } from "ws";

const { client, way = "ticket", site, username, password, key, seconds = 3600 } = JSON.parse(process.argv[2]);
const url = `${site.replace("http", "ws")}/cable`;
const say = (...words) => process.stdout.write(`${JSON.stringify(words)}\n`);
let access = null;

async function ask(method, path, body) {
  const headers = { "Content-Type": "application/json", ...(access && { Authorization: `Bearer ${access}` }) };
  const answer = await fetch(site + path, { method, headers, body, signal: AbortSignal.timeout(5_000) });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

async function signIn() {
  access ??= (await ask("POST", "/api/token/", JSON.stringify({ username, password }))).access;
}

async function ticket(purpose = "connect") {
  await signIn();
  return (await ask("POST", "/api/tickets/", JSON.stringify({ purpose }))).ticket;
}

/** Until there is one: the server may be away. */
async function ticketInTime() {
  for (;;) {
    try {
      return await ticket();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
}

function jwt() {
  const part = (object) => Buffer.from(JSON.stringify(object)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const claims = { ext: JSON.stringify({ user_id: username }), iat: now, exp: now + seconds };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

async function rails() {
  Object.assign(globalThis, { addEventListener() {}, removeEventListener() {} }); // of the page it expects to be in
  ActionCable.adapters.WebSocket = WebSocket;
  ActionCable.ConnectionMonitor.staleThreshold = 4; // seconds for 6: it waits as long again before it comes back
  const consumer = ActionCable.createConsumer(url);
  const renew = async () => {
    consumer.subprotocols = [`usher.ticket.${await ticketInTime()}`];
  };
  await renew();
  const list = await ask("GET", "/api/notifications/");
  const made = [];
  return {
    subscribe(params) {
      const personal = params.channel === "NotificationsChannel";
      if (personal) params = { ...params, since: `${list.epoch}:${list.head}` };
      const subscription = consumer.subscriptions.create(params, {
        connected: () => say("connected", params),
        rejected: () => say("rejected", params),
        received(message) {
          if (personal) params.since = `${list.epoch}:${message.seq}`;
          say("message", { ...message, channel: params.channel });
        },
        async disconnected({ willAttemptReconnect }) {
          if (made[0] === subscription) say("disconnected", { returns: willAttemptReconnect });
          subscription.identifier = JSON.stringify(params);
          if (made[0] === subscription) await renew();
        },
      });
      made.push(subscription);
    },
    perform: (action, data) => made[0].perform(action, data),
    unsubscribe: () => made[0].unsubscribe(),
    close: () => consumer.disconnect(),
  };
}

async function anycable() {
  const ours = way === "ticket";
  if (ours) await signIn();
  const list = ours && (await ask("GET", "/api/notifications/"));
  const cable = createCable(url, {
    protocol: client,
    websocketImplementation: WebSocket,
    websocketAuthStrategy: ours ? "sub-protocol" : way,
    ...(ours
      ? { transportConfigurator: async (transport) => transport.setToken(await ticket()) }
      : { auth: { token: jwt() } }),
    tokenRefresher: async (transport) => {
      say("refresh");
      if (!ours) transport.setToken(jwt());
    },
    reconnectStrategy: () => 500 + 1000 * Math.random(),
  });
  cable.on("disconnect", (event) => say("disconnected", { reason: event?.reason, returns: true }));
  cable.on("close", (event) => say("disconnected", { reason: event?.reason, returns: false }));
  const made = [];
  const subscribe = (name, params, place = made.length) => {
    const personal = name === "NotificationsChannel" && client === "actioncable-v1-json";
    let since = params.since ?? (personal && list ? `${list.epoch}:${list.head}` : undefined);
    const channel = cable.subscribeTo(name, params);
    channel.on("connect", () => say("connected", { channel: name, ...params }));
    channel.on("message", (message, meta) => {
      if (personal && message.seq) since = `${list.epoch}:${message.seq}`;
      say("message", { ...message, channel: name, meta });
    });
    channel.on("info", (event) => say("info", { ...event, channel: name }));
    channel.on("close", (event) => say(event ? "rejected" : "unsubscribed", { channel: name, ...params }));
    channel.on("disconnect", () => {
      if (!personal) return; // as docs/clients/actioncable.md has it
      channel.disconnect();
      subscribe(name, { ...params, since }, place);
    });
    made[place] = channel;
  };
  return {
    subscribe: ({ channel: name, ...params }) => subscribe(name, params),
    perform: (action, data) => made[0].perform(action, data),
    unsubscribe: () => made[0].disconnect(),
    close: () => cable.disconnect(),
  };
}

const connection = await (client === "rails" ? rails() : anycable());
say("ready");
createInterface({ input: process.stdin }).on("line", async (line) => {
  const [command, argument] = JSON.parse(line);
  if (command === "subscribe") connection.subscribe(argument);
  if (command === "perform") await connection.perform(...argument);
  if (command === "reauth") await connection.perform("reauth", { ticket: await ticket("reauth") });
  if (command === "unsubscribe") connection.unsubscribe();
  if (command === "close") connection.close();
});
