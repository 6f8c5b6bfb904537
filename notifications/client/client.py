"""The client of `usher.v1` (docs/wire.md) for programs: one connection that is kept, by whatever it takes.

    async with Client("https://site.example", username="demo", password=password) as client:
        client.subscribe("orders.7")  # besides what the person is told themselves
        async for notification in client:
            print(notification.stream, notification.title)

What to do when is `connection.py`'s to decide; this file has the clock, the socket and the tasks.
"""

import asyncio
import logging
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from math import inf
from types import TracebackType
from typing import Any, Final, Self

import httpx2
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from ..wire.vocabulary import Notification
from .account import Account, Credentials
from .connection import Connection
from .errors import ClientError, Unreachable
from .inbox import Event
from .position import Position
from .spelling import Denied, NoFrame, Reset, read_frame, write_frame
from .steps import Dial, Drop, FetchTicket, Purpose, Send, StateChange, Step, Tell
from .timing import LONGEST_DELAY, back_off

log = logging.getLogger(__name__)

# What the socket's library says of a handshake holds the ticket, so it may not say it. By a filter as well: whoever
# configures logging may set levels anew.
_quiet = logging.getLogger(f"{__name__}.websockets")
_quiet.setLevel(logging.WARNING)
_quiet.addFilter(lambda record: record.levelno >= logging.WARNING)

SENDINGS: Final = 3
"""How often `send` tries, since the key it sends along makes a repetition harmless."""
CLOSING: Final = 2.0


