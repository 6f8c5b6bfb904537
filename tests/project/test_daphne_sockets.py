"""That strangers get a 400 from a real daphne is shown in tests/bad_input/test_handshake.py."""

from daphne import ws_protocol

import project.asgi  # noqa: F401  (what servers import)
from project.daphne_sockets import StrictProtocol


def test_it_is_what_daphne_uses():
    assert ws_protocol.WebSocketFactory.protocol is StrictProtocol
