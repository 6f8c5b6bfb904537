"""
The log of topics: what `store` is for people, where one writes and many read.

A row is written in the caller's own transaction and without a number; numbers are given after the commit, under the
lock of the topic's row, in the order in which the rows were made. So they are gapless, and nobody waits for a
transaction of somebody else.
"""

import contextlib
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import BigIntegerField, Exists, F, Min, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Greatest

from . import figures
from .conf import conf
from .models import Outbox, Topic, TopicNotification, new_epoch
from .store import DEDUP_LIFE
from .wire import vocabulary
from .wire.doorbell import stream_of_topic
from .wire.streams import Announcement, Page, Position

LATE_AT_ONCE = 100

_NUMBER = BigIntegerField()


def ensure(name: str) -> Topic:
    """The topic, made if nobody spoke there before."""
    topic, _made = Topic.objects.get_or_create(name=name)
    return topic


def insert(row: TopicNotification, *, now: datetime) -> TopicNotification:
    """Write a row that has no number yet; or return the one that its idempotency key was used for within 24 hours."""
    if row.dedup is None:
        row.save(force_insert=True)
        return row
    of_key = TopicNotification.objects.filter(dedup=row.dedup)
    of_key.filter(created_at__lte=now - DEDUP_LIFE).update(dedup=None)
    for _ in range(2):  # whoever had it may give it up meanwhile
        with contextlib.suppress(IntegrityError), transaction.atomic():
            row.save(force_insert=True)
            return row
        if taken := of_key.first():
            return taken
    raise IntegrityError("an idempotency key is taken and given up again and again")


def sequence(names: Collection[str]) -> list[Announcement]:
    """
    Give the next numbers to everything committed and unnumbered of these topics, in order.

    Call it outside any transaction of a caller: the topics stay locked until the surrounding transaction ends.
    """
    announcements: list[Announcement] = []
    for name in sorted(names):
        with transaction.atomic():
            topic, _made = Topic.objects.select_for_update(no_key=True).get_or_create(name=name)
            announcements += _number(topic)
    figures.NUMBERED.add(many=len(announcements))
    return announcements


def _number(topic: Topic) -> list[Announcement]:
    rows = list(TopicNotification.objects.filter(topic=topic.name, seq=None).order_by("pk"))
    for number, row in enumerate(rows, start=topic.head + 1):
        row.seq = number
    if rows:
        TopicNotification.objects.bulk_update(rows, ["seq"], batch_size=500)
        Topic.objects.filter(pk=topic.pk).update(head=topic.head + len(rows))
        if conf.RABBITMQ_URL:
            Outbox.objects.create(topic=topic.name, after=topic.head)
    return [Announcement(topic.epoch, topic.fence, event(row, topic.name)) for row in rows]


def event(row: TopicNotification, name: str) -> vocabulary.Notification:
    """As those who listen are told it."""
    return vocabulary.Notification(
        stream=stream_of_topic(name),
        seq=row.seq,
        id=str(row.pk),
        kind=row.kind,
        level=str(row.level),
        title=row.title,
        body=row.body,
        url=row.url,
        data=row.data,
        created_at=row.created_at,
    )


def position_of(topic: Topic) -> Position:
    return Position(
        stream=stream_of_topic(topic.name),
        epoch=topic.epoch,
        head=topic.head,
        floor=topic.floor,
        fence=topic.fence,
        state_version=0,
    )


def position(name: str) -> Position:
    """Where the topic stands."""
    return position_of(ensure(name))


def fence(name: str) -> int:
    """That of the topic; 0 if there is none yet."""
    return Topic.objects.filter(name=name).values_list("fence", flat=True).first() or 0


def positions(names: Collection[str]) -> list[Position]:
    """Where these topics stand, in one query."""
    return [position_of(topic) for topic in Topic.objects.filter(name__in=names)] if names else []