class _Handshake(open_websocket):
    """With the server that the ticket is for: where that sends on to, another would have the ticket."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Client:
    """
    A person at a site, by name and password or by the tokens of `POST /api/token/`.

    `position` resumes after what was heard then. `on_state` is told of every change of the connection, `on_tokens` of
    every new pair, which is to be kept by whoever came with a refresh token: the old one is spent. A login session
    that was opened here, by the password, ends with the client.

    The connection begins with the first iteration; requests need none. Iterating raises `SignInRequired`, `Refused` or
    `ConnectionEnded` where there is no way on; everything else is waited out.
    """

    def __init__(
        self,
        site: str,
        *,
        username: str = "",
        password: str | None = None,
        access: str | None = None,
        refresh: str | None = None,
        position: Position | None = None,
        on_state: Callable[[StateChange], None] | None = None,
        on_tokens: Callable[[str, str], None] | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        credentials = Credentials(username, password, access, refresh)
        self._account = Account(site, credentials, on_tokens=on_tokens, tls=tls, transport=transport)
        self._connection = Connection(position=position)
        self._on_state = on_state

        self._socket: ClientConnection | None = None
        self._outbox: asyncio.Queue[Send] = asyncio.Queue()
        self._under_way: set[asyncio.Task[None]] = set()
        """For the present attempt or socket; cancelled with it, and what is cancelled calls nobody."""
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Client of {self._account.site}, {self.state}>"

    @property
    def state(self) -> str:
        return self._connection.state

    @property
    def position(self) -> Position | None:
        """That of the last event which the iteration has given out."""
        return self._connection.position

    @property
    def positions(self) -> dict[str, Position]:
        """The same for the topics that are listened to, by their names; keep them to resume each `since` there."""
        return self._connection.positions

    async def rewind(self, seq: int) -> None:
        """Before the first iteration: begin after this number of the present epoch; 0 for all that is kept."""
        listed = await self.notifications(limit=1)
        self._connection.begin_after(Position(listed["epoch"], seq))

    # --- What arrives ---

    async def __aiter__(self) -> AsyncIterator[Notification]:
        async for event in self.events():
            if isinstance(event, Notification):
                yield event
            elif isinstance(event, Reset):
                said = "What was missed cannot be told (%s): see the list of %s. events() tells of it."
                log.warning(said, event.reason, event.stream)
            elif isinstance(event, Denied):
                log.warning("The topic %s is not for this person (%s). events() tells of it.", event.topic, event.code)

    async def events(self) -> AsyncIterator[Event]:
        """
        Everything that is told, in order: also `Welcome`, `Reset`, `StateChanged`, `CaughtUp` and `Skipped`, and of
        topics `Subscribed` and `Denied`. What belongs to a stream names it: `u.…` is the person's own, `t.<topic>` a
        topic's.
        """
        self._carry_out(self._connection.open(self._now()))
        while True:
            event, steps = self._connection.take(self._now())
            self._carry_out(steps)
            if event is not None:
                yield event
            elif self._connection.failure is not None:
                raise self._connection.failure
            elif self._connection.is_over:
                return
            else:
                self._news.clear()
                await self._news.wait()

    # --- Topics ---

    def subscribe(self, topic: str, *, since: Position | None = None) -> None:
        """
        Listen to a topic as well, from now or from a position on, over every reconnection until `unsubscribe`.

        The iteration gives out what is said there. Where the site's rules refuse it, now or later, it tells of a
        `Denied`, and the topic is left. Raises Misused if this can be no topic's name.
        """
        self._carry_out(self._connection.subscribe(topic, since))

    def unsubscribe(self, topic: str) -> None:
        """Nothing of it is given out any more, nor what has arrived."""
        self._carry_out(self._connection.unsubscribe(topic))

    # --- Requests ---

    async def send(
        self,
        user: str,
        *,
        title: str,
        body: str = "",
        kind: str = "",
        level: str = "info",
        url: str = "",
        data: dict[str, Any] | None = None,
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Tell somebody something, once: repeated if no answer came, under one key. Answers `id stream seq`."""
        said: dict[str, object] = {"user": user, "title": title, "body": body, "kind": kind, "level": level, "url": url}
        said |= {} if data is None else {"data": data}
        said |= {} if expires_at is None else {"expires_at": expires_at.isoformat()}
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        for failures in range(SENDINGS - 1):
            try:
                return dict(await self._account.request("POST", "/api/notifications/", said, headers=headers))
            except Unreachable as error:
                if error.retry_after > LONGEST_DELAY:
                    raise
                await asyncio.sleep(error.retry_after + back_off(failures, self._connection.chance))
        return dict(await self._account.request("POST", "/api/notifications/", said, headers=headers))

    async def mark(self, *, state: str, ids: list[str] | None = None, through: int | None = None) -> dict[str, Any]:
        """Set `seen`, `read`, `unread`, `archived` or `unarchived` for some, or for all up to a number."""
        which: dict[str, object] = {"ids": ids} if ids is not None else {"through": through}
        return dict(await self._account.request("POST", "/api/notifications/state/", {"state": state} | which))

    async def notifications(self, **query: str | int | bool) -> dict[str, Any]:
        """The list, as `GET /api/notifications/` answers it; what to do after a `Reset`."""
        asked = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items()}
        return dict(await self._account.request("GET", "/api/notifications/", query=asked))

    async def sessions(self) -> list[dict[str, Any]]:
        """The person's login sessions, with what is connected by each."""
        return list((await self._account.request("GET", "/api/sessions/"))["results"])

    async def end_session(self, session_id: str) -> None:
        await self._account.request("DELETE", f"/api/sessions/{uuid.UUID(session_id)}/")

    async def end_other_sessions(self) -> int:
        """How many there were."""
        return int((await self._account.request("POST", "/api/sessions/end-others/", {}))["ended"])

    # --- The end ---

    async def close(self) -> None:
        """Disconnect and, if the login session was opened here, end it."""
        self._carry_out(self._connection.close())
        if self._timer:
            self._timer.cancel()
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSING)
        await self._account.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- Carrying out ---

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _carry_out(self, steps: list[Step]) -> None:
        for step in steps:
            match step:
                case FetchTicket(purpose):
                    self._start(self._fetch_ticket(purpose))
                case Dial():
                    self._start(self._live(step))
                case Send():
                    self._outbox.put_nowait(step)
                case Drop():
                    self._drop()
                case Tell(change):
                    self._tell(change)
        self._news.set()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        at = self._connection.wake_at
        self._timer = None if at == inf else asyncio.get_running_loop().call_at(at, self._woken)

    def _woken(self) -> None:
        self._carry_out(self._connection.woken(self._now()))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _drop(self) -> None:
        for task in self._under_way:
            task.cancel()  # the one that says so as well: it has nothing left to do
        self._outbox = asyncio.Queue()
        if self._socket:
            closing = asyncio.create_task(self._socket.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._socket = None

    def _tell(self, change: StateChange) -> None:
        log.debug("%s %s %s", change.state, change.code or "", change.reason)
        if self._on_state:
            self._on_state(change)

    # --- Tickets ---

    async def _fetch_ticket(self, purpose: Purpose) -> None:
        try:
            ticket = await self._account.ticket(purpose)
        except ClientError as error:
            self._carry_out(self._connection.ticket_failed(error, purpose, self._now()))
        else:
            self._carry_out(self._connection.ticketed(ticket, purpose, self._now()))

    # --- One socket ---

    async def _live(self, dial: Dial) -> None:
        code, error = await self._read(dial)
        self._carry_out(self._connection.ended(code, self._now(), error=error))

    async def _read(self, dial: Dial) -> tuple[int | None, ClientError | None]:
        """From the handshake to the end: the close code, or why there is none."""
        why = ""
        try:
            socket = await _Handshake(
                dial.url,
                subprotocols=[*dial.protocols],  # type: ignore[list-item]
                ssl=self._account.tls,
                logger=_quiet,
                ping_interval=None,  # the protocol has its own
                close_timeout=CLOSING,
            )
        except InvalidStatus as refusal:
            why = f"The server refused the socket with {refusal.response.status_code}."
        except (OSError, WebSocketException, EOFError, ValueError) as failure:
            why = f"No socket could be opened: {type(failure).__name__}."
        else:
            self._socket = socket
            self._start(self._write(socket, self._outbox))
            try:
                async for text in socket:
                    self._heard(text)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None, None
            return socket.close_code, None
        return None, Unreachable(why)

    def _heard(self, text: str | bytes) -> None:
        try:
            frame = read_frame(text)
        except NoFrame as error:
            log.warning("%s", error)
            return
        if frame is not None:
            self._carry_out(self._connection.received(frame, self._now()))

    async def _write(self, socket: ClientConnection, outbox: asyncio.Queue[Send]) -> None:
        try:
            while True:
                step = await outbox.get()
                frame = step.frame | ({"token": self._account.access} if step.vouched else {})
                await socket.send(write_frame(frame))
        except ConnectionClosed:
            pass  # whoever reads hears of it, and why
