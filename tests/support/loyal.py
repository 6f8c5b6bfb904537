"""A client that stays: whatever happens to its socket, it comes back with a new ticket and resumes where it was.

    loyal = Loyal(wire, someone)          # `someone` a tests.support.passes.Pass, `wire` a Server or a Wire
    loyal.start()
    await loyal.welcomed()
    …
    await loyal.leave()
    judge(published, [loyal.reader()])

It does what the project's own client does, with less patience: it pings a silent socket and gives it up when there is
no answer, and its back-off ends at `LONGEST` seconds.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

import httpx
from websockets.exceptions import InvalidHandshake

from tests.support.client import Client, Refused
from tests.support.histories import Reader
from tests.support.passes import Pass

FIRST, LONGEST = 0.25, 2.0
"""The back-off: anything up to a limit that doubles with each failure."""

LONGEST_ATTEMPT = 15.0

FAILURES = (OSError, TimeoutError, AssertionError, Refused, InvalidHandshake, EOFError, httpx.HTTPError)


class Site(Protocol):
    """Where requests and sockets go."""

    http: str
    ws: str


class Loyal:
    """One device of one person."""

    def __init__(self, site: Any, someone: Pass, *, name: str = "", ping: float = 1.0, patience: float = 3.0) -> None:
        self.site = site
        self.someone = someone
        self.name = name or someone.username
        self.ping = ping
        self.patience = patience
        self.sockets: list[Client] = []
        """Every socket that was opened, the present one last."""
        self.answers: Counter[int | str] = Counter()
        """What its ticket requests and handshakes were answered with, and what else happened to them."""
        self.retry_after: list[float] = []
        """Seconds that each 429 or 503 asked it to wait."""
        self.byes: list[dict[str, Any]] = []
        self.gave_up: int | None = None
        """The close code after which it stays away."""
        self._life: asyncio.Task[None] | None = None
        self._failures = 0

    def start(self) -> None:
        self._life = asyncio.create_task(self._live())

    async def leave(self) -> None:
        """Go, and stay away. What was received stays in `sockets`."""
        # Again and again: until Python 3.12 `wait_for` forgets a cancellation that comes together with the answer.
        while self._life is not None and not self._life.done():
            self._life.cancel()
            await asyncio.wait([self._life], timeout=1)
        if self.sockets:
            await self.sockets[-1].close()

    @property
    def here(self) -> bool:
        """Welcome, on a socket that is open."""
        return bool(self.sockets) and self.sockets[-1].close_code is None and bool(self.sockets[-1].of("welcome"))

    async def welcomed(self, timeout: float = 30) -> None:
        await until(lambda: self.here, f"welcome for {self.name}: {dict(self.answers)}", timeout)

    @property
    def reconnects(self) -> int:
        return sum(bool(socket.of("welcome")) for socket in self.sockets) - 1

    @property
    def codes(self) -> list[int | None]:
        """How its sockets ended; None for one that is open."""
        return [socket.close_code for socket in self.sockets]

    @property
    def position(self) -> str | None:
        return next((socket.position for socket in reversed(self.sockets) if socket.of("welcome")), None)

    def reader(self, until: dict[str, int] | None = None) -> Reader:
        """As tests.support.histories judges it."""
        sockets = [socket.history() for socket in self.sockets if socket.of("welcome")]
        return Reader(self.name, frozenset({self.someone.stream}), sockets, until)

    # --- Inside ---

    async def _live(self) -> None:
        while self.gave_up is None:
            came = False
            with contextlib.suppress(*FAILURES):
                came = await self._come()
            if came:
                self._failures = 0
                wait = await self._stay(self.sockets[-1])
            else:
                wait = 0.0
            wait = max(wait, self.retry_after.pop() if self.retry_after and not came else 0.0)
            await asyncio.sleep(wait + random.uniform(0, min(LONGEST, FIRST * 2**self._failures)))
            self._failures += not came

    async def _come(self) -> bool:
        """Whether it was welcome."""
        # Whoever loses patience as fast again and again only adds to what a slow site has to do.
        patience = min(LONGEST_ATTEMPT, self.patience * (1 + self._failures))
        try:
            ticket = await self._ticket(patience)
            if ticket is None:
                return False
            socket = await Client.open(self.site, ticket=ticket, since=self.position, open_timeout=patience)
        except Refused as refused:
            self.answers[refused.status] += 1
            raise
        except FAILURES as error:
            self.answers[type(error).__name__] += 1
            raise
        self.sockets.append(socket)
        try:
            await socket.expect("welcome", timeout=2 * patience)
        except AssertionError:
            self._hear_goodbye(socket)
            await _cut(socket)
            return False
        return True

    async def _ticket(self, patience: float) -> str | None:
        headers = {"Authorization": f"Bearer {self.someone.access}"}
        answer = await http().post(f"{self.site.http}/api/tickets/", headers=headers, timeout=patience)
        self.answers[answer.status_code] += 1
        if answer.status_code == 201:
            return str(answer.json()["ticket"])
        if "Retry-After" in answer.headers:
            self.retry_after.append(float(answer.headers["Retry-After"]))
        return None

    async def _stay(self, socket: Client) -> float:
        """Until the socket has ended, or is given up; how long to stay away at least."""
        with contextlib.suppress(*FAILURES):
            while socket.close_code is None:
                heard = len(socket.frames)
                await asyncio.wait([socket.reading], timeout=self.ping)
                if len(socket.frames) == heard and socket.close_code is None:
                    async with asyncio.timeout(self.patience):
                        await socket.send({"type": "ping"})
                        await until(lambda: len(socket.frames) > heard or socket.close_code, "pong", self.patience)  # noqa: B023
        await _cut(socket)
        return self._hear_goodbye(socket)

    def _hear_goodbye(self, socket: Client) -> float:
        for bye in socket.of("bye"):
            self.byes.append(bye)
            if not bye["reconnect"]:
                self.gave_up = bye["code"]
            return bye["retry_after_ms"] / 1000
        return 0.0


async def _cut(socket: Client) -> None:
    if socket.close_code is None:
        socket.cut()
    await asyncio.wait([socket.reading], timeout=5)
    with contextlib.suppress(*FAILURES):
        await socket.close()


async def until(ask: Any, what: str, timeout: float) -> None:
    """Until the answer is true, leaving the loop to the clients meanwhile."""
    deadline = time.monotonic() + timeout
    while not ask():
        assert time.monotonic() < deadline, f"no {what} within {timeout:g} s"
        await asyncio.sleep(0.02)


async def all_welcomed(clients: Iterable[Loyal], timeout: float = 60) -> None:
    clients = list(clients)
    await until(lambda: all(client.here for client in clients), "welcome for all", timeout)


async def leave_all(clients: Iterable[Loyal]) -> None:
    await asyncio.gather(*(client.leave() for client in clients))


logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells every request

_http: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None


def http() -> httpx.AsyncClient:
    """One client for all: making one costs more than a request. It keeps no connections, so servers may come and go."""
    global _http
    loop = asyncio.get_running_loop()
    if _http is None or _http[0] is not loop:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        _http = loop, httpx.AsyncClient(verify=False, trust_env=False, limits=limits)
    return _http[1]
