"""That what is said by it arrives on both servers: tests/notifications/servers/test_frames.py."""

import asyncio
import gc
import weakref

import pytest
from daphne.server import Server
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

import project.asgi  # noqa: F401  (what servers import)
from notifications.live import extension
from notifications.servers.daphne_sockets import StrictProtocol


def test_it_is_taken_out_of_the_scope_that_the_server_keeps():
    kept = {"extensions": {extension.NAME: len, "other": {}}}
    assert extension.take(dict(kept)) is len
    assert kept == {"extensions": {"other": {}}}
    assert extension.take(kept) is None


@pytest.mark.parametrize("scope", [{}, {"extensions": None}, {"extensions": {}}])
def test_a_server_need_not_offer_it(scope):
    assert extension.take(scope) is None


def test_both_servers_were_mended():
    assert WebSocketsSansIOProtocol.handle_connect.__wrapped__
    assert Server.create_application.__wrapped__
    assert StrictProtocol.say_text


async def test_a_socket_that_is_over_is_freed_at_once_though_its_server_kept_the_scope():
    class Protocol:
        def say(self, text):
            return True

    async def server():
        protocol = Protocol()
        protocol.scope = {"extensions": {extension.NAME: protocol.say}}
        say = extension.take(protocol.scope)
        assert say("x")
        return weakref.ref(protocol)

    gc.disable()
    try:
        gone = await asyncio.create_task(server())
        assert gone() is None
    finally:
        gc.enable()
