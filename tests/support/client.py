"""A person with a password, and the sockets they open, for tests that read like sentences.

    alice = Person(server, "alice")
    async with alice.connect(since=f"{epoch}:7") as socket:
        await socket.expect("welcome", recovered=True)
        await socket.expect("notification", seq=8, replayed=True)
        await socket.silence(0.5)
        await socket.send({"type": "ping", "ref": "1"})
        await socket.expect("pong", ref="1")
        ...
        assert await socket.closed() == 4401

`expect` looks at what has arrived since the last expected frame and passes over frames of other types and fields;
`next` takes exactly the next one. Everything that ever arrived stays in `socket.frames`.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal, Self
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support import canary
from tests.support.histories import Socket
from tests.support.servers import Server

Carrier = Literal["subprotocol", "header", "frame", "query", "none"]

PROTOCOL = "usher.v1"
OWN = "u."  # streams of persons; a socket has one of them, its own
ACK_AT = 32  # un-acked frames, in all streams together …
ACK_AFTER = 5.0  # … or seconds after the oldest of them


class Refused(Exception):
    """The server answered the handshake with plain HTTP."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"handshake answered with {status}: {body[:200]!r}")
        self.status = status
        self.body = body


class Frame(dict[str, Any]):
    """A frame as received; `at` is when, on the monotonic clock of this process."""

    at: float

    @property
    def type(self) -> str:
        return self["type"]


