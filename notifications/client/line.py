"""One socket, from its welcome to its end: acks, and whether the other side is still there. Pure: no I/O, no clock.

What a frame means, and what comes after the end, is `connection.py`'s to know.
"""

from math import ceil, inf
from typing import Final

from ..wire.vocabulary import Welcome

# "Send it when 32 notifications are un-acked, else 5 s after the oldest."
ACK_AT: Final = 32
ACK_AFTER: Final = 5.0

# Of acks that release little the server hears 20 a second, so of many streams some have to wait for their turn.
SMALL_ACKS: Final = 8
SMALL_ACKS_EVERY: Final = 0.5

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
        self._waiting: dict[str, tuple[int, int]] = {}
        """The last number and how many, by their streams; the person's own is ""."""
        self._small_acks = 0
        self._small_since = -inf
        self._ack_again_at = inf

    @property
    def wake_at(self) -> float:
        """When `due` must be called at the latest."""
        return min(self._look_at, self._ack_due_at)

    @property
    def _ack_due_at(self) -> float:
        return min(self._oldest_at + ACK_AFTER, self._ack_again_at) if self._unacked else inf

    @property
    def _look_at(self) -> float:
        return self._heard_at + self._ping_every if self._asked_at is None else self._asked_at + ANSWER

    def heard(self, now: float) -> None:
        """A frame came, whatever it says."""
        self._heard_at = now
        self._asked_at = None

    def took(self, seq: int, now: float, stream: str = "") -> Sending:
        """The notification of this number was given to the reader: only that is acked, so that the window fills up
        for one who does not read. `stream`: if it is a topic's."""
        self._waiting[stream] = seq, self._waiting.get(stream, (0, 0))[1] + 1
        self._unacked += 1
        self._oldest_at = min(self._oldest_at, now)
        return self._ack(now) if self._unacked >= self._ack_at else []

    def due(self, now: float) -> Sending | None:
        """What time alone brings about; None: nobody is there any more."""
        sending: Sending = []
        if now >= self._look_at:
            if self._asked_at is None or now - self._look_at > LATE:
                self._asked_at = now
                sending.append({"type": "ping"})
            else:
                return None
        if now >= self._ack_due_at:
            sending += self._ack(now)
        return sending

    def forget(self, stream: str = "") -> None:
        """Its numbers were started anew, or nobody listens any more: what was un-acked is nobody's business."""
        self._unacked -= self._waiting.pop(stream, (0, 0))[1]
        if not self._unacked:
            self._oldest_at = self._ack_again_at = inf

    def _ack(self, now: float) -> Sending:
        """Those first that make the most room in the window."""
        sending: Sending = []
        for stream, (seq, count) in sorted(self._waiting.items(), key=lambda item: -item[1][1]):
            if not self._may_ack(count, now):
                break
            sending.append({"type": "ack", "seq": seq} | ({"stream": stream} if stream else {}))
            self.forget(stream)
        if self._unacked:
            self._oldest_at, self._ack_again_at = inf, self._small_since + SMALL_ACKS_EVERY
        return sending

    def _may_ack(self, count: int, now: float) -> bool:
        if count * 2 >= self._ack_at:
            return True  # always heard
        if now >= self._small_since + SMALL_ACKS_EVERY:
            self._small_since, self._small_acks = now, 0
        self._small_acks += 1
        return self._small_acks <= SMALL_ACKS
