"""Text frames as they go on the wire (RFC 6455, 5.2), spelled once for however many sockets they are sent to.

A server spells each frame for each socket: it knows neither that the same text goes to a thousand others nor that it
was spelled a moment ago. With compression off, as here, the bytes of a server's frame depend on nothing but the text.
"""

import struct
from typing import Final

from ..wire.remembering import remembering

LARGEST_MESSAGE: Final = 16 * 1024
"""Bytes of a peer's message that a server reads. A frame may be 8 KiB; a little above, so that the refusal can be said
in words (4506)."""


def _frame(text: str) -> bytes:
    """Final, unmasked, without extensions."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


text_frame = remembering(_frame)
"""The one frame that carries a text."""
