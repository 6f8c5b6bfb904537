"""Every query of the log.

The rules that make a number mean something:

* Numbers are given after the commit of the row they number, in one short statement (PostgreSQL) or one short
  transaction (SQLite) of their own. Nothing of a caller's open transaction ever holds a stream.
* Locks are taken in one order everywhere: rows without a number by id, then streams by person.
* Whoever numbers for a person numbers all committed rows of that person, oldest first. So the calls of one thread keep
  their order even if the number of the first one had to wait (its process died, its database blinked).
* A reader takes the head first and then rows up to that head: no number up to it can still be on its way.
"""

import contextlib
import functools
import time
from collections.abc import Collection, Container, Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, connections, transaction
from django.db.models import (
    BigIntegerField,
    Count,
    DateTimeField,
    F,
    Min,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    UUIDField,
    Value,
)
from django.db.models.functions import Coalesce, Greatest

from tickets.api import SESSION_COLUMNS, SessionState, any_of, prepared_cursor, session_sql, session_state

from . import figures
from .conf import conf
from .models import Acked, Mute, Notification, Outbox, Stream, new_epoch
from .wire import vocabulary
from .wire.doorbell import stream_of
from .wire.streams import Announcement, Opening, Page, Position

_NOTIFICATION = Notification._meta.db_table
_STREAM = Stream._meta.db_table
_OUTBOX = Outbox._meta.db_table
_PK = Notification._meta.pk

# --- Numbers ---

# How many of the person's rows are newer than each: the newest gets the number that the head was raised to.
_PENDING = f"""
    pending AS {{materialized}} (
        SELECT id, user_id FROM {_NOTIFICATION}
        WHERE seq IS NULL AND user_id {{among}}
        ORDER BY id {{lock}}
    ), ranked AS (
        SELECT id, user_id, row_number() OVER (PARTITION BY user_id ORDER BY id DESC) - 1 AS newer FROM pending
    )"""

_RAISE_HEADS = f"""
        INSERT INTO {_STREAM} AS stream (user_id, epoch, head, floor, fence, state_version)
        SELECT user_id, %s, count(*), 0, 0, 0 FROM pending WHERE true GROUP BY user_id ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE SET head = stream.head + excluded.head
        RETURNING """

# One statement: the rows are locked before the streams, and a row that somebody else numbered meanwhile is dropped when
# its lock is granted (PostgreSQL asks `seq IS NULL` again), so that exactly what is numbered below is counted.
# The join is a full one, though every row has its stream, because that cannot be planned as a loop in a loop: for 500
# people PostgreSQL, which expects few rows without a number, was seen to compare each with each, for 150 ms.
_NUMBER_POSTGRESQL = f"""
    WITH {_PENDING.format(materialized="MATERIALIZED", among="{among}", lock="FOR UPDATE")}, raised AS (
        {_RAISE_HEADS} user_id, head, epoch, fence
    ), given AS MATERIALIZED (
        SELECT id, head - newer AS seq, epoch, fence FROM ranked FULL JOIN raised USING (user_id)
    )
    {{noted}}
    UPDATE {_NOTIFICATION} AS note SET seq = given.seq FROM given WHERE note.id = given.id
    RETURNING note.id, note.user_id, note.seq, note.archived_at, given.epoch, given.fence"""

# For a message broker, where there is one: said in the same statement, so that no number is without it.
_NOTED_POSTGRESQL = f"""
    , noted AS (
        INSERT INTO {_OUTBOX} (user_id, topic, after)
        SELECT ranked.user_id, '', min(given.seq) - 1 FROM given JOIN ranked USING (id) GROUP BY ranked.user_id
    )"""

