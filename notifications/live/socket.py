"""
Carries out what a connection decides: sends, reads the database, waits. Knows nothing of Channels and decides nothing.

Rules of this file:

* Events reach the connection one at a time, on the event loop, and none of the methods that bring one awaits: a handler
  that waited would stop the server from reading the socket, and a fan-out that waited would wait for the slowest.
* Frames leave in the order of the steps. One that the server takes at once costs no task; while the server makes us
  wait (its peer does not read), one task waits and the others queue behind it, at most `OUTBOX` of them.
* Whatever a step reads comes back as an event, also when it failed; an answer that comes after the end is dropped.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from datetime import UTC, datetime
from math import inf
from types import CoroutineType, coroutine
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

from tickets.api import (
    AuditAct,
    Grant,
    SessionEnded,
    SessionState,
    TicketRefused,
    TokenRefused,
    Unavailable,
    acheck_sessions,
    audit,
    frame_credentials,
    once,
)

from .. import api, figures, topic_store
from ..conf import conf
from ..wire.closing import CloseCode
from ..wire.codec import BadFrame, Codec
from ..wire.doorbell import topic_of
from ..wire.streams import Announcement, Change, Opening, Page, Position
from ..wire.vocabulary import AnyCommand, Event
from .connection import Connection, Limits, Phase
from .extension import SayText
from .hub import Hub
from .presence import Present
from .reading import DATABASE_SECONDS, answer
from .steps import Ask, Check, Close, Listen, Load, Mark, Open, Redeem, Send, Step, Unlisten, Verify

logger = logging.getLogger("notifications.socket")
_frames = logging.getLogger("notifications.frames")

SWAPPED = AuditAct("user_swapped", "", "authz_fail", ("by", "connection"))
"""A socket was to go on by somebody else's credential."""

_OPEN: Final = "open connection=%(connection)s user=%(user)s session=%(session)s stream=%(stream)s cursor=%(cursor)s"
_CLOSE: Final = (
    "close connection=%(connection)s user=%(user)s code=%(code)s reason=%(reason)s frames=%(frames)s"
    " seconds=%(seconds)s session=%(session)s stream=%(stream)s cursor=%(cursor)s"
)
_FRAME: Final = (
    "frame connection=%(connection)s user=%(user)s frame=%(frame)s stream=%(stream)s seq=%(seq)s"
    " notification=%(notification)s session=%(session)s"
)
_FAILED: Final = "connection failed connection=%(connection)s user=%(user)s session=%(session)s"
_FOLLOWED: Final = {"stream": "stream", "seq": "seq", "notification": "id"}

T = TypeVar("T")
_DENIED: Final = Page(Position("", "", 0, 0, 0, 0), (), through=0)
"""In the place of a page: the person may not read it, and was told so."""

AsgiSend = Callable[[dict[str, Any]], Awaitable[None]]
Work = Callable[["Socket", Any], Coroutine[Any, Any, None]]

OUTBOX: Final = 256
"""Frames that may wait for a peer that does not read. Its window fills with less; what is left are answers to what it
asks without ever reading one."""

CLOSE_SECONDS: Final = 5.0
"""How long the last words may wait for such a peer, before the socket is closed over them."""


@once("NOTIFICATIONS", "TICKETS")
def limits() -> Limits:
    """The numbers of the settings, as one connection keeps them for its life. One object for all."""
    return Limits(
        authentication_seconds=conf.AUTHENTICATION_SECONDS,
        on_expiry=conf.ON_EXPIRY,  # type: ignore[arg-type]  # one of three words: notifications.E001
        grace_seconds=conf.GRACE_SECONDS,
        lifetime_seconds=conf.LIFETIME_SECONDS,
        authenticate_each_message=conf.AUTHENTICATE_EACH_MESSAGE,
        frame_credentials=frame_credentials(),
        reauth_attempts=conf.REAUTH_ATTEMPTS,
        reauth_spacing=conf.REAUTH_SPACING,
        window=conf.WINDOW,
        topics=conf.TOPICS_PER_CONNECTION,
        ack_stall_seconds=conf.ACK_STALL_SECONDS,
        replay_page=conf.REPLAY_PAGE,
        ping_seconds=conf.PING_SECONDS,
        commands_per_second=conf.COMMANDS_PER_SECOND,
        command_burst=conf.COMMAND_BURST,
    )


