"""A WebSocket client (RFC 6455) without manners: it sends the bytes it is told to, where libraries refuse to.

async with await Raw.dial(server) as raw:
    reply = await raw.shake(("Origin", b"\xff"), ("Origin", "null"))
    assert reply.status == 403

async with await Raw.open(server, ticket=ticket) as raw:
    await raw.send(frame(TEXT, b"{}", masked=False))
    end = await raw.end()
    assert end.code in (None, 1002)     # None: TCP ended without a close frame
"""

import asyncio
import base64
import contextlib
import json
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tests.support import canary
from tests.support.servers import Server

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

Header = tuple[str | bytes, str | bytes]


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    announced: int | None = None,
) -> bytes:
    """One frame (RFC 6455, section 5.2). `announced` is the length its header tells, if that shall be a lie."""
    length = len(payload) if announced is None else announced
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if length < 126:
        head += bytes([masked << 7 | length])
    elif length < 2**16:
        head += bytes([masked << 7 | 126]) + struct.pack("!H", length)
    else:
        head += bytes([masked << 7 | 127]) + struct.pack("!Q", length)
    if not masked:
        return head + payload
    key = secrets.token_bytes(4)
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def close_frame(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


@dataclass(frozen=True)
class Reply:
    """What the server answered to the handshake."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    reason: str = ""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass
class End:
    """All that came until the server ended the connection, and how it did: the code of its close frame, or None."""

    code: int | None = None
    frames: list[dict[str, Any]] = field(default_factory=list)

    def of(self, type: str) -> list[dict[str, Any]]:  # noqa: A002 - the word of the wire
        return [each for each in self.frames if each["type"] == type]


class Raw:
    """One TCP connection. Every wait is bounded."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self._reader = reader
        self._writer = writer

    @classmethod
    async def dial(cls, server: Server) -> Self:
        return cls(server, *await asyncio.open_connection("127.0.0.1", server.port))

    @classmethod
    async def open(cls, server: Server, *, ticket: str | None = None) -> Self:
        """Shake hands well, with this ticket if there is one."""
        raw = await cls.dial(server)
        offer = "usher.v1" if ticket is None else f"usher.v1, usher.ticket.{ticket}"
        reply = await raw.shake(("Sec-WebSocket-Protocol", offer))
        assert reply.status == 101, reply
        return raw

    async def shake(self, *headers: Header, path: bytes = b"/ws/", host: str | None = None) -> Reply:
        """A proper upgrade request, plus these headers byte by byte, and the answer to it."""
        await self.write_shake(*headers, path=path, host=host)
        return await self._reply()

    async def ask(self, request: bytes) -> Reply:
        """Any request of HTTP, byte by byte, and the answer to it. It should ask for the end of the connection."""
        await self.send(request)
        return await self._reply()

    async def write_shake(self, *headers: Header, path: bytes = b"/ws/", host: str | None = None) -> None:
        """The request alone."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        proper: Sequence[Header] = [
            ("Host", host or f"127.0.0.1:{self.server.port}"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key),
        ]
        lines = [_bytes(name) + b": " + _bytes(value) for name, value in [*proper, *headers]]
        await self.send(b"GET " + path + b" HTTP/1.1\r\n" + b"\r\n".join(lines) + b"\r\n\r\n")

    async def send(self, data: bytes) -> None:
        """A server that has had enough may cut at any byte; what it made of it is told by `end`."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await asyncio.wait_for(self._writer.drain(), 10)

    async def say(self, what: object) -> None:
        """A well-formed text frame."""
        await self.send(frame(TEXT, what if isinstance(what, bytes) else json.dumps(what).encode()))

    async def hear(self, type: str, timeout: float = 5) -> dict[str, Any]:  # noqa: A002
        """The next frame of this type, passing over others."""
        async with asyncio.timeout(timeout):
            while True:
                opcode, payload = await self._frame()
                assert opcode != CLOSE, f"closed with {payload!r} before {type}"
                if opcode == TEXT and (said := json.loads(payload))["type"] == type:
                    return said

    async def end(self, timeout: float = 5) -> End:
        """Everything up to the server's close frame (which is answered, as is due) or the end of TCP."""
        ended = End()
        async with asyncio.timeout(timeout):
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    opcode, payload = await self._frame()
                    if opcode == TEXT:
                        ended.frames.append(json.loads(payload))
                    elif opcode == CLOSE:
                        ended.code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                        await self.send(frame(CLOSE, payload[:2]))
                        break
        return ended

    def cut(self) -> None:
        """Away without a word."""
        self._writer.transport.abort()

    async def _reply(self) -> Reply:
        async with asyncio.timeout(10):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(head[0].split(" ")[1])
            headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
            body = b"" if status == 101 else await self._reader.read()
        canary.present.page(f"{head}\n{body!r}")
        return Reply(status, headers, body, reason=head[0].partition(str(status))[2])

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self._reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self._reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self._reader.readexactly(8))
        assert first & 0x80 and not second & 0x80, "servers send whole frames, and unmasked ones"
        return first & 0x0F, await self._reader.readexactly(length)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.cut()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
