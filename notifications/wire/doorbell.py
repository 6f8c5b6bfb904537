"""What one process tells the others over the channel layer, and the names of the groups it is told in.

Messages are built of plain values (the layer spells them) and carry a `type` from a short list. Whatever arrives is
checked against the structs here before anybody acts on it: a group can be written to by every part of a site, by an
older release of this one during a roll-out, and by whoever reached Redis.
"""

import hashlib
from typing import Any, Final

import msgspec

from .streams import Announcement, Change

GROUP_PREFIX: Final = "usher."


def stream_of(user_id: object) -> str:
    """
    The name of a person's stream.

    Made of an integer or a digest only: layer and broker names have their own grammar, and a key made by somebody else
    (a natural key, an e-mail address) must not be able to name another stream.
    """
    if isinstance(user_id, int):
        return f"u.{user_id}"
    return f"u.{hashlib.sha256(str(user_id).encode()).hexdigest()[:32]}"


def group_of(stream: str) -> str:
    return GROUP_PREFIX + stream


class Announced(msgspec.Struct, frozen=True, tag_field="type", tag="usher.announced"):
    """Notifications that were numbered."""

    origin: str
    items: list[Announcement]


class Changed(msgspec.Struct, frozen=True, tag_field="type", tag="usher.changed"):
    """Seen, read or archived was set."""

    origin: str
    change: Change


class Ended(msgspec.Struct, frozen=True, tag_field="type", tag="usher.ended"):
    """Login sessions of the stream's person ended; the fence is the one raised for it."""

    origin: str
    stream: str
    fence: int


class Kicked(msgspec.Struct, frozen=True, tag_field="type", tag="usher.kicked"):
    """Staff disconnected connections of the stream's person: these, by the names they were welcomed with."""

    origin: str
    stream: str
    names: list[str]


class Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="notification.push"):
    """A transient notification from code that only knows Channels. Checked by `content()` before it is shown."""

    title: Any
    body: Any = ""
    kind: Any = ""
    level: Any = "info"
    url: Any = ""
    data: Any = None


Message = Announced | Changed | Ended | Kicked | Push


def pack(message: Message) -> dict[str, Any]:
    """The message as a layer takes it: strings, numbers, lists and dicts."""
    packed: dict[str, Any] = msgspec.to_builtins(message, builtin_types=())
    return packed


def unpack(message: object) -> Message:
    """Raises ValueError for everything that is not one of the messages above."""
    unpacked: Message = msgspec.convert(message, Message)
    return unpacked
