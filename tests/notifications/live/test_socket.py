"""The socket, on a real database and a real hub, with a list where the server would be."""

import asyncio
import json
import logging

import pytest

from notifications import api
from notifications.live import socket as socket_module
from notifications.live.connection import Phase
from notifications.live.hub import Hub
from notifications.live.socket import Socket, limits
from notifications.live.steps import Send
from notifications.wire.actioncable import ActionCableCodec
from notifications.wire.closing import CloseCode
from notifications.wire.native import NativeCodec
from notifications.wire.stomp import StompCodec
from notifications.wire.vocabulary import Pong
from tickets.api import Unavailable, end_session, in_thread, issue, open_session


class Server:
    """Takes what is sent; can be told to be slow."""

    def __init__(self):
        self.messages = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, message):
        await self.open.wait()
        self.messages.append(message)

    @property
    def frames(self):
        return [json.loads(message["text"]) for message in self.messages if message["type"] == "websocket.send"]

    async def says(self, kind):
        async with asyncio.timeout(10):
            while not (found := [frame for frame in self.frames if frame["type"] == kind]):
                await asyncio.sleep(0.005)
        return found[-1]

    async def closes(self):
        async with asyncio.timeout(10):
            while not self.messages or self.messages[-1]["type"] != "websocket.close":
                await asyncio.sleep(0.005)
        return self.messages[-1]["code"]


@pytest.fixture
async def hub(settings, transactional_db):
    settings.NOTIFICATIONS = {"SYNC_SECONDS": 3600, "SWEEP_SECONDS": 3600}
    hub = Hub.here()
    yield hub
    await hub.stop()


@pytest.fixture
def server():
    return Server()


@pytest.fixture
async def socket(hub, server):
    socket = Socket(hub=hub, codec=NativeCodec(), send=server.send, address="127.0.0.1")
    yield socket
    socket.release(None)


@pytest.fixture
async def session(ann, hub):
    return await in_thread(open_session, ann, method="token")


@pytest.fixture
async def ticket(ann, session):
    return (await in_thread(issue, user=ann, session_id=session)).ticket


async def test_a_ticket_is_redeemed_and_welcomed(socket, server, ticket, ann):
    socket.connect(ticket=ticket, since=None)
    welcome = await server.says("welcome")
    assert welcome["user"] == {"id": ann.pk, "username": "ann"}
    assert socket.user_id == ann.pk


async def test_a_notification_of_this_process_arrives(socket, server, ticket, ann):
    socket.connect(ticket=ticket, since=None)
    await server.says("welcome")
    await api.anotify(ann, title="hi")
    assert (await server.says("notification"))["title"] == "hi"


async def test_a_replay_reads_the_log(socket, server, ticket, ann):
    for number in range(3):
        await api.anotify(ann, title=f"number {number}")
    epoch = (await in_thread(api.store.ensure_stream, ann.pk)).epoch
    socket.connect(ticket=ticket, since=f"{epoch}:1")
    assert (await server.says("caught_up"))["cursor"] == 3
    assert [frame["seq"] for frame in server.frames if frame["type"] == "notification"] == [2, 3]


async def test_what_a_codec_has_kept_is_carried_out_when_it_says_so(hub, server, ticket, ann):
    identifier = '{"channel":"NotificationsChannel"}'
    socket = Socket(hub=hub, codec=ActionCableCodec(extended=False), send=server.send, address="127.0.0.1")
    socket.connect(ticket=ticket, since=None)
    socket.receive(json.dumps({"command": "subscribe", "identifier": identifier}))
    assert (await server.says("confirm_subscription"))["identifier"] == identifier
    assert [frame["type"] for frame in server.frames] == ["welcome", "confirm_subscription"]
    socket.release(None)


async def test_a_state_command_is_carried_out(socket, server, ticket, ann):
    await api.anotify(ann, title="x")
    socket.connect(ticket=ticket, since=None)
    await server.says("welcome")
    socket.receive('{"type":"state","state":"read","through":1,"ref":"r"}')
    state = await server.says("state")
    assert (state["ref"], state["unread"]) == ("r", 0)


@pytest.mark.parametrize("ids", [["not-a-uuid"], ["00000000-0000-0000-0000-000000000001"]])
async def test_a_state_command_on_what_is_not_ones_own(socket, server, ticket, ids):
    socket.connect(ticket=ticket, since=None)
    await server.says("welcome")
    socket.receive(json.dumps({"type": "state", "state": "read", "ids": ids, "ref": "r"}))
    error = await server.says("error")
    assert (error["code"], error["ref"]) == ("not_found", "r")


async def test_the_end_of_the_session_closes_it(socket, server, ticket, session):
    socket.connect(ticket=ticket, since=None)
    await server.says("welcome")
    await in_thread(end_session, session)
    assert await server.closes() == 4501
    assert (await server.says("bye"))["reason"] == "logged_out"


