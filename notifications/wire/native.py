"""`usher.v1`: one JSON object a text frame.

Rules of this file, beyond what the strict structs refuse by themselves (`true` or `1.0` or `"1"` as an integer, NaN,
lone surrogates, unknown fields): repeated keys, NUL in strings and integers beyond 2^53-1 are refused too, because
two readers of such a frame may see two different things. Nothing a peer sends raises anything but BadFrame.
"""

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

from .codec import BadFrame, Simple
from .content import GREATEST_INTEGER
from .doorbell import TOPIC_LENGTH
from .remembering import remembering
from .vocabulary import AnyCommand, Credentials, Event, NativeCommand, State, Subscribe, Unsubscribe

FRAME_BYTES: Final = 8 * 1024
STATE_IDS: Final = 200
REF_LENGTH: Final = 64

UNREADABLE: Final = (msgspec.ValidationError, msgspec.DecodeError, RecursionError, UnicodeError)
"""What reading JSON from strangers may raise."""

_decoder = msgspec.json.Decoder(NativeCommand)
_encoder = msgspec.json.Encoder()


class NativeCodec(Simple):
    """Stateless but for the last events it spelled: a fan-out hands every socket the same event, spelled once."""

    subprotocol: Final = "usher.v1"

    def __init__(self) -> None:
        self._spelled: Callable[[Event], str] = remembering(spell)

    def encode(self, event: Event) -> str:
        return self._spelled(event)

    def decode(self, frame: str | bytes) -> list[AnyCommand]:
        text = text_of(frame)
        try:
            command = _decoder.decode(text)
        except UNREADABLE as error:
            raise _explained(text, error) from None
        problem = None if keys_are_unique(text) else "A key is repeated."
        if problem or (problem := problem_of(command)):
            raise BadFrame("invalid", problem)
        return [command]


def text_of(frame: str | bytes) -> str:
    """The frame, if it is a text that is not too big; raises BadFrame."""
    if isinstance(frame, bytes):
        raise BadFrame("malformed", "Frames are text, not binary.")
    # Characters first: counting bytes makes a copy, which an oversized frame is not worth.
    if len(frame) > FRAME_BYTES or len(frame.encode("utf-8", "surrogatepass")) > FRAME_BYTES:
        raise BadFrame("too_big", f"A frame has at most {FRAME_BYTES} bytes.")
    return frame


def spell(event: Event) -> str:
    """An event as one JSON object."""
    return _encoder.encode(event).decode()


def problem_of(command: AnyCommand) -> str | None:
    """What is wrong with a command whose fields have the right types; None if nothing is."""
    for name in command.__struct_fields__:
        value = getattr(command, name)
        if isinstance(value, int) and abs(value) > GREATEST_INTEGER:
            return f"{name} is beyond 2^53-1."
        if any("\x00" in text for text in _texts(value)):
            return f"{name} contains a NUL character."
    if command.ref is not None and len(command.ref) > REF_LENGTH:
        return f"ref has at most {REF_LENGTH} characters."
    if isinstance(command, Credentials) and (command.ticket is None) == (command.token is None):
        return "Exactly one of ticket and token is needed."
    if isinstance(command, Subscribe | Unsubscribe) and not 1 <= len(command.topic) <= TOPIC_LENGTH:
        return f"topic has 1 to {TOPIC_LENGTH} characters."
    if isinstance(command, State):
        return _problem_of_state(command)
    return None


def _problem_of_state(command: State) -> str | None:
    if (command.ids is None) == (command.through is None):
        return "Exactly one of ids and through is needed."
    if command.ids is not None and not 1 <= len(command.ids) <= STATE_IDS:
        return f"ids has 1 to {STATE_IDS} items."
    return None


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else []


class _Repeated(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Repeated
    return found


_unique_keys = json.JSONDecoder(object_pairs_hook=_unique)  # made once: making it costs as much as an ack


def keys_are_unique(frame: str) -> bool:
    """Of JSON that was read already, and is small."""
    # msgspec keeps the last of repeated keys and has no hook to notice; the frame is known to be small here.
    try:
        _unique_keys.decode(frame)
    except (_Repeated, ValueError, RecursionError):  # integers may have more digits than Python converts
        return False
    return True


class _Envelope(msgspec.Struct):
    type: Any = None
    ref: Any = None


_envelope = msgspec.json.Decoder(_Envelope)


def _explained(frame: str, error: Exception) -> BadFrame:
    """Which kind of wrong it was, and whose `ref` to answer, if that much can be read."""
    try:
        envelope = _envelope.decode(frame)
    except UNREADABLE:
        return BadFrame("malformed", "A frame is one JSON object.")
    ref = envelope.ref if isinstance(envelope.ref, str) and len(envelope.ref) <= REF_LENGTH else None
    known = {command.__struct_config__.tag for command in NativeCommand.__args__}
    if not isinstance(envelope.type, str) or envelope.type not in known:
        return BadFrame("unknown_type", "The type is not a known command.", ref=ref)
    return BadFrame("invalid", str(error)[:200], ref=ref)