# SQLite cannot write in a WITH; an IMMEDIATE transaction around the same steps is as exact, since nobody else writes.
_RAISE_SQLITE = (
    f"WITH {_PENDING.format(materialized='', among='{among}', lock='')} {_RAISE_HEADS} user_id, epoch, fence"
)
# `archived_at` is returned as it is: SQLite 3.40 answers `archived_at IS NOT NULL` in a RETURNING with true for NULL.
_NUMBER_SQLITE = f"""
    WITH {_PENDING.format(materialized="", among="{among}", lock="")}
    UPDATE {_NOTIFICATION} AS note SET seq = stream.head - ranked.newer
    FROM ranked JOIN {_STREAM} AS stream ON stream.user_id = ranked.user_id
    WHERE note.id = ranked.id
    RETURNING id, user_id, seq, archived_at"""


class Numbered(NamedTuple):
    """A number that was given, and what it was given under."""

    id: UUID
    user_id: Any
    seq: int
    archived: bool
    """From the start, since the person muted its kind: nobody can have archived what had no number."""
    epoch: str
    fence: int


def sequence(user_ids: Collection[Any]) -> list[Numbered]:
    """
    Give the next numbers to everything committed and unnumbered of these people; in order per person.

    Call it outside any transaction of a caller: the streams stay locked until the surrounding transaction ends.
    """
    if not user_ids:
        return []
    keys = [_database_key(user_id) for user_id in user_ids]
    numbered = _sequence_postgresql(keys) if connection.vendor == "postgresql" else _sequence_sqlite(keys)
    figures.NUMBERED.add(many=len(numbered))
    # The numbers of a person ascend with the ids, but RETURNING keeps no order.
    return sorted(numbered, key=attrgetter("seq"))


def _sequence_postgresql(keys: list[Any]) -> list[Numbered]:
    # One is said apart: PostgreSQL keeps no plan of a list, since it takes one made for a short list to be better.
    among, people = ("= %s", keys[0]) if len(keys) == 1 else ("= ANY(%s)", keys)
    with prepared_cursor() as cursor:
        noted = _NOTED_POSTGRESQL if conf.RABBITMQ_URL else ""
        cursor.execute(_NUMBER_POSTGRESQL.format(among=among, noted=noted), [people, new_epoch()])
        return [Numbered(pk, user, seq, at is not None, *under) for pk, user, seq, at, *under in cursor.fetchall()]


def _sequence_sqlite(keys: list[Any]) -> list[Numbered]:
    among = f"IN ({', '.join(['%s'] * len(keys))})"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_RAISE_SQLITE.format(among=among), [*keys, new_epoch()])
        streams = {user_id: (epoch, fence) for user_id, epoch, fence in cursor.fetchall()}
        cursor.execute(_NUMBER_SQLITE.format(among=among), keys)
        numbered = [
            Numbered(_PK.to_python(pk), _python_key(user_id), seq, archived is not None, *streams[user_id])
            for pk, user_id, seq, archived in cursor.fetchall()
        ]
        if conf.RABBITMQ_URL:
            _note(numbered)
        return numbered


def _note(numbered: Iterable[Numbered]) -> None:
    """As the PostgreSQL statement does by itself."""
    first: dict[Any, int] = {}
    for item in numbered:
        first[item.user_id] = min(item.seq, first.get(item.user_id, item.seq))
    Outbox.objects.bulk_create(Outbox(user_id=user_id, after=seq - 1) for user_id, seq in first.items())


def _database_key(user_id: Any) -> Any:
    return _user_field().get_db_prep_value(user_id, connection)


def _python_key(user_id: Any) -> Any:
    return _user_field().to_python(user_id)


def user_key(user: Any) -> Any:
    """The primary key of a user, or of whoever has this one: "5" is told what 5 is told, and on the same stream."""
    key = user.pk if isinstance(user, Model) else user
    if key is None:
        raise ValueError("This user is not saved yet and cannot be told anything.")
    return _python_key(key)


def _user_field() -> Any:
    return Notification._meta.get_field("user").target_field


def _user_type() -> str | None:
    """What the database calls the type of a person's key."""
    return Notification._meta.get_field("user").db_type(connection)


