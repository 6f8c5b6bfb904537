/** `@stomp/stompjs` as it comes from npm, by remote control (driver.mjs). */

import { Client, Versions } from "@stomp/stompjs";
import { WebSocket } from "ws";

import { obey, say } from "./driver.mjs";

/** @type {Client} */
let client;
/** @type {Map<string, { unsubscribe: (headers?: object) => void }>} */
const subscriptions = new Map();
/** @type {import("@stomp/stompjs").IMessage[]} */
const messages = [];

obey({
  open({ url, protocols, headers, version, binary = false, beats = 0 }) {
    client = new Client({
      webSocketFactory: () => new WebSocket(url, protocols),
      stompVersions: version ? new Versions([version]) : Versions.default,
      connectHeaders: headers,
      reconnectDelay: 0,
      heartbeatIncoming: beats,
      heartbeatOutgoing: beats,
      forceBinaryWSFrames: binary,
      splitLargeFrames: true,
      maxWebSocketChunkSize: 7, // so that every frame is cut
      onConnect: ({ headers }) => say("connected", headers),
      onStompError: ({ headers, body }) => say("error", { headers, body }),
      onWebSocketClose: ({ code }) => say("closed", { code }),
      onUnhandledReceipt: ({ headers }) => say("receipt", headers),
      onHeartbeatReceived: () => say("beat"),
      onHeartbeatLost: () => say("beat lost"),
    });
    client.activate();
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
  send: ({ destination, body = "", headers }) => client.publish({ destination, body, headers }),
  begin: () => client.begin("t"),
  close: () => client.deactivate().then(() => say("deactivated")),
});
