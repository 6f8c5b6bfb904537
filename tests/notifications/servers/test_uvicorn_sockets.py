"""uvicorn, and a peer that opens a socket and reads nothing."""

import asyncio
import base64
import contextlib
import inspect
import logging
import os
import socket

import pytest
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import project.asgi  # noqa: F401  (what servers import)
from notifications.servers.frames import LARGEST_MESSAGE
from notifications.servers.uvicorn_sockets import of_peers_a_line

HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
)


class Application:
    """Says more than the peer takes, and closes while the rest still waits."""

    def __init__(self):
        self.stalled = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        saying = asyncio.create_task(self.say(send))
        await self.stalled.wait()
        saying.cancel()
        closing = asyncio.create_task(send({"type": "websocket.close", "code": 4409}))
        await receive()
        await closing
        self.over.set()

    async def say(self, send):
        while True:
            try:
                async with asyncio.timeout(0.5):
                    await send({"type": "websocket.send", "text": "x" * 100_000})
            except TimeoutError:
                self.stalled.set()


@contextlib.asynccontextmanager
async def stalled():
    """The application, with its one peer stalled."""
    application = Application()
    config = uvicorn.Config(application, port=0, ws="websockets-sansio", lifespan="off", log_level="critical")
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with contextlib.ExitStack() as stack:
        serving = asyncio.create_task(server._serve([listener]))
        peer = stack.enter_context(socket.socket())
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setblocking(False)
        await asyncio.get_running_loop().sock_connect(peer, listener.getsockname())
        await asyncio.get_running_loop().sock_sendall(peer, HANDSHAKE.encode())
        async with asyncio.timeout(10):
            await application.stalled.wait()
        try:
            yield application
        finally:
            peer.close()
            server.should_exit = server.force_exit = True
            await serving


async def test_its_connection_is_aborted():
    async with stalled() as application, asyncio.timeout(5):
        await application.over.wait()


async def test_by_itself_uvicorn_waits_for_ever(monkeypatch):
    monkeypatch.setattr(WebSocketsSansIOProtocol, "send", inspect.unwrap(WebSocketsSansIOProtocol.send))
    async with stalled() as application:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await application.over.wait()


@contextlib.asynccontextmanager
async def serving(application, **options):
    """Its port."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, lifespan="off", log_level="critical", **options))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    task = asyncio.create_task(server._serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await task


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


@pytest.mark.parametrize("path", ["/ws/", "/ws/?since=a:1", "/%77s/"])
async def test_our_own_socket_is_bounded_however_the_server_was_started(path):
    async with serving(echo) as port, connect(f"ws://127.0.0.1:{port}{path}") as client:
        assert client.protocol.extensions == [], "nothing is compressed"
        await client.send("x" * LARGEST_MESSAGE)
        assert len(await client.recv()) == LARGEST_MESSAGE
        await client.send("x" * (LARGEST_MESSAGE + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd.code == 1009


async def test_the_sites_own_are_as_it_wants_them():
    async with serving(echo) as port, connect(f"ws://127.0.0.1:{port}/theirs/") as client:
        assert client.protocol.extensions, "by uvicorn's own default"
        await client.send("x" * 100_000)
        assert len(await client.recv()) == 100_000


def record(message):
    return logging.LogRecord("uvicorn.error", logging.ERROR, "x.py", 1, message, (), (ValueError, ValueError(), None))


def test_what_a_peer_did_is_a_line():
    said = record("Invalid UTF-8 sequence received from client.")
    assert of_peers_a_line(said)
    assert (said.exc_info, said.levelname) == (None, "WARNING")
    assert of_peers_a_line in logging.getLogger("uvicorn.error").filters


def test_what_we_did_keeps_its_traceback():
    said = record("Exception in ASGI application")
    assert of_peers_a_line(said)
    assert said.exc_info
    assert said.levelname == "ERROR"
