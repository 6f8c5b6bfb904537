"""The public face of this room: tell a person something, mark what they were told, and what they do not want told.

    from notifications.api import notify
    notify(user, title="Build finished", url="/builds/7/", level="success")

`notify()` writes in your transaction: nothing leaves before you commit, and nothing at all if you roll back. It never
fails or waits because Redis is away. The `a` twins do the same from a coroutine, on the process's database threads
(and so outside any transaction).
"""

import contextlib
import functools
import hashlib
import logging
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from tickets.api import in_thread

from . import fanout, store, topic_store, topics
from .ids import uuid7
from .models import Notification, TopicNotification
from .preferences import MayNotMute, TooManyMuted, may_mute, mute, unmute
from .wire.content import Content, InvalidContent, content
from .wire.doorbell import stream_of, stream_of_topic
from .wire.streams import Announcement, Change
from .wire.vocabulary import StateChanged

__all__ = [
    "IdempotencyConflict",
    "InvalidContent",
    "Marked",
    "MayNotMute",
    "Published",
    "TooManyMuted",
    "anotify",
    "content",
    "counts",
    "mark",
    "mute",
    "notify",
    "notify_many",
    "notify_topic",
    "publish",
    "publish_many",
    "publish_topic",
    "unmute",
]

logger = logging.getLogger("notifications")
_told = logging.getLogger("notifications.told")

BATCH = 500
"""People a statement: large enough that statements cost little beside rows, small enough to hold locks briefly."""


class IdempotencyConflict(Exception):
    """The idempotency key was used within 24 hours for the same recipient with other content."""


def notify(user: Any, *, idempotency_key: str | None = None, caller: str = "", **what: Any) -> Notification:
    """
    Tell `user` (a user, or the primary key of one) something.

    Keywords, as checked by `content()`: `title` (required, 200 characters), `body` (4,000), `kind` (your own word for
    the sort of thing, `ci.build`), `level` (`info`, `success`, `warning`, `error`), `url` (http(s), or a path on this
    site), `data` (a JSON object of up to 4 KiB), `expires_at` (aware datetime; after it nobody is told any more).

    `idempotency_key`: repeating the call with the same key, caller and recipient within 24 hours returns the first
    notification. `caller` keeps the keys of several services apart.

    Returns the row; its `seq` is None until the surrounding transaction, if any, has committed.

    Raises:
        InvalidContent: before anything is written, with a sentence for each wrong field.
        IdempotencyConflict: the key was used for other content.
    """
    return publish(user, content(**what), idempotency_key=idempotency_key, caller=caller)


async def anotify(user: Any, **what: Any) -> Notification:
    """`notify()` from a coroutine."""
    return await in_thread(notify, user, **what)


def publish(
    user: Any, what: Content, *, idempotency_key: str | None = None, caller: str = "", now: datetime | None = None
) -> Notification:
    """`notify()` for content that was checked already."""
    now = now or timezone.now()
    user_id = store.user_key(user)
    row = _row(what, idempotency_key, now)
    row.user_id, row.dedup = user_id, _dedup(caller, user_id, idempotency_key)
    written, taken = store.insert(row, [store.Copy(row.id, user_id, row.dedup)], now=now, mutable=may_mute(row.kind))
    _refuse_other_content(row, taken)
    row = _as_saved(row, muted=written[row.id]) if written else taken[0]
    if row.seq is None:
        _after_commit(_number, [row], row, {row.id})
    return row


@dataclass(slots=True, kw_only=True)
class Published:
    """One person's notification, of many with the same content; `seq` is None until it is committed and numbered."""

    id: UUID
    user_id: Any
    seq: int | None = None
    again: bool = False
    """Told before, by a call with the same key."""