def announcements(
    numbered: Sequence[Numbered], *, said: Notification | None = None, among: Container[UUID] = ()
) -> list[Announcement]:
    """What to tell of these numbers: `said`, where the id is `among` its copies; other rows are read in one query."""
    others = [item.id for item in numbered if item.id not in among]
    read = Notification.objects.in_bulk(others) if others else {}
    told = []
    now = time.time()  # they were numbered a moment ago
    for item in numbered:
        row = said if item.id in among else read.get(item.id)
        if row is not None:
            event = _event(row, item.seq, item.id, item.user_id, muted=item.archived)
            told.append(Announcement(item.epoch, item.fence, event, now))
    return told


def event(row: Notification) -> vocabulary.Notification:
    """A row that has its number, as its person is told it."""
    if row.seq is None:
        raise ValueError("it has no number yet")
    return _event(row, row.seq, row.id, row.user_id)


def _event(row: Notification, seq: int, pk: UUID, user_id: Any, *, muted: bool = False) -> vocabulary.Notification:
    return vocabulary.Notification(
        stream=stream_of(user_id),
        seq=seq,
        id=str(pk),
        kind=row.kind,
        level=row.level,
        title=row.title,
        body=row.body,
        url=row.url,
        data=row.data,
        created_at=row.created_at,
        seen=muted or row.seen_at is not None,
        read=row.read_at is not None,
        archived=muted or row.archived_at is not None,
    )


# --- Reading ---


def ensure_stream(user_id: Any) -> Stream:
    """The person's stream, made if this is the first time anybody needs it. Not inside a caller's transaction."""
    stream = Stream.objects.filter(user_id=user_id).first()
    if stream is None:
        Stream.objects.bulk_create([Stream(user_id=user_id)], ignore_conflicts=True)
        stream = Stream.objects.get(user_id=user_id)
    return stream


def peek(user_id: Any) -> Position:
    """Where the person's stream stands, without making it: before its first number it stands nowhere."""
    return position_of(Stream.objects.filter(user_id=user_id).first() or Stream(user_id=user_id, epoch=""))


def position_of(stream: Stream) -> Position:
    return Position(
        stream=stream_of(stream.user_id),
        epoch=stream.epoch,
        head=stream.head,
        floor=stream.floor,
        fence=stream.fence,
        state_version=stream.state_version,
    )


_SESSION_KEY = UUIDField()

# By hand, in one statement for everything: every handshake asks it, and the ORM takes longer to say it than PostgreSQL
# to answer. Unseen is part of unread, so one walk over one index counts both.
_COUNTED = f"""
        SELECT count(*) AS unread, count(*) FILTER (WHERE seen_at IS NULL) AS unseen FROM {_NOTIFICATION}
        WHERE user_id = {{user}} AND seq IS NOT NULL AND read_at IS NULL AND archived_at IS NULL
        AND (expires_at IS NULL OR expires_at > %s)"""
_OPENING = f"""
    SELECT {{place}}, epoch, head, floor, fence, state_version, unread, unseen, login.*
    FROM {{asked}} JOIN {_STREAM} AS stream USING (user_id)
    CROSS JOIN {{lateral}} ({_COUNTED}) AS counted LEFT JOIN {{lateral}} ({{session}}) AS login ON true"""


def openings(people: Sequence[tuple[Any, UUID]], *, now: datetime) -> list[tuple[Opening, SessionState]]:
    """
    What connections start from, and how their login sessions stand: for each a person and a session, in that order.

    In one statement (SQLite: one each; and the first of a person makes their stream), and so as of one moment: a
    session that stood at that moment can only end under a newer fence than the one that was read.
    """
    rows = _read_openings(people, now)
    missing = [place for place in range(len(people)) if place not in rows]
    if missing:
        for place in missing:
            with contextlib.suppress(IntegrityError), transaction.atomic():  # deleted a moment ago
                ensure_stream(people[place][0])
        made = _read_openings([people[place] for place in missing], now)
        rows |= {place: made[nth] for nth, place in enumerate(missing) if nth in made}
    return [_opening(rows.get(place, _NOBODYS), *asked, now) for place, asked in enumerate(people)]


