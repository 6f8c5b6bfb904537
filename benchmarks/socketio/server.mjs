// What socket.io takes for the same: one process, websockets only, a room a person, and a middleware that makes the two
// queries of Django's AuthMiddlewareStack. It publishes to its own rooms when POSTed to; no other process is involved.

import { createServer } from "node:http";
import { inflateSync } from "node:zlib";
import pg from "pg";
import { Server } from "socket.io";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 8 });

const WHAT = {
  type: "notification",
  kind: "ci.build",
  level: "success",
  title: "Build finished",
  body: "Build 1742 of the main branch finished after 3 minutes and 12 seconds.",
  url: "/builds/1742/",
  data: { build: 1742 },
};

let seq = 0;

function publish({ user_ids, rounds }) {
  for (let round = 0; round < rounds; round += 1) {
    for (const user of user_ids) {
      seq += 1;
      const created_at = new Date().toISOString();
      io.to(`user_${user}`).emit("notification", { ...WHAT, seq, id: String(seq), created_at, read: false });
    }
  }
}

const http = createServer((request, response) => {
  if (request.method !== "POST") {
    response.end("ok");
    return;
  }
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    publish(JSON.parse(Buffer.concat(chunks).toString()));
    response.end("{}");
  });
});

const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });

const SESSION = "SELECT session_data FROM django_session WHERE session_key = $1 AND expire_date > now()";
const PERSON = "SELECT id, username, password, is_active FROM auth_user WHERE id = $1";

// Django signs what it stores; the signature is not checked here, which is kind to socket.io.
function personOf(data) {
  const [payload] = data.split(":");
  const packed = payload.startsWith("."); // what Django could make shorter
  const bytes = Buffer.from(packed ? payload.slice(1) : payload, "base64url");
  return Number(JSON.parse((packed ? inflateSync(bytes) : bytes).toString())._auth_user_id);
}

io.use(async (socket, next) => {
  const key = /sessionid=(\w+)/.exec(socket.handshake.headers.cookie ?? "")?.[1];
  const session = await pool.query({ name: "session", text: SESSION, values: [key] });
  if (!session.rows.length) return next(new Error("no session"));
  const person = await pool.query({ name: "person", text: PERSON, values: [personOf(session.rows[0].session_data)] });
  if (!person.rows[0]?.is_active) return next(new Error("nobody"));
  socket.data.user = person.rows[0].id;
  return next();
});

io.on("connection", (socket) => {
  socket.join(`user_${socket.data.user}`);
  socket.on("ack", () => {});
});

http.listen(Number(process.env.PORT), "127.0.0.1");