async def test_nothing_is_said_behind_the_close(hub, server):
    """Not even by a codec that answers by itself."""
    codec = StompCodec("v12.stomp", tail=str)
    socket = Socket(hub=hub, codec=codec, send=server.send, address="127.0.0.1")
    codec.carried("subprotocol")
    socket.reject(CloseCode.GOING_AWAY)
    assert await server.closes() == 4400
    socket.receive("CONNECT\naccept-version:9\n\n\0")
    socket.receive("CONNECT\naccept-version:1.2\npasscode:t\n\n\0")
    assert server.messages[-1]["type"] == "websocket.close"
    assert not codec.outbox
    assert codec.over is None, "it was not even read"
    socket.release(None)


async def test_all_that_came_before_a_bad_frame_in_one_message_is_carried_out(hub, server, ticket):
    codec = StompCodec("v12.stomp", tail=str)
    socket = Socket(hub=hub, codec=codec, send=server.send, address="127.0.0.1")
    codec.carried("subprotocol")
    socket.connect(ticket=ticket, since=None)
    socket.receive("CONNECT\naccept-version:1.2\n\n\0")
    async with asyncio.timeout(10):
        while not server.messages:
            await asyncio.sleep(0.005)
    subscribe = "SUBSCRIBE\nid:1\nreceipt:a\ndestination:/user/queue/notifications\n\n\0"
    socket.receive(f"{subscribe}UNSUBSCRIBE\nid:1\nreceipt:b\n\n\0nonsense\n\n\0")
    assert await server.closes() == 4505
    said = [message["text"].partition("\n\n")[0].split("\n")[:2] for message in server.messages[:-1]]
    assert [frame[0] for frame in said] == ["CONNECTED", "RECEIPT", "RECEIPT", "ERROR"]
    assert [frame[1] for frame in said[1:3]] == ["receipt-id:a", "receipt-id:b"]
    socket.release(None)


async def test_a_bad_ticket_closes_it(socket, server):
    socket.connect(ticket="garbage", since=None)
    assert await server.closes() == 4402


async def test_frames_leave_in_order_and_one_at_a_time(socket, server, ticket):
    server.open.clear()
    socket.connect(ticket=ticket, since=None)
    for number in range(20):
        socket.receive(f'{{"type":"ping","ref":"{number}"}}')
    socket.reject(CloseCode.FORBIDDEN)
    server.open.set()
    assert await server.closes() == 4507
    assert [frame["type"] for frame in server.frames] == ["error"] * 20 + ["bye"]


async def test_a_frame_that_the_server_takes_at_once_costs_no_task(socket, server, ticket):
    socket.connect(ticket=ticket, since=None)
    await server.says("welcome")
    tasks = asyncio.all_tasks()
    socket.receive('{"type":"ping","ref":"1"}')
    assert server.frames[-1] == {"type": "pong", "ref": "1"}, "said before `receive` returned"
    assert asyncio.all_tasks() == tasks


async def test_a_frame_that_has_to_wait_is_followed_by_the_others_in_order(socket, server, ticket):
    socket.connect(ticket=ticket, since=None)
    await server.says("welcome")
    server.open.clear()
    for number in range(5):
        socket.receive(f'{{"type":"ping","ref":"{number}"}}')
    assert [frame["type"] for frame in server.frames] == ["welcome"]
    server.open.set()
    async with asyncio.timeout(5):
        while len(server.frames) < 6:
            await asyncio.sleep(0)
    socket.receive('{"type":"ping","ref":"5"}')
    assert [frame["ref"] for frame in server.frames[1:]] == ["0", "1", "2", "3", "4", "5"]


async def test_a_server_whose_send_is_no_coroutine(hub):
    """As a wrapper of somebody else's may have it."""
    sent = []

    def send(message):
        sent.append(message["type"])
        return asyncio.sleep(0) if len(sent) % 2 else asyncio.ensure_future(asyncio.sleep(0))

    socket = Socket(hub=hub, codec=NativeCodec(), send=send, address=None)
    for _ in range(4):
        socket.receive('{"type":"ping"}')
    async with asyncio.timeout(5):
        while len(sent) < 4:
            await asyncio.sleep(0)
    socket.release(None)


async def test_a_peer_that_reads_nothing_cannot_pile_up_answers(socket, server, ticket, monkeypatch):
    monkeypatch.setattr(socket_module, "OUTBOX", 10)
    socket.connect(ticket=ticket, since=None)
    await server.says("welcome")
    server.open.clear()
    for _ in range(30):
        socket.receive('{"type":"ping"}')
    assert socket.connection.code is CloseCode.TOO_SLOW
    assert len(socket._outbox) <= 10
    server.open.set()
    assert await server.closes() == 4409


async def test_last_words_that_nobody_reads_are_cut_short(hub, monkeypatch):
    monkeypatch.setattr(socket_module, "CLOSE_SECONDS", 0.05)
    taken = []

    async def stalled(message):
        if message["type"] == "websocket.send":
            await asyncio.Event().wait()
        taken.append(message)

    socket = Socket(hub=hub, codec=NativeCodec(), send=stalled, address=None)
    socket.receive('{"type":"ping"}')
    socket.reject(CloseCode.TOO_SLOW)
    async with asyncio.timeout(5):
        while not taken:
            await asyncio.sleep(0.01)
    assert taken == [{"type": "websocket.close", "code": 4409, "reason": ""}]
    socket.release(1006)
    assert socket._flushing is None


