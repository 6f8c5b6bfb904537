"""
One hub per process: everything that is done once for all of its sockets.

It joins the groups of the people who are connected here, hands every announcement to the sockets concerned, looks where
their streams stand every `SYNC_SECONDS` and whether their sessions still stand every `SWEEP_SECONDS`, and keeps the
list of connections that staff see.

Promises:

* An announcement made in this process or heard from the layer is handed to every socket of its stream in one turn of
  the loop. Nothing is awaited there, least of all a socket's `send`.
* The sync finds what no announcement told, whatever the layer does. It costs one query for all streams, not one for
  each.
* The hub awaits the layer and the database only in its own tasks and for a bounded time; if both are away it keeps
  trying, and sockets stay.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid4

from django.db import Error as DatabaseError

from tickets.api import acheck_sessions, in_thread

from .. import api, fanout, store
from ..conf import conf
from ..wire import doorbell
from ..wire.content import InvalidContent, content
from ..wire.streams import Change, Position
from ..wire.vocabulary import Notification, StateChanged
from . import ears
from .connection import Connection
from .presence import PASS_SECONDS, Presence
from .steps import Step

logger = logging.getLogger("notifications.hub")

T = TypeVar("T")

LAYER_SECONDS = 2.0
"""How long joining a group may take. A layer that hangs delays the announcements of that group, not the welcome."""

JOIN_SECONDS = 0.5
"""How long a handshake waits for its group. After that the sync is what it relies on."""

DATABASE_SECONDS = 10.0
"""How long a sync or sweep waits for its answer before it is given up and asked again."""

STOP_SECONDS = 2.0
"""How long the end of a process may wait for the database."""

UNNUMBERED_SECONDS = 1.0
"""How old a committed row without a number must be before somebody else gives it one."""


class Listener(Protocol):
    """A socket, as the hub knows it."""

    user_id: Any

    @property
    def session_id(self) -> UUID:
        """The login session it lives by now."""

    def tell(self, event: Callable[[Connection, T, float], list[Step]], what: T) -> None:
        """Hand an event to the socket's connection. Returns at once and raises nothing."""

    def replace(self) -> None:
        """Give way to a newer socket of the same person."""


class _Room:
    """The sockets of one stream in this process."""

    __slots__ = ("in_group", "known", "missed_change", "sockets", "user_id")

    def __init__(self, user_id: Any) -> None:
        self.user_id = user_id
        self.sockets: dict[Listener, None] = {}  # in order of arrival
        self.known: Position | None = None  # the newest that all of them were told
        self.in_group = asyncio.Event()
        self.missed_change = False  # seen, read or archived changed unheard, and the sockets were not told yet