def _jitter() -> float:
    return random.random()  # noqa: S311 (no secret: when a connection will be asked to come back)


class Socket:
    """One WebSocket that is let in. `release()` must be called when it is over, however it ended."""

    __slots__ = (
        "_address",
        "_beating",
        "_beats",
        "_codec",
        "_flushing",
        "_followed",
        "_found",
        "_hearing",
        "_hub",
        "_loop",
        "_outbox",
        "_released",
        "_say_text",
        "_send",
        "_started",
        "_tasks",
        "_timer",
        "_timer_at",
        "_unauthenticated",
        "connection",
        "topics",
        "user_id",
    )

    def __init__(
        self, *, hub: Hub, codec: Codec, send: AsgiSend, address: str | None, say_text: SayText | None = None
    ) -> None:
        """`send` is the server's, as ASGI has it; `say_text` what it may offer beside it (`extension`)."""
        self._hub = hub
        self._codec = codec
        self._send = send
        self._say_text = say_text
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._started = time.time()
        self._followed = _frames.isEnabledFor(logging.DEBUG)  # asked once: it costs a frame nothing where it is off
        self.connection = Connection(
            name=uuid4().hex[:16], limits=limits(), now=self._started, jitter=_jitter(), manner=codec.manner
        )
        self._beating: asyncio.TimerHandle | None = None
        self._beats = inf
        self.user_id: Any = None
        self.topics: set[str] | tuple[()] = ()
        self._found: tuple[Opening, SessionState] | None = None  # what the connection starts from
        self._tasks: list[asyncio.Task[None]] = []
        self._outbox: deque[dict[str, Any]] | None = None  # made for the few that ever need one
        self._flushing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._unauthenticated = True
        self._hearing = False  # what a frame asked for is being carried out, all of it before anything else
        self._released = False
        hub.arrived(address)

    @property
    def session_id(self) -> UUID:
        """Of the login session that this socket lives by now; it has one before it joins the hub."""
        grant = self.connection.grant
        if grant is None:
            raise RuntimeError("not authenticated yet")
        return grant.session_id

    @property
    def kind(self) -> tuple[str, str]:
        """Its protocol, and `open` or `held`."""
        return self._codec.subprotocol, "held" if self.connection.phase is Phase.REAUTH_REQUIRED else "open"

    # --- Events ---

    def connect(self, *, ticket: str | None, since: str | None, token: str | None = None) -> None:
        """The handshake is done."""
        self.perform(self.connection.connected(ticket=ticket, token=token, since=since, now=time.time()))

    def reject(self, code: CloseCode) -> None:
        """The handshake is done, and what it carried rules the socket out."""
        self.perform(self.connection.rejected(code, time.time()))

    def receive(self, frame: str | bytes) -> None:
        """A frame arrived."""
        if self.connection.phase is Phase.CLOSED:
            return  # on its way before the close was: nothing is said behind that
        try:
            commands = self._codec.decode(frame)
        except BadFrame as problem:
            figures.BAD_FRAMES.add(problem.code)
            self.tell(Connection.bad_frame, problem)
            return
        if self._codec.outbox:
            self._say_more()
        self._carry_out(commands)
        self._heed_codec()

    def _carry_out(self, commands: Iterable[AnyCommand]) -> None:
        self._hearing = True
        for command in commands:
            figures.COMMANDS.add(figures.word_of(command))
            self.tell(Connection.received, command)
        self._hearing = False

    def announced(self, announcement: Announcement, now: float) -> None:
        """`tell(Connection.announced, …)`, the one event whose cost is multiplied by everybody who hears it."""
        try:
            self.perform(self.connection.announced(announcement, now))
        except Exception:
            logger.exception(_FAILED, self._ids())
            self.fail()

    def tell(self, event: Callable[[Connection, T, float], list[Step]], what: T) -> None:
        """Anything else that happened. What fails here must neither reach others nor lose a frame silently."""
        try:
            self.perform(event(self.connection, what, time.time()))
        except Exception:
            logger.exception(_FAILED, self._ids())
            self.fail()

    def replace(self) -> None:
        """A newer socket of the same person takes the place."""
        self.perform(self.connection.replaced(time.time()))

    def go_away(self, retry_after: float) -> None:
        """The process ends."""
        self.perform(self.connection.drained(retry_after, time.time()))

    def _wake(self) -> None:
        self._timer = None
        self._timer_at = inf
        self.perform(self.connection.woken(time.time()))

    # --- Steps ---

    def perform(self, steps: list[Step]) -> None:
        """Carry the steps out, in order, without waiting for any of them."""
        for step in steps:
            if isinstance(step, Send):
                frame = self._codec.encode(step.event)
                if frame is not None:
                    figures.count_sent(step.event)
                if self._followed:
                    self._follow(step.event)
                if frame is not None:
                    self._say_frame(frame)
                if self._codec.outbox:
                    self._say_more()
            elif isinstance(step, Close):
                self._close(step.code)
            elif isinstance(step, Unlisten):
                self._unlisten(step.topic)
            else:
                self._spawn(_WORK[type(step)], step)
        self._set_timer()
        codec = self._codec
        if (codec.beat_seconds != self._beats or codec.over is not None or codec.due) and not self._hearing:
            self._heed_codec()

    def _say_frame(self, frame: str) -> None:
        # Behind what waits, if anything does. The first way is the one that nearly every frame takes.
        if self._flushing is None and self._say_text is not None and self._say_text(frame):
            return
        self._say({"type": "websocket.send", "text": frame})

    def _say_more(self) -> None:
        """What the codec has to say beside events."""
        frames, self._codec.outbox[:] = list(self._codec.outbox), []  # type: ignore[index]  # of one that says any
        for frame in frames:
            self._say_frame(frame)

    def _heed_codec(self) -> None:
        """What it has kept for now, how often it beats from now on, and whether it wants to end."""
        if self._codec.due:
            due, self._codec.due[:] = list(self._codec.due), []
            self._carry_out(due)
        if self._codec.over is not None and self.connection.phase is not Phase.CLOSED:
            self.perform(self.connection.rejected(self._codec.over, time.time()))
        if self._codec.beat_seconds != self._beats:
            self._beats = self._codec.beat_seconds
            self._beat(say=False)

    def _beat(self, *, say: bool = True) -> None:
        if self._beating is not None:
            self._beating.cancel()
        if self._beats == inf or self._released or self.connection.phase is Phase.CLOSED:
            self._beating = None
            return
        self._beating = self._loop.call_later(self._beats, self._beat)
        if say:
            self._say_frame(self._codec.beat(time.time()))

    def _follow(self, event: Event) -> None:
        """One line for each frame that has to do with the log: only where somebody turned it on."""
        named = {name: getattr(event, field, None) for name, field in _FOLLOWED.items()}
        _frames.debug(_FRAME, {"frame": type(event).__name__, **self._ids(), **named})

    def _ids(self) -> dict[str, Any]:
        """Whose this is, for the log: spelled out, since what is said to many is said for nobody in particular."""
        grant = self.connection.grant
        session = grant and grant.session_id
        return {"connection": self.connection.name, "user": self.user_id, "session": session}

    def _close(self, code: CloseCode) -> None:
        self._say({"type": "websocket.close", "code": int(code), "reason": code.reason})
        self._leave()
        if self._flushing is not None:
            self._loop.call_later(CLOSE_SECONDS, self._cut)

    async def _redeem(self, step: Redeem) -> None:
        how: Any = {"purposes": step.purposes, "address": self._address}
        await self._judge(self._hub.redeemer.redeem(step.ticket, **how))

    async def _verify(self, step: Verify) -> None:
        opens = self.connection.grant is None
        await self._judge(self._hub.redeemer.verify(step.token, opens=opens, address=self._address))

    async def _judge(self, judging: Awaitable[tuple[Grant, tuple[Opening, SessionState]]]) -> None:
        """Tell the connection what becomes of its credential."""
        try:
            grant, found = await judging
        except (TicketRefused, TokenRefused, SessionEnded):
            self.perform(self.connection.refused(time.time()))
        except Unavailable:
            self.perform(self.connection.undecided(time.time()))
        else:
            if self.connection.grant is None:  # only the first one opens anything
                self._found = found
            elif grant.user_id != self.user_id:
                whose = {"by": grant.user_id, "user": self.user_id, "connection": self.connection.name}
                audit(SWAPPED, ok=False, session=grant.session_id, address=self._address, **whose)
            self._authenticated()
            self.tell(Connection.redeemed, grant)
            if self.connection.phase is Phase.OPEN:  # re-authenticated, perhaps by another session
                self._hub.presence.here(self._present())

    async def _open(self, step: Open) -> None:
        found, self._found = self._found, None
        if found is None:
            raise RuntimeError("nothing was read when the ticket was redeemed")
        opening, session = found
        self.user_id = step.grant.user_id
        await self._hub.join(self, opening.position)
        self.perform(self.connection.opened(opening, session, time.time()))
        if self.connection.phase is Phase.OPEN:
            self._hub.presence.here(self._present())
            figures.OPENED.add(self._codec.subprotocol)
            logger.info(_OPEN, {**self._ids(), **self._place()})

    async def _load(self, step: Load) -> None:
        page = await self._read(step)
        if page is None:
            self.tell(Connection.load_failed, step.stream)
        elif page is not _DENIED:
            said_before = figures.said_live()
            self.tell(Connection.page, page)
            if page.events and (said := figures.said_live() - said_before):
                late = time.time() - page.events[-1].created_at.timestamp()
                figures.DELIVERY_SECONDS.observe(late, "read", said)

    async def _read(self, step: Load) -> Page | None:
        topic = topic_of(step.stream)
        if topic is None:
            return await self._hub.reading.page(self.user_id, after=step.after, limit=step.limit)
        page = await self._hub.reading.topic_page(topic, after=step.after, limit=step.limit)
        decision = await self._hub.reading.decide(self.user_id, topic)
        if page is None or decision is None:
            return None
        if not decision.allowed:
            self.tell(Connection.denied, step)
            return _DENIED
        return page

    async def _listen(self, step: Listen) -> None:
        decision = await self._hub.reading.decide(self.user_id, step.topic)
        if decision is None:
            self.tell(Connection.listen_failed, step)
        elif not decision.allowed:
            self.tell(Connection.denied, step)
        elif self.connection.phase is not Phase.CLOSED:
            self.topics = {*self.topics, step.topic}
            await self._hub.listen(self, step.topic)
            position = await answer(topic_store.position, step.topic)
            if position is None:
                self.tell(Connection.listen_failed, step)
            else:
                self.perform(self.connection.subscribed(step, position, decision.fence, time.time()))

    async def _ask(self, step: Ask) -> None:
        decision = await self._hub.reading.decide(self.user_id, step.topic)
        if decision is None:
            self.tell(Connection.ask_failed, step)
        elif decision.allowed:
            self.perform(self.connection.allowed(step, decision.fence, time.time()))
        else:
            self.tell(Connection.denied, step)

    def _unlisten(self, topic: str) -> None:
        if topic in self.topics:
            self.topics = {*self.topics} - {topic}
            self._hub.unlisten(self, topic)

    async def _check(self, step: Check) -> None:
        session = await self._read_session(step.session_id)
        if session is None:
            self.perform(self.connection.check_failed(time.time()))
        else:
            self.tell(Connection.check_answered, session)

    async def _mark(self, step: Mark) -> None:
        command = step.command
        try:
            ids = None if command.ids is None else [UUID(text) for text in command.ids]
        except ValueError:
            self.tell(Connection.marked, None)  # what is no UUID is nobody's notification
            return
        how = {"state": command.state, "ids": ids, "through": command.through}
        marked = await answer(api.mark, self.user_id, **how)
        if marked is None:
            self.perform(self.connection.mark_failed(time.time()))
        else:
            change: Change | None = marked.change if marked.meant else None
            self.tell(Connection.marked, change)

    async def _read_session(self, session_id: UUID) -> Any:
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                return (await acheck_sessions([session_id]))[session_id]
        except (Unavailable, TimeoutError):
            return None

    def _present(self) -> Present:
        return Present(
            name=self.connection.name,
            user_id=self.user_id,
            session_id=self.session_id,
            address=self._address,
            protocol=self._codec.subprotocol,
            opened_at=datetime.fromtimestamp(self._started, UTC),
            place=lambda: self.connection.told_and_acked,
        )

    def _leave(self) -> None:
        if self.user_id is not None:
            self._hub.leave(self)
            self._hub.presence.gone(self.connection.name)

    def _authenticated(self) -> None:
        if self._unauthenticated:
            self._unauthenticated = False
            self._hub.known(self._address)

    # --- Tasks, frames, time ---

    def _spawn(self, work: Work, step: Any) -> None:
        task = self._loop.create_task(self._guarded(work, step))
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _guarded(self, work: Work, step: Any) -> None:
        try:
            # Called here and not before: a task that is cancelled before its first step would leave it never awaited.
            await work(self, step)
        except Exception:  # a fault of ours: said in the log, and to the client as what it is, temporary
            logger.exception(_FAILED, self._ids())
            self.fail()

    def fail(self) -> None:
        """Something here is broken: end the connection so that its client comes back to a fresh one."""
        self.perform(self.connection.rejected(CloseCode.UNAVAILABLE, time.time()))

    def _say(self, message: dict[str, Any]) -> None:
        if self._flushing is not None:
            self._queue(message)
            return
        sending = self._send(message)
        if not isinstance(sending, CoroutineType):
            self._flushing = self._loop.create_task(self._flush(sending))
            return
        # A task for each frame would cost more than the frame. Servers nearly always take one without waiting: so it is
        # driven by hand as far as it goes, and only one that would wait is handed to a task.
        try:
            pause = sending.send(None)
        except StopIteration:
            return
        except Exception:  # noqa: BLE001 (each server has its own error for a peer that is gone; `disconnect` follows)
            return
        self._flushing = self._loop.create_task(self._flush(_resumed(sending, pause)))

    def _queue(self, message: dict[str, Any]) -> None:
        if self._outbox is None:
            self._outbox = deque()
        self._outbox.append(message)
        if len(self._outbox) > OUTBOX and self.connection.phase is not Phase.CLOSED:
            self._outbox.clear()  # it would read none of this in time
            self.perform(self.connection.rejected(CloseCode.TOO_SLOW, time.time()))

    async def _flush(self, sending: Awaitable[None]) -> None:
        try:
            await sending
            while self._outbox:
                await self._send(self._outbox.popleft())
        except Exception:  # noqa: BLE001 (as above)
            self._outbox = None
        finally:
            self._flushing = None

    def _cut(self) -> None:
        """The peer does not even take the close: leave it to the server how to end that, without what was before."""
        if self._flushing is not None and not self._released:
            self._flushing.cancel()
            close = {"type": "websocket.close", "code": int(self.connection.code or CloseCode.TOO_SLOW), "reason": ""}
            self._tasks.append(self._loop.create_task(self._flush(self._send(close))))

    def _set_timer(self) -> None:
        at = inf if self._released else self.connection.wake_at
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = None if at == inf else self._loop.call_later(max(0.0, at - time.time()), self._wake)

    def release(self, client_code: int | None) -> None:
        """The socket is closed, by whom ever: give everything back. `client_code` is what the server reports."""
        if self._released:
            return
        self._released = True
        code = self.connection.code
        figures.CLOSED.add(str(int(code or client_code or 0)))
        self.connection.disconnected()
        self._set_timer()
        self._beat(say=False)
        self._leave()
        self._authenticated()
        self._hub.gone()
        for task in [*self._tasks, *filter(None, [self._flushing])]:
            task.cancel()
        ended: dict[str, Any] = {"code": client_code, "reason": "client"}
        if code:
            ended = {"code": int(code), "reason": code.reason}
        ended |= {"frames": self.connection.frames_sent, "seconds": round(time.time() - self._started, 1)}
        logger.info(_CLOSE, {**self._ids(), **ended, **self._place()})

    def _place(self) -> dict[str, Any]:
        """How far it got in the person's stream: what lies between this at the open and at the close was delivered."""
        stream, cursor = self.connection.place or (None, None)
        return {"stream": stream, "cursor": cursor}


_WORK: Final[dict[type, Work]] = {
    Redeem: Socket._redeem,
    Verify: Socket._verify,
    Open: Socket._open,
    Load: Socket._load,
    Check: Socket._check,
    Mark: Socket._mark,
    Listen: Socket._listen,
    Ask: Socket._ask,
}


@coroutine
def _resumed(sending: Coroutine[Any, Any, None], pause: Any) -> Generator[Any, Any, None]:
    """The rest of a coroutine that was driven to its first pause."""
    while True:
        try:
            answered = yield pause
        except BaseException as error:  # noqa: BLE001 (a cancellation, above all: it is the coroutine's to handle)
            step: Callable[[Any], Any] = sending.throw
            answered = error
        else:
            step = sending.send
        try:
            pause = step(answered)
        except StopIteration:
            return
