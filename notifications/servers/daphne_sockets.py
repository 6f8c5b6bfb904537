"""What is mended and made cheaper in daphne (4.2.3), where no application can.

It believes a header `Daphne-Root-Path` from anybody, percent-decodes it and prefixes paths and links with it: strangers
could have others sent to a site of theirs, or cause a 500. And in the handshake of a socket it decodes
`Sec-WebSocket-Protocol` as ASCII without asking, so that any stranger causes a 500 and a traceback. What it refuses
there it quotes in the status line, where a ticket has no place: a proxy may log it.

It reads messages of up to 1 MiB by itself. Those of our own socket have a limit that is set here.

Afterwards it answers every ping, however many answers are waiting to be read: what a peer that does not read sends in
pings, the process would keep. RFC 6455 (5.5.3) lets a pong stand for all pings before it.

And it spells, and notes for a log that nobody reads, each frame for each socket. Here sockets are offered to send a
text that goes to many as it was spelled for the first of them (`frames`), without the detours of ASGI.

Its access log goes through `logging`, so that a site decides how it looks and whether it is kept.
"""

import functools
import logging
from typing import Any
from urllib.parse import unquote

from autobahn.websocket.types import ConnectionDeny
from daphne import http_protocol, server, ws_protocol
from daphne.access import AccessLogGenerator

from tickets.api import is_socket

from ..live import extension
from .frames import LARGEST_MESSAGE, text_frame

_access = logging.getLogger("daphne.access")


class StrictRequest(http_protocol.WebRequest):
    """daphne's request, HTTP's and a handshake's alike, without what only a server of one's own should say."""

    def process(self) -> Any:
        self.requestHeaders.removeHeader(b"Daphne-Root-Path")
        return super().process()


class StrictProtocol(ws_protocol.WebSocketProtocol):
    """daphne's protocol, which refuses what it would trip over."""

    def onConnect(self, request: Any) -> Any:  # noqa: N802 (Autobahn's name)
        if not request.headers.get("sec-websocket-protocol", "").isascii():
            raise ConnectionDeny(400, "Sec-WebSocket-Protocol is not ASCII")
        if is_socket({"path": unquote(request.path), "root_path": self.factory.server_class.root_path}):
            self.maxMessagePayloadSize = self.maxFramePayloadSize = LARGEST_MESSAGE
        return super().onConnect(request)

    def failHandshake(self, reason: str, *how: Any, **more: Any) -> None:  # noqa: N802 (Autobahn's name)
        super().failHandshake(reason.partition(' "')[0], *how, **more)

    def onPing(self, payload: bytes) -> None:  # noqa: N802 (Autobahn's name)
        unread = getattr(self.transport, "_isSendBufferFull", None)  # Twisted's plain TCP transport
        if unread is None or not unread():
            super().onPing(payload)

    def say_text(self, text: str) -> bool:
        """`notifications.live.extension`: if nothing but the text decides what goes on the wire."""
        if self.state != self.STATE_OPEN or self._perMessageCompress is not None or self.send_queue:
            return False
        self.transport.write(text_frame(text))
        return True


def note_request(
    self: Any, host: str, date: Any, request: str, status: Any = None, length: Any = None, **_: Any
) -> None:
    """In place of daphne's own access log, which writes to standard output past all logging."""
    _access.info(
        "%(request)s host=%(host)s status=%(status)s bytes=%(bytes)s",
        {"request": request, "host": host, "status": status, "bytes": length},
    )


def install() -> None:
    """Have every daphne server of this process use it."""
    create_application = server.Server.create_application

    @functools.wraps(create_application)
    def create_and_offer(self: Any, protocol: Any, scope: Any) -> Any:
        if isinstance(protocol, StrictProtocol):
            scope.setdefault("extensions", {})[extension.NAME] = protocol.say_text
        return create_application(self, protocol, scope)

    server.Server.create_application = create_and_offer
    AccessLogGenerator.write_entry = note_request
    http_protocol.WebRequest = StrictRequest
    ws_protocol.WebSocketFactory.protocol = StrictProtocol
