"""
The relay's line to the broker, and its day: take what waits (`outbox`), publish it, wait for the confirmations.

Everything is published to the topic exchange `usher.notifications`, persistent, with the JSON of a native
`notification` frame and the headers `x-stream`, `x-epoch` and `x-seq`.
"""

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange
from aio_pika.exceptions import DeliveryError
from django.db import Error as DatabaseError
from django.db import close_old_connections

from .. import figures
from ..wire import native
from . import outbox, rules
from .outage import Outage
from .outbox import Parcel

logger = logging.getLogger("notifications.relay")
for _name in ("aio_pika", "aiormq"):  # each attempt is an error to them; an outage is said once, see `outage`
    logging.getLogger(_name).setLevel(logging.CRITICAL)

CONFIRM_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 0.2
HEARTBEAT_SECONDS: Final = 30
LOOK_SECONDS: Final = 1.0
LATE_SECONDS: Final = 2.0
LAST_SECONDS: Final = 1.0

LONGEST_EXPIRATION: Final = 30 * 86_400.0
"""In seconds. The broker closes the channel for one that it takes to be too long: some years, or 49 days."""

AWAY: Final = (OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError)
"""What a broker that is away is to whoever talks to it. RuntimeError: its client's word for a closed channel."""


class Line:
    """To the broker: connected when it is needed, and again after it was lost. For code that is not async."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._exchange is not None and self._connection is not None and not self._connection.is_closed

    def connect(self) -> None:
        """Raises one of `AWAY`. The exchange is made, if it is not there."""
        self._run(self._connect())

    async def _connect(self) -> None:
        await self._leave()
        async with asyncio.timeout(CONNECT_SECONDS):
            self._connection = await aio_pika.connect(self._url, heartbeat=HEARTBEAT_SECONDS)
            channel = await self._connection.channel(publisher_confirms=True)
            self._exchange = await channel.declare_exchange(rules.EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)

    def publish(self, parcels: Sequence[Parcel]) -> None:
        """
        Back when the broker has answered for all of them. Raises one of `AWAY`; then some may be there.

        What it refuses twice is passed over: people make queues of their own, and one that is full and was told to
        refuse (`x-overflow`) would else stop what everybody is told.
        """
        self._run(self._publish(parcels))

    async def _publish(self, parcels: Sequence[Parcel]) -> None:
        async with asyncio.timeout(CONFIRM_SECONDS):
            refused = await self._say(parcels)
            if refused:
                refused = await self._say(_from_first(parcels, refused))
        if refused:
            figures.RELAY_REFUSED.add(many=len(refused))
            logger.info("a queue at the broker refused %d messages, of %s first", len(refused), refused[0].event.stream)

    async def _say(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Those that it refused."""
        if self._exchange is None:
            raise ConnectionError("not connected")
        # Each is written before the next one is begun; what is waited for together is that they are confirmed.
        said = [
            self._exchange.publish(message_of(parcel), rules.routing_key(parcel.event.stream), mandatory=False)
            for parcel in parcels
        ]
        answers = await asyncio.gather(*said, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, DeliveryError):
                raise answer
        return [parcel for parcel, answer in zip(parcels, answers, strict=True) if isinstance(answer, DeliveryError)]

    def wait(self, seconds: float) -> None:
        """While the line is kept alive; no longer than until the end."""
        self._run(self._wait(seconds))

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def end(self) -> None:
        """Wait for nothing any more, and a moment longer for what is under way. For a signal's handler."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._ended.set()
        self._loop.call_later(LAST_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._loop.create_task(work)
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            raise TimeoutError("given up at the end") from None
        finally:
            self._task = None

    def leave(self) -> None:
        self._loop.run_until_complete(self._leave())

    async def _leave(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(*AWAY):
                async with asyncio.timeout(1):
                    await connection.close()

    def close(self) -> None:
        self.leave()
        self._loop.close()


def _from_first(parcels: Sequence[Parcel], refused: Sequence[Parcel]) -> list[Parcel]:
    """Of each stream what was refused first and all that came after it: whoever did not get it gets it in order."""
    first: dict[str, int] = {}
    for parcel in refused:
        first.setdefault(parcel.event.stream, parcel.event.seq or 0)
    return [parcel for parcel in parcels if (parcel.event.seq or 0) >= first.get(parcel.event.stream, sys.maxsize)]


def message_of(parcel: Parcel, now: datetime | None = None) -> aio_pika.Message:
    event = parcel.event
    left = (parcel.expires_at - (now or datetime.now(UTC))).total_seconds() if parcel.expires_at else None
    return aio_pika.Message(
        native.spell(event).encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=event.id,
        timestamp=event.created_at,
        expiration=None if left is None or left > LONGEST_EXPIRATION else max(0.001, left),
        # Texts all of them: of numbers STOMP is told nothing.
        headers={"x-stream": event.stream, "x-epoch": parcel.epoch, "x-seq": str(event.seq)},
    )


def run(line: Line, stopped: threading.Event) -> None:
    """Relay until told to stop, whatever is away meanwhile."""
    lag = Lag()
    figures.RELAY_LAG.read = lag.seconds
    try:
        _run(line, stopped, lag)
    finally:
        figures.RELAY_LAG.read = None


def _run(line: Line, stopped: threading.Event, lag: "Lag") -> None:
    outage, late = Outage("nothing is relayed"), Late()
    while not stopped.is_set():
        try:
            if not line.connected:
                line.connect()
            late.look()
            moved = outbox.relay(line.publish)
            lag.look(idle=moved < 0)
        except (*AWAY, DatabaseError) as error:
            _away(line, outage, error, lag)
        else:
            outage.over()
            figures.RELAYED.add(many=max(0, moved))
            if moved <= 0:
                line.wait(IDLE_SECONDS)


class Late:
    """Every now and then, what publishers left without a number."""

    def __init__(self) -> None:
        self._looked_at = -LATE_SECONDS

    def look(self) -> None:
        if time.monotonic() - self._looked_at >= LATE_SECONDS:
            outbox.number_late()
            self._looked_at = time.monotonic()


class Lag:
    """How long what waits has been waiting, as far as was seen."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._looked_at = 0.0

    def look(self, *, idle: bool) -> None:
        if idle:
            self._since = None
        elif time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = time.monotonic()
            oldest = outbox.oldest()
            self._since = oldest.timestamp() if oldest else None

    def seconds(self) -> float:
        return 0.0 if self._since is None else max(0.0, time.time() - self._since)


def _away(line: Line, outage: Outage, error: BaseException, lag: Lag) -> None:
    line.leave()
    close_old_connections()
    outage.goes_on(error)
    with contextlib.suppress(DatabaseError):
        lag.look(idle=False)
    line.wait(outage.wait)
