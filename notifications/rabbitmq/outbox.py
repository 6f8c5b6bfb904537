"""
What the message broker is still to be told, stream by stream.

Rules of this file:

* Numbering notes each stream in the outbox, in one transaction with the numbers: nothing with a number is forgotten.
* Who takes a stream holds the row of how far the broker has it until the broker has confirmed: so any number of relays
  may run, and of one stream nothing is said before what came before it. (SQLite has no such locks; there, two relays
  say everything twice, each in order.)
* What is noted is read before the log is: notes that come meanwhile stay for the next time.
* Of each stream as much is read as of the others: nobody waits for the one who is far behind.
* Nothing is moved or forgotten unless `deliver` has returned. What was said, and not moved because its relay died or
  the database did, is said again: at least once, and known by epoch and number.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from .. import api, store, topic_store
from ..models import Notification, Outbox, Relayed, TopicNotification
from ..wire import vocabulary
from ..wire.doorbell import stream_of, stream_of_topic
from ..wire.streams import Position

AT_ONCE: Final = 500
"""Notes, and notifications: what is said twice after a death, and how many confirmations are waited for together."""

HELD_SECONDS: Final = 30
"""How long streams may be with a relay that does nothing (a frozen machine) before others have them: more than
`deliver` takes."""

LATE: Final = timedelta(seconds=1)
"""A publisher that lives has given the number by then."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A notification for the broker."""

    epoch: str
    event: vocabulary.Notification
    expires_at: datetime | None


@dataclass(slots=True)
class _Stream:
    """One that was noted. `key`: the person, or the topic; `after`: everything noted is beyond this number."""

    key: Any
    is_topic: bool
    after: int
    notes: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return stream_of_topic(self.key) if self.is_topic else stream_of(self.key)


@dataclass(slots=True)
class _Taken:
    """One that is this relay's for now: how far the broker has it, and how far it will have it."""

    stream: _Stream
    row: Relayed
    position: Position | None  # None: it is gone
    through: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all is read that was noted."""
        return self.position is None or self.through >= self.position.head

    def part(self) -> Q:
        """What is to be said of it now."""
        key = {"topic" if self.stream.is_topic else "user_id": self.stream.key}
        return Q(**key, seq__gt=self.row.seq, seq__lte=self.through)


def relay(deliver: Callable[[Sequence[Parcel]], None], *, now: datetime | None = None) -> int:
    """
    Hand over what waits, some hundreds at most, in the order of each stream; how much that was, and -1 if nothing
    waited. `deliver` returns when the broker has confirmed it all, or raises.
    """
    noted = _noted()
    if not noted:
        return -1
    fresh = [Relayed(stream=each.name, epoch="", seq=each.after) for each in sorted(noted, key=attrgetter("name"))]
    Relayed.objects.bulk_create(fresh, ignore_conflicts=True)
    # On SQLite it would hold the only lock that there is, which everybody needs who writes.
    holds = connection.features.has_select_for_update_skip_locked
    with transaction.atomic() if holds else contextlib.nullcontext():
        _let_go_in_time()
        taken = _take(noted)
        parcels = _read(taken, now or timezone.now())
        if parcels:
            deliver(parcels)
        _settle(taken)
    return len(parcels)


def _let_go_in_time() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{HELD_SECONDS}s'")


def _noted() -> list[_Stream]:
    """The streams that have waited longest, with what was noted of them, as far as that has."""
    found: dict[tuple[Any, str], _Stream] = {}
    notes = Outbox.objects.order_by("pk").values_list("pk", "user_id", "topic", "after")
    for pk, user_id, topic, after in notes[:AT_ONCE]:
        stream = found.setdefault((user_id, topic), _Stream(topic or user_id, bool(topic), after))
        stream.after = min(stream.after, after)
        stream.notes.append(pk)
    return list(found.values())


def _take(noted: Sequence[_Stream]) -> list[_Taken]:
    """Those that no other relay has."""
    rows = Relayed.objects.filter(stream__in=[each.name for each in noted]).order_by("stream")
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    free = {row.stream: row for row in rows}
    streams = [each for each in noted if each.name in free]
    positions = store.positions([each.key for each in streams if not each.is_topic])
    positions |= {each.stream: each for each in topic_store.positions([each.key for each in streams if each.is_topic])}
    share = max(1, AT_ONCE // max(1, len(streams)))
    return [_begin(each, free[each.name], positions.get(each.name), share) for each in streams]


def _begin(stream: _Stream, row: Relayed, position: Position | None, share: int) -> _Taken:
    """Where to go on. What is new begins where it was noted first, a new epoch anew: its numbers are others."""
    if position is None:
        return _Taken(stream, row, None, row.seq)
    if row.epoch != position.epoch:
        row.seq = 0 if row.epoch else row.seq
        row.epoch = position.epoch
    row.seq = max(row.seq, position.floor)  # what retention has removed nobody can be told
    return _Taken(stream, row, position, min(position.head, row.seq + share))


def _read(taken: Sequence[_Taken], now: datetime) -> list[Parcel]:
    """What is numbered in these parts; nothing that has expired or was archived."""
    epochs = {each.stream.name: each.row.epoch for each in taken}
    unexpired = Q(expires_at=None) | Q(expires_at__gt=now)
    people = [each.part() for each in taken if each.row.seq < each.through and not each.stream.is_topic]
    topics = [each.part() for each in taken if each.row.seq < each.through and each.stream.is_topic]
    rows: list[tuple[Any, vocabulary.Notification]] = []
    if people:
        told = Notification.objects.filter(unexpired, _any_of(people), archived_at=None).order_by("user_id", "seq")
        rows += [(row, store.event(row)) for row in told]
    if topics:
        said = TopicNotification.objects.filter(unexpired, _any_of(topics)).order_by("topic", "seq")
        rows += [(row, topic_store.event(row, row.topic)) for row in said]
    return [Parcel(epochs[event.stream], event, row.expires_at) for row, event in rows]


def _settle(taken: Sequence[_Taken]) -> None:
    """Write down how far the broker has them, and forget what was noted of those that it has whole."""
    for each in taken:
        each.row.seq = max(each.row.seq, each.through)
    Relayed.objects.bulk_update([each.row for each in taken], ["epoch", "seq"])
    Outbox.objects.filter(pk__in=[note for each in taken if each.is_whole for note in each.stream.notes]).delete()


def _any_of(conditions: Iterable[Q]) -> Q:
    return Q(*conditions, _connector=Q.OR)


def number_late(*, now: datetime | None = None) -> None:
    """
    Number what publishers left who died between the commit and the number. Hubs do so for whoever listens there, of
    topics only while somebody does; where only the broker listens, this has to.
    """
    before = (now or timezone.now()) - LATE
    _positions, people = store.look([], unnumbered_before=before)
    if people:
        api.number_waiting(people)
    api.number_late_topics(written_before=before)


def oldest() -> datetime | None:
    """Since when what has waited longest does."""
    return Outbox.objects.order_by("pk").values_list("noted_at", flat=True).first()
