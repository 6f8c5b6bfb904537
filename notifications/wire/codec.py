"""What every codec is: the one seam between the vocabulary and a protocol's spelling."""

from collections.abc import MutableSequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from .closing import CloseCode
from .vocabulary import AnyCommand, Event


class BadFrame(Exception):
    """
    The peer sent something that is not a command. The connection answers with an `error` and counts it.

    `code` is one of `malformed` (not one JSON object), `unknown_type`, `invalid` (a field), `too_big`. `ends`: the
    protocol has no way to go on after it.
    """

    def __init__(self, code: str, detail: str, *, ref: str | None = None, ends: bool = False) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.ref = ref
        self.ends = ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How clients of a protocol behave, whoever they are."""

    follows: bool = False
    """They ask for their person's own stream as well (`Follow` without a topic), and hear nothing of it before."""
    vouches: bool = True
    """They can carry a token in each frame, where the site asks for that."""


class Codec(Protocol):
    """
    Spells events and reads commands. May keep state (a parser, who subscribed to what), so a connection has one of its
    own. It never waits, knows no clock, and raises nothing but `BadFrame`, and that only from `decode`.
    """

    @property
    def subprotocol(self) -> str:
        """What the handshake agrees on."""

    @property
    def manner(self) -> Manner: ...

    @property
    def outbox(self) -> MutableSequence[str] | tuple[()]:
        """Frames that are said beside the one that `encode` returned, after it; or after a `decode`, before its
        commands are carried out (answers to what is no command). Whoever sends them empties it."""

    @property
    def due(self) -> MutableSequence[AnyCommand] | tuple[()]:
        """Commands that came too early, and are to be carried out now. Whoever does that empties it."""

    @property
    def over(self) -> CloseCode | None:
        """Why the connection is to end once all this was said, if the protocol wants that: after an error frame."""

    @property
    def beat_seconds(self) -> float:
        """How often `beat` is to be said from now on; infinity for never. May change with every frame."""

    def carried(self, carrier: str) -> None:
        """Told once, before anything else: where the handshake carried its credential (`tickets.api.Admission`)."""

    def beat(self, now: float) -> str:
        """The frame that shows that the line is alive, at this moment (POSIX seconds)."""

    def decode(self, frame: str | bytes) -> list[AnyCommand]:
        """The commands that this frame completes, in order; raises BadFrame."""

    def encode(self, event: Event) -> str | None:
        """The frame, or None where the protocol has no word for the event."""


class Simple:
    """What a codec is that says nothing by itself."""

    manner = Manner()
    outbox: tuple[()] = ()
    due: tuple[()] = ()
    over: CloseCode | None = None
    beat_seconds = inf

    def carried(self, carrier: str) -> None:
        pass

    def beat(self, now: float) -> str:
        raise NotImplementedError
