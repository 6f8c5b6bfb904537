/**
 * The client in Node, against the site that is named: prints what it hears, one JSON array a line, and does what it
 * is told on its standard input in the same way: `["close"]`, `["sign out"]`, `["mark", …]`, `["subscribe", "a.topic"]`,
 * `["unsubscribe", "a.topic"]`.
 *
 *     node tests/js/follow.js http://127.0.0.1:8000 demo demo
 */

import { createInterface } from "node:readline";

import { WebSocket } from "ws";

import { UnauthorizedError, UsherClient } from "../../static/usher/client.js";

const [site, username, password] = process.argv.slice(2);
let tokens = null;

async function post(path, body) {
  const headers = { "Content-Type": "application/json", ...(tokens && { Authorization: `Bearer ${tokens.access}` }) };
  const answer = await fetch(site + path, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(5_000),
  });
  if (answer.status === 401) throw new UnauthorizedError(`${path} answered 401`);
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

async function getTicket({ reason }) {
  tokens ??= await post("/api/token/", { username, password });
  return post("/api/tickets/", { purpose: reason });
}

// The interface of browsers, where Node has it, or the package for Node 20, which has it only on request.
const options = process.argv.includes("--native") ? {} : { WebSocket };
const client = new UsherClient({ getTicket, ...options });

const say = (...words) => process.stdout.write(`${JSON.stringify(words)}\n`);
for (const event of ["state", "welcome", "notification", "change", "replay", "gap", "reauth", "error"]) {
  client.on(event, (detail) => say(event, { ...detail, position: client.position }));
}

const subscriptions = {};

function subscribe(topic) {
  const subscription = (subscriptions[topic] = client.subscribe(topic));
  for (const event of ["state", "notification", "replay", "gap"]) {
    subscription.on(event, (detail) => say(`topic ${event}`, { ...detail, topic, position: subscription.position }));
  }
}

createInterface({ input: process.stdin }).on("line", async (line) => {
  const [command, argument] = JSON.parse(line);
  if (command === "close") client.close();
  if (command === "sign out") await post("/api/token/revoke/", { refresh: tokens.refresh });
  if (command === "subscribe") subscribe(argument);
  if (command === "unsubscribe") subscriptions[argument].unsubscribe();
  if (command === "mark") say("marked", await client.mark(argument).catch((error) => ({ error: error.code })));
});
client.open();
