"""A socket that goes away between two turns of the loop."""

import asyncio
import gc
import warnings
from unittest.mock import Mock

from notifications.live.hub import Hub
from notifications.live.socket import Socket
from notifications.wire.native import NativeCodec


async def test_a_step_that_never_began_leaves_nothing_behind():
    async def send(message):
        raise AssertionError(f"nothing is said to nobody: {message}")

    hub = Mock(spec=Hub)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        socket = Socket(hub=hub, codec=NativeCodec(), send=send, address="192.0.2.1")
        socket.connect(ticket="A" * 43, since=None)
        socket.release(1006)  # before the task that redeems has had its first turn
        await asyncio.sleep(0)
        gc.collect()
    assert [str(warning.message) for warning in said] == []
    hub.known.assert_called_once_with("192.0.2.1")
    hub.gone.assert_called_once_with()
