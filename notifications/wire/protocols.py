"""Which protocols are spoken, and which of them a handshake is answered with."""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from .actioncable import ActionCableCodec
from .actioncable_frames import EXTENDED, PLAIN
from .codec import Codec
from .native import NativeCodec

# It keeps nothing but the last events it spelled, so all sockets share one: a fan-out spells an event once.
_native = NativeCodec()


class Spoken(NamedTuple):
    """A protocol: the subprotocol that the handshake agrees on, and what makes a connection's codec."""

    subprotocol: str
    codec: Callable[[], Codec]


SPOKEN: Final = (
    Spoken(NativeCodec.subprotocol, lambda: _native),
    Spoken(EXTENDED, lambda: ActionCableCodec(extended=True)),
    Spoken(PLAIN, lambda: ActionCableCodec(extended=False)),
)
"""In the order in which they are preferred, whatever the order of the offer."""

NAMES: Final = tuple(spoken.subprotocol for spoken in SPOKEN)


def first(spoken: Collection[str]) -> Codec:
    """The codec of whoever names no protocol; the native one where a site speaks none of these."""
    return next((each.codec() for each in SPOKEN if each.subprotocol in spoken), _native)


def choose(offered: Sequence[str], *, spoken: Collection[str]) -> tuple[str | None, Codec] | None:
    """
    What to answer a handshake with that offers these, and the codec; None if it offers only what is not spoken here.

    Who offers nothing is answered nothing, and speaks the first of what is `spoken` here: native clients need not name
    it.
    """
    among = [each for each in SPOKEN if each.subprotocol in spoken]
    if not offered:
        return None, first(spoken)
    return next(((each.subprotocol, each.codec()) for each in among if each.subprotocol in offered), None)
