"""Thousands of clients in one process, and the certainty that each was told everything exactly once."""

import asyncio
from collections.abc import Callable, Sequence

from benchmarks.clients import ACK_EVERY, Client, ComeBack, Dialect


class Lost(Exception):
    """Frames that did not come, or came twice: the figures of such a run mean nothing."""


class Swarm:
    """Clients of one server."""

    def __init__(self, dialect: Dialect, *, port: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.dialect = dialect
        self.clients: list[Client] = []
        self.acked = 0
        """Ack frames sent since `reset`."""
        self.busy = False
        self.on_frame: Callable[[bytes], None] | None = None
        self._port = port
        self._received = 0
        self._awaited = 0
        self._enough: asyncio.Future[None] | None = None
        self._failed: list[str] = []

    async def connect(self, credentials: Sequence[str], *, at_once: int = 20) -> list[int]:
        """One more client for each credential. Returns the places of those that the server told to come back later."""
        waiting = list(reversed(list(enumerate(credentials))))
        refused = []

        async def work() -> None:
            while waiting:
                place, credential = waiting.pop()
                try:
                    self.clients.append(await self.one(credential))
                except ComeBack:
                    refused.append(place)

        await asyncio.gather(*(work() for _ in range(at_once)))
        return refused

    async def one(self, credential: str, *, address: str | None = None) -> Client:
        """A client (from an own address of this machine, if told) that is let in, and not yet among `clients`."""
        request = self.dialect.request(f"127.0.0.1:{self._port}", credential)
        _transport, client = await self.loop.create_connection(
            lambda: Client(self, request), "127.0.0.1", self._port, local_addr=(address, 0) if address else None
        )
        await asyncio.wait_for(client.ready(), 60)
        return client

    def reset(self, *, busy: bool = False) -> None:
        """
        Count from here.

        `busy`: as in a stream that never rests. All clients were told things before, each a different number of them,
        so that each notification makes one client in 32 ack, and none because its time is up. Else nothing is owed.
        """
        self.flush()
        self.busy = busy
        self.acked = self._received = 0
        for place, client in enumerate(self.clients):
            client.received = 0
            client.unacked = place % ACK_EVERY if busy else 0

    def told(self, client: Client, payload: bytes) -> None:
        self._received += 1
        if self.on_frame is not None:
            self.on_frame(payload)
        if self._received == self._awaited and self._enough is not None and not self._enough.done():
            self._enough.set_result(None)

    def lost(self, client: Client) -> None:
        if client.inside and client.closed != "left":
            self._failed.append(client.closed)
            if self._enough is not None and not self._enough.done():
                self._enough.set_exception(Lost(f"a client went away: {client.closed}"))

    async def receive(self, each: int, *, timeout: float) -> None:
        """Until every client has been told `each` notifications since `reset`; raises `Lost` if that does not come."""
        self._awaited = each * len(self.clients)
        self._enough = self.loop.create_future()
        if self._received < self._awaited:
            try:
                await asyncio.wait_for(self._enough, timeout)
            except TimeoutError:
                raise Lost(f"{self._received} of {self._awaited} frames came in {timeout:g} s") from None
        self._enough = None
        self.check(each)

    def check(self, each: int) -> None:
        """Raise `Lost` unless every client was told exactly `each` notifications since `reset`, and is still there."""
        wrong = sum(client.received != each for client in self.clients)
        if wrong:
            raise Lost(f"{wrong} of {len(self.clients)} clients were not told exactly {each} notifications")
        if self._failed:
            raise Lost(f"{len(self._failed)} clients went away: {self._failed[0]}")

    def flush(self) -> None:
        """Let everybody ack now what they have not."""
        for client in self.clients:
            if client.unacked:
                client.ack()

    async def all_acked(self, *, timeout: float = 10) -> None:
        """Until no client owes an ack."""
        async with asyncio.timeout(timeout):
            while any(client.unacked for client in self.clients):
                await asyncio.sleep(0.05)

    async def leave(self) -> None:
        """Close all, and wait until the server has closed them too."""
        for client in self.clients:
            client.leave()
        async with asyncio.timeout(60):
            while any(not client.transport.is_closing() for client in self.clients):
                await asyncio.sleep(0.05)
        self.clients = []

    def cut(self) -> None:
        """All connections break at once, without a word."""
        for client in self.clients:
            client.closed = "left"
            client.transport.abort()
        self.clients = []
