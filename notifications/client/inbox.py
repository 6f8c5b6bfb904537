"""What was heard and not read yet. Bounded, whoever does not read: pure data, no I/O.

Notifications with a number need no bound here, because the server stops at its window; of everything else there is only
so much room. A push without a number is lost for whoever has no room, as it is for whoever has a full window. Of
changes only the fact is kept, as the server does where it lost the details.
"""

from collections import deque
from typing import Final

from ..wire.vocabulary import CaughtUp, Notification, Skipped, Welcome
from .spelling import Denied, Reset, StateChanged, Subscribed

Event = Welcome | Notification | Skipped | CaughtUp | Reset | StateChanged | Subscribed | Denied
"""What a reader is told, in this order."""

ROOM: Final = 64
"""As many as a window has. Whoever has more unread is not connected anew before they have read."""


class Inbox:
    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self.pushes_dropped = 0

    def __len__(self) -> int:
        return len(self._events)

    @property
    def is_full(self) -> bool:
        return len(self._events) >= ROOM

    def put(self, event: Event) -> None:
        match event:
            case Notification(seq=None) if self.is_full:
                self.pushes_dropped += 1
            case StateChanged() if self.is_full:
                self._note(event)
            case Skipped() if self._follows_one_of(event.stream):
                self._events[-1] = event
            case _:
                self._events.append(event)

    def take(self) -> Event | None:
        """The oldest; None if there is none."""
        return self._events.popleft() if self._events else None

    def forget(self, stream: str) -> None:
        """Nobody wants to hear of it any more."""
        self._events = deque(event for event in self._events if getattr(event, "stream", None) != stream)

    def _follows_one_of(self, stream: str) -> bool:
        last = self._events[-1] if self._events else None
        return isinstance(last, Skipped) and last.stream == stream

    def _note(self, event: StateChanged) -> None:
        """In place of the last change that waits."""
        for index in range(len(self._events) - 1, -1, -1):
            if isinstance(self._events[index], StateChanged):
                self._events[index] = event.without_details()
                return
        self._events.append(event)