class Hub:
    """Use `Hub.here()`; all methods but `hand_over` belong to the event loop."""

    _here: "Hub | None" = None

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rooms: dict[str, _Room] = {}
        self._groups: set[str] = set()  # joined
        self._groups_wanted = asyncio.Event()
        self._unauthenticated: Counter[str | None] = Counter()
        self._sockets = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._jobs: dict[str, asyncio.Future[Any]] = {}
        self._stop_listening: Callable[[], None] = lambda: None
        self.layer_ok = True
        self.presence = Presence()
        """Told by each socket when it is welcomed and when it goes."""

    @classmethod
    def here(cls) -> "Hub":
        """The hub of the running loop, started if there is none yet."""
        if cls._here is None or cls._here._loop is not asyncio.get_running_loop():
            if cls._here is not None:
                cls._here._stop_listening()  # its loop is gone (tests, reloads)
            cls._here = cls()
            cls._here._start()
        return cls._here

    @classmethod
    def state(cls) -> str:
        """`ok`, or `degraded` while this process's hub cannot join its groups."""
        return "ok" if cls._here is None or cls._here.layer_ok else "degraded"

    def _start(self) -> None:
        self._stop_listening = fanout.listen(self.hand_over)
        self._tasks = [
            asyncio.create_task(self._for_ever(work), name=f"usher-hub-{work.__name__}")
            for work in (self._keep_groups, self._sync, self._sweep, self._keep_list)
        ]

    @classmethod
    async def stop_here(cls) -> None:
        """The process ends."""
        if cls._here is not None and cls._here._loop is asyncio.get_running_loop():
            await cls._here.stop()

    async def stop(self) -> None:
        """End the hub's tasks; its sockets are listed no more."""
        self._stop_listening()
        with contextlib.suppress(DatabaseError, TimeoutError):  # the leases of its rows end by themselves
            async with asyncio.timeout(STOP_SECONDS):
                await self.presence.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if Hub._here is self:
            Hub._here = None

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001
                # Expected whenever Redis or the database is away; one line, since it comes again every second.
                logger.warning("%s: %s: %s", work.__name__.strip("_"), type(error).__name__, error)
                await asyncio.sleep(1)

    # --- Who is here ---

    def admits(self, address: str | None) -> bool:
        """Whether there is room for one more socket that has shown no credential yet."""
        return (
            self._sockets < conf.SOCKETS_PER_PROCESS
            and self._unauthenticated.total() < conf.UNAUTHENTICATED_PER_PROCESS
            and self._unauthenticated[address] < conf.UNAUTHENTICATED_PER_ADDRESS
        )

    def arrived(self, address: str | None) -> None:
        """A socket was accepted; it counts as unauthenticated until `known`, and as a socket until `gone`."""
        self._sockets += 1
        self._unauthenticated[address] += 1

    def known(self, address: str | None) -> None:
        """The socket showed a good credential, or went away without."""
        self._unauthenticated[address] -= 1
        if self._unauthenticated[address] <= 0:
            del self._unauthenticated[address]

    def gone(self) -> None:
        """The socket is closed."""
        self._sockets -= 1

    async def join(self, socket: Listener) -> None:
        """
        Hand everything of the socket's stream to it from now on; returns when the group was joined, or after a moment.

        What is announced while this waits is handed over already: read the stream after it.
        """
        stream = doorbell.stream_of(socket.user_id)
        room = self._rooms.get(stream)
        if room is None:
            room = self._rooms[stream] = _Room(socket.user_id)
            self._groups_wanted.set()
        room.sockets[socket] = None
        self._make_place(room)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(JOIN_SECONDS):
                await room.in_group.wait()

    def _make_place(self, room: _Room) -> None:
        for oldest in list(room.sockets)[: max(0, len(room.sockets) - conf.SOCKETS_PER_USER)]:
            room.sockets.pop(oldest)
            oldest.replace()

    def started(self, position: Position) -> None:
        """A socket of this stream was opened at this position: what changes from here on is news to it."""
        room = self._rooms.get(position.stream)
        # An older position than the known one is what this socket has to be brought on from: the next sync tells all.
        if room is not None and (room.known is None or _is_older(position, room.known)):
            room.known = position

    def leave(self, socket: Listener) -> None:
        """Nothing is handed to the socket any more."""
        stream = doorbell.stream_of(socket.user_id)
        room = self._rooms.get(stream)
        if room is not None:
            room.sockets.pop(socket, None)
            if not room.sockets:
                del self._rooms[stream]
                self._groups_wanted.set()

    # --- What is heard ---

    def hand_over(self, message: doorbell.Message) -> None:
        """From any thread of this process: what `fanout` tells."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: this process ends and has nobody left to tell
            self._loop.call_soon_threadsafe(self._heard, message)

    def _hear_here(self, group: str, packed: object) -> None:
        """From the layer; the in-memory one calls on whatever loop and thread its sender runs."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._hear(group, packed)
        else:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._hear, group, packed)

    def _hear(self, group: str, packed: object) -> None:
        """From the layer: what other processes told, or what anybody pushed to the group."""
        try:
            message = doorbell.unpack(packed)
        except ValueError as error:
            logger.warning("A message to %s is none of ours and was dropped: %s", group, error)
            return
        if isinstance(message, doorbell.Push):
            self._push(group.removeprefix(doorbell.GROUP_PREFIX), message)
        elif message.origin != fanout.ORIGIN:
            self._heard(message)

    def _heard(self, message: doorbell.Message) -> None:
        match message:
            case doorbell.Announced(items=items):
                for item in items:
                    if room := self._rooms.get(item.stream):
                        _learn(room, item.epoch, head=item.seq, fence=item.fence)
                        _tell(room, Connection.announced, item)
            case doorbell.Changed(change=change):
                if room := self._rooms.get(change.stream):
                    _learn(room, None, state_version=change.event.state_version)
                    _tell(room, Connection.changed, change)
            case doorbell.Ended(stream=stream, fence=fence):
                if room := self._rooms.get(stream):
                    _learn(room, None, fence=fence)
                    _tell(room, Connection.fenced, fence)
            case doorbell.Kicked(stream=stream, names=names):
                if room := self._rooms.get(stream):
                    _tell(room, Connection.kicked, names)

    def _push(self, stream: str, push: doorbell.Push) -> None:
        room = self._rooms.get(stream)
        if room is None:
            return
        try:
            what = content(
                title=push.title, body=push.body, kind=push.kind, level=push.level, url=push.url, data=push.data
            )
        except InvalidContent as error:
            logger.warning("A push to %s was dropped: %s", stream, error)
            return
        event = Notification(
            stream=stream,
            seq=None,
            id=str(uuid4()),
            kind=what.kind,
            level=what.level,
            title=what.title,
            body=what.body,
            url=what.url,
            data=what.data,
            created_at=datetime.now(UTC),
        )
        _tell(room, Connection.pushed, event)

    # --- Groups ---

    async def _keep_groups(self) -> None:
        """
        Bring the groups that are joined to those that are wanted. One task does it, one group after the other, so
        that a leave and a join of the same group cannot cross.
        """
        wanted = {doorbell.group_of(stream) for stream in self._rooms}
        try:
            async with asyncio.timeout(None) as patience:
                for group in wanted - self._groups:
                    patience.reschedule(self._loop.time() + LAYER_SECONDS)
                    await ears.join(group, self._hear_here)
                    self._groups.add(group)
                for group in self._groups - wanted:
                    patience.reschedule(self._loop.time() + LAYER_SECONDS)
                    self._groups.discard(group)
                    await ears.leave(group)
        except Exception:
            self.layer_ok = False
            raise
        finally:
            self._open_rooms()
        self.layer_ok = True
        await self._groups_wanted.wait()
        self._groups_wanted.clear()

    def _open_rooms(self) -> None:
        for stream, room in self._rooms.items():
            if doorbell.group_of(stream) in self._groups:
                room.in_group.set()

    # --- Sync and sweep ---

    async def _sync(self) -> None:
        await asyncio.sleep(conf.SYNC_SECONDS)
        before = {stream: room.known for stream, room in self._rooms.items()}
        people = [room.user_id for room in self._rooms.values()]
        for position in await self._once("look", _look, people):
            self._synced(position, before.get(position.stream))
        rooms = [(room.user_id, room.known) for room in self._rooms.values() if room.missed_change and room.known]
        if rooms:
            for change in await self._once("changes", _changes, rooms):
                if room := self._rooms.get(change.stream):
                    room.missed_change = False
                    _tell(room, Connection.changed, change)

    async def _once(self, name: str, fn: Callable[..., list[T]], *args: Any) -> list[T]:
        """
        On a database thread, for a bounded time. A job that hangs (on somebody's lock) keeps its thread until it ends:
        no second one of that name is started meanwhile, or the hub alone would use up all threads.
        """
        job = self._jobs.get(name)
        if job is not None and not job.done():
            await asyncio.wait([job], timeout=DATABASE_SECONDS)
            return []  # what it found, if it found it, is old by now
        job = self._jobs[name] = asyncio.ensure_future(in_thread(fn, *args))
        job.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard below, or by nobody any more
        async with asyncio.timeout(DATABASE_SECONDS):
            return await asyncio.shield(job)

    def _synced(self, position: Position, before: Position | None) -> None:
        """Tell the room where its stream stands, if that is news."""
        room = self._rooms.get(position.stream)
        if room is None or position == room.known:
            return
        known = room.known
        # Announcements that came while the query ran know more than its answer. A head below the one known *before* the
        # query is not an old answer, though: numbers were taken back.
        overtaken = known is not None and before is not None and before.head <= position.head < known.head
        if overtaken:
            return
        room.missed_change |= known is not None and position.state_version > known.state_version
        room.known = position
        _tell(room, Connection.positioned, position)

    async def _sweep(self) -> None:
        await asyncio.sleep(conf.SWEEP_SECONDS)
        sockets = [socket for room in self._rooms.values() for socket in room.sockets]
        if not sockets:
            return
        async with asyncio.timeout(DATABASE_SECONDS):
            states = await acheck_sessions({socket.session_id for socket in sockets})
        for socket in sockets:
            state = states.get(socket.session_id)
            if state is not None:
                socket.tell(Connection.checked, state)

    # --- The list of connections ---

    async def _keep_list(self) -> None:
        await asyncio.sleep(min(PASS_SECONDS, conf.PRESENCE_SECONDS))
        async with asyncio.timeout(DATABASE_SECONDS):
            kicks = await self.presence.write()
        for kicked in kicks:
            self._heard(kicked)


