"""Sockets by the hundred, and peers that are no good."""

import asyncio
import base64
import contextlib
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psutil

from tests.support.client import Client, Refused
from tests.support.loyal import http
from tests.support.passes import Pass
from tests.support.servers import Server

AT_ONCE = 25

SMALLEST_SEGMENT = 536
"""With segments of this size the kernel's own buffers are small, and what a peer does not read is soon the server's."""


async def ticket(server: Any, someone: Pass) -> str:
    headers = {"Authorization": f"Bearer {someone.access}"}
    answer = await http().post(f"{server.http}/api/tickets/", headers=headers, timeout=30)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ticket"])


async def open_one(server: Any, someone: Pass, **options: Any) -> Client:
    """Welcome."""
    opened = await Client.open(server, ticket=await ticket(server, someone), **options)
    try:
        await opened.expect("welcome", timeout=30)
    except AssertionError:
        await opened.close()
        raise
    return opened


async def answer_to(server: Any, someone: Pass) -> int:
    """The status of a handshake with a good ticket; if it is let in, it goes again."""
    try:
        opened = await Client.open(server, ticket=await ticket(server, someone))
    except Refused as refused:
        return refused.status
    await opened.close()
    return 101


@contextlib.asynccontextmanager
async def opened(server: Any, people: Sequence[Pass], **options: Any) -> AsyncIterator[list[Client]]:
    """A socket for each of them, all welcome."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(someone: Pass) -> Client:
        async with gate:
            return await open_one(server, someone, **options)

    sockets = await asyncio.gather(*(one(someone) for someone in people))
    try:
        yield sockets
    finally:
        await asyncio.gather(*(each.close() for each in sockets))


class Stalled:
    """A TCP connection by hand, with the smallest buffers there are. It reads when it is told to."""

    def __init__(self) -> None:
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALLEST_SEGMENT)
        self.tcp.setblocking(False)

    @classmethod
    async def open(cls, server: Server, someone: Pass) -> "Stalled":
        """Shake hands and hear the welcome, and nothing after it."""
        self = cls()
        await self.dial(server)
        await self.send(upgrade(server, await ticket(server, someone)))
        heard = b""
        while b'"welcome"' not in heard:
            more = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.tcp, 4096), 20)
            assert more, heard
            heard += more
        return self

    async def dial(self, server: Server) -> None:
        await asyncio.get_running_loop().sock_connect(self.tcp, ("127.0.0.1", server.port))

    async def send(self, data: bytes, timeout: float = 10) -> None:
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.tcp, data), timeout)

    def reset(self) -> None:
        """RST instead of a goodbye."""
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.tcp.close()

    def close(self) -> None:
        self.tcp.close()


def upgrade(server: Server, ticket: str | None = None) -> bytes:
    """The request of a handshake."""
    lines = [
        "GET /ws/ HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(secrets.token_bytes(16)).decode()}",
        f"Sec-WebSocket-Protocol: usher.v1{'' if ticket is None else f', usher.ticket.{ticket}'}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def megabytes(server: Server) -> float:
    """What the process holds in memory."""
    return float(psutil.Process(server.pid).memory_info().rss) / 2**20


def descriptors(server: Server) -> int:
    return int(psutil.Process(server.pid).num_fds())


def threads(server: Server) -> int:
    return int(psutil.Process(server.pid).num_threads())
