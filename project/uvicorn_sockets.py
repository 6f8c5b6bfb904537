"""What is mended and made cheaper in uvicorn's sockets (0.54, the sans-I/O implementation).

When it closes, it waits until the peer has taken what was written before, for ever if need be: neither the end of its
close timer nor a missed keepalive ping drops the connection. A peer that opens sockets and reads nothing would keep a
descriptor and up to 64 KiB for each. Here such a connection is aborted.

It answers every ping, however many answers are waiting to be read: what a peer sends in pings, the process keeps. Here
a peer that does not read is not answered; RFC 6455 (5.5.3) lets a pong stand for all pings before it.

And it spells each frame for each socket. Here a text that goes to many is spelled once (`frames`), which saves an
eighth of what a frame costs; nearly all of the rest is the system call.
"""

import functools
from collections.abc import Awaitable
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from project.frames import text_frame

LINGER_SECONDS: Final = 1.0
"""After the close should be over: what is still unread then will not be read."""


def install() -> None:
    """Have every uvicorn server of this process use it."""
    send, handle_ping = WebSocketsSansIOProtocol.send, WebSocketsSansIOProtocol.handle_ping
    keepalive_timeout = WebSocketsSansIOProtocol.keepalive_timeout

    async def close_or_abort(self: Any, message: Any) -> None:
        if not self.writable.is_set():
            self.transport.abort()
            return
        await send(self, message)
        self.loop.call_later(self.close_timeout + LINGER_SECONDS, self.transport.abort)

    # No coroutine of its own: every frame that is sent passes here.
    @functools.wraps(send)
    def send_cheaply(self: Any, message: Any) -> Awaitable[None]:
        kind = message["type"]
        if kind == "websocket.send":
            text = message.get("text")
            if text is not None and self.conn.state is State.OPEN and self.writable.is_set() and _is_plain(self):
                self.transport.write(text_frame(text))
                return _done()
        elif kind == "websocket.close" and self.handshake_complete:
            return close_or_abort(self, message)
        return send(self, message)

    @functools.wraps(handle_ping)
    def answer_who_reads(self: Any) -> None:
        if self.writable.is_set():
            handle_ping(self)
        else:
            self.conn.data_to_send()  # the pong, which is dropped

    @functools.wraps(keepalive_timeout)
    def time_out_and_abort(self: Any) -> None:
        keepalive_timeout(self)
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    # Methods, and not a subclass: the server has chosen its class before it imports any application.
    WebSocketsSansIOProtocol.send = send_cheaply  # type: ignore[assignment,method-assign]
    WebSocketsSansIOProtocol.handle_ping = answer_who_reads  # type: ignore[method-assign]
    WebSocketsSansIOProtocol.keepalive_timeout = time_out_and_abort  # type: ignore[method-assign]


def _is_plain(protocol: Any) -> bool:
    """Whether nothing but the text decides what goes on the wire."""
    return not (protocol.close_sent or protocol.disconnected or protocol.conn.extensions)


async def _done() -> None:
    """What there is to wait for once the transport has taken a frame."""
