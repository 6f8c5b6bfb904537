"""
Authentication in each message: whether a command is proven by the token that it carries. Pure, as `connection` is.

Rules of this file:

* A token that was verified is believed until its end, without another look. Any other one is verified first, one at a
  time; what arrives meanwhile waits behind it, so that commands take effect in the order they were sent.
* A command that carries no token, or one that is over, proves nothing and is not kept.
"""

from enum import Enum
from math import inf
from typing import Final

from ..wire.vocabulary import Vouched

WAITING: Final = 50
"""Commands that may wait for a token to be verified."""


class Proof(Enum):
    """What the token of a command is worth that is not believed."""

    UNKNOWN = "unknown"
    """It has to be verified first; the command waits."""
    WAITS = "waits"
    """Another token is being verified; the command waits."""
    NONE = "none"
    """There is none, or it is over."""
    TOO_MANY = "too_many"
    """Too many wait already; the command is not kept."""


class Prover:
    """Of one connection."""

    __slots__ = ("_asked", "_end", "_token", "_waiting")

    def __init__(self) -> None:
        self._token = ""  # the last one that was verified
        self._end = -inf
        self._asked: str | None = None
        self._waiting: list[Vouched] = []

    def believe(self, token: str, until: float) -> None:
        """It was verified; it is good until then (POSIX seconds)."""
        self._token, self._end = token, until

    def forget(self) -> None:
        """Something happened after which it may not be good any more: it is verified again when it comes again."""
        self._token, self._end = "", -inf

    def believes(self, command: Vouched, now: float) -> bool:
        """Whether the command may be carried out at once."""
        return self._asked is None and bool(command.token) and command.token == self._token and now < self._end

    def judge(self, command: Vouched, now: float) -> Proof:
        """What the token of a command that has just arrived, and is not believed, is worth. If it is to be verified,
        `asked` says which."""
        if command.token is None or (command.token == self._token and now >= self._end):
            return Proof.NONE
        if len(self._waiting) >= WAITING:
            return Proof.TOO_MANY
        self._waiting.append(command)
        if self._asked is not None:
            return Proof.WAITS
        self._asked = command.token
        return Proof.UNKNOWN

    @property
    def asked(self) -> str | None:
        """The token that is being verified."""
        return self._asked

    def settle(self, now: float, *, was_good: bool = False) -> list[tuple[Vouched, bool]]:
        """
        After the answer (`believe` was called if it was good): the commands that waited, in order, each with whether it
        may be carried out. If one waits for yet another token, `asked` names it, and it and what follows waits on; so
        it does for one that was good and has been forgotten since.
        """
        answered, self._asked = self._asked, None
        waiting, self._waiting = self._waiting, []
        settled: list[tuple[Vouched, bool]] = []
        for place, command in enumerate(waiting):
            good = command.token == self._token and now < self._end
            if not good and (was_good or command.token != answered) and command.token != self._token:
                self._asked = command.token
                self._waiting = waiting[place:]
                break
            settled.append((command, good))
        return settled
