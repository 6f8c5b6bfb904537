/** `webstomp-client` as it comes from npm, by remote control (driver.mjs). */

import webstomp from "webstomp-client";
import { WebSocket } from "ws";

import { obey, say } from "./driver.mjs";

/** @type {any} */
let client;
const subscriptions = new Map();
const messages = [];

obey({
  open({ url, protocols, headers, binary = false, beats = 0 }) {
    const heartbeat = beats ? { incoming: beats, outgoing: beats } : false;
    const socket = new WebSocket(url, protocols);
    socket.addEventListener("message", ({ data }) => data === "\n" && say("beat"));
    socket.addEventListener("close", ({ code }) => say("closed", { code }));
    client = webstomp.over(socket, { binary, heartbeat, debug: false, protocols });
    client.maxWebSocketFrameSize = 7; // so that every frame is cut
    client.onreceipt = ({ headers }) => say("receipt", headers);
    client.connect(
      headers,
      ({ headers }) => say("connected", headers),
      ({ command, headers, body }) => command === "ERROR" && say("error", { headers, body }),
    );
  },
  subscribe({ destination, id, headers }) {
    const hear = (message) => {
      messages.push(message);
      say("message", { headers: message.headers, body: JSON.parse(message.body) });
    };
    subscriptions.set(id, client.subscribe(destination, hear, { id, ...headers }));
  },
  unsubscribe: ({ id, headers }) => subscriptions.get(id)?.unsubscribe(headers),
  ack: ({ message, headers }) => messages.at(message)?.ack(headers),
  nack: ({ message, headers }) => messages.at(message)?.nack(headers),
  send: ({ destination, body = "", headers }) => client.send(destination, body, headers),
  begin: () => client.begin("t"),
  close: () => client.disconnect(() => say("deactivated")),
});
