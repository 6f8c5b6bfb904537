"""
Action Cable: `actioncable-v1-json` as Rails has it, and AnyCable's `actioncable-v1-ext-json`, which can resume.

A client subscribes to identifiers, strings of its own making. Each stands for a stream, and several may stand for one:
the connection follows that once, and here it is told to each of them.

Rules of this file:

* An identifier hears each number at most once, in order: those beyond `after`, which is where it stands.
* What was asked for with a history is answered confirm_subscription, what was missed, confirm_history (or
  reject_history, as soon as it is known that it cannot be resumed), what is news: AnyCable's client drops no repeats.
* A subscribe is confirmed once a frame, for Rails repeats it every half second until it is; in the extended protocol
  once for all of them, for AnyCable's client takes a second confirmation for that of something it has given up.
* Whatever a client says costs it a command, except what is answered by nothing. Where the answer is known here and no
  command exists for it, that is a `Ping`: its pong carries the ref, and the ref says what was to be answered.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from msgspec.structs import replace

from .actioncable_frames import (
    CONTROL,
    EXTENDED,
    PLAIN,
    Channel,
    Frame,
    Place,
    answer,
    bare,
    channel_of,
    control,
    disconnect,
    performed,
    quoted,
    read,
)
from .closing import CloseCode
from .codec import BadFrame, Manner
from .doorbell import stream_of, stream_of_topic
from .native import spell
from .remembering import remembering
from .vocabulary import (
    UNSET,
    AnyCommand,
    Bye,
    CaughtUp,
    Denied,
    Error,
    Event,
    Follow,
    Notification,
    Ping,
    Pong,
    Reauthenticated,
    ReauthRequired,
    Reset,
    Subscribed,
    Unfollow,
    Unsubscribed,
    Welcome,
)

BEAT_SECONDS: Final = 3.0
"""Clients take the line for dead after six seconds of silence."""

SUBSCRIPTIONS: Final = 100
"""Identifiers of one connection. It may listen to half as many topics."""

OF_ONE_STREAM: Final = 8
"""So many of them may stand for one stream: each is told each message."""

HELD_BACK: Final = 64
"""Transient notifications that may wait for the end of a replay."""

TOKEN_CARRIERS: Final = frozenset({"jid", "jid_query", "jid_subprotocol"})

# What stands before the ref of a command, and says what its answer is to be.
_SUBSCRIBED, _UNFOLLOWED, _HISTORY, _OWN = "s", "u", "h", "r"

_spelled = remembering(spell)  # for all connections: a fan-out hands every codec the same event


@dataclass(slots=True, eq=False)
class _Subscription:
    """An identifier that is subscribed, or about to be."""

    identifier: str
    channel: Channel
    stream: str
    before: str  # what stands before the message, in every frame
    asks_history: bool = False
    place: Place | None = None  # where it wants to be resumed
    confirmed: bool = False
    replays: bool = False
    after: int = 0
    held_back: list[str] = field(default_factory=list)


class ActionCableCodec:
    """Of one connection."""

    manner = Manner(follows=True, vouches=False)
    over: CloseCode | None = None

    def __init__(self, *, extended: bool) -> None:
        self.subprotocol = EXTENDED if extended else PLAIN
        self.outbox: list[str] = []
        self.due: list[AnyCommand] = []
        self.beat_seconds = inf
        self._extended = extended
        self._refreshes = extended
        self._personal = ""
        self._heeded = False  # whether a subscribe would be carried out now
        self._early: dict[str, Frame] = {}  # those that came when it would not
        self._subscriptions: dict[str, _Subscription] = {}
        self._listeners: dict[str, list[_Subscription]] = {}  # confirmed, by their streams
        self._epochs: dict[str, str] = {}
        self._places: dict[str, str] = {}  # what stands behind the message but for the number, by streams
        self._wishes: dict[str, Place | None] = {}  # where the connection was asked to begin, by streams
        self._left: set[str] = set()  # streams that are followed though nobody listens: that they be left was refused

    def carried(self, carrier: str) -> None:
        self._refreshes = self._extended or carrier in TOKEN_CARRIERS

    def beat(self, now: float) -> str:
        return f'{{"type":"ping","message":{int(now)}}}'

    # --- What the client says ---

    def decode(self, frame: str | bytes) -> list[AnyCommand]:
        said = read(frame)
        match said.command:
            case "subscribe":
                return self._subscribe(said)
            case "unsubscribe":
                return self._unsubscribe(said.identifier)
            case "message":
                command = performed(said.data)
                return [replace(command, ref=None if command.ref is None else _OWN + command.ref)]
            case "history" if self._extended:
                return self._ask_history(said)
            case "ping" if self._extended:
                return [Ping()]
            case "pong" if self._extended:
                return []
        raise BadFrame("unknown_type", "The command is none that is known here.")

    def _subscribe(self, said: Frame) -> list[AnyCommand]:
        if self._heeded:
            return self._follow(said)
        if len(self._early) < SUBSCRIPTIONS // 2:
            self._early[said.identifier] = replace(said, data="")
        return []

    def _heed(self) -> None:
        self._heeded = True
        early, self._early = self._early, {}
        for said in early.values():
            self.due += self._follow(said)

    def _follow(self, said: Frame) -> list[AnyCommand]:
        identifier = said.identifier
        known = self._subscriptions.get(identifier) or self._new(identifier)
        if known is not None and known.confirmed and self._extended:
            return []
        if known is None or known.channel.name == CONTROL:
            return [Ping(_SUBSCRIBED + identifier)]
        if not known.confirmed:
            known.asks_history = self._extended and said.history is not None
            known.place = _place_in(said, known)
            if known.stream not in self._listeners:
                self._wishes.setdefault(known.stream, known.place)
        since = known.place.since if known.place else None
        commands: list[AnyCommand] = [Follow(known.channel.topic, since, True, _SUBSCRIBED + identifier)]
        if known.stream in self._left:  # else nothing of it would be replayed
            self._left.discard(known.stream)
            commands.insert(0, Unfollow(known.channel.topic, _UNFOLLOWED + known.stream))
        return commands

    def _new(self, identifier: str) -> _Subscription | None:
        """None if there is nothing to subscribe to."""
        channel = channel_of(identifier)
        if channel is None or len(self._subscriptions) >= SUBSCRIPTIONS:
            return None
        stream = self._personal if channel.topic is None else stream_of_topic(channel.topic)
        if sum(other.stream == stream for other in self._subscriptions.values()) >= OF_ONE_STREAM:
            return None
        before = f'{{"identifier":{quoted(identifier)},"message":'
        made = self._subscriptions[identifier] = _Subscription(identifier, channel, stream, before)
        return made

    def _unsubscribe(self, identifier: str) -> list[AnyCommand]:
        self._early.pop(identifier, None)
        gone = self._subscriptions.pop(identifier, None)
        if gone is None:
            return []
        self._forget(gone)
        if gone.channel.name == CONTROL or any(other.stream == gone.stream for other in self._of_streams()):
            return []
        return [Unfollow(gone.channel.topic, _UNFOLLOWED + gone.stream)]

    def _of_streams(self) -> Iterable[_Subscription]:
        return (each for each in self._subscriptions.values() if each.channel.name != CONTROL)

    def _forget(self, gone: _Subscription) -> None:
        listeners = self._listeners.get(gone.stream, [])
        if gone in listeners:
            listeners.remove(gone)
        if not listeners:
            # Whoever is let into many topics may go through all of them.
            for kept in (self._listeners, self._epochs, self._places):
                kept.pop(gone.stream, None)
        if not any(other.stream == gone.stream for other in self._of_streams()):
            self._wishes.pop(gone.stream, None)

    def _ask_history(self, said: Frame) -> list[AnyCommand]:
        known = self._subscriptions.get(said.identifier)
        if known is not None and known.confirmed and not known.replays:
            known.place = _place_in(said, known)
        return [Ping(_HISTORY + said.identifier)]

    # --- What it is told ---

    def encode(self, event: Event) -> str | None:
        if type(event) is Notification:
            return self._told(event)
        say = _SAY.get(type(event), ActionCableCodec._controlled)
        frames = list(say(self, event))
        self.outbox += frames[1:]
        return frames[0] if frames else None

    def _told(self, event: Notification) -> str | None:
        listeners = self._listeners.get(event.stream)
        if listeners is None:
            return None
        message, behind, frames = _spelled(event), "}", []
        if event.seq is not None and self._extended:  # without a number it is no place to resume from
            behind = f"{self._places[event.stream]}{event.seq}}}"
        for listener in listeners:
            frame = f"{listener.before}{message}{behind}"
            if event.seq is None and listener.replays:
                if len(listener.held_back) < HELD_BACK:
                    listener.held_back.append(frame)
            elif event.seq is None:
                frames.append(frame)
            elif event.seq > listener.after:
                listener.after = event.seq
                frames.append(frame)
        self.outbox += frames[1:]
        return frames[0] if frames else None

    def _welcome(self, event: Welcome) -> Iterable[str]:
        self.beat_seconds = BEAT_SECONDS
        self._personal = stream_of(event.user.id)
        yield f'{{"type":"welcome","sid":{quoted(event.connection)}}}' if self._extended else '{"type":"welcome"}'
        self._heed()

    def _subscribed(self, event: Subscribed) -> Iterable[str]:
        known = self._subscriptions.get(_ref(event, _SUBSCRIBED) or "")
        if known is None:  # it was given up meanwhile, and others have asked for the same stream
            return
        if not (known.confirmed and self._extended):
            yield answer("confirm_subscription", known.identifier)
        if not known.confirmed:
            known.confirmed = True
            others = self._listeners.setdefault(event.stream, [])
            if not others:
                self._stands(event.stream, event.epoch)
            resumed = self._resume(known, event, others)
            others.append(known)
            if known.asks_history and not known.replays:
                yield answer("confirm_history" if resumed else "reject_history", known.identifier)

    def _resume(self, known: _Subscription, event: Subscribed, others: list[_Subscription]) -> bool:
        """Where a new listener stands; whether it goes on from where it wants to."""
        place, known.after = known.place, event.head
        asked = self._wishes.pop(event.stream, None)  # by whoever was the first, who may have gone by now
        if place is None:
            return False
        if place == asked:  # the connection will say whether that can be
            known.after, known.replays = event.cursor, True
            return True
        if place.epoch != event.epoch or not event.cursor <= place.offset <= event.head:
            return False
        known.after, known.replays = place.offset, asked is not None or any(other.replays for other in others)
        return True

    def _stands(self, stream: str, epoch: str) -> None:
        self._epochs[stream] = epoch
        self._places[stream] = f',"stream_id":{quoted(stream)},"epoch":{quoted(epoch)},"offset":'

    def _caught_up(self, event: CaughtUp) -> Iterable[str]:
        yield from self._resumed(event.stream, "confirm_history")
        yield from self._controlled(event)

    def _reset(self, event: Reset) -> Iterable[str]:
        if event.stream in self._listeners:
            self._stands(event.stream, event.epoch)
        for listener in self._listeners.get(event.stream, ()):
            listener.after, listener.replays, listener.asks_history = 0, True, True
        yield from self._resumed(event.stream, "reject_history")
        yield from self._controlled(event)

    def _resumed(self, stream: str, verdict: str) -> Iterable[str]:
        """The replay is over, or will not be."""
        for listener in self._listeners.get(stream, ()):
            if listener.replays:
                listener.replays = False
                if self._extended and listener.asks_history:
                    yield answer(verdict, listener.identifier)
                yield from listener.held_back
                listener.held_back.clear()

    def _pong(self, event: Pong) -> Iterable[str]:
        asked, subscribes = _ref(event, _HISTORY), _ref(event, _SUBSCRIBED)
        known = self._subscriptions.get(asked or subscribes or "")
        if asked is not None:
            stands = known and known.confirmed and Place(self._epochs.get(known.stream, ""), known.after)
            yield answer("confirm_history" if known and known.place == stands else "reject_history", asked)
        elif subscribes is not None:
            if known:
                known.confirmed = True
            yield answer("confirm_subscription" if known else "reject_subscription", subscribes)
        else:
            yield '{"type":"pong"}'

    def _denied(self, event: Denied) -> Iterable[str]:
        asked = _ref(event, _SUBSCRIBED)
        gone = [asked] if asked is not None else []
        if event.code == "forbidden":
            gone += [each.identifier for each in self._of_streams() if each.stream == event.stream and each.confirmed]
        for identifier in dict.fromkeys(gone):
            if known := self._subscriptions.pop(identifier, None):
                self._forget(known)
                yield answer("reject_subscription", identifier)
        if asked is None:
            yield from self._controlled(event)

    def _error(self, event: Error) -> Iterable[str]:
        stream = _ref(event, _UNFOLLOWED)
        asked = self._subscriptions.get(_ref(event, _SUBSCRIBED) or "")
        if asked is not None and not self._listeners.get(asked.stream):
            self._wishes.pop(asked.stream, None)  # it may come back from elsewhere
        # The connection follows fewer; the rest are some that were refused before they were followed.
        if stream is not None and len(self._left) < SUBSCRIPTIONS:
            self._left.add(stream)
        yield from self._controlled(event)

    def _reauth_required(self, event: ReauthRequired) -> Iterable[str]:
        self._heeded = False
        yield from self._controlled(event)

    def _reauthenticated(self, event: Reauthenticated) -> Iterable[str]:
        yield from self._controlled(event)
        self._heed()

    def _bye(self, event: Bye) -> Iterable[str]:
        yield disconnect(event, refreshes=self._refreshes)

    def _controlled(self, event: Any) -> Iterable[str]:
        """Said to whoever has subscribed to that, else by itself."""
        ref = getattr(event, "ref", UNSET)
        if ref is not UNSET:
            event = replace(event, ref=ref[1:])
        spelled = control(event)
        listeners = [each for each in self._subscriptions.values() if each.channel.name == CONTROL and each.confirmed]
        return [f"{each.before}{spelled}}}" for each in listeners] or [bare(spelled)]

    def _nothing(self, _: Event) -> Iterable[str]:
        return ()


_SAY: Final[dict[type, Callable[[ActionCableCodec, Any], Iterable[str]]]] = {
    Welcome: ActionCableCodec._welcome,
    Subscribed: ActionCableCodec._subscribed,
    Unsubscribed: ActionCableCodec._nothing,  # there is no answer
    CaughtUp: ActionCableCodec._caught_up,
    Reset: ActionCableCodec._reset,
    Pong: ActionCableCodec._pong,
    Denied: ActionCableCodec._denied,
    Error: ActionCableCodec._error,
    ReauthRequired: ActionCableCodec._reauth_required,
    Reauthenticated: ActionCableCodec._reauthenticated,
    Bye: ActionCableCodec._bye,
}


def _place_in(said: Frame, known: _Subscription) -> Place | None:
    """Where the client was in the stream, as its frame or else its identifier has it."""
    place = said.history.streams.get(known.stream) if said.history else None
    return place if place and place.since else known.channel.place


def _ref(event: Any, kind: str) -> str | None:
    """What stands behind the mark of this kind in the ref of an event."""
    return event.ref[1:] if event.ref is not UNSET and event.ref[0] == kind else None
