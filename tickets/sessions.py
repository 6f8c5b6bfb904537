"""Login sessions: opening, ending, and asking whether they still stand."""

import functools
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone

from tickets import audit
from tickets.conf import conf
from tickets.grants import NOWHERE, EndReason, Purpose, SessionState, SignedInFrom
from tickets.models import LoginSession, Ticket
from tickets.rows import any_of, quoted, reader
from tickets.signals import session_ended


def open_session(
    user: Any,
    *,
    method: str,
    expires_at: datetime | None = None,
    refresh_jti: str = "",
    origin: SignedInFrom = NOWHERE,
    now: datetime | None = None,
) -> UUID:
    """Record that `user` signed in by `method` ("django", "token", …); return the session's id.

    It ends at `expires_at`, `TICKETS["SESSION_DAYS"]` from now at the latest. `refresh_jti` is the id of the refresh
    token that belongs to it, if any; `origin` is for the person to know it by.
    """
    now = now or timezone.now()
    session = LoginSession.objects.create(
        user=user,
        method=method,
        device=origin.device,
        network=origin.network,
        created_at=now,
        seen_at=now,
        expires_at=capped(expires_at, now),
        refresh_jti=refresh_jti,
        password_digest=digest_of(user.password),
    )
    audit.record(audit.SESSION_OPENED, user=user.pk, session=session.pk, method=method, address=origin.network or None)
    return session.pk


def open_once(
    session_id: UUID,
    user: Any,
    *,
    method: str,
    expires_at: datetime,
    origin: SignedInFrom = NOWHERE,
    now: datetime | None = None,
) -> datetime:
    """Open a login session under a given id, unless it was opened before; whether it has ended since is not asked.
    Returns when it expires."""
    now = now or timezone.now()
    columns: dict[str, Any] = {"user": user, "method": method, "created_at": now, "seen_at": now}
    columns |= {"expires_at": capped(expires_at, now)}
    columns |= {"device": origin.device, "network": origin.network, "password_digest": digest_of(user.password)}
    session, opened = LoginSession.objects.get_or_create(pk=session_id, defaults=columns)
    if opened:
        audit.record(
            audit.SESSION_OPENED, user=user.pk, session=session_id, method=method, address=origin.network or None
        )
    return session.expires_at


def prolong(session_id: UUID, user: Any, *, expires_at: datetime, now: datetime | None = None) -> bool:
    """Move the end of a standing session of `user`, who has just signed in again. False if there is none."""
    now = now or timezone.now()
    standing = LoginSession.objects.filter(pk=session_id, user=user, ended_at=None, expires_at__gt=now)
    if not standing.update(expires_at=capped(expires_at, now)):
        return False
    audit.record(audit.SESSION_RENEWED, user=user.pk, session=session_id)
    return True


def capped(expires_at: datetime | None, now: datetime) -> datetime:
    """`expires_at`, but never later than a login session may last."""
    latest = now + timedelta(days=conf.SESSION_DAYS)
    return min(expires_at, latest) if expires_at else latest


def end_session(session_id: UUID, *, reason: EndReason = EndReason.LOGGED_OUT, now: datetime | None = None) -> bool:
    """End a login session: its tickets, tokens and connections are worth nothing from now on.

    True if this call ended it; False if there is none or it had ended before, and then nothing is announced. The signal
    `session_ended` is sent once the transaction commits; in autocommit, before this returns.
    """
    now = now or timezone.now()
    with transaction.atomic():
        standing = LoginSession.objects.filter(pk=session_id, ended_at=None)
        if not standing.update(ended_at=now, end_reason=reason.value):
            return False
        user_id = plain_id(LoginSession.objects.values_list("user_id", flat=True).get(pk=session_id))
        transaction.on_commit(lambda: _announce_end({user_id: [session_id]}, reason), robust=True)
        audit.record(audit.SESSION_ENDED, user=user_id, session=session_id, reason=reason.value)
    return True