async def test_a_server_that_has_lost_the_peer_harms_nobody(hub, ann):
    async def gone(message):
        raise ConnectionResetError

    socket = Socket(hub=hub, codec=NativeCodec(), send=gone, address=None)
    socket.receive('{"type":"ping"}')
    await asyncio.sleep(0.01)
    socket.receive('{"type":"ping"}')
    await asyncio.sleep(0.01)
    socket.release(1006)


async def test_timers_wake_the_connection(hub, server, settings):
    settings.NOTIFICATIONS = {**settings.NOTIFICATIONS, "AUTHENTICATION_SECONDS": 0.05}
    socket = Socket(hub=hub, codec=NativeCodec(), send=server.send, address=None)
    socket.connect(ticket=None, since=None)
    assert await server.closes() == 4408
    socket.release(None)


async def test_a_database_that_does_not_answer(hub, socket, server, monkeypatch):
    async def away(*args, **kwargs):
        raise Unavailable

    monkeypatch.setattr(hub.redeemer, "redeem", away)
    socket.connect(ticket="x", since=None)
    assert await server.closes() == 4413


async def test_a_fault_of_ours_ends_this_connection_only_and_is_logged(hub, socket, server, monkeypatch, caplog):
    async def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(hub.redeemer, "redeem", broken)
    with caplog.at_level(logging.ERROR):
        socket.connect(ticket="x", since=None)
        assert await server.closes() == 4413
    assert "ZeroDivisionError" in caplog.text


async def test_releasing_gives_everything_back(hub, server, ticket, ann, caplog):
    socket = Socket(hub=hub, codec=NativeCodec(), send=server.send, address="a")
    socket.connect(ticket=ticket, since=None)
    await server.says("welcome")
    with caplog.at_level(logging.INFO):
        socket.release(1001)
        socket.release(1001)
    assert socket.connection.phase is Phase.CLOSED
    assert (hub._sockets, dict(hub._unauthenticated), hub._rooms) == (0, {}, {})
    assert socket._timer is None
    closing = [message for message in caplog.messages if message.startswith("close ")]
    assert len(closing) == 1
    assert f"user={ann.pk} code=1001 reason=client frames=1" in closing[0]
    await api.anotify(ann, title="to nobody")
    await asyncio.sleep(0.01)
    assert [frame["type"] for frame in server.frames] == ["welcome"]


async def test_releasing_in_the_middle_of_a_handshake(hub, server, ticket):
    socket = Socket(hub=hub, codec=NativeCodec(), send=server.send, address="a")
    socket.connect(ticket=ticket, since=None)
    await asyncio.sleep(0)
    socket.release(1006)
    await asyncio.sleep(0.2)
    assert server.messages == []
    assert (hub._sockets, dict(hub._unauthenticated), hub._rooms) == (0, {}, {})


def test_limits_are_those_of_the_settings(settings):
    settings.NOTIFICATIONS = {"WINDOW": 5, "ON_EXPIRY": "close", "GRACE_SECONDS": 7}
    found = limits()
    assert (found.window, found.on_expiry, found.grace_seconds, found.ack_stall_seconds) == (5, "close", 7, 30.0)


# --- What a server offers beside `send` ---


class Offering(Server):
    """A server that offers to take texts at once, as long as it is `willing`."""

    def __init__(self):
        super().__init__()
        self.willing = True
        self.offered = []

    def say_text(self, text):
        if self.willing:
            self.offered.append(text)
            self.messages.append({"type": "websocket.send", "text": text})
        return self.willing


@pytest.fixture
def offering():
    return Offering()


@pytest.fixture
async def offered(hub, offering):
    socket = Socket(hub=hub, codec=NativeCodec(), send=offering.send, address=None, say_text=offering.say_text)
    yield socket
    socket.release(1000)


async def test_what_is_offered_is_used(offered, offering):
    offered.perform([Send(Pong(ref=str(number))) for number in range(3)])
    assert [json.loads(text)["ref"] for text in offering.offered] == ["0", "1", "2"]
    assert len(offering.messages) == 3, "and nothing is sent a second time"


async def test_what_is_declined_is_sent(offered, offering):
    offering.willing = False
    offered.perform([Send(Pong(ref="1"))])
    assert (offering.offered, [frame["ref"] for frame in offering.frames]) == ([], ["1"])


async def test_nothing_overtakes_what_waits(offered, offering):
    offering.willing = False
    offering.open.clear()
    offered.perform([Send(Pong(ref="1"))])
    offering.willing = True
    offered.perform([Send(Pong(ref="2"))])
    assert offering.messages == []
    offering.open.set()
    async with asyncio.timeout(5):
        while len(offering.messages) < 2:
            await asyncio.sleep(0.005)
    assert [frame["ref"] for frame in offering.frames] == ["1", "2"]
    offered.perform([Send(Pong(ref="3"))])
    assert [frame["ref"] for frame in offering.frames] == ["1", "2", "3"]
