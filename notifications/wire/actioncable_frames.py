"""What a frame of Action Cable says, and the frames that say the same to everybody. No state.

Rails' protocol, with what AnyCable's extended one adds; both are described by their clients, `@rails/actioncable` and
`@anycable/core`, whose sources decide.

Rules of this file:

* An identifier is a string that the client has made. It is echoed as it came, never made anew of what was read in it.
* Frames of ours that neither client knows carry no `message`, which AnyCable would keep without bound, and `usher` in
  the place of the identifier: Rails hands a frame without one to no subscription at all, and fails.
"""

import re
from typing import Any, Final, NamedTuple

import msgspec

from .closing import CloseCode
from .codec import BadFrame
from .doorbell import TOPIC_NAME
from .native import UNREADABLE, keys_are_unique, problem_of, spell, text_of
from .vocabulary import Bye, Event, Reauth, ReauthRequired, State

PLAIN: Final = "actioncable-v1-json"
EXTENDED: Final = "actioncable-v1-ext-json"

IDENTIFIER_LENGTH: Final = 1024
"""Characters. An honest one is a channel and a few parameters; as many as a connection has subscriptions are kept."""

HISTORY_STREAMS: Final = 16
"""In one frame. An identifier stands for one stream; what is subscribed early is kept, also of who is not known yet."""

PERSON: Final = "NotificationsChannel"
TOPIC: Final = "TopicChannel"
CONTROL: Final = "ControlChannel"

_TOPIC: Final = re.compile(rf"{TOPIC_NAME}\Z", re.ASCII)
_PLACE: Final = re.compile(r"([^:]{1,32}):([0-9]{1,16})\Z", re.ASCII)


# What clients say ----------------------------------------------------------------------------------------------------


class Place(msgspec.Struct, frozen=True):
    """Where a client was in a stream."""

    epoch: str
    offset: int

    @classmethod
    def parse(cls, since: str) -> "Place | None":
        """Of `<epoch>:<seq>`; None if it is none."""
        found = _PLACE.match(since)
        return cls(found[1], int(found[2])) if found else None

    @property
    def since(self) -> str | None:
        """As `<epoch>:<seq>`; None if nobody can have been there."""
        since = f"{self.epoch}:{self.offset}"
        return since if _PLACE.match(since) else None


class History(msgspec.Struct, frozen=True):
    """AnyCable's also tells a time, by the clock of the client: nothing could be resumed from that for certain."""

    streams: dict[str, Place] = {}


class Frame(msgspec.Struct, frozen=True):
    """Any frame of a client. Fields that are not known here are those of a newer one, or mean something elsewhere."""

    command: str
    identifier: str = ""
    data: str = ""
    history: History | None = None


_frames = msgspec.json.Decoder(Frame)


def read(frame: str | bytes) -> Frame:
    """Raises BadFrame."""
    text = text_of(frame)
    try:
        said = _frames.decode(text)
    except UNREADABLE as error:
        if isinstance(error, msgspec.ValidationError) and text.lstrip().startswith("{"):
            raise BadFrame("invalid", str(error)[:200]) from None
        raise BadFrame("malformed", "A frame is one JSON object.") from None
    if not keys_are_unique(text):
        raise BadFrame("invalid", "A key is repeated.")
    if len(said.identifier) > IDENTIFIER_LENGTH:
        raise BadFrame("invalid", f"An identifier has at most {IDENTIFIER_LENGTH} characters.")
    if said.history and len(said.history.streams) > HISTORY_STREAMS:
        raise BadFrame("invalid", f"A history has at most {HISTORY_STREAMS} streams.")
    return said


class Channel(NamedTuple):
    """What an identifier asks for: one of the three names above, and what goes with it."""

    name: str
    topic: str | None = None
    place: Place | None = None


class _Identifier(msgspec.Struct):
    channel: str
    topic: Any = None
    since: Any = None


_identifiers = msgspec.json.Decoder(_Identifier)