def publish_many(
    users: Iterable[Any],
    what: Content,
    *,
    idempotency_key: str | None = None,
    caller: str = "",
    now: datetime | None = None,
) -> list[Published]:
    """
    The same to each of some hundred people (users or primary keys): all or nobody, in one statement, with one more to
    number them. Returns one for each person, in no particular order; whoever was told before has what they were told.
    """
    now = now or timezone.now()
    row = _row(what, idempotency_key, now)
    copies = _copies({store.user_key(user) for user in users}, idempotency_key, caller)
    if not copies:
        return []
    written, taken = _insert(row, copies, now)
    new = [Published(id=copy.id, user_id=copy.user_id) for copy in copies if copy.id in written]
    again = [Published(id=old.id, user_id=old.user_id, seq=old.seq, again=True) for old in taken]
    if waiting := [each for each in (*new, *again) if each.seq is None]:
        _after_commit(_number, waiting, row, written)
    return new + again


def notify_many(
    users: "QuerySet[Any] | Iterable[Any]",
    *,
    idempotency_key: str | None = None,
    caller: str = "",
    progress: Callable[[int], None] | None = None,
    **what: Any,
) -> int:
    """
    Tell everybody in a queryset of users (or an iterable of users or primary keys) the same; returns how many were told
    by this call.

    Memory is bounded: people are taken and written in batches of 500. Outside a transaction each batch is committed,
    numbered and told before the next one is taken: after an error, call again with the same `idempotency_key` to tell
    exactly the rest. Inside one, everything leaves after your commit; until then nothing but the primary keys is
    remembered, some 40 bytes a person.

    `progress` is called after each batch with how many people were gone through, told before or now.
    """
    said = content(**what)
    now = timezone.now()
    told = gone_through = 0
    for keys in _batches(users):
        told += _publish_batch(keys, _row(said, idempotency_key, now), idempotency_key, caller)
        gone_through += len(keys)
        if progress is not None:
            progress(gone_through)
    return told


def notify_topic(topic: str, *, idempotency_key: str | None = None, caller: str = "", **what: Any) -> TopicNotification:
    """
    Tell everybody something who listens to a topic, now or when they come back: see `notifications.topics` for who may.

    Keywords, keys and the transaction are those of `notify()`. Returns the row. Raises `InvalidContent` as well for a
    topic that no rule names: nobody could ever hear of it.
    """
    return publish_topic(topic, content(**what), idempotency_key=idempotency_key, caller=caller)


def publish_topic(
    topic: str,
    what: Content,
    *,
    idempotency_key: str | None = None,
    caller: str = "",
    now: datetime | None = None,
) -> TopicNotification:
    """`notify_topic()` for content that was checked already."""
    if not topics.is_name(topic) or topics.find(topic) is None:
        raise InvalidContent({"topic": "is not a topic that a rule names."})
    now = now or timezone.now()
    row = TopicNotification(topic=topic, **_said(what, idempotency_key, now))
    row.dedup = _dedup(caller, stream_of_topic(topic), idempotency_key)
    kept = topic_store.insert(row, now=now)
    if kept.fingerprint != row.fingerprint:
        raise IdempotencyConflict("This idempotency key was used for another notification.")
    if kept.seq is None:
        _after_commit(_number_topic, kept)
    return kept


def _publish_batch(keys: list[Any], row: Notification, idempotency_key: str | None, caller: str) -> int:
    # What waits for a caller's commit keeps no more than the keys, and is read again then.
    waits = connection.in_atomic_block
    written, _taken = _insert(row, _copies(keys, idempotency_key, caller), row.created_at)
    if waits:
        _after_commit(_number_people, keys)
    else:
        _after_commit(_number_people, keys, row, written)
    return len(written)


def _insert(row: Notification, copies: list[store.Copy], now: datetime) -> tuple[dict[UUID, bool], list[Notification]]:
    """All of a batch or, with a key that was used for something else, none of it."""
    # Without keys it is one statement, which needs no transaction around it.
    with contextlib.nullcontext() if copies[0].dedup is None else transaction.atomic():
        written, taken = store.insert(row, copies, now=now, mutable=may_mute(row.kind))
        _refuse_other_content(row, taken)
    return written, taken


