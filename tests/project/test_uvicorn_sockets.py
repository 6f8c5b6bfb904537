"""uvicorn, and a peer that opens a socket and reads nothing."""

import asyncio
import base64
import contextlib
import inspect
import os
import socket

import pytest
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

import project.asgi  # noqa: F401  (what servers import)

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
