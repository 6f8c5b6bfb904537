"""A hole in how uvicorn (0.54) closes a socket whose peer does not read, mended for its sans-I/O implementation.

It waits until the peer has taken what was written before, for ever if need be: neither the end of its close timer nor
a missed keepalive ping drops the connection. A peer that opens sockets and reads nothing would keep a descriptor and
up to 64 KiB for each. Here such a connection is aborted.
"""

import functools
from collections.abc import Awaitable
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER_SECONDS: Final = 1.0
"""After the close should be over: what is still unread then will not be read."""


def install() -> None:
    """Have every uvicorn server of this process use it."""
    send, keepalive_timeout = WebSocketsSansIOProtocol.send, WebSocketsSansIOProtocol.keepalive_timeout

    async def close_or_abort(self: Any, message: Any) -> None:
        if not self.writable.is_set():
            self.transport.abort()
            return
        await send(self, message)
        self.loop.call_later(self.close_timeout + LINGER_SECONDS, self.transport.abort)

    # No coroutine of its own: every frame that is sent passes here.
    @functools.wraps(send)
    def send_or_abort(self: Any, message: Any) -> Awaitable[None]:
        closing = message["type"] == "websocket.close" and self.handshake_complete
        return close_or_abort(self, message) if closing else send(self, message)

    @functools.wraps(keepalive_timeout)
    def time_out_and_abort(self: Any) -> None:
        keepalive_timeout(self)
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    # Methods, and not a subclass: the server has chosen its class before it imports any application.
    WebSocketsSansIOProtocol.send = send_or_abort  # type: ignore[assignment,method-assign]
    WebSocketsSansIOProtocol.keepalive_timeout = time_out_and_abort  # type: ignore[method-assign]