def channel_of(identifier: str) -> Channel | None:
    """None if there is no such channel here."""
    try:
        asked = _identifiers.decode(identifier)
    except UNREADABLE:
        return None
    place = Place.parse(asked.since) if isinstance(asked.since, str) else None
    if asked.since is not None and place is None:
        return None
    if asked.channel in (PERSON, CONTROL):
        return Channel(asked.channel, place=place)
    if asked.channel == TOPIC and isinstance(asked.topic, str) and _TOPIC.match(asked.topic):
        return Channel(TOPIC, asked.topic, place)
    return None


_PERFORMED: Final[dict[str, type[Reauth | State]]] = {"reauth": Reauth, "state": State}


def performed(data: str) -> Reauth | State:
    """The command in what a client performs: `subscription.perform("reauth", {…})`. Raises BadFrame."""
    try:
        said = msgspec.json.decode(data)
    except UNREADABLE:
        said = None
    if not isinstance(said, dict):
        raise BadFrame("invalid", "data is a JSON object in a string.")
    action = said.pop("action", None)
    kind = _PERFORMED.get(action) if isinstance(action, str) else None
    if kind is None:
        raise BadFrame("unknown_type", "The action is none that is known here.")
    try:
        command = msgspec.convert({**said, "type": action}, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadFrame("invalid", str(error)[:200]) from None
    problem = problem_of(command) if keys_are_unique(data) else "A key is repeated."
    if problem:
        raise BadFrame("invalid", problem)
    return command


# What they are told --------------------------------------------------------------------------------------------------


def quoted(text: str) -> str:
    """As a JSON string."""
    return msgspec.json.encode(text).decode()


def answer(kind: str, identifier: str) -> str:
    return f'{{"type":"{kind}","identifier":{quoted(identifier)}}}'


def control(event: Event) -> str:
    """An event for which the protocol has no word, as `usher.v1` has it."""
    spelled = spell(event)
    if isinstance(event, ReauthRequired):
        return f'{spelled[:-1]},"grace_ms":{round(event.grace_seconds * 1000)}}}'
    return spelled


def bare(spelled: str) -> str:
    """What `control` answered, as a frame by itself."""
    return f'{spelled[:-1]},"identifier":"usher"}}'


REASONS: Final[dict[int, str]] = {
    CloseCode.NORMAL: "remote",
    CloseCode.GOING_AWAY: "server_restart",
    CloseCode.SESSION_EXPIRED: "session_expired",
    CloseCode.TICKET_REFUSED: "unauthorized",
    CloseCode.AUTHENTICATION_TIMEOUT: "unauthorized",
    CloseCode.TOO_SLOW: "too_slow",
    CloseCode.UNAVAILABLE: "server_restart",
    CloseCode.RATE_LIMITED: "invalid_request",
    CloseCode.DISCONNECTED_BY_STAFF: "remote",
    CloseCode.LOGGED_OUT: "session_expired",
    CloseCode.ACCOUNT_DISABLED: "unauthorized",
    CloseCode.CREDENTIALS_CHANGED: "unauthorized",
    CloseCode.TOO_MANY_CONNECTIONS: "remote",
    CloseCode.PROTOCOL_ERROR: "invalid_request",
    CloseCode.MESSAGE_TOO_BIG: "invalid_request",
    CloseCode.FORBIDDEN: "unauthorized",
}
"""The words that clients of Action Cable know. Whether they may come back stands with the codes."""

_RENEWED: Final[frozenset[int]] = frozenset({CloseCode.SESSION_EXPIRED, CloseCode.TICKET_REFUSED})


def disconnect(event: Bye, *, refreshes: bool) -> str:
    """
    The last frame. `refreshes`: the credential is one that AnyCable's client can renew. Its `tokenRefresher` is asked
    only after `token_expired`, and only if `reconnect` is false; then it comes back in spite of that.

    `reconnect` is always said: to Rails a missing one is final, to AnyCable it is none.
    """
    reason, reconnect = REASONS[event.code], event.reconnect
    if refreshes and event.code in _RENEWED:
        reason, reconnect = "token_expired", False
    said = {"type": "disconnect", "reason": reason, "reconnect": reconnect, "code": event.code}
    return msgspec.json.encode(said).decode()
