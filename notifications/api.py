"""The public face of this room: tell a person something, and mark what they were told.

    from notifications.api import notify
    notify(user, title="Build finished", url="/builds/7/", level="success")

`notify()` writes in your transaction: nothing leaves before you commit, and nothing at all if you roll back. It never
fails or waits because Redis is away. The `a` twins do the same from a coroutine, on the process's database threads
(and so outside any transaction).
"""

import functools
import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from tickets.api import in_thread

from . import fanout, store
from .models import Notification
from .wire.content import Content, InvalidContent, content
from .wire.streams import Change
from .wire.vocabulary import StateChanged

__all__ = [
    "IdempotencyConflict",
    "InvalidContent",
    "Marked",
    "anotify",
    "content",
    "counts",
    "mark",
    "notify",
    "notify_many",
    "publish",
]

logger = logging.getLogger("notifications")

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
    row = _row(_key_of(user), what, idempotency_key, caller, now)
    written = store.insert(row, now=now)
    if written.fingerprint != row.fingerprint:
        raise IdempotencyConflict("This idempotency key was used for another notification.")
    if written.seq is None:
        _after_commit(_number, [written])
    return written


def notify_many(
    users: "QuerySet[Any] | Iterable[Any]", *, idempotency_key: str | None = None, caller: str = "", **what: Any
) -> int:
    """
    Tell everybody in a queryset of users (or an iterable of users or primary keys) the same; returns how many were told
    by this call.

    Memory is bounded: people are taken and written in batches of 500. Outside a transaction each batch is committed,
    and told, by itself: after an error, call again with the same `idempotency_key` to tell exactly the rest.
    """
    said = content(**what)
    now = timezone.now()
    total = 0
    for keys in _batches(users):
        total += _publish_batch(keys, said, idempotency_key, caller, now)
    return total


def _publish_batch(keys: list[Any], said: Content, idempotency_key: str | None, caller: str, now: datetime) -> int:
    # In one order, so that two calls with the same key cannot wait for each other.
    rows = [_row(key, said, idempotency_key, caller, now) for key in sorted(keys)]
    with transaction.atomic():  # a batch with a key that was used for something else is not written at all
        written = store.insert_many(rows, now=now)
        if written is None:
            raise IdempotencyConflict("This idempotency key was used for another notification.")
        _after_commit(_number_people, keys, written)
    return len(written)


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
        chunk[_key_of(user)] = None
        if len(chunk) == BATCH:
            yield list(chunk)
            chunk.clear()
    if chunk:
        yield list(chunk)


def _key_of(user: Any) -> Any:
    key = user.pk if isinstance(user, Model) else user
    if key is None:
        raise ValueError("This user is not saved yet and cannot be told anything.")
    return get_user_model()._meta.pk.to_python(key)  # "5" is told what 5 is told, and on the same stream


def _row(user_id: Any, what: Content, key: str | None, caller: str, now: datetime) -> Notification:
    return Notification(
        user_id=user_id,
        created_at=now,
        kind=what.kind,
        level=what.level,
        title=what.title,
        body=what.body,
        url=what.url,
        data=what.data,
        expires_at=what.expires_at,
        dedup=_dedup(caller, user_id, key) if key is not None else None,
        fingerprint=what.fingerprint() if key is not None else "",
    )


def _dedup(caller: str, user_id: Any, key: str) -> str:
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


def _number(rows: Collection[Notification]) -> None:
    """Give numbers to all that waits for these rows' people, set them on the rows, and tell."""
    numbered = store.sequence({row.user_id for row in rows})
    seqs = {item.id: item.seq for item in numbered}
    for row in rows:
        row.seq = seqs.get(row.pk)
        if row.seq is None:  # somebody numbering for the same person was quicker
            row.refresh_from_db(fields=["seq"])
    fanout.announce(store.announcements(numbered, known=rows))


def _number_people(user_ids: Collection[Any], known: Iterable[Notification] = ()) -> None:
    fanout.announce(store.announcements(store.sequence(user_ids), known=known))


def number_waiting(user_ids: Collection[Any]) -> None:
    """Number and announce what these people were told by somebody who died between the commit and the number."""
    logger.info("Numbering what %d people were told by a publisher that died.", len(user_ids))
    _number_people(user_ids)


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
    user_id = _key_of(user)
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
    return store.counts(_key_of(user), now=now or timezone.now())
