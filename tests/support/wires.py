"""What lies between clients and a site: a TCP proxy that can be cut, slowed down or turned into a black hole, and that
spreads new connections over several processes as a balancer does. Or, with a certificate, one that ends TLS and tells
the site nothing of it; or one through which something else arrives than was said.

    async with Wire(first, second) as wire:
        Client.open(wire, …)                # it has the addresses of a server
        wire.hole()                         # nothing goes through, and nobody is told
        wire.mend()
        wire.targets = [second]             # new connections only; those that are open stay
        wire.change = lambda said: …        # what the servers say
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, Self

from tests.support.processes import free_port

CHUNK = 65_536


class Listening(Protocol):
    """On 127.0.0.1."""

    port: int


class Wire:
    """One listening port in front of servers. With `certificate`, a directory with fullchain.pem and privkey.pem, it
    speaks TLS."""

    def __init__(self, *targets: Listening, certificate: Path | None = None) -> None:
        self.targets: list[Listening] = list(targets)
        self.port = free_port()
        self.http = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}"
        self.delay = 0.0
        self.change: Callable[[bytes], bytes] = bytes
        """What becomes of each chunk that a server sends."""
        self.carried = 0
        """Connections that reached a server."""
        self._turn = 0
        self._severed = False
        self._through = asyncio.Event()
        self._through.set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._listening: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._tls = _served_with(certificate) if certificate else None

    # What may happen to it ------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Reset every connection, and every new one, until `mend`."""
        self._severed = True
        for end in list(self._ends):
            end.transport.abort()

    def hole(self) -> None:
        """Swallow everything, also the end of a connection, until `mend`: then what was swallowed arrives."""
        self._through.clear()

    def slow(self, seconds: float) -> None:
        """Let everything arrive so much later, each way."""
        self.delay = seconds

    def mend(self) -> None:
        self._severed = False
        self.delay = 0.0
        self._through.set()

    # Inside ---------------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)
        self._ends.add(writer)
        try:
            if self._severed:
                return
            await self._through.wait()
            far_reader, far_writer = await self._dial()
            self.carried += 1
            self._ends.add(far_writer)
            try:
                await asyncio.gather(
                    self._carry(reader, far_writer, bytes), self._carry(far_reader, writer, self.change)
                )
            finally:
                self._ends.discard(far_writer)
                far_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._ends.discard(writer)
            writer.transport.abort()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The next server that takes it."""
        for _ in range(len(self.targets)):
            self._turn += 1
            target = self.targets[self._turn % len(self.targets)]
            with contextlib.suppress(ConnectionError):
                return await asyncio.open_connection("127.0.0.1", target.port)
        raise ConnectionRefusedError("no server")

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]
    ) -> None:
        while data := await reader.read(CHUNK):
            await self._way()
            writer.write(change(data))
            await writer.drain()
        await self._way()
        # One side has ended: the other reads what is under way and ends as well.
        if writer.can_write_eof():
            with contextlib.suppress(OSError):
                writer.write_eof()

    async def _way(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._through.wait()

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024, ssl=self._tls)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._listening is not None
        self._listening.close()
        await _ended(self._lines)


def _served_with(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "fullchain.pem", certificate / "privkey.pem")
    return context


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