class Person:
    """Somebody who can sign in. Requests are made without a connection pool, so that servers may come and go."""

    def __init__(self, server: Server, username: str, password: str | None = None) -> None:
        self.server = server
        self.username = username
        self.password = server.stack.password_of(username) if password is None else password
        self.access: str | None = None
        self.refresh_token: str | None = None
        canary.remembered(password or "")  # others are the stack's

    def at(self, server: Server) -> "Person":
        """The same person with the same login session, at another process of the site."""
        other = Person(server, self.username, self.password)
        other.access, other.refresh_token = self.access, self.refresh_token
        return other

    async def token(self) -> str:
        """Sign in for an access token: a new login session with each call."""
        answer = await self.post("/api/token/", {"username": self.username, "password": self.password}, bearer="")
        self._keep(answer)
        return self.access

    async def refresh(self) -> str:
        """Trade the refresh token for the next pair."""
        self._keep(await self.post("/api/token/refresh/", {"refresh": self.refresh_token}, bearer=""))
        return self.access

    async def log_out(self) -> None:
        """End the login session; what happens to its sockets is for the test to see."""
        answer = await self.post("/api/token/revoke/", {"refresh": self.refresh_token}, bearer="")
        assert answer.status_code == 204, answer.text

    async def ticket(self, purpose: str = "connect") -> str:
        answer = await self.post("/api/tickets/", {"purpose": purpose})
        assert answer.status_code == 201, f"{answer.status_code}: {answer.text}"
        return answer.json()["ticket"]

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, body: object = None, **options: Any) -> httpx.Response:
        return await self.request("POST", path, json=body, **options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        bearer: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Any request, signed in first if need be; `bearer=""` sends it without a token, another one sends that."""
        if bearer is None:
            bearer = self.access or await self.token()
        authorization = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        async with httpx.AsyncClient(
            base_url=self.server.http, verify=False, trust_env=False, timeout=15, headers=authorization
        ) as http:
            answer = await http.request(method, path, headers=headers, **options)
        canary.present.answered(answer)
        return answer

    @contextlib.asynccontextmanager
    async def connect(
        self, *, ticket: str | None = None, carrier: Carrier = "subprotocol", **options: Any
    ) -> AsyncIterator["Client"]:
        """A socket opened with a ticket (a new one, unless given); options as for `Client.open`."""
        if ticket is None and carrier != "none":
            ticket = await self.ticket()
        socket = await Client.open(self.server, ticket=ticket, carrier=carrier, **options)
        async with socket:
            yield socket

    def _keep(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, f"{self.username}: {answer.status_code}: {answer.text}"
        self.access, self.refresh_token = answer.json()["access"], answer.json()["refresh"]


class Client:
    """One socket speaking usher.v1, which reads all the time and acks as clients are asked to."""

    def __init__(self, websocket: ClientConnection, *, auto_ack: bool = True) -> None:
        self.websocket = websocket
        self.auto_ack = auto_ack
        self.opened_at = time.monotonic()
        self.closed_at: float | None = None
        self.frames: list[Frame] = []
        self._looked_at = 0
        self._unacked: dict[str, list[int]] = {}
        self._ack_timer: asyncio.TimerHandle | None = None
        self._acks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        server: Server,
        *,
        ticket: str | None = None,
        carrier: Carrier = "subprotocol",
        since: str | None = None,
        origin: str | None = None,
        subprotocols: Sequence[str] | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        path: str = "/ws/",
        auto_ack: bool = True,
        open_timeout: float = 15,
    ) -> Self:
        """Shake hands. `subprotocols` replaces everything offered; a refused handshake raises Refused."""
        canary.remembered(ticket or "")
        query = {name: value for name, value in (("since", since),) if value is not None}
        offered = [PROTOCOL]
        extra = list(headers.items() if isinstance(headers, Mapping) else headers)
        if carrier == "subprotocol":
            offered.append(f"usher.ticket.{ticket}")
        elif carrier == "header":
            extra.append(("Authorization", f"Ticket {ticket}"))
        elif carrier == "query":
            query["ticket"] = ticket
        if carrier == "frame":
            query.pop("since", None)  # then said in the frame
        try:
            websocket = await open_websocket(
                _with_query(f"{server.ws}{path}", query),
                subprotocols=offered if subprotocols is None else list(subprotocols) or None,
                origin=origin,
                additional_headers=extra,
                compression=None,
                proxy=None,
                ping_interval=None,
                open_timeout=open_timeout,
                close_timeout=2,
                max_size=None,
                max_queue=None,
            )
        except InvalidStatus as error:
            status, body = error.response.status_code, bytes(error.response.body)
            canary.present.page(f"{status} {path.partition('?')[0]}\n{body!r}")
            raise Refused(status, body) from error
        socket = cls(websocket, auto_ack=auto_ack)
        if carrier == "frame":
            await socket.send({"type": "authenticate", "ticket": ticket} | ({"since": since} if since else {}))
        return socket

    # What arrived -------------------------------------------------------------------------------------------------

    def of(self, type: str, **fields: object) -> list[Frame]:  # noqa: A002 - the word of the wire
        """All received frames of a type with these fields, whether looked at or not."""
        return [frame for frame in self.frames if _is(frame, type, fields)]

    @property
    def welcome(self) -> Frame:
        found = self.of("welcome")
        assert found, f"no welcome yet\n{self}"
        return found[0]

    @property
    def position(self) -> str:
        """What to give as `since` to resume one's own stream after what this socket has received."""
        epoch, cursor = self.welcome["epoch"], self.welcome["cursor"]
        for frame in self.frames:
            if not frame.get("stream", "").startswith(OWN):
                continue
            if frame.type == "reset":
                epoch, cursor = frame["epoch"], frame["head"]
            elif frame.type == "notification" and frame["seq"] is not None:
                cursor = frame["seq"]
            elif frame.type == "skipped":
                cursor = frame["through"]
        return f"{epoch}:{cursor}"

    def history(self, *, revoked_at: float | None = None) -> Socket:
        """This socket as tests.support.histories judges it, from the position it was welcomed at."""
        start = {f"{OWN}{frame['user']['id']}": frame["cursor"] for frame in self.of("welcome")}
        start |= {f"t.{frame['topic']}": frame["cursor"] for frame in self.of("subscribed")}
        return Socket(frames=list(self.frames), start=start, revoked_at=revoked_at)

    async def expect(self, type: str, timeout: float = 20, **fields: object) -> Frame:  # noqa: A002
        """The first frame of this type and with these fields since the last expected one."""

        def look() -> Frame | None:
            for index in range(self._looked_at, len(self.frames)):
                if _is(self.frames[index], type, fields):
                    self._looked_at = index + 1
                    return self.frames[index]
            return None

        wanted = " ".join([type, *(f"{name}={value!r}" for name, value in fields.items())])
        return await self._until(look, timeout, f"no {wanted}")

    async def expect_many(self, count: int, type: str, timeout: float = 30, **fields: object) -> list[Frame]:  # noqa: A002
        """The next `count` such frames, in order of arrival."""
        deadline = time.monotonic() + timeout
        return [await self.expect(type, timeout=deadline - time.monotonic(), **fields) for _ in range(count)]

    async def next(self, timeout: float = 20) -> Frame:
        """Exactly the next frame, whatever it is."""

        def look() -> Frame | None:
            if self._looked_at == len(self.frames):
                return None
            self._looked_at += 1
            return self.frames[self._looked_at - 1]

        return await self._until(look, timeout, "no frame")

    async def silence(self, seconds: float, *, but: Sequence[str] = ()) -> None:
        """Nothing new arrives for so long, except frames of the types in `but`, and the socket stays open."""
        before = len(self.frames)
        await asyncio.sleep(seconds)
        heard = [frame for frame in self.frames[before:] if frame["type"] not in but]
        assert not heard, f"heard {heard} in what should have been silence\n{self}"
        assert self.close_code is None, f"closed with {self.close_code} in what should have been silence\n{self}"

    # What is sent -------------------------------------------------------------------------------------------------

    async def send(self, frame: Mapping[str, object] | str | bytes) -> None:
        """A mapping goes as JSON text, a string as that text, bytes as a binary frame."""
        await self.websocket.send(json.dumps(frame) if isinstance(frame, Mapping) else frame)

    async def ack(self) -> None:
        """Ack all that was received and not acked."""
        if self._ack_timer:
            self._ack_timer.cancel()
            self._ack_timer = None
        unacked, self._unacked = self._unacked, {}
        for stream, seqs in unacked.items():
            frame = {"type": "ack", "seq": max(seqs)}
            await self.send(frame if stream.startswith(OWN) else frame | {"stream": stream})

    async def close(self, code: int = 1000) -> None:
        """Say goodbye and stop reading. Safe to call on a closed socket."""
        await self.websocket.close(code)
        await self._reading
        if self._ack_timer:
            self._ack_timer.cancel()
        await asyncio.gather(*self._acks, return_exceptions=True)

    def cut(self) -> None:
        """Drop the TCP connection without a word, as a dead phone does."""
        self.websocket.transport.abort()

    # How it ended -------------------------------------------------------------------------------------------------

    @property
    def close_code(self) -> int | None:
        """None while open; 1006 if it ended without a close frame."""
        return self.websocket.close_code

    @property
    def close_reason(self) -> str | None:
        return self.websocket.close_reason

    @property
    def reading(self) -> asyncio.Task[None]:
        """Done once the socket has ended, however it did, and nothing more can arrive."""
        return self._reading

    async def closed(self, timeout: float = 20) -> int:
        """The close code, once the server has closed."""
        await asyncio.wait([self._reading], timeout=timeout)
        assert self.close_code is not None, f"still open after {timeout:g} s\n{self}"
        return self.close_code

    def __str__(self) -> str:
        told = [f"  +{frame.at - self.opened_at:7.3f} {json.dumps(frame)[:300]}" for frame in self.frames[-40:]]
        end = "open" if self.close_code is None else f"closed: {self.close_code} {self.close_reason}"
        return "\n".join([f"{len(self.frames)} frames received, {end}", *told])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # Inside -------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in self.websocket:
                frame = Frame(json.loads(text))
                frame.at = time.monotonic()
                self.frames.append(frame)
                self._changed.set()
                if frame["type"] == "notification" and frame["seq"] is not None:
                    self._note(frame["stream"], frame["seq"])
        self.closed_at = time.monotonic()
        self._changed.set()

    def _note(self, stream: str, seq: int) -> None:
        self._unacked.setdefault(stream, []).append(seq)
        if not self.auto_ack:
            return
        if sum(map(len, self._unacked.values())) >= ACK_AT:
            self._start_ack()
        elif self._ack_timer is None:
            self._ack_timer = asyncio.get_running_loop().call_later(ACK_AFTER, self._start_ack)

    def _start_ack(self) -> None:
        async def quietly() -> None:
            with contextlib.suppress(ConnectionClosed):
                await self.ack()

        # A task: reading goes on while the socket cannot be written to.
        task = asyncio.create_task(quietly())
        self._acks.add(task)
        task.add_done_callback(self._acks.discard)

    async def _until(self, look: Callable[[], Frame | None], timeout: float, missing: str) -> Frame:
        deadline = time.monotonic() + timeout
        while (found := look()) is None:
            left = deadline - time.monotonic()
            assert not self._reading.done(), f"{missing} before the end\n{self}"
            assert left > 0, f"{missing} within {timeout:g} s\n{self}"
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        return found


def _is(frame: Frame, type: str, fields: Mapping[str, object]) -> bool:  # noqa: A002
    return frame["type"] == type and all(name in frame and frame[name] == value for name, value in fields.items())


def _with_query(url: str, query: Mapping[str, str]) -> str:
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query, safe=':')}"
