"""A client of a load generator, in the protocols that are compared. They differ in few words."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.content import TOPIC
from benchmarks.frames import CLOSE, PING, PONG, TEXT, Reader, frame, upgrade_request

if TYPE_CHECKING:
    from benchmarks.swarm import Swarm

ACK_EVERY = 32
ACK_SECONDS = 5.0
"""When clients ack, on all sides: when this many notifications are un-acked, else so long after the oldest."""


@dataclass(frozen=True)
class Dialect:
    """How one side spells what all have. A payload is told by its first bytes."""

    request: Callable[[str, str], bytes]
    """(host, credential) -> the opening handshake."""
    credentials: str
    """What to call `benchmarks.backstage` for."""
    ack: bytes = b'{"type":"ack","seq":%b}'
    position: re.Pattern[bytes] = re.compile(rb'"seq": ?(\d+)')
    """What is acked, in a notification."""
    notification: bytes = b'"notification"'
    greeting: bytes = b""
    """What the client says first."""
    welcome: bytes = b""
    """In the first frame that says that the client is in; empty: the handshake itself says it."""
    replies: dict[bytes, bytes] = field(default_factory=dict)
    """What is to be answered at once: start of a payload -> answer."""
    subscribe: bytes = b""
    """What it says when it is welcome, to hear the topic of workload (c); empty: it hears what it hears."""
    subscribed: bytes = b""
    """In the frame that says that it does; only then is it in."""


def _offer(protocol: str, host: str, ticket: str) -> bytes:
    offers = {"Sec-WebSocket-Protocol": f"{protocol}, usher.ticket.{ticket}"}
    return upgrade_request("/ws/", host=host, headers=offers)


_usher = partial(_offer, "usher.v1")


def _cookie(host: str, key: str) -> bytes:
    return upgrade_request("/ws/", host=host, headers={"Cookie": f"sessionid={key}"})


def _token(host: str, token: str) -> bytes:
    return upgrade_request(f"/jwt/?token={token}", host=host, headers={})


def _socketio(host: str, key: str) -> bytes:
    cookie = {"Cookie": f"sessionid={key}"}
    return upgrade_request("/socket.io/?EIO=4&transport=websocket", host=host, headers=cookie)


DIALECTS = {
    "usher": Dialect(_usher, "tickets", welcome=b'"welcome"'),
    "plain": Dialect(_cookie, "cookies"),
    "jwt": Dialect(_token, "tokens"),
    # Engine.IO 4 in front (0 open, 2 ping, 3 pong, 4 message), Socket.IO 5 behind it (0 connect, 2 event).
    "socket.io": Dialect(
        _socketio, "cookies", welcome=b'40{"sid"', ack=b'42["ack",{"seq":%b}]', replies={b"0{": b"40", b"2": b"3"}
    ),
}


# A stream that many hear. The plain way has a group for it, and Socket.IO a room, as they have for a person.
_OURS = DIALECTS["usher"]
ON_A_TOPIC = {
    **DIALECTS,
    "usher": replace(
        _OURS,
        ack=b'{"type":"ack","stream":"t.%s","seq":%%b}' % TOPIC.encode(),
        subscribe=b'{"type":"subscribe","topic":"%s"}' % TOPIC.encode(),
        subscribed=b'"subscribed"',
    ),
    # The credential is a ticket beside the subprotocol; CONNECT then has none.
    "stomp": Dialect(
        partial(_offer, "v12.stomp"),
        "tickets",
        greeting=b"CONNECT\naccept-version:1.2\n\n\0",
        welcome=b"CONNECTED\n",
        subscribe=b"SUBSCRIBE\nid:1\ndestination:/topic/%s\nack:client\nreceipt:r\n\n\0" % TOPIC.encode(),
        subscribed=b"RECEIPT\n",
        notification=b"MESSAGE\n",
        position=re.compile(rb"\nack:(\S+)"),
        ack=b"ACK\nid:%b\n\n\0",
    ),
    # Its clients cannot ack.
    "cable": Dialect(
        partial(_offer, "actioncable-v1-json"),
        "tickets",
        welcome=b'{"type":"welcome"',
        subscribe=json.dumps(
            {"command": "subscribe", "identifier": json.dumps({"channel": "TopicChannel", "topic": TOPIC})}
        ).encode(),
        subscribed=b'{"type":"confirm_subscription"',
        notification=b'{"identifier":',
        ack=b"",
    ),
}


class ComeBack(ConnectionError):
    """The server cannot let it in now, and says so."""


class Client(asyncio.Protocol):
    """One socket. It counts what it is told and acks it; everything else is the swarm's."""

    __slots__ = (
        "_gone",
        "_head",
        "_reader",
        "_ready",
        "_request",
        "_swarm",
        "_timer",
        "closed",
        "position",
        "received",
        "transport",
        "unacked",
    )

    def __init__(self, swarm: "Swarm", request: bytes) -> None:
        self._swarm = swarm
        self._request = request
        self._head: bytes | None = b""
        self._reader = Reader()
        self._ready: asyncio.Future[None] = swarm.loop.create_future()
        self._gone: asyncio.Future[None] = swarm.loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport
        self.received = 0
        self.unacked = 0
        self.position = b"0"
        self.closed = ""

    @property
    def inside(self) -> bool:
        """Whether the server has let it in, be it gone since or not."""
        return self._ready.done() and self._ready.exception() is None

    async def ready(self) -> None:
        """Returns when the server has let it in; raises if it did not."""
        await self._ready

    async def gone(self) -> None:
        """Returns when the connection is closed on both sides."""
        await self._gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.over(head.partition(b"\r\n")[0].decode("latin-1"))
                self.transport.abort()
                return
            self._head = None
            if self._swarm.dialect.greeting:
                self.say(self._swarm.dialect.greeting)
            if not self._swarm.dialect.welcome:
                self._let_in()
        for opcode, payload in self._reader.feed(data):
            if opcode == TEXT:
                self._told(payload)
            elif opcode == PING:
                self.transport.write(frame(PONG, payload))
            elif opcode == CLOSE:
                self.over(f"closed by the server: {payload!r}")
                self.transport.close()

    def _told(self, payload: bytes) -> None:
        start = payload[:40]
        if self._swarm.dialect.notification in start:
            self.received += 1
            self._swarm.told(self, payload)
            self._owe_ack(payload)
            return
        if not self._ready.done():
            self._come_in(start)
        if b'"bye"' in start:
            self.closed = payload.decode()
        for said, answer in self._swarm.dialect.replies.items():
            if payload.startswith(said):
                self.say(answer)

    def _come_in(self, start: bytes) -> None:
        dialect = self._swarm.dialect
        if dialect.subscribed and dialect.subscribed in start:
            self._let_in()
        elif dialect.welcome in start:
            if dialect.subscribe:
                self.say(dialect.subscribe)
            else:
                self._let_in()

    def _let_in(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def say(self, text: bytes) -> None:
        self.transport.write(frame(TEXT, text))

    # --- Acks ---

    def _owe_ack(self, payload: bytes) -> None:
        found = self._swarm.dialect.position.search(payload)
        if found:
            self.position = found[1]
        self.unacked += 1
        if self.unacked >= ACK_EVERY:
            self.ack()
        elif self._timer is None and not self._swarm.busy:
            self._timer = self._swarm.loop.call_later(ACK_SECONDS, self.ack)

    def ack(self) -> None:
        """Ack everything so far."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.unacked = 0
        if not self.transport.is_closing() and self._swarm.dialect.ack:
            self.say(self._swarm.dialect.ack % self.position)
            self._swarm.acked += 1

    # --- The end ---

    def leave(self) -> None:
        """Close as a browser does."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.closed = self.closed or "left"
        if not self.transport.is_closing():
            self.transport.write(frame(CLOSE, b"\x03\xe8"))

    def over(self, why: str) -> None:
        self.closed = self.closed or why
        if not self._ready.done():
            later = '"reconnect":true' in self.closed
            self._ready.set_exception((ComeBack if later else ConnectionError)(self.closed))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.over(f"connection lost: {exc!r}")
        self._gone.set_result(None)
        self._swarm.lost(self)