_NOBODYS: list[Any] = ["", 0, 0, 0, 0, 0, 0, *[None] * len(SESSION_COLUMNS)]
"""What is found of somebody who does not exist: a stream without numbers, and no session."""


def _opening(row: Sequence[Any], user_id: Any, session_id: UUID, now: datetime) -> tuple[Opening, SessionState]:
    *position, unread, unseen = row[: -len(SESSION_COLUMNS)]
    start = Opening(Position(stream_of(user_id), *position), unread, unseen)
    return start, session_state(session_id, row[-len(SESSION_COLUMNS) :], now=now)


def _read_openings(people: Sequence[tuple[Any, UUID]], now: datetime) -> dict[int, Sequence[Any]]:
    """By place in `people`; those are missing who have no stream yet."""
    keys = [_database_key(user_id) for user_id, _session in people]
    sessions = [_SESSION_KEY.get_db_prep_value(session_id, connection) for _user, session_id in people]
    moment = connection.ops.adapt_datetimefield_value(now)
    sql, rows = _opening_sql(connection.vendor), []
    with prepared_cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(sql, [keys, sessions, moment])
            rows = cursor.fetchall()
        else:
            for place, (key, session) in enumerate(zip(keys, sessions, strict=True)):
                cursor.execute(sql, [place, key, key, moment, session])
                rows += cursor.fetchall()
    return {place: row for place, *row in rows}


@functools.cache
def _opening_sql(vendor: str) -> str:
    if vendor == "postgresql":
        asked = f"unnest(%s::{_user_type()}[], %s::uuid[]) WITH ORDINALITY AS asked (user_id, session_id, nth)"
        session = session_sql(of="asked.session_id")
        counted = {"user": "asked.user_id"}
        return _OPENING.format(place="nth - 1", asked=asked, lateral="LATERAL", session=session, **counted)
    asked = "(SELECT %s AS user_id) AS asked"  # SQLite knows no LATERAL
    return _OPENING.format(place="%s", asked=asked, lateral="", session=session_sql(), user="%s")


LATE_AT_ONCE = 500
"""People whose late rows are looked for at once; the others are found by the next look."""

_POSITIONS = f"SELECT user_id, epoch, head, floor, fence, state_version FROM {_STREAM} WHERE user_id"

# NULL stands in the place of an epoch, which a position always has.
_LATE = f"""
    SELECT user_id, NULL, NULL, NULL, NULL, NULL FROM (
        SELECT DISTINCT user_id FROM {_NOTIFICATION} WHERE seq IS NULL AND created_at < %s LIMIT {LATE_AT_ONCE}
    ) AS late"""


def look(user_ids: Collection[Any], *, unnumbered_before: datetime) -> tuple[list[Position], list[Any]]:
    """
    Where these people's streams stand; and people with rows that were written before a moment and still have no number:
    their publisher died after the commit. The latter are looked for among everybody.

    In one statement (SQLite: one for each 10,000 people): it is what a process asks all the time.
    """
    parts = [(f"{_POSITIONS} {among}", keys) for among, keys in any_of(_user_field(), user_ids)] or [("", [])]
    sql, keys = parts[0]
    moment = connection.ops.adapt_datetimefield_value(unnumbered_before)
    parts[0] = (f"{sql} UNION ALL {_LATE}" if sql else _LATE, [*keys, moment])
    rows = _rows(parts)
    positions = [Position(stream_of(key), *position) for key, *position in rows if position[0] is not None]
    return positions, [key for key, epoch, *_rest in rows if epoch is None]


def positions(user_ids: Collection[Any]) -> dict[str, Position]:
    """Where these people's streams stand, by stream name, in one query."""
    rows = _rows((f"{_POSITIONS} {among}", keys) for among, keys in any_of(_user_field(), user_ids))
    return {stream_of(key): Position(stream_of(key), *position) for key, *position in rows}


