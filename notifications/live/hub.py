"""
One hub per process: everything that is done once for all of its sockets.

It hears the groups of the people who are connected here (`ears`), hands every announcement to the sockets concerned,
looks where their streams stand every `SYNC_SECONDS` and whether their sessions still stand every `SWEEP_SECONDS`, and
keeps the list of connections that staff see.

Promises:

* An announcement made in this process or heard from the layer is handed to the sockets of its stream in the order it
  came, in one turn of the loop for each `TURN` of them. Nothing is awaited there, least of all a socket's `send`.
* The sync finds what no announcement told, whatever the layer does. It costs one statement for all streams, and so
  does the sweep for all sessions.
* Whatever is away, hangs or is deaf costs latency and a word in `readyz`. The hub awaits the layer and the database
  only in its own tasks and for a bounded time; it keeps trying, and sockets stay.
* What it keeps is bounded by the sockets it has. Announcements are handed over or dropped, never stored.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from django.db import Error as DatabaseError

from tickets.api import Grant, Redeemer, SessionState, allowance_key, asettle_sessions, in_thread, tracing

from .. import api, fanout, figures, store, topic_store
from ..conf import conf
from ..wire import doorbell
from ..wire.content import InvalidContent, content
from ..wire.streams import Announcement, Change, Opening, Position
from ..wire.vocabulary import Notification, StateChanged
from . import ears
from .connection import Connection
from .presence import PASS_SECONDS, Presence
from .reading import DATABASE_SECONDS, Reading
from .rooms import Listener, Room, Turns, tell
from .sampling import Sampling

logger = logging.getLogger("notifications.hub")

T = TypeVar("T")

_ToOne = doorbell.Changed | doorbell.Ended | doorbell.Kicked | doorbell.Asked

JOIN_SECONDS = 0.5
"""How long a handshake waits for its group while the layer answers others. After that it relies on the sync."""

LOOK_SECONDS = 0.1
"""After a group was joined: what was announced in the milliseconds between redeeming a ticket and joining is looked
for, by one statement for all who came in a tenth of a second."""

STOP_SECONDS = 2.0
"""How long the end of a process may wait for the database."""

UNNUMBERED_SECONDS = 1.0
"""How old a committed row without a number must be before somebody else gives it one."""


class Hub:
    """Use `Hub.here()`; all methods but `hand_over` belong to the event loop."""

    _here: "Hub | None" = None

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = tracing.unbound()  # whoever's call starts it, or brings news, is not whom it works for
        self._rooms: dict[str, Room] = {}  # of people
        self._topics: dict[str, Room] = {}
        self._unauthenticated: Counter[str] = Counter()
        self._sockets = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._jobs: dict[str, asyncio.Future[Any]] = {}
        self._stop_listening: Callable[[], None] = lambda: None
        self._ears = ears.open_ears(self._hear_here, self._joined)
        self._looked_for: set[str] = set()  # streams whose groups were joined a moment ago
        self._look_wanted = asyncio.Event()
        self._turns = Turns(self._loop)
        self._deaf_since: float | None = None
        self.redeemer = Redeemer(_read_openings)
        self.reading = Reading()
        self.presence = Presence()
        """Told by each socket when it is welcomed and when it goes."""
        self.sampling = Sampling(self.presence.server, now=time.time())

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
        """`ok`, or `degraded` while this process's hub does not hear the layer."""
        return "ok" if cls._here is None or cls._here._ears.ok else "degraded"

    def _start(self) -> None:
        self._stop_listening = fanout.listen(self.hand_over)
        self._ears.want(doorbell.HUBS)
        figures.CONNECTIONS.read = lambda: Counter(socket.kind for socket in self.welcomed())
        figures.UNAUTHENTICATED.read = self._unauthenticated.total
        figures.DEGRADED.read = lambda: int(self._deaf_seconds() > 0)
        figures.DEGRADED_SECONDS.read = self._deaf_seconds
        self._tasks = [
            asyncio.create_task(self._for_ever(work), name=f"usher-hub-{work.__name__}", context=tracing.unbound())
            for work in (
                *(self._ears.listen, self._look_at_joined, self._sync, self._sweep, self._keep_list),
                self._tell_figures,
            )
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
                if self.sampling.wrote:
                    await in_thread(self.sampling.end, self.sampling.read(now=time.time()))
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
                figures.count_failed(work.__name__)
                logger.warning("%s: %s: %s", work.__name__.strip("_"), type(error).__name__, error)
                await asyncio.sleep(1)

    # --- Who is here ---

    def refusal(self, address: str | None) -> str | None:
        """Why there is no room for one more socket that has shown no credential yet; None if there is."""
        if self._sockets >= conf.SOCKETS_PER_PROCESS:
            return "full"
        if self._unauthenticated.total() >= conf.UNAUTHENTICATED_PER_PROCESS:
            return "unauthenticated"
        if self._unauthenticated[allowance_key(address)] >= conf.UNAUTHENTICATED_PER_ADDRESS:
            return "unauthenticated_address"
        return None

    def arrived(self, address: str | None) -> None:
        """A socket was accepted; it counts as unauthenticated until `known`, and as a socket until `gone`."""
        self._sockets += 1
        figures.ARRIVED.add()
        self._unauthenticated[allowance_key(address)] += 1

    def known(self, address: str | None) -> None:
        """The socket showed a good credential, or went away without."""
        key = allowance_key(address)
        self._unauthenticated[key] -= 1
        if self._unauthenticated[key] <= 0:
            del self._unauthenticated[key]

    def gone(self) -> None:
        """The socket is closed."""
        self._sockets -= 1

    @property
    def sockets(self) -> int:
        """How many there are, with those that have shown no credential yet."""
        return self._sockets

    def welcomed(self) -> list[Listener]:
        """Those that have."""
        return [socket for room in self._rooms.values() for socket in room.sockets]

    async def join(self, socket: Listener, position: Position) -> None:
        """
        Hand everything of the socket's stream to it from now on; returns when the group was joined, or after a moment,
        or at once if the layer is away.

        `position` is where the stream stood when the socket's ticket was redeemed, before anybody could know which
        group to join. What happened between the two was announced to nobody here; a look soon afterwards finds it.
        """
        room = self._rooms.get(position.stream)
        if room is None:
            room = self._rooms[position.stream] = Room(socket.user_id)
        room.sockets[socket] = None
        if room.epoch is None or room.is_ahead_of(position):
            # Of what the others were told meanwhile this one must be told as well: all are, as of here.
            room.told(position)
            self._look_soon(position.stream)
        self._make_place(room)
        await self._hear_group(room, position.stream)

    async def _hear_group(self, room: Room, stream: str) -> None:
        group = doorbell.group_of(stream)
        self._ears.want(group)
        if self._ears.has(group) or not self._ears.ok:
            return
        joined = self._loop.create_future()
        room.waiting.append(joined)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(JOIN_SECONDS):
                await joined

    async def listen(self, socket: Listener, topic: str) -> None:
        """Hand everything of a topic to the socket from now on; returns as `join` does. To be called before it is read
        where the topic stands."""
        stream = doorbell.stream_of_topic(topic)
        room = self._topics.get(stream)
        if room is None:
            room = self._topics[stream] = Room(topic)
        room.sockets[socket] = None
        await self._hear_group(room, stream)

    def unlisten(self, socket: Listener, topic: str) -> None:
        """Nothing of the topic is handed to the socket any more."""
        stream = doorbell.stream_of_topic(topic)
        self._leave(self._topics, stream, socket)

    def _room(self, stream: str) -> Room | None:
        return self._rooms.get(stream) or self._topics.get(stream)

    def _joined(self, group: str) -> None:
        stream = group.removeprefix(doorbell.GROUP_PREFIX)
        room = self._room(stream)
        if room is not None:
            self._look_soon(stream)
            waiting, room.waiting = room.waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def _look_soon(self, stream: str) -> None:
        self._looked_for.add(stream)
        self._look_wanted.set()

    def _make_place(self, room: Room) -> None:
        for oldest in list(room.sockets)[: max(0, len(room.sockets) - conf.SOCKETS_PER_USER)]:
            room.sockets.pop(oldest)
            oldest.replace()

    def leave(self, socket: Listener) -> None:
        """Nothing is handed to the socket any more."""
        self._leave(self._rooms, doorbell.stream_of(socket.user_id), socket)
        for topic in socket.topics:
            self.unlisten(socket, topic)

    def _leave(self, rooms: dict[str, Room], stream: str, socket: Listener) -> None:
        room = rooms.get(stream)
        if room is not None:
            room.sockets.pop(socket, None)
            if not room.sockets:
                del rooms[stream]
                self._ears.drop(doorbell.group_of(stream))

    # --- What is heard ---

    def hand_over(self, message: doorbell.Told) -> None:
        """From any thread of this process: what `fanout` tells."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: this process ends and has nobody left to tell
            self._loop.call_soon_threadsafe(self._heard, message, context=self._context)

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
                self._loop.call_soon_threadsafe(self._hear, group, packed, context=self._context)

    def _hear(self, group: str, packed: object) -> None:
        """From the layer: what other processes told, or what anybody pushed to the group."""
        try:
            message = doorbell.unpack(packed)
        except ValueError as error:
            figures.PUSHES_REFUSED.add()
            logger.warning("A message to %s is none of ours and was dropped: %s", group, error)
            return
        if isinstance(message, doorbell.Push):
            self._push(group.removeprefix(doorbell.GROUP_PREFIX), message)
        elif message.origin != fanout.ORIGIN:
            self._heard(message)

    def _heard(self, message: doorbell.Told) -> None:
        match message:
            case doorbell.Announced(items=items):
                for item in items:
                    self._announce(item.stream, item)
            case doorbell.AnnouncedToMany(recipients=recipients):
                for recipient in recipients:
                    if recipient.stream in self._rooms:
                        self._announce(recipient.stream, message.announcement(recipient))
            case doorbell.Changed(change=change):
                self._tell_one(change.stream, message)
            case doorbell.Ended(stream=stream) | doorbell.Kicked(stream=stream) | doorbell.Asked(stream=stream):
                self._tell_one(stream, message)

    def _tell_one(self, stream: str, message: _ToOne) -> None:
        room = self._room(stream)
        match message:
            case _ if room is None:
                return
            case doorbell.Ended(fence=fence) if stream in self._topics:
                room.fence = max(room.fence, fence)
                tell(room, Connection.topic_fenced, (stream, fence))
            case doorbell.Changed(change=change):
                room.state_version = max(room.state_version, change.event.state_version)
                tell(room, Connection.changed, change)
            case doorbell.Ended(fence=fence):
                room.fence = max(room.fence, fence)
                tell(room, Connection.fenced, fence)
            case doorbell.Kicked():
                tell(room, Connection.kicked, message)
            case doorbell.Asked(names=names, at=at):
                if fresh := self.presence.asked(names, at):
                    tell(room, Connection.asked, message.of(fresh))

    def _announce(self, stream: str, item: Announcement) -> None:
        room = self._room(stream)
        if room is not None:
            self._turns.announce(room, item)

    def _push(self, stream: str, push: doorbell.Push) -> None:
        room = self._rooms.get(stream)
        if room is None:
            return
        try:
            what = content(
                title=push.title, body=push.body, kind=push.kind, level=push.level, url=push.url, data=push.data
            )
        except InvalidContent as error:
            figures.PUSHES_REFUSED.add()
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
        tell(room, Connection.pushed, event)

    # --- Sync and sweep ---

    async def _look_at_joined(self) -> None:
        await self._look_wanted.wait()
        await asyncio.sleep(LOOK_SECONDS)
        self._look_wanted.clear()
        streams, self._looked_for = self._looked_for, set()
        for name, look, among in (("joined", _positions, self._rooms), ("joined topics", _topics, self._topics)):
            if rooms := {stream: room for stream in streams if (room := among.get(stream))}:
                await self._compare(name, look, rooms)

    async def _sync(self) -> None:
        await asyncio.sleep(conf.SYNC_SECONDS)
        await self._compare("look", _look, self._rooms)
        if self._topics:
            await self._compare("topics", _topics, self._topics)
        figures.SYNCS.add("done")
        rooms = [(room.whose, room.state_version, room.fence) for room in self._rooms.values() if room.missed_change]
        if rooms:
            for change in await self._once("changes", _changes, rooms):
                if room := self._rooms.get(change.stream):
                    room.missed_change = False
                    tell(room, Connection.changed, change)

    async def _compare(self, name: str, look: Callable[[list[Any]], list[Position]], rooms: dict[str, Room]) -> None:
        """Tell the rooms whose streams stand elsewhere than they know."""
        before = {stream: room.head for stream, room in rooms.items()}
        for position in await self._once(name, look, [room.whose for room in rooms.values()]):
            self._synced(position, before.get(position.stream, 0))

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

    def _synced(self, position: Position, head_before: int) -> None:
        """Tell the room where its stream stands, if that is news."""
        room = self._room(position.stream)
        if room is None or room.knows(position):
            return
        # Announcements that came while the query ran know more than its answer. A head below the one known *before* the
        # query is not an old answer, though: numbers were taken back.
        if head_before <= position.head < room.head:
            return
        if room.epoch is not None and position.epoch == room.epoch:
            figures.FOUND_LATE.add(many=max(0, position.head - room.head))
        room.missed_change |= room.epoch is not None and position.state_version > room.state_version
        room.told(position)
        tell(room, Connection.positioned, position)

    async def _sweep(self) -> None:
        await asyncio.sleep(conf.SWEEP_SECONDS)
        sockets = self.welcomed()
        if not sockets:
            return
        async with asyncio.timeout(DATABASE_SECONDS):
            states = await asettle_sessions({socket.session_id for socket in sockets})
        for socket in sockets:
            state = states.get(socket.session_id)
            if state is not None:
                socket.tell(Connection.checked, state)
        figures.SWEEPS.add("done")

    def _deaf_seconds(self) -> float:
        """For how long the layer was not heard, as far as anybody has looked."""
        now = time.monotonic()
        if self._ears.ok:
            self._deaf_since = None
        elif self._deaf_since is None:
            self._deaf_since = now
        return 0.0 if self._deaf_since is None else max(now - self._deaf_since, 0.001)

    # --- The list of connections ---

    async def _keep_list(self) -> None:
        await asyncio.sleep(min(PASS_SECONDS, conf.PRESENCE_SECONDS))
        self._deaf_seconds()
        async with asyncio.timeout(DATABASE_SECONDS):
            unheard = await self.presence.write()
        for message in unheard:
            self._heard(message)

    async def _tell_figures(self) -> None:
        await asyncio.sleep(self.sampling.pause(now=time.time()))
        await self._once("figures", self.sampling.write, self.sampling.read(now=time.time()))


def _read_openings(grants: Sequence[Grant]) -> list[tuple[Opening, SessionState]]:
    return store.openings([(grant.user_id, grant.session_id) for grant in grants], now=datetime.now(UTC))


def _positions(user_ids: list[Any]) -> list[Position]:
    return list(store.positions(user_ids).values())


def _look(user_ids: list[Any]) -> list[Position]:
    """On a database thread: see where the streams stand, and number what dead publishers left."""
    late = datetime.now(UTC) - timedelta(seconds=UNNUMBERED_SECONDS)
    positions, unnumbered = store.look(user_ids, unnumbered_before=late)
    if unnumbered:
        api.number_waiting(unnumbered)
    return positions


def _topics(names: list[str]) -> list[Position]:
    """The same of topics: of these, where they stand; and of all, what dead publishers left."""
    api.number_late_topics(written_before=datetime.now(UTC) - timedelta(seconds=UNNUMBERED_SECONDS))
    return topic_store.positions(names)


def _changes(people: list[tuple[Any, int, int]]) -> list[Change]:
    """On a database thread: that seen, read or archived changed, for people whose announcement of it was lost."""
    now = datetime.now(UTC)
    changes = []
    for user_id, state_version, fence in people:
        unread, unseen = store.counts(user_id, now=now)
        event = StateChanged(state="changed", state_version=state_version, unread=unread, unseen=unseen, ids=[])
        changes.append(Change(doorbell.stream_of(user_id), fence, event))
    return changes
