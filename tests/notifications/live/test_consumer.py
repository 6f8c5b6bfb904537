"""The consumer between a server's events and a socket. What real servers make of it is shown in tests/journeys."""

import asyncio

import pytest
from asgiref.testing import ApplicationCommunicator

from notifications.live.hub import Hub
from notifications.live.socket import Socket
from project.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)


def scope(*headers, query=b"", path="/ws/"):
    return {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(b"host", b"localhost"), *headers],
        "subprotocols": [],
        "client": ["127.0.0.1", 5000],
        "server": ["127.0.0.1", 80],
    }


OFFER = (b"sec-websocket-protocol", b"usher.v1")


@pytest.fixture
async def hub(settings):
    settings.NOTIFICATIONS = {"SYNC_SECONDS": 3600, "SWEEP_SECONDS": 3600}
    hub = Hub.here()
    yield hub
    await hub.stop()


@pytest.fixture
def peer(hub):
    """`await peer(headers…)`: a handshake; what the server is told is read from it."""

    async def connect(*headers, **options):
        communicator = ApplicationCommunicator(application, scope(*headers, **options))
        await communicator.send_input({"type": "websocket.connect"})
        return communicator

    return connect


async def hang_up(communicator, code=1000):
    await communicator.send_input({"type": "websocket.disconnect", "code": code})
    await communicator.wait()


async def test_accepted_with_the_protocol_that_was_offered(peer, hub):
    socket = await peer(OFFER)
    assert await socket.receive_output() == {"type": "websocket.accept", "subprotocol": "usher.v1"}
    assert hub._sockets == 1
    await hang_up(socket)
    assert hub._sockets == 0


async def test_accepted_without_a_protocol_if_none_was_offered(peer):
    socket = await peer()
    assert await socket.receive_output() == {"type": "websocket.accept", "subprotocol": None}
    assert await socket.receive_nothing()
    await hang_up(socket)


async def test_who_offers_only_other_protocols_is_told(peer):
    socket = await peer((b"sec-websocket-protocol", b"mqtt, v13.stomp"))
    assert await socket.receive_output() == {"type": "websocket.accept", "subprotocol": None}
    assert '"code":4505' in (await socket.receive_output())["text"]
    assert await socket.receive_output() == {"type": "websocket.close", "code": 4505, "reason": "protocol_error"}
    await hang_up(socket)


async def test_a_foreign_origin_is_refused_before_accept(peer, hub, caplog):
    socket = await peer(OFFER, (b"origin", b"https://evil.example"))
    assert await socket.receive_output() == {"type": "websocket.close"}
    assert '"act": "origin_refused"' in caplog.text and "https://evil.example" in caplog.text
    await hang_up(socket)
    assert hub._sockets == 0


async def test_a_full_process_refuses_before_accept(peer, hub, settings):
    settings.NOTIFICATIONS = {**settings.NOTIFICATIONS, "UNAUTHENTICATED_PER_PROCESS": 1}
    first = await peer(OFFER)
    assert (await first.receive_output())["type"] == "websocket.accept"
    second = await peer(OFFER)
    assert await second.receive_output() == {"type": "websocket.close"}
    await hang_up(second)
    await hang_up(first)
    third = await peer(OFFER)
    assert (await third.receive_output())["type"] == "websocket.accept"
    await hang_up(third)


@pytest.mark.parametrize("query", [b"since=nonsense", b"since=", b"since=%ff", b"a=1&since=e:1&since=x"])
async def test_a_position_that_is_none(peer, query):
    socket = await peer(OFFER, query=query)
    await socket.receive_output()
    assert '"code":4505' in (await socket.receive_output())["text"]
    await hang_up(socket)


async def test_it_has_no_channel_of_its_own(peer, monkeypatch):
    made = []
    monkeypatch.setattr("channels.layers.InMemoryChannelLayer.new_channel", lambda *args: made.append(args))
    socket = await peer(OFFER)
    await socket.receive_output()
    assert made == []
    await hang_up(socket)


async def test_a_fault_while_a_frame_is_handled_is_no_1011(peer, monkeypatch, caplog):
    def broken(self, frame):
        raise RecursionError

    monkeypatch.setattr(Socket, "receive", broken)
    socket = await peer(OFFER)
    await socket.receive_output()
    await socket.send_input({"type": "websocket.receive", "text": "x"})
    assert '"code":4413' in (await socket.receive_output())["text"]
    assert (await socket.receive_output())["code"] == 4413
    await hang_up(socket)
    assert "a frame could not be handled" in caplog.text


@pytest.mark.parametrize(
    "message", [{"text": ""}, {"bytes": b""}, {"bytes": b"\xff"}, {"text": None, "bytes": b"x"}, {}]
)
async def test_frames_that_are_no_text(peer, message):
    socket = await peer(OFFER)
    await socket.receive_output()
    await socket.send_input({"type": "websocket.receive", **message})
    assert '"code":"malformed"' in (await socket.receive_output())["text"]
    await hang_up(socket)


async def test_a_server_that_cancels_instead_of_disconnecting(hub):
    """daphne, at the end of a process and for applications that take long."""
    communicator = ApplicationCommunicator(application, scope(OFFER))
    await communicator.send_input({"type": "websocket.connect"})
    await communicator.receive_output()
    assert hub._sockets == 1
    communicator.future.cancel()
    await asyncio.gather(communicator.future, return_exceptions=True)
    assert (hub._sockets, dict(hub._unauthenticated)) == (0, {})


async def test_servers_call_it_by_keyword(hub):
    sent = []

    async def send(message):
        sent.append(message)

    events = [{"type": "websocket.disconnect", "code": 1000}]

    async def receive():
        return events.pop()

    await application(scope=scope(OFFER), receive=receive, send=send)
    assert sent == []
