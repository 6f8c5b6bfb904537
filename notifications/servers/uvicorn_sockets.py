"""What is mended and made cheaper in uvicorn's sockets (0.54, the sans-I/O implementation).

When it closes, it waits until the peer has taken what was written before, for ever if need be: neither the end of its
close timer nor a missed keepalive ping drops the connection. A peer that opens sockets and reads nothing would keep a
descriptor and up to 64 KiB for each. Here such a connection is aborted.

It answers every ping, however many answers are waiting to be read: what a peer sends in pings, the process keeps. Here
a peer that does not read is not answered; RFC 6455 (5.5.3) lets a pong stand for all pings before it.

It quotes in the answer the header that it cannot read, though that may be the one with the ticket. Here it names it.

It reads messages of up to 16 MiB by itself, and compresses if the peer offers it: secrets can be guessed from lengths,
and each socket then costs memory. Our own socket has a limit and no compression, however the server was started.

A message that is no UTF-8 it logs with a traceback, as if that were its own fault. Here it is a line.

And it spells each frame for each socket. Here sockets are offered to send a text that goes to many as it was spelled
for the first of them (`frames`), without the detours of ASGI; half of what a frame costs then is the system call.
"""

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from tickets.api import is_socket

from ..live import extension
from .frames import LARGEST_MESSAGE, text_frame

LINGER_SECONDS: Final = 1.0
"""After the close should be over: what is still unread then will not be read."""

OF_PEERS: Final = ("Invalid UTF-8 sequence received from client.",)
"""What uvicorn logs as if it were its own fault."""


def install() -> None:
    """Have every uvicorn server of this process use it."""
    send, handle_ping = WebSocketsSansIOProtocol.send, WebSocketsSansIOProtocol.handle_ping
    handle_connect = WebSocketsSansIOProtocol.handle_connect
    keepalive_timeout = WebSocketsSansIOProtocol.keepalive_timeout

    async def close_or_abort(self: Any, message: Any) -> None:
        if not self.writable.is_set():
            self.transport.abort()
            return
        await send(self, message)
        self.loop.call_later(self.close_timeout + LINGER_SECONDS, self.transport.abort)

    @functools.wraps(send)
    def send_or_abort(self: Any, message: Any) -> Awaitable[None]:
        closes = message["type"] == "websocket.close" and self.handshake_complete
        return close_or_abort(self, message) if closes else send(self, message)

    @functools.wraps(handle_connect)
    def connect_and_offer(self: Any, event: Any) -> None:
        self.conn.reject = functools.partial(_reject, self.conn.reject)
        path = self.root_path + unquote(event.path.partition("?")[0])
        if is_socket({"path": path, "root_path": self.root_path}):
            self.conn.max_message_size = min(LARGEST_MESSAGE, self.config.ws_max_size)
            self.conn.available_extensions = None
        handle_connect(self, event)
        if not self.handshake_complete:  # else it was refused, and there is no scope
            self.scope["extensions"][extension.NAME] = functools.partial(_say_text, self)

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
    WebSocketsSansIOProtocol.send = send_or_abort  # type: ignore[assignment,method-assign]
    WebSocketsSansIOProtocol.handle_connect = connect_and_offer  # type: ignore[method-assign]
    WebSocketsSansIOProtocol.handle_ping = answer_who_reads  # type: ignore[method-assign]
    WebSocketsSansIOProtocol.keepalive_timeout = time_out_and_abort  # type: ignore[method-assign]
    logging.getLogger("uvicorn.error").addFilter(of_peers_a_line)


def of_peers_a_line(record: logging.LogRecord) -> bool:
    """A filter: keeps the line, drops the traceback. Strangers shall not be able to write them into the log."""
    if record.msg in OF_PEERS:
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _reject(reject: Callable[[int, str], Any], status: int, text: str) -> Any:
    return reject(status, text.partition(" header: ")[0])


def _say_text(protocol: Any, text: str) -> bool:
    """`notifications.live.extension`: if the peer reads, and nothing but the text decides what goes on the wire."""
    connection = protocol.conn
    if (
        connection.state is not State.OPEN
        or not protocol.handshake_complete
        or protocol.close_sent
        or protocol.disconnected
        or connection.extensions
        or not protocol.writable.is_set()
    ):
        return False
    protocol.transport.write(text_frame(text))
    return True
