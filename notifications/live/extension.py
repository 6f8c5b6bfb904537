"""
An ASGI extension that a server may offer in the scope of a socket: `scope["extensions"]["usher.text"]`.

It is a function that takes a text and sends it as one frame. It never waits and never raises: True says that the server
took all of it, False that it took nothing (its peer does not read, the socket is not open, something has to be done to
the frame first), and that the text is to be sent by `send`, as everywhere.

`send` of ASGI makes a message, a coroutine and an exception for each frame, which is a tenth of what a frame costs.
What `servers` mends in uvicorn and in daphne offers the extension; under other servers sockets do without.
"""

from collections.abc import Callable, MutableMapping
from typing import Any, Final

SayText = Callable[[str], bool]

NAME: Final = "usher.text"


def take(scope: MutableMapping[str, Any]) -> SayText | None:
    """What the server offers for this socket. It is taken out of the scope, which the server keeps: else the two would
    hold each other after the end, until Python looks for garbage."""
    found: SayText | None = (scope.get("extensions") or {}).pop(NAME, None)
    return found