def _rows(statements: Iterable[tuple[str, list[Any]]]) -> list[list[Any]]:
    """The rows of all of them, the first column of which is a person."""
    python_key = _user_field().to_python
    with connection.cursor() as cursor:
        found = []
        for sql, parameters in statements:
            cursor.execute(sql, parameters)
            found += [[python_key(key), *values] for key, *values in cursor.fetchall()]
        return found


def page(user_id: Any, *, after: int, limit: int, now: datetime) -> Page:
    """What the person should still be told after a number: nothing that expired or was archived meanwhile."""
    position = position_of(ensure_stream(user_id))
    rows = list(
        current(user_id, now=now)
        .filter(seq__gt=after, seq__lte=position.head, archived_at=None)
        .order_by("seq")[:limit]
    )
    events = tuple(map(event, rows))
    full = len(rows) == limit
    return Page(position, events, through=events[-1].seq if full and events else position.head, after=after)  # type: ignore[arg-type]


def current(user_id: Any, *, now: datetime) -> QuerySet[Notification]:
    """The person's numbered notifications that have not expired."""
    return Notification.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), user_id=user_id, seq__isnull=False)


def listed(
    user_id: Any,
    *,
    head: int,
    now: datetime,
    unread: bool = False,
    archived: bool = False,
    search: str = "",
    before: int | None = None,
    after: int | None = None,
) -> QuerySet[Notification]:
    """What a list shows, up to a head that was read before: newest first; with `after`, oldest first. Not sliced."""
    rows = current(user_id, now=now).filter(seq__lte=head, archived_at__isnull=not archived)
    if unread:
        rows = rows.filter(read_at=None)
    if search:
        rows = rows.filter(Q(title__icontains=search) | Q(body__icontains=search))
    if before is not None:
        rows = rows.filter(seq__lt=before)
    if after is not None:
        return rows.filter(seq__gt=after).order_by("seq")
    return rows.order_by("-seq")


def counts(user_id: Any, *, now: datetime) -> tuple[int, int]:
    """(unread, unseen), archived ones not counted. Unseen is part of unread, so one walk over one index counts both."""
    unread = current(user_id, now=now).filter(read_at=None, archived_at=None).order_by()
    counted = unread.aggregate(unread=Count("pk"), unseen=Count("pk", filter=Q(seen_at=None)))
    return counted["unread"], counted["unseen"]


# --- Seen, read, archived ---


def mark(
    user_id: Any, *, state: str, ids: Collection[UUID] | None, through: int | None, now: datetime
) -> tuple[int, int]:
    """
    Set a state on the person's numbered notifications, by id or up to a number; (how many are meant, how many changed).

    Reading or archiving also sees, and unreading never unsees: so unseen always implies unread and not archived.
    """
    meant = Notification.objects.filter(user_id=user_id, seq__isnull=False)
    meant = meant.filter(pk__in=ids) if ids is not None else meant.filter(seq__lte=through)
    change: dict[str, Any]
    seen = Coalesce("seen_at", Value(now, DateTimeField()))
    match state:
        case "seen":
            others, change = Q(seen_at=None), {"seen_at": now}
        case "read":
            others, change = Q(read_at=None), {"read_at": now, "seen_at": seen}
        case "unread":
            others, change = Q(read_at__isnull=False), {"read_at": None}
        case "archived":
            others, change = Q(archived_at=None), {"archived_at": now, "seen_at": seen}
        case "unarchived":
            others, change = Q(archived_at__isnull=False), {"archived_at": None}
        case _:
            raise ValueError(f"unknown state {state!r}")
    with transaction.atomic():
        # In one order, so that two marks cannot wait for each other. Not by locking the stream: whoever publishes to
        # this person would then wait with us for the rows that somebody's open transaction holds.
        list(meant.filter(others).order_by("seq").select_for_update().values_list("seq", flat=True))
        changed = meant.filter(others).update(**change)
    return (changed or meant.count()), changed


