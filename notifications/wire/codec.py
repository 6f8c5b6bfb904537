"""What every codec is: the one seam between the vocabulary and a protocol's spelling."""

from typing import Protocol

from .vocabulary import AnyCommand, Event


class BadFrame(Exception):
    """
    The peer sent something that is not a command. The connection answers with an `error` and counts it.

    `code` is one of `malformed` (not one JSON object), `unknown_type`, `invalid` (a field), `too_big`.
    """

    def __init__(self, code: str, detail: str, *, ref: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.ref = ref


class Codec(Protocol):
    """Spells events and reads commands. May keep state (a parser), so a connection has one of its own."""

    @property
    def subprotocol(self) -> str:
        """What the handshake agrees on."""

    def decode(self, frame: str | bytes) -> list[AnyCommand]:
        """The commands that this frame completes, in order; raises BadFrame."""

    def encode(self, event: Event) -> str | None:
        """The frame, or None where the protocol has no word for the event."""
