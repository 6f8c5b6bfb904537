"""Two holes in daphne's handshake (4.2.3), mended before any application is called.

It decodes `Sec-WebSocket-Protocol` as ASCII without asking, so that any stranger causes a 500 and a traceback; and it
believes a header `Daphne-Root-Path` from anybody, percent-decodes it and prefixes the path with it.
"""

from typing import Any

from autobahn.websocket.types import ConnectionDeny
from daphne import ws_protocol


class StrictProtocol(ws_protocol.WebSocketProtocol):
    """daphne's protocol, which refuses what it would trip over."""

    def onConnect(self, request: Any) -> Any:  # noqa: N802 (Autobahn's name)
        request.headers.pop("daphne-root-path", None)
        if not request.headers.get("sec-websocket-protocol", "").isascii():
            raise ConnectionDeny(400, "Sec-WebSocket-Protocol is not ASCII")
        return super().onConnect(request)


def install() -> None:
    """Have every daphne server of this process use it."""
    ws_protocol.WebSocketFactory.protocol = StrictProtocol