def late(*, written_before: datetime) -> list[str]:
    """Topics with rows that still have no number: their publisher died after the commit."""
    waiting = TopicNotification.objects.filter(seq=None, created_at__lt=written_before)
    return list(waiting.order_by().values_list("topic", flat=True).distinct()[:LATE_AT_ONCE])


def page(name: str, *, after: int, limit: int, now: datetime) -> Page:
    """What should still be told of a topic after a number: nothing that expired meanwhile."""
    topic = ensure(name)
    position = position_of(topic)
    rows = list(current(name, now=now).filter(seq__gt=after, seq__lte=position.head).order_by("seq")[:limit])
    events = tuple(event(row, name) for row in rows)
    through = rows[-1].seq if len(rows) == limit else position.head
    return Page(position, events, through=through or position.head, after=after)


def listed(
    topic: Topic, *, now: datetime, before: int | None = None, after: int | None = None
) -> QuerySet[TopicNotification]:
    """What a list shows, up to the head that `topic` was read with: newest first; with `after`, oldest first."""
    rows = current(topic.name, now=now).filter(seq__lte=topic.head)
    if before is not None:
        rows = rows.filter(seq__lt=before)
    if after is not None:
        return rows.filter(seq__gt=after).order_by("seq")
    return rows.order_by("-seq")


def current(name: str, *, now: datetime) -> QuerySet[TopicNotification]:
    """The topic's numbered notifications that have not expired."""
    return TopicNotification.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), topic=name, seq__isnull=False)


def number(pk: UUID) -> int | None:
    """What a row has by now."""
    return TopicNotification.objects.filter(pk=pk).values_list("seq", flat=True).first()


def raise_fence(name: str) -> Position:
    """Others may listen than before: everybody who does asks again."""
    Topic.objects.filter(pk=ensure(name).pk).update(fence=F("fence") + 1)
    return position_of(Topic.objects.get(name=name))


def reset_epoch(name: str) -> Position:
    """Declare the topic's numbers void (a restored backup): every client starts from the list again."""
    Topic.objects.filter(name=name).update(epoch=new_epoch())
    return position_of(Topic.objects.get(name=name))


def prune(*, older_than: datetime, keep: int, now: datetime, batch: int = 1_000) -> int:
    """
    As `store.prune`: only ever from the front, and `floor` remembers how far. Topics of which nothing is left go as
    well, for a rule may let anybody listen to any name; whoever speaks there again begins with another epoch.
    """
    removed = 0
    rows = TopicNotification.objects.filter(topic=OuterRef("name"), seq__isnull=False).order_by()
    kept = rows.filter(created_at__gte=older_than).values("topic").annotate(before=Min("seq") - Value(1, _NUMBER))
    by_age = Coalesce(Subquery(kept.values("before"), output_field=_NUMBER), F("head"))
    wanted = Greatest(by_age, F("head") - Value(keep, _NUMBER))
    overfull = Topic.objects.annotate(wanted=wanted).filter(wanted__gt=F("floor")).values_list("name", "wanted")
    for name, floor in overfull.iterator():
        Topic.objects.filter(name=name, floor__lt=floor).update(floor=floor)
        removed += _remove(name, floor, now, batch)
    said = TopicNotification.objects.filter(topic=OuterRef("name"))
    # With its fence a topic would forget that whoever listens is to be asked again.
    empty = Topic.objects.filter(~Exists(said), created_at__lt=older_than, fence=0).order_by()
    while ids := list(empty.values_list("pk", flat=True)[:batch]):
        removed += Topic.objects.filter(~Exists(said), pk__in=ids, fence=0).delete()[0]
    return removed


def _remove(name: str, floor: int, now: datetime, batch: int) -> int:
    removed = 0
    behind = TopicNotification.objects.filter(topic=name, seq__lte=floor)
    behind = behind.filter(Q(dedup=None) | Q(created_at__lte=now - DEDUP_LIFE))
    while ids := list(behind.order_by("seq").values_list("pk", flat=True)[:batch]):
        removed += TopicNotification.objects.filter(pk__in=ids).delete()[0]
    return removed
