"""Which protocols are spoken, and which of them a handshake is answered with."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from . import stomp
from .actioncable import ActionCableCodec
from .actioncable_frames import EXTENDED, PLAIN
from .codec import Codec
from .native import NativeCodec
from .remembering import remembering

# It keeps nothing but the last events it spelled, so all sockets share one: a fan-out spells an event once.
_native = NativeCodec()
_stomp_tail = remembering(stomp.tail_of(_native.encode))


class Spoken(NamedTuple):
    """A protocol: the subprotocol that the handshake agrees on, and what makes a connection's codec."""

    subprotocol: str
    codec: Callable[[], Codec]


SPOKEN: Final = (
    Spoken(NativeCodec.subprotocol, lambda: _native),
    *(Spoken(name, partial(stomp.StompCodec, name, tail=_stomp_tail)) for name in stomp.VERSIONS),
    Spoken(EXTENDED, lambda: ActionCableCodec(extended=True)),
    Spoken(PLAIN, lambda: ActionCableCodec(extended=False)),
)
"""In the order in which they are preferred, whatever the order of the offer."""

NAMES: Final = tuple(spoken.subprotocol for spoken in SPOKEN)

DIALECTS: Final[Mapping[str, Collection[str]]] = {
    "stomp": tuple(stomp.VERSIONS),
    "cable": (PLAIN, EXTENDED),
}
"""What whoever offers nothing speaks, the most likely first, by where they come to (`tickets.api.socket_place`)."""


def first(spoken: Collection[str], *, place: str = "") -> Codec:
    """The codec of whoever names no protocol there; the native one where a site speaks none of these."""
    codecs = {each.subprotocol: each.codec for each in SPOKEN if each.subprotocol in spoken}
    found = next((name for name in (*DIALECTS.get(place, ()), *codecs) if name in codecs), None)
    return codecs[found]() if found else _native


def choose(offered: Sequence[str], *, spoken: Collection[str], place: str = "") -> tuple[str | None, Codec] | None:
    """
    What to answer a handshake with that offers these, and the codec; None if it offers only what is not spoken here.

    Who offers nothing is answered nothing, and speaks the first of what is `spoken` at that place: native clients, and
    those that know no subprotocols, need not name it.
    """
    among = [each for each in SPOKEN if each.subprotocol in spoken]
    if not offered:
        return None, first(spoken, place=place)
    return next(((each.subprotocol, each.codec()) for each in among if each.subprotocol in offered), None)
