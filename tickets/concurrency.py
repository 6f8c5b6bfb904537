"""At most so many requests inside Django at once. The others wait in order outside, and are told so if it is no use.

Django gives each request that is served by synchronous code a thread, and that takes a connection from the pool: a
thousand clients coming back at once would be a thousand threads, waiting for a handful of connections until they fail.
A request that waits here costs a few KiB and no thread.

* A request enters when its body is complete, and leaves when its answer begins: slow clients hold no place. (Its
  connection went back to the pool before, see `tickets.middleware.ConnectionBackMiddleware`.)
* Inside, it runs to its end, whoever still listens: a query cannot be interrupted. One that takes too long is answered
  503 on its behalf, and its place is taken until its thread has really ended.
* A client that goes away while it waits leaves the line.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tickets.conf import conf
from tickets.counted import REQUESTS, REQUESTS_REFUSED
from tickets.places import Full, Place, Places
from tickets.rest import RETRY_UNAVAILABLE, unavailable_body

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PROMPT_SECONDS = 4.0
"""After this a program is better off trying elsewhere or later: answered 503. A place taken for longer is stuck."""

PATIENT_SECONDS = 30.0
"""The same for pages: somebody in the admin who ends ten thousand sessions would rather wait."""

LINE = 2_000
"""Requests that may wait; a process serves them in some ten seconds, and more would wait in vain."""

LINE_SECONDS = 30.0
"""How long a request may wait while others are served; about as long as its client will."""


class Concurrency:
    """ASGI middleware around an HTTP application, by `TICKETS["REQUESTS_AT_ONCE"]`.

    `patience(scope)` says for how many seconds a request may be inside. None: it never waits and is not counted, as
    probes, which take nothing that could run out, and what is not ours.
    """

    def __init__(self, app: Callable[..., Awaitable[Any]], *, patience: Callable[[Message], float | None]) -> None:
        self.app = app
        self.patience = patience
        self.places = Places(
            at_once=conf.REQUESTS_AT_ONCE, line=LINE, patience=LINE_SECONDS, stuck_after=PROMPT_SECONDS
        )
        REQUESTS.read = lambda: {"inside": self.places.inside, "waiting": self.places.waiting}
        self._running: set[asyncio.Task[Any]] = set()
        self._refused = 0
        self._told_at = float("-inf")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        seconds = self.patience(scope)
        if seconds is None:
            await self.app(scope, receive, send)
            return
        visit = _Visit(self.places, receive, send, seconds)
        task = asyncio.ensure_future(self.app(scope, visit.receive, visit.send))
        self._running.add(task)  # it may outlive this call
        task.add_done_callback(self._running.discard)
        if not await visit.watch(task):
            self._note_refusal()
            await _refuse(send)

    def _note_refusal(self) -> None:
        """One line a second at most: there may be thousands."""
        self._refused += 1
        REQUESTS_REFUSED.add()
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= 1:
            places = self.places
            log.error("answered 503 %d times: %d inside, %d waiting", self._refused, places.inside, places.waiting)
            self._refused, self._told_at = 0, now


class _Visit:
    """One request: what Django hears of its client, and its client of Django."""

    def __init__(self, places: Places, receive: Receive, send: Send, seconds: float) -> None:
        self._places = places
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._place: Place | None = None
        self._body_read = False
        self._answering = asyncio.Event()
        self._late: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._listening: asyncio.Future[Message] | None = None
        self._given_up = False

    async def watch(self, task: asyncio.Future[Any]) -> bool:
        """Wait for the application; False if its client has to be answered instead of it."""
        task.add_done_callback(self._over)
        try:
            await asyncio.wait([task, self._late], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._given_up = True
                return False
            task.result()
        except Full:
            return False
        except asyncio.CancelledError:
            self._given_up = True
            if self._place is None:
                task.cancel()
            raise
        return True

    def _over(self, task: asyncio.Future[Any]) -> None:
        self._leave()
        if self._listening:
            self._listening.cancel()
        if self._given_up and not task.cancelled():
            task.exception()  # nobody is left to hear it; Django has logged what a view raised

    # --- What the application is handed ---

    async def receive(self) -> Message:
        if not self._body_read:
            message = await self._receive()
            self._body_read = message["type"] == "http.request" and not message.get("more_body", False)
            return (await self._enter() or message) if self._body_read else message
        # Django now listens for the client's going away, upon which it would leave the view's thread to itself.
        await self._answering.wait()
        return await self._listen()

    async def send(self, message: Message) -> None:
        if self._given_up:
            return
        if message["type"] == "http.response.start":
            self._answering.set()
            self._leave()
        await self._send(message)

    # --- The place ---

    async def _enter(self) -> Message | None:
        """Wait for a place; what was heard instead of it if the client went away. Raises `Full`."""
        self._place = self._places.try_enter()
        if self._place is None:
            turn = asyncio.ensure_future(self._places.enter())
            await self._whichever_comes_first(turn)
            if not turn.done():
                turn.cancel()
                return await self._listen()
            self._place = turn.result()
        self._timer = self._loop.call_later(self._seconds, self._late.set_result, None)
        return None

    async def _whichever_comes_first(self, turn: asyncio.Future[Place]) -> None:
        self._listening = asyncio.ensure_future(self._receive())
        both: list[asyncio.Future[Any]] = [turn, self._listening]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            turn.cancel()
            raise

    async def _listen(self) -> Message:
        return await (self._listening or self._receive())

    def _leave(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._place:
            self._places.leave(self._place)


async def _refuse(send: Send) -> None:
    body = unavailable_body()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(RETRY_UNAVAILABLE).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
