"""The words of the socket, in no spelling: what a client may ask (commands) and what it may hear (events).

Codecs spell them; `live/connection.py` decides when each is said. Commands refuse fields they do not know and values of
another type. Events may gain fields, never lose one.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET as UNSET
from msgspec import UnsetType as UnsetType
from msgspec.structs import replace

# --- Commands: client to server ---


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=str.lower):
    """
    `ref` is the client's own mark; what answers the command carries it back.

    `token` proves again who is speaking, where the site asks for that with each message; all but `ping` have it.
    """


class Authenticate(Command, frozen=True):
    """The credential as first frame, for clients that can set neither subprotocol nor header: a ticket or a token."""

    ticket: str | None = None
    token: str | None = None
    since: str | None = None
    ref: str | None = None


class Reauth(Command, frozen=True):
    """A fresh credential of the same person, a ticket or a token: the grant goes on."""

    ticket: str | None = None
    token: str | None = None
    ref: str | None = None


class Ack(Command, frozen=True):
    """Everything up to `seq` has arrived (cumulative). Without `stream`: the person's own stream."""

    seq: int
    stream: str | None = None
    token: str | None = None
    ref: str | None = None


StateName = Literal["seen", "read", "unread", "archived", "unarchived"]


class State(Command, frozen=True):
    """Set the state of some notifications (`ids`), or of all up to a number (`through`): exactly one of the two."""

    state: StateName
    ids: list[str] | None = None
    through: int | None = None
    token: str | None = None
    ref: str | None = None


class Subscribe(Command, frozen=True):
    """Listen to a topic, from a position (`<epoch>:<seq>`) on or from now."""

    topic: str
    since: str | None = None
    token: str | None = None
    ref: str | None = None


class Unsubscribe(Command, frozen=True):
    topic: str
    token: str | None = None
    ref: str | None = None


class Ping(Command, frozen=True):
    ref: str | None = None


class Follow(Command, frozen=True):
    """
    `Subscribe` as other protocols have it: there the person's own stream (`topic` None) is asked for as well, and
    clients may be unable to ack. What is `paced` is said no faster than they can be expected to read.
    """

    topic: str | None = None
    since: str | None = None
    paced: bool = False
    ref: str | None = None


class Unfollow(Command, frozen=True):
    topic: str | None = None
    ref: str | None = None


NativeCommand = Authenticate | Reauth | Ack | State | Subscribe | Unsubscribe | Ping
AnyCommand = NativeCommand | Follow | Unfollow
Credentials = Authenticate | Reauth
"""The commands that are nothing but a credential: exactly one of `ticket` and `token` is set."""
Vouched = Ack | State | Subscribe | Unsubscribe
"""Those that carry out something, and may have to prove first who asks for it."""

# --- Events: server to client ---


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=str.lower):
    """Fields that are UNSET are not spelled at all."""


class User(msgspec.Struct, frozen=True):
    id: int | str
    username: str


class Welcome(Event, frozen=True):
    """First words after a credential was accepted. `recovered`: the position asked for is being resumed."""

    connection: str
    user: User
    epoch: str
    head: int
    cursor: int
    recovered: bool
    state_version: int
    unread: int
    unseen: int
    expires_at: datetime
    grace_seconds: float
    window: int
    ping_seconds: float
    server_time: datetime


class Notification(Event, frozen=True):
    """`seq` is null for a transient push. `data` is JSON that was checked when it was accepted."""

    stream: str
    seq: int | None
    id: str
    kind: str
    level: str
    title: str
    body: str
    url: str
    data: Any
    created_at: datetime
    seen: bool = False
    read: bool = False
    archived: bool = False
    replayed: bool = False

    def as_replay(self) -> "Notification":
        """The same, marked as something that was missed and not as news."""
        return replace(self, replayed=True)


class Skipped(Event, frozen=True):
    """Numbers up to `through` exist but are not for this person any more: the position moves on."""

    stream: str
    through: int


class CaughtUp(Event, frozen=True, tag="caught_up"):
    """The replay is over; what follows is live."""

    stream: str
    cursor: int


class Reset(Event, frozen=True):
    """The position cannot be resumed: fetch the list. `oldest` is the first number that is still kept."""

    stream: str
    reason: Literal["epoch", "expired", "ahead"]
    epoch: str
    head: int
    oldest: int


class StateChanged(Event, frozen=True, tag="state"):
    """
    `state` is a StateName, or "changed" when only the fact is known (the details were lost on the way): fetch the list.
    A client whose own version is not `state_version - 1` missed something and fetches the list too.
    """

    state: StateName | Literal["changed"]
    state_version: int
    unread: int
    unseen: int
    ids: list[str] | UnsetType = UNSET
    through: int | UnsetType = UNSET
    ref: str | UnsetType = UNSET

    def answering(self, ref: str | UnsetType) -> "StateChanged":
        """The same, as the answer to a client's command."""
        return replace(self, ref=ref)


class Subscribed(Event, frozen=True):
    """What the stream says follows, from behind `cursor` on. `topic` is UNSET for the person's own."""

    stream: str
    epoch: str
    head: int
    cursor: int
    topic: str | UnsetType = UNSET
    ref: str | UnsetType = UNSET


class Unsubscribed(Event, frozen=True):
    """Nothing of the stream follows."""

    stream: str
    topic: str | UnsetType = UNSET
    ref: str | UnsetType = UNSET


class Denied(Event, frozen=True):
    """The topic is not, or not any more, for this person (`forbidden`), or is one too many (`too_many_topics`)."""

    stream: str
    topic: str
    code: Literal["forbidden", "too_many_topics"]
    ref: str | UnsetType = UNSET


class ReauthRequired(Event, frozen=True, tag="reauth_required"):
    """Nothing private is delivered until `reauth`; past `deadline` the socket closes."""

    reason: Literal["session_expired", "credentials_changed", "requested"]
    deadline: datetime
    grace_seconds: float


class Reauthenticated(Event, frozen=True):
    """`held` notifications follow, in order."""

    expires_at: datetime
    held: int
    state_version: int
    ref: str | UnsetType = UNSET


class ReauthFailed(Event, frozen=True, tag="reauth_failed"):
    code: str
    attempts_left: int
    retry_after_ms: int
    ref: str | UnsetType = UNSET


class Error(Event, frozen=True):
    """A command was not carried out; the connection lives on."""

    code: str
    detail: str
    ref: str | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET


class Bye(Event, frozen=True):
    """The last frame before a close."""

    code: int
    reason: str
    reconnect: bool
    need: str
    retry_after_ms: int


class Pong(Event, frozen=True):
    ref: str | UnsetType = UNSET