def _is_older(position: Position, known: Position) -> bool:
    return (
        position.epoch != known.epoch
        or position.head < known.head
        or position.fence < known.fence
        or position.state_version < known.state_version
    )


def _tell(room: _Room, event: Callable[[Connection, T, float], list[Step]], what: T) -> None:
    for socket in list(room.sockets):
        socket.tell(event, what)


def _learn(room: _Room, epoch: str | None, *, head: int = 0, fence: int = 0, state_version: int = 0) -> None:
    """Raise what all sockets of the room have been told."""
    known = room.known
    if known is None or (epoch is not None and epoch != known.epoch):
        return  # the next sync says it
    room.known = Position(
        stream=known.stream,
        epoch=known.epoch,
        head=max(known.head, head),
        floor=known.floor,
        fence=max(known.fence, fence),
        state_version=max(known.state_version, state_version),
    )


def _look(user_ids: list[Any]) -> list[Position]:
    """On a database thread: number what dead publishers left, then see where the streams stand."""
    api.number_waiting(before=datetime.now(UTC) - timedelta(seconds=UNNUMBERED_SECONDS))
    return list(store.positions(user_ids).values()) if user_ids else []


def _changes(people: list[tuple[Any, Position]]) -> list[Change]:
    """On a database thread: that seen, read or archived changed, for people whose announcement of it was lost."""
    now = datetime.now(UTC)
    changes = []
    for user_id, position in people:
        unread, unseen = store.counts(user_id, now=now)
        event = StateChanged(
            state="changed", state_version=position.state_version, unread=unread, unseen=unseen, ids=[]
        )
        changes.append(Change(position.stream, position.fence, event))
    return changes
