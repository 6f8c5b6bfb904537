"""
The sockets of one stream in one process, and how an announcement is handed to them.

Nothing here awaits anything: a socket's `announced` returns at once, and what a peer that does not read makes it wait
for is the socket's own business.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Protocol, TypeVar
from uuid import UUID

from .. import figures
from ..wire.streams import Announcement, Position
from .connection import Connection
from .steps import Step

T = TypeVar("T")

TURN = 500
"""Sockets that are told in one turn of the loop: some ten milliseconds, for which everything else here waits."""

TURNS = 100
"""Turns that may be waiting: a second's work. What comes on top is dropped and found by the sync."""


class Listener(Protocol):
    """A socket, as the hub knows it."""

    user_id: Any

    @property
    def session_id(self) -> UUID:
        """The login session it lives by now."""

    @property
    def kind(self) -> tuple[str, str]:
        """Its protocol, and `open` or `held`."""

    def announced(self, announcement: Announcement, now: float) -> None:
        """`tell(Connection.announced, …)`, for which there is no time to lose."""

    def tell(self, event: Callable[[Connection, T, float], list[Step]], what: T) -> None:
        """Hand an event to the socket's connection. Returns at once and raises nothing."""

    @property
    def topics(self) -> Collection[str]:
        """The topics whose rooms it is in."""

    def replace(self) -> None:
        """Give way to a newer socket of the same person."""

    def go_away(self, retry_after: float) -> None:
        """Close, and come back elsewhere after so many seconds."""


class Room:
    """The sockets of one stream in this process, and how far all of them have been told."""

    __slots__ = (
        "epoch",
        "fence",
        "floor",
        "head",
        "missed_change",
        "sockets",
        "state_version",
        "turns",
        "waiting",
        "whose",
    )

    def __init__(self, whose: Any) -> None:
        self.whose = whose  # a person, by their primary key, or a topic, by its name
        self.sockets: dict[Listener, None] = {}  # in order of arrival
        self.waiting: list[asyncio.Future[None]] = []  # handshakes, for the group
        self.turns = 0  # of the loop in which these sockets have yet to be told something
        self.missed_change = False  # seen, read or archived changed unheard, and the sockets were not told yet
        self.epoch: str | None = None  # None: nobody was told anything yet, and the rest means nothing
        self.head = self.floor = self.fence = self.state_version = 0

    def knows(self, position: Position) -> bool:
        return (
            position.head == self.head
            and position.epoch == self.epoch
            and position.fence == self.fence
            and position.state_version == self.state_version
            and position.floor == self.floor
        )

    def is_ahead_of(self, position: Position) -> bool:
        """In anything: then what stands there is news to whoever starts from `position`."""
        return (
            position.epoch != self.epoch
            or position.head < self.head
            or position.fence < self.fence
            or position.state_version < self.state_version
        )

    def told(self, position: Position) -> None:
        self.epoch = position.epoch
        self.head = position.head
        self.floor = position.floor
        self.fence = position.fence
        self.state_version = position.state_version


def tell(room: Room, event: Callable[[Connection, T, float], list[Step]], what: T) -> None:
    """Hand an event to all sockets of the room."""
    for socket in list(room.sockets):
        socket.tell(event, what)


def _announce(sockets: list[Listener], item: Announcement) -> None:
    now = time.time()
    said_before = figures.said_live()
    for socket in sockets:
        socket.announced(item, now)
    # Measured once for all of them: a clock that is read for each frame would cost a hundredth of it.
    if item.numbered_at and (said := figures.said_live() - said_before):
        figures.DELIVERY_SECONDS.observe(time.time() - item.numbered_at, "announced", said)


class Turns:
    """Announcements to rooms: to a small one at once, to a crowd in turns of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._to_come: deque[tuple[Room, list[Listener], Announcement]] = deque()

    def __len__(self) -> int:
        return len(self._to_come)

    def announce(self, room: Room, item: Announcement) -> None:
        """For one socket, announcements stay in order."""
        if item.epoch == room.epoch:
            room.head = max(room.head, item.seq)
            room.fence = max(room.fence, item.fence)
        sockets = list(room.sockets)
        # What follows a crowd's announcement waits behind it.
        if len(sockets) > TURN or room.turns:
            self._queue(room, sockets, item)
            return
        _announce(sockets, item)

    def _queue(self, room: Room, sockets: list[Listener], item: Announcement) -> None:
        if len(self._to_come) >= TURNS:
            room.epoch = None  # dropped: the sync will say where the stream stands
            return
        if not self._to_come:
            self._loop.call_soon(self._take)
        for start in range(0, len(sockets), TURN):
            self._to_come.append((room, sockets[start : start + TURN], item))
            room.turns += 1

    def _take(self) -> None:
        room, sockets, item = self._to_come.popleft()
        room.turns -= 1
        _announce(sockets, item)
        if self._to_come:
            self._loop.call_soon(self._take)
