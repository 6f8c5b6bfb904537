"""What the server says, as a client reads it, and what a client says. The one file of the client that knows JSON.

The server's own vocabulary is used where it is open. Where that lists the words a field may have, a client that is
older than its server would not understand a new one, so here any text will do. Fields that are not known are ignored.
"""

import json
from typing import Any

import msgspec
from msgspec.structs import replace

from ..wire.vocabulary import (
    UNSET,
    Bye,
    CaughtUp,
    Error,
    Notification,
    Pong,
    Reauthenticated,
    ReauthFailed,
    Skipped,
    UnsetType,
    Welcome,
)


class _Heard(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Fields that are UNSET were not said."""


class Reset(_Heard, frozen=True, tag="reset"):
    """What was missed cannot be told: fetch the list. Live notifications go on after `head`."""

    stream: str
    reason: str
    epoch: str
    head: int
    oldest: int


class StateChanged(_Heard, frozen=True, tag="state"):
    """Something was seen, read or archived, here or elsewhere. `changed`: only the fact is known; fetch the list."""

    state: str
    state_version: int
    unread: int
    unseen: int
    ids: list[str] | UnsetType = UNSET
    through: int | UnsetType = UNSET
    ref: str | UnsetType = UNSET

    def without_details(self) -> "StateChanged":
        return replace(self, state="changed", ids=[], through=UNSET, ref=UNSET)


class Subscribed(_Heard, frozen=True, tag="subscribed"):
    """What the topic says follows, from behind `cursor` on."""

    stream: str
    topic: str
    epoch: str
    head: int
    cursor: int
    ref: str | UnsetType = UNSET


class Unsubscribed(_Heard, frozen=True, tag="unsubscribed"):
    """Nothing of the topic follows."""

    stream: str
    topic: str
    ref: str | UnsetType = UNSET


class Denied(_Heard, frozen=True, tag="denied"):
    """The topic is not, or not any more, for this person."""

    stream: str
    topic: str
    code: str
    ref: str | UnsetType = UNSET


class ReauthRequired(_Heard, frozen=True, tag="reauth_required"):
    """Nothing private is delivered until it is done."""

    reason: str
    deadline: str
    grace_seconds: float


Frame = (
    Welcome
    | Notification
    | Skipped
    | CaughtUp
    | Reset
    | StateChanged
    | Subscribed
    | Unsubscribed
    | Denied
    | ReauthRequired
    | Reauthenticated
    | ReauthFailed
    | Error
    | Bye
    | Pong
)


class NoFrame(ValueError):
    """The server said something that is no frame. What it was is not repeated: it may be somebody's private words."""


class _Envelope(msgspec.Struct):
    type: str


_frame = msgspec.json.Decoder(Frame)
_envelope = msgspec.json.Decoder(_Envelope)
_WORDS = frozenset(kind.__struct_config__.tag for kind in Frame.__args__)


def read_frame(text: str | bytes) -> Frame | None:
    """None for a word that this client does not know: the server may learn new ones. Raises NoFrame."""
    try:
        frame: Frame = _frame.decode(text)
        return frame
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        if _is_news(text):
            return None
        raise NoFrame("The server said something that is no frame.") from None


def _is_news(text: str | bytes) -> bool:
    try:
        return _envelope.decode(text).type not in _WORDS
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False


def write_frame(frame: dict[str, object]) -> str:
    return msgspec.json.encode(frame).decode()


def read_body(content: bytes) -> Any:
    """An answer's JSON; None if it is none, as a proxy's page is."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def write_body(body: dict[str, object]) -> bytes:
    return msgspec.json.encode(body)


def line(event: Notification | Reset) -> str:
    """One JSON object on one line, in ASCII: whatever is in it, a terminal has nothing to carry out."""
    return json.dumps(msgspec.to_builtins(event)).replace("\x7f", "\\u007f")
