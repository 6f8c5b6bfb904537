"""The client with a socket of its own to talk to: how steps become tasks. What to do when is test_connection.py's."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx2
import pytest
from msgspec.json import encode
from websockets.asyncio.server import ServerConnection, serve

from notifications.client import Client, ConnectionEnded, Position, Reset, SignInRequired, Unreachable, Welcome
from notifications.wire.closing import CloseCode
from tests.notifications.client import said
from tests.notifications.client.test_account import PASSWORD, Site, ticket


class Server(Site):
    """A site with a socket; `lives` are what it says on one connection after the other."""

    def __init__(self, *lives: list) -> None:
        super().__init__()
        self.lives = list(lives)
        self.heard: list[dict] = []
        self.since: list[str] = []
        self.port = 0

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        answer = await super().__call__(request)
        if request.url.path == "/api/tickets/" and answer.status_code == 201:
            return httpx2.Response(201, json=ticket(self.session_expires_at, f"ws://127.0.0.1:{self.port}/ws/"))
        return answer

    async def live(self, socket: ServerConnection) -> None:
        self.since.append(socket.request.path.partition("since=")[2])
        for frame in self.lives.pop(0):
            await socket.send(frame if isinstance(frame, str) else encode(frame).decode())
        async for text in socket:
            self.heard.append(json.loads(text))

    @contextlib.asynccontextmanager
    async def client(self, process_request=None, **options) -> AsyncIterator[Client]:
        options = {"username": "demo", "password": PASSWORD} | options
        serving = serve(self.live, "127.0.0.1", 0, subprotocols=["usher.v1"], process_request=process_request)
        async with serving as serving:
            self.port = serving.sockets[0].getsockname()[1]
            async with Client("http://site.example", transport=httpx2.MockTransport(self), **options) as client:
                client._connection.chance = lambda: 0.0
                yield client


def now():
    return datetime.now(UTC).timestamp() - 3600


async def test_it_hears_comes_back_and_ends():
    first = [said.welcome(now()), said.notification(1), "no frame", '{"type":"new"}', said.bye(CloseCode.GOING_AWAY)]
    again = [said.welcome(now(), recovered=True), said.notification(1), said.notification(2)]
    server, states = Server(first, [*again, said.bye(CloseCode.TOO_MANY_CONNECTIONS)]), []
    async with server.client(on_state=states.append) as client:
        heard = []
        with pytest.raises(ConnectionEnded) as caught:
            async for notification in client:
                heard.append((notification.seq, client.position))
        assert (caught.value.close_code, caught.value.reason) == (4504, "too_many_connections")
    assert heard == [(1, Position("e1", 1)), (2, Position("e1", 2))]
    assert server.since == ["", "e1:1"]
    assert [change.state for change in states] == [
        *("connecting", "connected", "waiting"),
        *("connecting", "connected", "closed"),
    ]
    assert server.paths == ["token/", "tickets/", "tickets/", "token/revoke/"]


async def test_what_is_read_is_acked_and_nothing_else():
    server = Server([said.welcome(now(), window=4), *(said.notification(seq) for seq in range(1, 5))])
    async with server.client() as client, asyncio.timeout(10):
        reading = aiter(client)
        await anext(reading)
        await asyncio.sleep(0.05)
        assert server.heard == []
        await anext(reading)
        while not server.heard:
            await asyncio.sleep(0.01)
        assert server.heard == [{"type": "ack", "seq": 2}]


async def test_events_tell_everything_and_a_gap_is_not_kept_quiet(caplog):
    life = [said.welcome(now(), epoch="e2"), said.reset(7), said.bye(CloseCode.LOGGED_OUT)]
    server = Server(life, life)
    async with server.client(position=Position("e1", 3)) as client:
        events = []
        with pytest.raises(SignInRequired):
            async for event in client.events():
                events.append(type(event))
        assert events == [Welcome, Reset]
        with pytest.raises(SignInRequired, match="logged_out"):
            await anext(aiter(client))
    assert server.since == ["e1:3"]
    async with server.client(position=Position("e1", 3)) as client:
        with pytest.raises(SignInRequired):
            await anext(aiter(client))
    assert "What was missed cannot be told (epoch): see the list of u.1." in caplog.text


async def test_a_ticket_is_for_the_server_it_was_made_for():
    """What it is sent on to hears of nothing: a redirect may lead anywhere."""
    elsewhere = []

    def send_on(connection, request):
        answer = connection.respond(302, "")
        answer.headers["Location"] = f"ws://127.0.0.1:{port}/ws/"
        return answer

    async def heard(socket):
        elsewhere.append(socket.request.headers["Sec-WebSocket-Protocol"])

    states = asyncio.Queue()
    server = Server()
    async with serve(heard, "127.0.0.1", 0, subprotocols=["usher.v1"]) as other:
        port = other.sockets[0].getsockname()[1]
        async with server.client(on_state=states.put_nowait, process_request=send_on) as client, asyncio.timeout(10):
            waiting = asyncio.create_task(anext(aiter(client), None))
            while (change := await states.get()).error is None:
                pass
            waiting.cancel()
    assert (str(change.error), elsewhere) == ("The server refused the socket with 302.", [])


async def test_it_ends_while_somebody_waits():
    server = Server([said.welcome(now())])
    async with server.client() as client, asyncio.timeout(10):
        waiting = asyncio.create_task(anext(aiter(client), "the end"))
        while client.state != "connected":
            await asyncio.sleep(0.01)
        await client.close()
        assert await waiting == "the end"


async def test_a_grant_goes_on():
    server = Server([said.welcome(now(), expires_at=said.when(now() + 0.2))])
    async with server.client() as client, asyncio.timeout(10):
        waiting = asyncio.create_task(anext(aiter(client), None))
        while not server.heard:
            await asyncio.sleep(0.01)
        assert server.heard == [{"type": "reauth", "ticket": "t", "ref": "reauth-1"}]
        assert server.bodies[-1] == {"purpose": "reauth"}
        await client.close()
        await waiting


async def test_requests():
    server = Server()
    async with server.client() as client:
        answer = {"id": "a", "stream": "u.1", "seq": 1}
        lost = [httpx2.ReadError("gone"), httpx2.Response(201, json=answer)]
        server.instead["/api/notifications/"] = lost
        assert await client.send("alice", title="Hello", data={"build": 7}) == answer
        keys = {headers["idempotency-key"] for headers in server.headers[-2:]}
        assert len(keys) == 1, "one key for both, or it might be told twice"
        wanted = {"user": "alice", "title": "Hello", "data": {"build": 7}, "level": "info"}
        assert wanted.items() <= server.bodies[-1].items()

        await client.mark(state="read", through=7)
        assert server.bodies[-1] == {"state": "read", "through": 7}
        await client.mark(state="seen", ids=["a"])
        assert server.bodies[-1] == {"state": "seen", "ids": ["a"]}
        assert (await client.notifications(unread=True, limit=5))["query"] == "unread=true&limit=5"
        server.instead["/api/sessions/"] = [httpx2.Response(200, json={"results": [{"id": "s"}]})]
        assert await client.sessions() == [{"id": "s"}]
        server.instead["/api/sessions/end-others/"] = [httpx2.Response(200, json={"ended": 2})]
        assert await client.end_other_sessions() == 2
        await client.end_session("0b6e1d2c-0000-4000-8000-000000000000")
        assert server.asked[-1] == ("DELETE", "/api/sessions/0b6e1d2c-0000-4000-8000-000000000000/")

        server.instead["/api/notifications/"] = [httpx2.Response(503, headers={"Retry-After": "60"})]
        with pytest.raises(Unreachable):
            await client.send("alice", title="Hello")
        server.instead["/api/notifications/"] = [httpx2.Response(200, json={"epoch": "e9"})]
        await client.rewind(3)
        assert client.position == Position("e9", 3)


async def test_no_credential_is_written_down(caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="notifications")  # whatever the site's own settings say
    caplog.set_level(logging.DEBUG, logger="notifications.client.client.websockets")  # as `dictConfig` would
    server = Server([said.welcome(now()), said.bye(CloseCode.LOGGED_OUT)])
    async with server.client() as client:
        assert repr(client) == "<Client of http://site.example, idle>"
        with pytest.raises(SignInRequired):
            await anext(aiter(client))
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server")]
    assert ours
    assert not [each for each in ours for secret in (PASSWORD, "access-1", "refresh-1", "ticket.t") if secret in each]