def raise_state_version(user_id: Any) -> Position:
    """After `mark` changed something. Locks the stream until the surrounding transaction ends."""
    return _raise(user_id, state_version=F("state_version") + 1)


def raise_fence(user_id: Any) -> Position:
    """After a session of the person ended: everything numbered from now on carries the new fence."""
    return _raise(user_id, fence=F("fence") + 1)


def _raise(user_id: Any, **columns: Any) -> Position:
    with transaction.atomic():
        if not Stream.objects.filter(user_id=user_id).update(**columns):
            ensure_stream(user_id)
            Stream.objects.filter(user_id=user_id).update(**columns)
        return position_of(Stream.objects.get(user_id=user_id))


# --- Writing ---

DEDUP_LIFE = timedelta(hours=24)


class Copy(NamedTuple):
    """What is one person's own of a notification that is said to many."""

    id: UUID
    user_id: Any
    dedup: str | None


_CREATED: Any = Notification._meta.get_field("created_at")
_SAID: list[Any] = [
    Notification._meta.get_field(name)
    for name in ("created_at", "kind", "level", "title", "body", "url", "data", "expires_at", "fingerprint")
]

# What is said travels once, however many it is said to. By hand: the ORM takes ten times as long for a batch.
_INSERT = f"""
    INSERT INTO {_NOTIFICATION} (id, user_id, dedup, {", ".join(field.column for field in _SAID)}{{columns}})
    SELECT copy.id, copy.user_id, copy.dedup, {", ".join(["%s"] * len(_SAID))}{{values}} FROM {{copies}} WHERE true
    ON CONFLICT (dedup) DO NOTHING RETURNING id, archived_at"""
_COPIES_POSTGRESQL = "unnest(%s::uuid[], %s::{user}[], %s::varchar[]) AS copy (id, user_id, dedup)"
_COPIES_SQLITE = "(SELECT column1 AS id, column2 AS user_id, column3 AS dedup FROM (VALUES {rows})) AS copy"

# Who has muted the kind has it archived from the start, and seen: unseen implies not archived.
_MUTED_COLUMNS = ", seen_at, archived_at"
_MUTED_VALUES = ", CASE WHEN mute.id IS NOT NULL THEN {moment} END" * 2
_MUTED_JOIN = f" LEFT JOIN {Mute._meta.db_table} AS mute ON mute.user_id = copy.user_id AND mute.kind = %s"


def insert(
    said: Notification, copies: Sequence[Copy], *, now: datetime, mutable: bool
) -> tuple[dict[UUID, bool], list[Notification]]:
    """
    Write a row for each of at most some hundred copies, in their order; those whose `dedup` is taken are left out.

    Returns the ids of what was written, with whether that person has muted this kind (if it is a `mutable` one), and
    the rows that have the `dedup` of the others, whatever these rows say. A concurrent writer of the same `dedup` is
    waited for (PostgreSQL), so the answer never depends on timing.

    One statement unless a `dedup` is taken; then several: call it in a transaction if it is to be all or nothing.
    """
    written = _insert(said, copies, mutable)
    taken: dict[str | None, Notification] = {}
    # Again while there is anybody whose `dedup` is a day old, or was freed since by another writer of it or a prune.
    while rest := [copy for copy in copies if copy.id not in written and copy.dedup not in taken]:
        rows = Notification.objects.filter(dedup__in=[copy.dedup for copy in rest])
        taken |= {row.dedup: row for row in rows.filter(created_at__gt=now - DEDUP_LIFE)}
        free = [copy for copy in rest if copy.dedup not in taken]
        if free:
            old = Notification.objects.filter(dedup__in=[copy.dedup for copy in free])
            old.filter(created_at__lte=now - DEDUP_LIFE).update(dedup=None)
            written |= _insert(said, free, mutable)
    return written, list(taken.values())