def end_sessions(
    session_ids: Collection[UUID],
    *,
    reason: EndReason,
    by: int | str | None = None,
    why: str = "",
    now: datetime | None = None,
) -> int:
    """`end_session()` for many, in one transaction: some hundreds at once. Returns how many this call ended.

    The audit log has a line for each; `by` is who asked for it, and `why` what they gave as the reason. `session_ended`
    is sent once a person.
    """
    now = now or timezone.now()
    people: dict[int | str, list[UUID]] = {}
    with transaction.atomic():
        standing = LoginSession.objects.filter(pk__in=session_ids, ended_at=None)
        # Locked while they stand, so that what is announced is what was ended.
        rows = list(standing.select_for_update(no_key=True).order_by("pk").values_list("pk", "user_id"))
        LoginSession.objects.filter(pk__in=[pk for pk, _user in rows]).update(ended_at=now, end_reason=reason.value)
        for pk, user in rows:
            people.setdefault(plain_id(user), []).append(pk)
        transaction.on_commit(lambda: _announce_end(people, reason), robust=True)
        said = {"reason": reason.value, "by": by, "why": why or None}
        audit.record_many(audit.SESSION_ENDED, ({"user": user, "session": pk, **said} for pk, user in rows))
    return len(rows)


def keep_out(session_ids: Collection[UUID], *, now: datetime | None = None) -> None:
    """No ticket and no token that these login sessions were given before now opens a socket any more: who was
    disconnected has to ask for another. The sessions stand, and so does whatever else is connected by them."""
    now = now or timezone.now()
    with transaction.atomic():
        # In the order in which everybody locks them; and so that whoever is being given a ticket, whose row wants its
        # session to be there, needs not wait: it may have locked tickets that this would wait for.
        sessions = LoginSession.objects.filter(pk__in=session_ids)
        locked = list(sessions.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
        LoginSession.objects.filter(pk__in=locked).update(sockets_from=now)
        unspent = Ticket.objects.filter(session_id__in=locked, redeemed_at=None, revoked_at=None)
        unspent.filter(purpose=Purpose.CONNECT.value).update(revoked_at=now)


def _announce_end(people: dict[int | str, list[UUID]], reason: EndReason) -> None:
    for user_id, session_ids in people.items():
        session_ended.send_robust(sender=LoginSession, user_id=user_id, session_ids=session_ids, reason=reason)


def check_sessions(session_ids: Collection[UUID], *, now: datetime | None = None) -> dict[UUID, SessionState]:
    """How each of these login sessions stands, in one query (SQLite: one for each 10,000 of them).

    One that has no row is reported as a closed account's.
    """
    now = now or timezone.now()
    found = {}
    with connection.cursor() as cursor:
        read = reader(_session_columns())
        for among, keys in any_of(LoginSession._meta.pk, session_ids):
            cursor.execute(f"{_sessions_sql()} {among}", keys)
            for row in cursor.fetchall():
                state = _state(Standing.read(*read(row)), now)
                found[state.session_id] = state
    return {pk: found.get(pk) or _missing(pk) for pk in session_ids}


def settle_sessions(session_ids: Collection[UUID], *, now: datetime | None = None) -> dict[UUID, SessionState]:
    """`check_sessions()`; and those that came to an end behind this room's back are ended by word as well, so that they
    stay so whatever is undone later."""
    now = now or timezone.now()
    states = check_sessions(session_ids, now=now)
    for reason in (EndReason.ACCOUNT_DISABLED, EndReason.CREDENTIALS_CHANGED):
        found = [pk for pk, state in states.items() if state.reason is reason]
        if found:
            end_sessions(found, reason=reason, now=now)
    return states


@functools.cache
def session_sql(*, of: str = "%s") -> str:
    """A query for one login session, by its id, for those who must read it in one statement with something else.

    It is theirs to put behind `FROM` in parentheses, with its id as a parameter or, behind `LATERAL`, from elsewhere in
    the statement (`of`); what its columns say, `session_state` tells.
    """
    columns = _session_columns()
    chosen = ", ".join(
        f"{quoted(c.model._meta.db_table)}.{quoted(c.column)} AS {name}"
        for c, name in zip(columns, SESSION_COLUMNS, strict=True)
    )
    return f"SELECT {chosen} {_sessions_from()} WHERE {quoted(LoginSession._meta.db_table)}.id = {of}"


SESSION_COLUMNS = (
    "session_id",
    "ended_at",
    "end_reason",
    "session_expires_at",
    "password_digest",
    "valid_from",
    "is_active",
    "password",
)
"""The columns of `session_sql()`."""


def session_state(session_id: UUID, columns: Sequence[Any], *, now: datetime) -> SessionState:
    """How the session stands whose columns were read so; all None if there was no row."""
    if columns[0] is None:
        return _missing(session_id)
    return _state(Standing.read(*reader(_session_columns())(columns)), now)


@functools.cache
def _session_columns() -> tuple[Any, ...]:
    session, person = LoginSession._meta, get_user_model()._meta
    names = ("id", "ended_at", "end_reason", "expires_at", "password_digest", "valid_from")
    return (
        *(session.get_field(name) for name in names),
        *(person.get_field(name) for name in ("is_active", "password")),
    )


@functools.cache
def _sessions_sql() -> str:
    """Written by hand: the ORM takes longer to say it than PostgreSQL to answer. The ids are to follow."""
    chosen = ", ".join(f"{quoted(c.model._meta.db_table)}.{quoted(c.column)}" for c in _session_columns())
    return f"SELECT {chosen} {_sessions_from()} WHERE {quoted(LoginSession._meta.db_table)}.id"


def _sessions_from() -> str:
    table = quoted(LoginSession._meta.db_table)
    # A person's columns may be spread over the tables of a custom user model.
    people = dict.fromkeys(column.model._meta for column in _session_columns() if column.model is not LoginSession)
    joins = [
        f"JOIN {quoted(home.db_table)} ON {quoted(home.db_table)}.{quoted(home.pk.column)} = {table}.user_id"
        for home in people
    ]
    return f"FROM {table} {' '.join(joins)}"


class Standing(NamedTuple):
    """What of a session and its person decides whether it stands."""

    pk: UUID
    ended_at: datetime | None
    end_reason: str
    expires_at: datetime
    password_digest: str
    valid_from: datetime | None
    is_active: bool
    current_digest: str

    @classmethod
    def read(cls, *columns: Any) -> "Standing":
        """From columns in this order, the last one the password as it is stored: that is kept nowhere."""
        *others, password = columns
        return cls._make([*others, digest_of(password)])


def standing_of(session: LoginSession) -> Standing:
    """The same of a row that was read with its person."""
    return Standing.read(
        session.pk,
        session.ended_at,
        session.end_reason,
        session.expires_at,
        session.password_digest,
        session.valid_from,
        session.user.is_active,
        session.user.password,
    )


def _state(standing: Standing, now: datetime) -> SessionState:
    reason = why_not(standing, now)
    return SessionState(
        session_id=standing.pk,
        alive=reason is None,
        reason=reason,
        expires_at=standing.expires_at.timestamp(),
        valid_from=standing.valid_from.timestamp() if standing.valid_from else 0.0,
    )


def _missing(pk: UUID) -> SessionState:
    # Rows go with their person, or by `prune` long after they ended.
    return SessionState(session_id=pk, alive=False, reason=EndReason.ACCOUNT_DISABLED, expires_at=0.0)


def why_not(standing: Standing, now: datetime) -> EndReason | None:
    """Why such a session does not stand at `now`; None if it does."""
    if not standing.is_active:
        return EndReason.ACCOUNT_DISABLED
    if standing.ended_at is not None:
        known = standing.end_reason in set(EndReason)
        return EndReason(standing.end_reason) if known else EndReason.LOGGED_OUT
    # Somebody changed the password behind this room's back: by SQL, or by a method that sends no signal.
    if standing.password_digest and standing.password_digest != standing.current_digest:
        return EndReason.CREDENTIALS_CHANGED
    if standing.expires_at <= now:
        return EndReason.EXPIRED
    return None


def digest_of(password: str) -> str:
    """What a session keeps of the password (of its salted hash, as Django stores it): enough to see that it changed."""
    return sha256(password.encode()).hexdigest()


def plain_id(pk: Any) -> int | str:
    """A person's key as it crosses the border of this room: integers stay, others (UUIDs) are spelled out."""
    return pk if isinstance(pk, int) else str(pk)
