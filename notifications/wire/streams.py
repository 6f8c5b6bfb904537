"""The plain data that crosses between the database, the hub and a connection. No Django, no I/O."""

from dataclasses import dataclass, field

from .vocabulary import Notification, StateChanged


@dataclass(frozen=True, slots=True)
class Position:
    """
    Where a stream stands, read in one statement.

    `head` is the last number given, `floor` the last number that retention removed (0: none). `fence` counts the ends
    of the person's sessions, `state_version` the changes of seen/read/archived. Numbers of another `epoch` mean
    nothing.
    """

    stream: str
    epoch: str
    head: int
    floor: int
    fence: int
    state_version: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What a connection needs to know of its person's stream before it can say `welcome`."""

    position: Position
    unread: int
    unseen: int


@dataclass(frozen=True, slots=True)
class Announcement:
    """A numbered notification, with the epoch and the fence it was numbered under."""

    epoch: str
    fence: int
    event: Notification
    numbered_at: float = field(default=0.0, compare=False)
    """POSIX seconds by the clock of whoever numbered it, to tell how long it took; 0: not known."""

    @property
    def stream(self) -> str:
        return self.event.stream

    @property
    def seq(self) -> int:
        if self.event.seq is None:
            raise ValueError("a transient push is never announced")
        return self.event.seq


@dataclass(frozen=True, slots=True)
class Page:
    """
    A piece of a stream after some number: `events` in order, and nothing else exists up to `through`.

    `position` was read before the events, which are bounded by its head: so no number up to `through` can still be on
    its way, and none of the events was numbered under a newer fence than `position.fence`.
    """

    position: Position
    events: tuple[Notification, ...]
    through: int
    after: int | None = None
    """The number that was asked for."""


@dataclass(frozen=True, slots=True)
class Change:
    """Somebody set the state of notifications of this stream."""

    stream: str
    fence: int
    event: StateChanged
