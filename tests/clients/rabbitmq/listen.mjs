/**
 * What docs/clients/rabbitmq.md shows, run out of the page: says what it hears, as tests/clients/stomp/driver.mjs has it.
 *
 *     node listen.mjs '{"example": "mqtt.js", "site": "http://…", "url": "ws://…", "username": …, "password": …, …}'
 *
 * What else it is told goes to the example's `listen`: `keep`, `device`; `id` is taken for the person's. `access`: an
 * access token, in whose login session it is to be.
 */

import { readFile } from "node:fs/promises";

import { WebSocket } from "ws";

import { obey, say } from "../stomp/driver.mjs";

const { example, site, url, username, password, id, ...options } = JSON.parse(process.argv[2]);
const page = await readFile(new URL("../../../docs/clients/rabbitmq.md", import.meta.url), "utf8");
const code = new RegExp(`\`\`\`js\n// ${example}\n([\\s\\S]*?)\`\`\``)
  .exec(page)?.[1]
  .replace(/from "(.*?)"/, (_, name) => `from ${JSON.stringify(import.meta.resolve(name))}`);
const { listen } = await import(`data:text/javascript,${encodeURIComponent(code ?? "")}`);

async function post(path, body, access = "") {
  const headers = { "Content-Type": "application/json", ...(access && { Authorization: `Bearer ${access}` }) };
  const answer = await fetch(site + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

const access = options.access ?? (await post("/api/token/", { username, password })).access;
const ticket = async () => {
  say("ticket");
  return (await post("/api/tickets/", { purpose: "broker" }, access)).ticket;
};
const client = listen({
  url,
  person: { id, username },
  ticket,
  onNotification: (notification, headers = {}) => say("notification", { ...notification, headers }),
  WebSocket,
  ...options,
});
if (example === "mqtt.js") {
  client.on("connect", () => say("connected"));
  client.on("packetreceive", ({ cmd, granted }) => cmd === "suback" && say("subscribed", { granted }));
  client.on("close", () => say("closed"));
  client.on("error", ({ message }) => say("error", { message }));
} else {
  const { onConnect } = client;
  client.onConnect = (frame) => {
    onConnect(frame);
    say("connected");
  };
  client.onStompError = ({ headers }) => say("error", headers);
  client.onWebSocketClose = ({ code }) => say("closed", { code });
}

obey({ close: () => (example === "mqtt.js" ? client.end() : client.deactivate()) });
