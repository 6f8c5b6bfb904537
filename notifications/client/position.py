from dataclasses import dataclass, replace

from .errors import Misused


@dataclass(frozen=True, slots=True)
class Position:
    """The last number that was heard, and the epoch it belongs to; keep it to resume from there."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        """As the wire spells it."""
        return f"{self.epoch}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """The reverse of `str()`. Raises Misused: a server ends the connection for a position it cannot read."""
        epoch, _, number = text.strip().partition(":")
        digits = number.isascii() and number.isdigit() and len(number) <= 16
        if not (digits and 0 < len(epoch) <= 32 and epoch.isprintable()):
            raise Misused("a position is <epoch>:<number>")
        return cls(epoch, int(number))

    def at(self, seq: int) -> "Position":
        """Never back."""
        return self if seq <= self.seq else replace(self, seq=seq)
