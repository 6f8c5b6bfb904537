"""Who subscribed to what on one STOMP connection, how far each was told and has acked. Plain state, no spelling.

Rules of this file:

* A message is known by `<number>-<seq>`: the subscription's number and the notification's. After a reset, where numbers
  begin anew, a subscription gets another number, so that an old ack acks nothing new.
* Of several subscriptions to one destination the slowest that acks decides what is acked.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final, Literal

from .doorbell import topic_of

OWN: Final = "/user/queue/notifications"
CONTROL: Final = "/user/queue/control"
TOPIC: Final = "/topic/"

AckMode = Literal["auto", "client", "client-individual"]

OPEN: Final = 1_024
"""Messages of one subscription that are remembered as told and not acked. No window is greater."""

_MARK: Final = re.compile(r"([0-9]{1,9})-(x?)([0-9]{1,16})\Z", re.ASCII)


def destination_of(stream: str) -> str:
    """Where what a stream says is subscribed to."""
    topic = topic_of(stream)
    return OWN if topic is None else TOPIC + topic


def topic_at(destination: str) -> str | None:
    """The topic; None for the person's own stream."""
    return destination.removeprefix(TOPIC) if destination.startswith(TOPIC) else None


class UnknownMessage(Exception):
    """An ack of what was never said."""


@dataclass(slots=True)
class Subscription:
    """`spelled`: its id as the client wrote it, None without one (1.0)."""

    number: int
    destination: str
    spelled: str | None
    mode: AckMode
    last: int = 0
    """The last number that it was told."""
    _through: int = 0
    _open: list[int] = field(default_factory=list)  # told and not acked, ascending: client-individual

    @property
    def acks(self) -> bool:
        return self.mode != "auto"

    @property
    def through(self) -> int:
        """Everything up to this number is acked."""
        if self.mode == "client":
            return self._through
        return self._open[0] - 1 if self._open else self.last

    def begin(self, seq: int) -> None:
        """What follows comes after this number."""
        self.last = self._through = seq
        self._open.clear()

    def told(self, seq: int) -> None:
        self.last = seq
        if self.mode == "client-individual":
            self._open.append(seq)
            del self._open[:-OPEN]  # beside one that acks nothing, it may itself leave everything unacked

    def acked(self, seq: int) -> None:
        if seq > self.last:
            raise UnknownMessage
        if self.mode == "client":
            self._through = max(self._through, seq)
        else:
            place = bisect_left(self._open, seq)
            if self._open[place : place + 1] == [seq]:
                del self._open[place]


@dataclass(slots=True)
class Place:
    """Where a destination is: the stream, and the last number that was said or skipped."""

    stream: str
    epoch: str
    seq: int
    acked: int
    """As far as the connection was told."""

    @property
    def position(self) -> str:
        return f"{self.epoch}:{self.seq}"


class Subscriptions:
    """Of one connection. `key` is the subscription's id, or the destination of one without (1.0)."""

    __slots__ = ("_by_key", "_by_number", "_last_number", "_of", "places")

    def __init__(self) -> None:
        self._by_key: dict[str, Subscription] = {}
        self._by_number: dict[int, Subscription] = {}
        self._of: dict[str, list[Subscription]] = {}
        self._last_number = 0
        self.places: dict[str, Place] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def to(self, destination: str) -> list[Subscription]:
        return self._of.get(destination, [])

    def add(self, key: str, destination: str, spelled: str | None, mode: AckMode) -> Subscription:
        subscription = Subscription(self._next_number(), destination, spelled, mode)
        self._by_key[key] = self._by_number[subscription.number] = subscription
        self._of.setdefault(destination, []).append(subscription)
        return subscription

    def remove(self, key: str) -> Subscription | None:
        subscription = self._by_key.pop(key, None)
        if subscription is not None:
            del self._by_number[subscription.number]
            rest = self._of[subscription.destination]
            rest.remove(subscription)
            if not rest:
                del self._of[subscription.destination]
                self.places.pop(subscription.destination, None)
        return subscription

    def forget(self, destination: str) -> None:
        """All of a destination."""
        for key in [key for key, each in self._by_key.items() if each.destination == destination]:
            self.remove(key)

    def begin(self, key: str, stream: str, epoch: str, seq: int) -> None:
        """The answer to a subscription. The place is that of all subscriptions to the destination."""
        subscription = self._by_key.get(key)
        # Its id may have been given up meanwhile, and be another subscription's by now.
        if subscription is not None and subscription.destination == destination_of(stream):
            subscription.begin(seq)
            if subscription.destination not in self.places:
                self.places[subscription.destination] = Place(stream, epoch, seq, seq)

    def move(self, stream: str, seq: int) -> None:
        """Numbers up to `seq` were said or skipped."""
        place = self.places.get(destination_of(stream))
        if place is not None:
            place.seq = seq

    def restart(self, stream: str, epoch: str, seq: int) -> None:
        """The numbers begin anew."""
        destination = destination_of(stream)
        if destination in self.places:
            self.places[destination] = Place(stream, epoch, seq, seq)
            for subscription in self.to(destination):
                del self._by_number[subscription.number]
                subscription.number = self._next_number()
                self._by_number[subscription.number] = subscription
                subscription.begin(seq)

    def acked(self, mark: str) -> tuple[str, int] | None:
        """
        A message was acked: the stream and the number up to which that acks it, if it does.

        What needs no ack may be acked, and what was unsubscribed or reset meanwhile. Raises UnknownMessage.
        """
        found = _MARK.match(mark)
        if found is None or int(found[1]) > self._last_number:
            raise UnknownMessage
        subscription = self._by_number.get(int(found[1]))
        if subscription is None or found[2] or not subscription.acks:
            return None
        subscription.acked(int(found[3]))
        return self.due(subscription.destination)

    def due(self, destination: str) -> tuple[str, int] | None:
        """The ack that has become due by what all subscriptions to it have acked."""
        place = self.places.get(destination)
        throughs = [each.through for each in self.to(destination) if each.acks]
        if place is None or not throughs or min(throughs) <= place.acked:
            return None
        place.acked = min(throughs)
        return place.stream, place.acked

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number
