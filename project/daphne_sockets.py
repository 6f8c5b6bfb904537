"""What is mended and made cheaper in daphne's sockets (4.2.3), where no application can.

In the handshake it decodes `Sec-WebSocket-Protocol` as ASCII without asking, so that any stranger causes a 500 and a
traceback; and it believes a header `Daphne-Root-Path` from anybody, percent-decodes it and prefixes the path with it.

Afterwards it answers every ping, however many answers are waiting to be read: what a peer that does not read sends in
pings, the process would keep. RFC 6455 (5.5.3) lets a pong stand for all pings before it.

And it spells, and notes for a log that nobody reads, each frame for each socket. Here a text that goes to many is
spelled once (`frames`).
"""

from typing import Any

from autobahn.websocket.types import ConnectionDeny
from daphne import ws_protocol

from project.frames import text_frame


class StrictProtocol(ws_protocol.WebSocketProtocol):
    """daphne's protocol, which refuses what it would trip over."""

    def onConnect(self, request: Any) -> Any:  # noqa: N802 (Autobahn's name)
        request.headers.pop("daphne-root-path", None)
        if not request.headers.get("sec-websocket-protocol", "").isascii():
            raise ConnectionDeny(400, "Sec-WebSocket-Protocol is not ASCII")
        return super().onConnect(request)

    def onPing(self, payload: bytes) -> None:  # noqa: N802 (Autobahn's name)
        unread = getattr(self.transport, "_isSendBufferFull", None)  # Twisted's plain TCP transport
        if unread is None or not unread():
            super().onPing(payload)

    def serverSend(self, content: Any, binary: bool = False) -> None:  # noqa: N802 (daphne's name)
        plain = not binary and self.state == self.STATE_OPEN and self._perMessageCompress is None
        if plain and not self.send_queue:
            self.transport.write(text_frame(content))
        else:
            super().serverSend(content, binary)


def install() -> None:
    """Have every daphne server of this process use it."""
    ws_protocol.WebSocketFactory.protocol = StrictProtocol
