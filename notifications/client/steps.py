"""What a connection asks its surroundings to do. Each is carried out in order; none is waited for."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from .errors import ClientError

Purpose = Literal["connect", "reauth"]


@dataclass(frozen=True, slots=True)
class FetchTicket:
    """Get a ticket; answered by `ticketed` or `ticket_failed`, with the same purpose."""

    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a socket; answered by `received` for each frame and, at last, by `ended`."""

    url: str
    protocols: tuple[str, ...]

    def __repr__(self) -> str:  # one of the protocols is the ticket
        return f"Dial({self.url!r}, …)"


@dataclass(frozen=True, slots=True)
class Send:
    """Say this. `vouched`: with the access token in it (docs/wire.md, rule 8)."""

    frame: dict[str, object]
    vouched: bool = False

    def __repr__(self) -> str:  # a `reauth` carries a ticket
        return f"Send({self.frame['type']!r})"


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the socket or give up whatever is under way for it, and hear no more of it."""


class StateName(StrEnum):
    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    """A back-off, until the next attempt."""
    PAUSED = "paused"
    """There is no point in hearing more before what was heard is read."""
    UNAUTHORIZED = "unauthorized"
    """The person must sign in."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class StateChange:
    """`code` and `reason` as in docs/wire.md, where the server said why; `error` where an attempt failed."""

    state: StateName
    seconds: float = 0.0
    """Until the next attempt."""
    code: int | None = None
    reason: str = ""
    error: ClientError | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    """The state is another."""

    change: StateChange


Step = FetchTicket | Dial | Send | Drop | Tell


@dataclass(frozen=True, slots=True)
class Ticket:
    """What `POST /api/tickets/` answers."""

    ticket: str
    url: str
    protocols: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Ticket({self.url!r}, …)"
