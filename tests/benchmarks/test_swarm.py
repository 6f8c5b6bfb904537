"""The load generator against a server of a few lines that loses, repeats or cuts on demand."""

import asyncio

import pytest
from websockets.asyncio.server import serve

from benchmarks import clients
from benchmarks.clients import DIALECTS
from benchmarks.swarm import Lost, Swarm

PLAIN = DIALECTS["plain"]


class Echoing:
    """Tells its clients what it is told to, and keeps what they say."""

    def __init__(self) -> None:
        self.sockets = []
        self.heard = []

    async def handle(self, socket):
        self.sockets.append(socket)
        async for text in socket:
            self.heard.append(text)

    async def tell(self, seq, sockets=None):
        for socket in self.sockets if sockets is None else sockets:
            await socket.send(f'{{"type": "notification", "seq": {seq}, "data": {{"seq": 999}}}}')


@pytest.fixture
async def server():
    echoing = Echoing()
    async with serve(echoing.handle, "127.0.0.1", 0, compression=None) as running:
        echoing.port = running.sockets[0].getsockname()[1]
        yield echoing


@pytest.fixture
async def swarm(server):
    swarm = Swarm(PLAIN, port=server.port)
    await swarm.connect(["x"] * 4, at_once=2)
    yield swarm
    swarm.cut()


async def test_it_returns_when_everybody_was_told_everything(server, swarm):
    swarm.reset()
    receiving = asyncio.create_task(swarm.receive(2, timeout=10))
    await server.tell(1)
    await server.tell(2)
    await receiving


async def test_a_lost_frame_is_an_error(server, swarm):
    swarm.reset()
    await server.tell(1, server.sockets[1:])
    with pytest.raises(Lost, match="3 of 4"):
        await swarm.receive(1, timeout=0.3)


async def test_a_frame_that_came_twice_does_not_make_up_for_a_lost_one(server, swarm):
    swarm.reset()
    await server.tell(1, server.sockets[1:])
    await server.tell(1, server.sockets[1:2])
    with pytest.raises(Lost, match="2 of 4 clients were not told exactly 1"):
        await swarm.receive(1, timeout=10)


async def test_a_client_that_goes_away_is_an_error(server, swarm):
    swarm.reset()
    receiving = asyncio.create_task(swarm.receive(1, timeout=10))
    await server.sockets[0].close()
    with pytest.raises(Lost, match="went away"):
        await receiving


async def _heard(server, count):
    async with asyncio.timeout(5):
        while len(server.heard) < count:
            await asyncio.sleep(0.01)


async def test_the_thirty_second_is_acked_at_once(server, swarm):
    swarm.reset()
    for seq in range(1, 33):
        await server.tell(seq)
    await swarm.receive(32, timeout=10)
    await _heard(server, 4)
    assert server.heard == ['{"type":"ack","seq":32}'] * 4
    assert swarm.acked == 4


async def test_fewer_are_acked_when_their_time_is_up(server, swarm, monkeypatch):
    monkeypatch.setattr(clients, "ACK_SECONDS", 0.2)
    swarm.reset()
    await server.tell(7)
    await swarm.receive(1, timeout=10)
    assert swarm.acked == 0
    await swarm.all_acked()
    await _heard(server, 4)
    assert server.heard == ['{"type":"ack","seq":7}'] * 4


async def test_acks_of_a_busy_stream_come_from_one_client_in_thirty_two(server):
    swarm = Swarm(PLAIN, port=server.port)
    await swarm.connect(["x"] * 64)
    for _ in range(3):
        swarm.reset(busy=True)
        await server.tell(1)
        await swarm.receive(1, timeout=10)
        assert swarm.acked == 2
    swarm.cut()


async def test_a_server_that_refuses_says_why():
    async with serve(None, "127.0.0.1", 0, process_request=lambda each, _: each.respond(403, "no")) as refusing:
        swarm = Swarm(PLAIN, port=refusing.sockets[0].getsockname()[1])
        with pytest.raises(ConnectionError, match="403 Forbidden"):
            await swarm.one("x")


async def test_a_client_that_was_never_let_in_is_not_among_them(server):
    swarm = Swarm(DIALECTS["usher"], port=server.port)  # whose welcome this server does not know
    coming = asyncio.create_task(swarm.one("x"))
    async with asyncio.timeout(5):
        while not server.sockets:
            await asyncio.sleep(0.01)
    await server.sockets[0].send('{"type":"bye","code":4413,"reconnect":true}')
    await server.sockets[0].close()
    with pytest.raises(clients.ComeBack, match='"code":4413'):
        await coming
    swarm.check(0)
