"""
One Redis server's part of what a hub hears: a connection that stays subscribed, and knows whether it still hears.

Rules of this file:

* A group counts as joined once the server confirmed it and nothing later about it is under way: so that a leave and a
  join of the same group cannot cross. Both are sent by one task, on one connection, which answers in order.
* Nothing that happens here raises out of `listen`: the connection is given up, said so in one line, and replaced.
* Deaf is what does not hear the probe that this process itself publishes. That covers a server that hangs, one that was
  failed over without a word, and a subscription that was lost on the way, none of which raises anything.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from math import inf
from typing import Any

from .. import fanout
from ..redis_layer import RedisLayer
from ..wire.doorbell import Probe, pack, unpack

logger = logging.getLogger("notifications.hub")

PROBE_SECONDS = 2.0
"""How often it is made sure that the subscription hears, and groups that nobody listens to any more are left."""

PATIENCE = 2.0
"""How long connecting, or a command, may take before the connection is given up."""

DEAF_SECONDS = 5.0
"""How long the own probe may be on its way. Longer than a server that hangs is waited for: it may only be behind a
burst of announcements that are still being handed over."""

AGAIN_SECONDS = 0.25
"""Between giving a connection up and the next: a server that was restarted is heard again before anybody minds."""

TOGETHER = 1_000
"""Groups joined by one command: a thousand returning clients cost Redis one, and it does not stall for ten thousand."""


class Subscription:
    """`heard(group, data)` is told every message as the layer wrote it, `joined(group)` every group that was joined."""

    def __init__(
        self,
        layer: RedisLayer,
        server: int,
        heard: Callable[[str, object], None],
        joined: Callable[[str], None],
    ) -> None:
        self.ok = True
        """False from a failure until a probe is heard again. At the start nothing is known, and the best is hoped."""
        self._layer = layer
        self._server = server
        self._tell = heard
        self._joined = joined
        self._wanted: set[str] = set()
        self._asked: set[str] = set()  # of this connection: joined, or about to be
        self._under_way: Counter[str] = Counter()  # joins and leaves the server has not confirmed
        self._news = asyncio.Event()
        self._probe_group = f"usher.probe.{fanout.ORIGIN}"
        self._probes = 0
        self._probe_heard = asyncio.Event()

    def want(self, group: str) -> None:
        self._wanted.add(group)
        if group not in self._asked:
            self._news.set()

    def drop(self, group: str) -> None:
        self._wanted.discard(group)

    def has(self, group: str) -> bool:
        return group in self._asked and group not in self._under_way

    async def listen(self) -> None:
        """Stay subscribed until cancelled."""
        while True:
            try:
                await self._stay()
            except Exception as error:  # noqa: BLE001 (whatever ended it, there must be another)
                if self.ok:
                    logger.warning("Redis is not heard (%s: %s).", type(error).__name__, error)
                self.ok = False
            finally:
                self._asked.clear()
                self._under_way.clear()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _stay(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            ear = await stack.enter_async_context(_connected(self._layer, self._server))
            voice = await stack.enter_async_context(_connected(self._layer, self._server))
            await together(self._read(ear), self._ask(ear), self._probe(voice))

    async def _read(self, ear: Any) -> None:
        while True:
            kind, channel, data = await ear.read_response(timeout=inf, disconnect_on_error=False)
            group = self._layer.group(channel)
            if kind != b"message":
                self._confirmed(group)
            elif group == self._probe_group:
                self._hear_probe(data)
            else:
                self._tell(group, data)

    def _confirmed(self, group: str) -> None:
        self._under_way[group] -= 1
        if self._under_way[group] <= 0:
            del self._under_way[group]
            if group in self._asked and group != self._probe_group:
                self._joined(group)

    async def _ask(self, ear: Any) -> None:
        """Join what is wanted as soon as it is; leave what is not every now and then."""
        while True:
            self._news.clear()
            await self._send(ear, b"SUBSCRIBE", (self._wanted | {self._probe_group}) - self._asked)
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                await self._send(ear, b"UNSUBSCRIBE", self._asked - self._wanted - {self._probe_group})

    async def _send(self, ear: Any, command: bytes, groups: set[str]) -> None:
        for some in _portions(groups):
            if command == b"SUBSCRIBE":
                self._asked.update(some)
            else:
                self._asked.difference_update(some)
            self._under_way.update(some)
            async with asyncio.timeout(PATIENCE):
                await _say(ear, command, *map(self._layer.channel, some))

    async def _probe(self, voice: Any) -> None:
        while True:
            async with asyncio.timeout(DEAF_SECONDS):
                await self._hears_itself(voice)
            if not self.ok:
                logger.info("Redis is heard again.")
            self.ok = True
            await asyncio.sleep(PROBE_SECONDS)

    async def _hears_itself(self, voice: Any) -> None:
        self._probes += 1
        self._probe_heard.clear()
        probe = self._layer.serialize(pack(Probe(fanout.ORIGIN, self._probes)))
        while not self._probe_heard.is_set():  # again, if it was published before the server had subscribed us
            await _say(voice, b"PUBLISH", self._layer.channel(self._probe_group), probe)
            hearers = await voice.read_response()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if hearers else 0.02):
                    await self._probe_heard.wait()

    def _hear_probe(self, data: object) -> None:
        with contextlib.suppress(ValueError):
            probe = unpack(self._layer.deserialize(data))
            if isinstance(probe, Probe) and probe.number == self._probes:
                self._probe_heard.set()


@contextlib.asynccontextmanager
async def _connected(layer: RedisLayer, server: int) -> Any:
    connection = layer.connection(server, patience=PATIENCE)
    try:
        async with asyncio.timeout(PATIENCE):
            await connection.connect()
            _heed_cancellation()
        yield connection
    finally:
        # Not waiting for the other side, which may hang.
        await connection.disconnect(nowait=True)


async def _say(connection: Any, *command: Any) -> None:
    await connection.send_command(*command)
    _heed_cancellation()


def _heed_cancellation() -> None:
    """
    Raise what redis-py swallowed: it sends inside `asyncio.wait_for`, which before Python 3.12 forgets a cancellation
    that comes in the moment the sending is done. Whoever waits for this task to end would wait for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _portions(groups: set[str]) -> Iterator[list[str]]:
    rest = iter(groups)
    while some := list(islice(rest, TOGETHER)):
        yield some


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """
    Run works that never end until one of them fails, with its error, or until cancelled.

    Not by a task group: one that is cancelled while one of its tasks fails raises the failure and forgets that it was
    cancelled (until Python 3.13). Whoever catches that to try again would never end.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