def _copies(keys: Iterable[Any], idempotency_key: str | None, caller: str) -> list[store.Copy]:
    # In one order, so that two calls with the same key cannot wait for each other.
    return [store.Copy(uuid7(), key, _dedup(caller, key, idempotency_key)) for key in sorted(keys)]


def _refuse_other_content(row: Notification, taken: list[Notification]) -> None:
    if any(other.fingerprint != row.fingerprint for other in taken):
        raise IdempotencyConflict("This idempotency key was used for another notification.")


def _batches(users: Any) -> Iterator[list[Any]]:
    if not isinstance(users, QuerySet):
        yield from _chunks(users)
        return
    if users.query.is_sliced or users.query.combinator:
        raise TypeError("notify_many() walks the queryset by primary key: pass it unsliced, and no union of several.")
    # By key and not with .iterator(): no cursor stays open across the commits between the batches, which SQLite answers
    # with "database is locked" as soon as another process writes.
    ordered = users.order_by("pk").values_list("pk", flat=True)
    keys = list(ordered[:BATCH])
    while keys:
        yield list(dict.fromkeys(keys))  # a join may bring somebody more than once
        keys = list(ordered.filter(pk__gt=keys[-1])[:BATCH])


def _chunks(users: Iterable[Any]) -> Iterator[list[Any]]:
    chunk: dict[Any, None] = {}
    for user in users:
        chunk[store.user_key(user)] = None
        if len(chunk) == BATCH:
            yield list(chunk)
            chunk.clear()
    if chunk:
        yield list(chunk)


def _row(what: Content, key: str | None, now: datetime) -> Notification:
    return Notification(**_said(what, key, now))


def _said(what: Content, key: str | None, now: datetime) -> dict[str, Any]:
    return {
        "created_at": now,
        "kind": what.kind,
        "level": what.level,
        "title": what.title,
        "body": what.body,
        "url": what.url,
        "data": what.data,
        "expires_at": what.expires_at,
        "fingerprint": what.fingerprint() if key is not None else "",
    }


def _as_saved(row: Notification, *, muted: bool) -> Notification:
    """What `row.save()` leaves behind, so that saving it again changes the row that was written."""
    row._state.adding, row._state.db = False, connection.alias
    if muted:
        row.seen_at = row.archived_at = row.created_at
    return row


def _dedup(caller: str, user_id: Any, key: str | None) -> str | None:
    if key is None:
        return None
    if not key or len(key) > 200:
        raise InvalidContent({"idempotency_key": "must have 1 to 200 characters."})
    # Lengths in front, so that no two triples are written alike.
    parts = [caller, str(user_id), key]
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


# --- After the commit ---


def _after_commit(fn: Callable[..., None], *args: Any) -> None:
    """
    Robust: what fails here is found by the sync, and the caller's commit stands.

    A function and not a `functools.partial`: when it raises, Django wants its `__qualname__` for the log (seen in 5.2).
    """
    transaction.on_commit(lambda: fn(*args), robust=True)


def _number(waiting: Collection[Notification | Published], said: Notification, among: Container[UUID]) -> None:
    """Give numbers to all that waits for these people, set them on what was waiting, and tell."""
    numbered = _sequence([each.user_id for each in waiting])
    seqs: dict[UUID, int | None] = {item.id: item.seq for item in numbered}
    if late := [each.id for each in waiting if each.id not in seqs]:  # somebody numbering for them was quicker
        seqs |= dict(Notification.objects.filter(pk__in=late).values_list("pk", "seq"))
    for each in waiting:
        each.seq = seqs.get(each.id)
    fanout.announce(store.announcements(numbered, said=said, among=among))


def _number_people(user_ids: Collection[Any], said: Notification | None = None, among: Container[UUID] = ()) -> None:
    fanout.announce(store.announcements(_sequence(user_ids), said=said, among=among))


