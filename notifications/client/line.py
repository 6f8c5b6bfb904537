"""One socket, from its welcome to its end: acks, and whether the other side is still there. Pure: no I/O, no clock.

What a frame means, and what comes after the end, is `connection.py`'s to know.
"""

from math import ceil, inf
from typing import Final

from ..wire.vocabulary import Welcome

# "Send it when 32 notifications are un-acked, else 5 s after the oldest."
ACK_AT: Final = 32
ACK_AFTER: Final = 5.0

ANSWER: Final = 10.0
"""How long the answer to a ping may take before the line is called dead."""
LATE: Final = 2.0
"""Whoever looks so much later than asked was held up itself, and may have the answer unread."""

Sending = list[dict[str, object]]


class Line:
    def __init__(self, welcome: Welcome, now: float) -> None:
        self._ping_every = max(1.0, welcome.ping_seconds)
        self._ack_at = max(1, min(ACK_AT, ceil(welcome.window / 2)))  # before a small window is full

        self._heard_at = now
        self._asked_at: float | None = None
        """When the ping was sent that nothing has been heard since."""

        self._unacked = 0
        self._oldest_at = inf
        self._last = 0

    @property
    def wake_at(self) -> float:
        """When `due` must be called at the latest."""
        return min(self._look_at, self._oldest_at + ACK_AFTER)

    @property
    def _look_at(self) -> float:
        return self._heard_at + self._ping_every if self._asked_at is None else self._asked_at + ANSWER

    def heard(self, now: float) -> None:
        """A frame came, whatever it says."""
        self._heard_at = now
        self._asked_at = None

    def took(self, seq: int, now: float) -> Sending:
        """The notification of this number was given to the reader: only that is acked, so that the window fills up
        for one who does not read."""
        self._last = seq
        self._unacked += 1
        self._oldest_at = min(self._oldest_at, now)
        return self._ack() if self._unacked >= self._ack_at else []

    def due(self, now: float) -> Sending | None:
        """What time alone brings about; None: nobody is there any more."""
        sending: Sending = []
        if now >= self._look_at:
            if self._asked_at is None or now - self._look_at > LATE:
                self._asked_at = now
                sending.append({"type": "ping"})
            else:
                return None
        if now >= self._oldest_at + ACK_AFTER:
            sending += self._ack()
        return sending

    def forget(self) -> None:
        """The numbers were started anew: what was un-acked is nobody's business any more."""
        self._unacked, self._oldest_at = 0, inf

    def _ack(self) -> Sending:
        self.forget()
        return [{"type": "ack", "seq": self._last}]
