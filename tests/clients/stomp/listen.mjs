/** What docs/clients/stomp.md shows for stompjs, run out of the page: node listen.mjs SITE USERNAME PASSWORD */

import { readFile } from "node:fs/promises";

import { WebSocket } from "ws";

import { obey, say } from "./driver.mjs";

const [site, username, password] = process.argv.slice(2);
const page = await readFile(new URL("../../../docs/clients/stomp.md", import.meta.url), "utf8");
const code = /```js\n([\s\S]*?)```/.exec(page)?.[1].replace('"@stomp/stompjs"', JSON.stringify(import.meta.resolve("@stomp/stompjs")));
const { listen } = await import(`data:text/javascript,${encodeURIComponent(code ?? "")}`);

let access = null;

async function post(path, body) {
  const headers = { "Content-Type": "application/json", ...(access && { Authorization: `Bearer ${access}` }) };
  const answer = await fetch(site + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw Object.assign(new Error(`${path} answered ${answer.status}`), { status: answer.status });
  return answer.json();
}

async function getTicket() {
  access ??= (await post("/api/token/", { username, password })).access;
  const { ticket } = await post("/api/tickets/", {});
  say("ticket");
  return ticket;
}

const client = listen({
  url: `${site.replace("http", "ws")}/stomp`,
  getTicket,
  onNotification: (notification) => say("notification", notification),
  onEnd: (why) => say("end", { why }),
  WebSocket,
});
const { onConnect } = client;
client.onConnect = (frame) => {
  onConnect(frame);
  client.subscribe("/user/queue/control", ({ body }) => say("control", JSON.parse(body)));
  say("connected");
};
client.onWebSocketClose = ({ code }) => say("closed", { code });
client.onChangeState = (state) => say("state", { state });

obey({ close: () => client.deactivate() });