def _sequence(user_ids: Collection[Any]) -> list[store.Numbered]:
    """Number what waits, and say so in the log: where the trail of a notification begins."""
    numbered = store.sequence(user_ids)
    if numbered and _told.isEnabledFor(logging.INFO):
        alone = len(numbered) == 1 or _told.isEnabledFor(logging.DEBUG)
        for each in numbered if alone else ():
            where = {"notification": each.id, "stream": stream_of(each.user_id), "seq": each.seq}
            _told.info("numbered notification=%(notification)s stream=%(stream)s seq=%(seq)d", where)
        if not alone:
            ids = sorted(each.id for each in numbered)  # which ascend with the time
            _told.info(
                "numbered notifications=%(notifications)d first=%(first)s last=%(last)s",
                {"notifications": len(ids), "first": ids[0], "last": ids[-1]},
            )
    return numbered


def number_waiting(user_ids: Collection[Any]) -> None:
    """Number and announce what these people were told by somebody who died between the commit and the number."""
    logger.info("Numbering what %d people were told by a publisher that died.", len(user_ids))
    _number_people(user_ids)


def _number_topic(row: TopicNotification) -> None:
    announcements = topic_store.sequence([row.topic])
    numbers = {UUID(each.event.id): each.seq for each in announcements}
    row.seq = numbers[row.pk] if row.pk in numbers else topic_store.number(row.pk)
    _tell_topics(announcements)


def number_late_topics(*, written_before: datetime) -> None:
    """Number and announce what was said on topics by somebody who died between the commit and the number."""
    if names := topic_store.late(written_before=written_before):
        logger.info("Numbering what was said on %d topics by a publisher that died.", len(names))
        _tell_topics(topic_store.sequence(names))


def _tell_topics(announcements: list[Announcement]) -> None:
    if announcements:
        fanout.announce(announcements)
    for each in announcements:
        where = {"notification": each.event.id, "stream": each.stream, "seq": each.seq}
        _told.info("numbered notification=%(notification)s stream=%(stream)s seq=%(seq)d", where)


# --- Seen, read, archived ---


@dataclass(frozen=True, slots=True)
class Marked:
    """`meant`: notifications of the person that the call named; `changed`: those that were in another state before."""

    meant: int
    changed: int
    change: Change
    """With the state's version after the call; inside a transaction, the one before it."""


def mark(
    user: Any,
    *,
    state: str,
    ids: Collection[UUID] | None = None,
    through: int | None = None,
    now: datetime | None = None,
) -> Marked:
    """
    Set `state` (`seen`, `read`, `unread`, `archived`, `unarchived`) on the person's notifications: `ids`, or all
    `through` a number. Other people's ids mean nothing. Every live connection of the person is told.
    """
    if (ids is None) == (through is None):
        raise TypeError("mark() takes exactly one of ids and through")
    now = now or timezone.now()
    user_id = store.user_key(user)
    apply = functools.partial(store.mark, user_id, state=state, ids=ids, through=through, now=now)
    named = functools.partial(_change, user_id, state, ids, through, now)
    if connection.in_atomic_block:  # the stream must not be locked while somebody else's transaction is open
        meant, changed = apply()
        if changed:
            _after_commit(lambda: fanout.announce_change(named(raised=True)))
        return Marked(meant, changed, named(raised=False))
    with transaction.atomic():
        meant, changed = apply()
        change = named(raised=bool(changed))
    if changed:
        fanout.announce_change(change)
    return Marked(meant, changed, change)


def _change(
    user_id: Any, state: Any, ids: Collection[UUID] | None, through: int | None, now: datetime, *, raised: bool
) -> Change:
    position = store.raise_state_version(user_id) if raised else store.peek(user_id)
    unread, unseen = store.counts(user_id, now=now)
    named: dict[str, Any] = {"ids": [str(pk) for pk in ids]} if ids is not None else {"through": through}
    event = StateChanged(state=state, state_version=position.state_version, unread=unread, unseen=unseen, **named)
    return Change(position.stream, position.fence, event)


def counts(user: Any, *, now: datetime | None = None) -> tuple[int, int]:
    """(unread, unseen) of a person, archived and expired ones not counted."""
    return store.counts(store.user_key(user), now=now or timezone.now())
