"""What one process tells the others over the channel layer, and the names of the groups it is told in.

A layer carries dicts. Ours is an envelope of two entries, the `type` that every layer wants and the message packed in
one string of bytes: unpacking that straight into structs costs a tenth of walking through a dict of dicts. Whatever
arrives is checked against the structs here before anybody acts on it: a group can be written to by every part of a
site, by an older release of this one during a roll-out, and by whoever reached Redis.
"""

import hashlib
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from .streams import Announcement, Change
from .vocabulary import Notification

GROUP_PREFIX: Final = "usher."

HUBS: Final = "usher.hubs"
"""The group that the hub of every process joins: for what concerns more people than are worth a message each."""


def stream_of(user_id: object) -> str:
    """
    The name of a person's stream.

    Made of an integer or a digest only: layer and broker names have their own grammar, and a key made by somebody else
    (a natural key, an e-mail address) must not be able to name another stream.
    """
    if isinstance(user_id, int):
        return f"u.{user_id}"
    return f"u.{hashlib.sha256(str(user_id).encode()).hexdigest()[:32]}"


TOPIC_LENGTH: Final = 80

TOPIC_NAME: Final = rf"[a-z0-9._-]{{1,{TOPIC_LENGTH}}}"
"""What a topic may be called, as a pattern: a group's name can be made of it, and never another kind of group's."""


def stream_of_topic(name: str) -> str:
    """The name of a topic's stream."""
    return f"t.{name}"


def topic_of(stream: str) -> str | None:
    """The topic whose stream this is; None if it is a person's."""
    return stream.removeprefix("t.") if stream.startswith("t.") else None


def group_of(stream: str) -> str:
    return GROUP_PREFIX + stream


class Announced(msgspec.Struct, frozen=True, tag="announced"):
    """Notifications that were numbered."""

    origin: str
    items: list[Announcement]


class Recipient(msgspec.Struct, frozen=True, array_like=True):
    """One of many who are told the same: where it stands in their stream, and what it was numbered under."""

    stream: str
    seq: int
    id: str
    epoch: str
    fence: int


class AnnouncedToMany(msgspec.Struct, frozen=True, tag="announced_to_many"):
    """The same notification, numbered in the streams of many people; its words travel once."""

    origin: str
    kind: str
    level: str
    title: str
    body: str
    url: str
    data: Any
    created_at: datetime
    recipients: list[Recipient]
    archived: bool = False
    """From the start: these have muted the kind."""
    numbered_at: float = 0.0

    @classmethod
    def of(cls, origin: str, announcements: list[Announcement]) -> "AnnouncedToMany":
        """They say the same, are all muted or none, and else as new as they were numbered: seen by nobody yet."""
        said = announcements[0].event
        return cls(
            origin=origin,
            kind=said.kind,
            level=said.level,
            title=said.title,
            body=said.body,
            url=said.url,
            data=said.data,
            created_at=said.created_at,
            recipients=[
                Recipient(item.stream, item.seq, item.event.id, item.epoch, item.fence) for item in announcements
            ],
            archived=said.archived,
            numbered_at=announcements[0].numbered_at,
        )

    def announcement(self, recipient: Recipient) -> Announcement:
        """What `recipient` is told."""
        event = Notification(
            stream=recipient.stream,
            seq=recipient.seq,
            id=recipient.id,
            kind=self.kind,
            level=self.level,
            title=self.title,
            body=self.body,
            url=self.url,
            data=self.data,
            created_at=self.created_at,
            seen=self.archived,
            archived=self.archived,
        )
        return Announcement(recipient.epoch, recipient.fence, event, self.numbered_at)


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """Seen, read or archived was set."""

    origin: str
    change: Change


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """Login sessions of the stream's person ended; the fence is the one raised for it."""

    origin: str
    stream: str
    fence: int


class Kicked(msgspec.Struct, frozen=True, tag="kicked"):
    """Connections of the stream's person are to close: these, by the names they were welcomed with."""

    origin: str
    stream: str
    names: list[str]
    code: Literal[4500, 4504] = 4500
    """4500: staff disconnected them; 4504: newer ones, perhaps of other processes, took their place."""


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """Connections of the stream's person are to re-authenticate: these, by the names they were welcomed with."""

    origin: str
    stream: str
    names: list[str]
    at: str
    """When that was asked, in ISO 8601: asking once is answered once, however often it is heard of."""

    def of(self, names: list[str]) -> "Asked":
        """The same of some of them."""
        return Asked(self.origin, self.stream, names, self.at)


class Probe(msgspec.Struct, frozen=True, tag="probe"):
    """A hub calls itself, to know that it would hear others."""

    origin: str
    number: int


class Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="notification.push"):
    """A transient notification from code that only knows Channels. Checked by `content()` before it is shown."""

    title: Any
    body: Any = ""
    kind: Any = ""
    level: Any = "info"
    url: Any = ""
    data: Any = None


Told = Announced | AnnouncedToMany | Changed | Ended | Kicked | Asked | Probe
"""What our own processes tell each other."""

Message = Told | Push

ENVELOPE: Final = "usher.told"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Told)
msgspec.json.Decoder(Push)  # learnt here, and not by whoever uses it first: see content.py


def pack(message: Told) -> dict[str, Any]:
    """The message as a layer takes it."""
    return {"type": ENVELOPE, "packed": _encoder.encode(message)}


def unpack(message: object) -> Message:
    """Raises ValueError for everything that is not one of the messages above."""
    if isinstance(message, dict) and message.get("type") == ENVELOPE:
        packed = message.get("packed")
        if not isinstance(packed, bytes):
            raise ValueError("an envelope with nothing in it")
        told: Told = _decoder.decode(packed)
        return told
    push: Push = msgspec.convert(message, Push)
    return push