def _insert(said: Notification, copies: Sequence[Copy], mutable: bool) -> dict[UUID, bool]:
    database = connections[DEFAULT_DB_ALIAS]  # what `connection` stands for and looks up each time it is named
    values = [field.get_db_prep_save(getattr(said, field.attname), database) for field in _SAID]
    if mutable:
        values += [_CREATED.get_db_prep_save(said.created_at, database)] * 2
    keys = [_user_field().get_db_prep_value(copy.user_id, database) for copy in copies]
    if database.vendor == "postgresql":
        sql = _insert_postgresql(mutable)
        values += [[copy.id for copy in copies], keys, [copy.dedup for copy in copies]]
    else:
        sql = _insert_sql(_COPIES_SQLITE.format(rows=", ".join(["(%s, %s, %s)"] * len(copies))), mutable, "%s")
        for copy, key in zip(copies, keys, strict=True):
            values += [_PK.get_db_prep_value(copy.id, database), key, copy.dedup]
    if mutable:
        values.append(said.kind)
    with prepared_cursor() as cursor:
        cursor.execute(sql, values)
        written = {_PK.to_python(pk): archived is not None for pk, archived in cursor.fetchall()}
    figures.WRITTEN.add(many=len(written))
    return written


@functools.cache
def _insert_postgresql(mutable: bool) -> str:
    return _insert_sql(_COPIES_POSTGRESQL.format(user=_user_type()), mutable, "%s::timestamptz")


def _insert_sql(copies: str, mutable: bool, moment: str) -> str:
    if not mutable:
        return _INSERT.format(copies=copies, columns="", values="")
    values = _MUTED_VALUES.format(moment=moment)
    return _INSERT.format(copies=copies + _MUTED_JOIN, columns=_MUTED_COLUMNS, values=values)


# --- Retention ---

_NUMBER = BigIntegerField()


def prune(*, older_than: datetime, keep: int, now: datetime, batch: int = 1_000) -> int:
    """
    Remove what retention no longer promises: all up to the last number before `older_than`, and all but `keep` numbers.

    Only ever from the front, and `floor` remembers how far, so that a resume from below it is told `reset`. A row whose
    idempotency key is still honoured is kept behind the floor.
    """
    removed = 0
    for stream_id, user_id, floor in _overfull(older_than, keep).iterator():
        Stream.objects.filter(pk=stream_id, floor__lt=floor).update(floor=floor)
        removed += _remove(user_id, floor, now, batch)
    return removed


def _overfull(older_than: datetime, keep: int) -> QuerySet[Stream, tuple[int, Any, int]]:
    rows = Notification.objects.filter(user_id=OuterRef("user_id"), seq__isnull=False).order_by()
    kept = rows.filter(created_at__gte=older_than).values("user_id").annotate(before=Min("seq") - Value(1, _NUMBER))
    by_age = Coalesce(Subquery(kept.values("before"), output_field=_NUMBER), F("head"))
    return (
        Stream.objects.annotate(wanted=Greatest(by_age, F("head") - Value(keep, _NUMBER)))
        .filter(wanted__gt=F("floor"))
        .values_list("pk", "user_id", "wanted")
    )


def _remove(user_id: Any, floor: int, now: datetime, batch: int) -> int:
    removed = 0
    behind = Notification.objects.filter(user_id=user_id, seq__lte=floor)
    behind = behind.filter(Q(dedup=None) | Q(created_at__lte=now - DEDUP_LIFE))
    while ids := list(behind.order_by("seq").values_list("pk", flat=True)[:batch]):
        removed += Notification.objects.filter(pk__in=ids).delete()[0]
    return removed


def reset_epoch(user_id: Any) -> Position:
    """Declare the person's numbers void (a restored backup): every client starts from the list again."""
    Acked.objects.filter(user_id=user_id).delete()
    return _raise(user_id, epoch=new_epoch())
