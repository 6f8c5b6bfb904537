"""What strangers get from a real daphne is shown in tests/bad_input."""

from daphne import http_protocol, ws_protocol

import project.asgi  # noqa: F401  (what servers import)
from notifications.servers.daphne_sockets import StrictProtocol, StrictRequest


def test_it_is_what_daphne_uses():
    assert ws_protocol.WebSocketFactory.protocol is StrictProtocol
    assert http_protocol.WebRequest is StrictRequest
