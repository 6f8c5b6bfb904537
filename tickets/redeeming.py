"""Spending a ticket: one conditional UPDATE decides, everything else only explains or narrows."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from tickets import audit, counted, minting, network, prepared
from tickets.conf import conf
from tickets.grants import EndReason, Grant, Purpose, Refusal, TicketRefused
from tickets.models import LoginSession, Ticket
from tickets.rows import quoted, reader
from tickets.sessions import Standing, plain_id, why_not


def redeem(
    ticket: str,
    *,
    purposes: frozenset[Purpose] = frozenset({Purpose.CONNECT}),
    address: str | None,
    now: datetime | None = None,
) -> Grant:
    """Spend `ticket`, presented from `address` (None: unknown), on one of `purposes`.

    Of any number of callers with one ticket at most one gets a `Grant`, after one statement; all others get
    `TicketRefused`, after the same two statements whatever the reason, or after none if it has not the shape of a
    ticket. A ticket from another network, or whose session has ended, is spent by the attempt. The session is looked
    at as it was when the statement began. Call it outside a transaction: a rollback would unspend it. If it raises a
    database error the ticket may be spent: never try it again.
    """
    return redeem_digest(digest_of(ticket, address), purposes=purposes, address=address, now=now)


def digest_of(ticket: str, address: str | None) -> str:
    """What to look for in the database. `TicketRefused` at once if `ticket` has not the shape of one."""
    if not minting.is_shaped(ticket):
        raise _refused(Refusal.MALFORMED, None, address)
    return minting.digest(ticket)


def redeem_digest(
    digest: str,
    *,
    purposes: frozenset[Purpose],
    address: str | None,
    now: datetime | None = None,
    refusal: Refusal | None = None,
    placed: bool = True,
) -> Grant:
    """`redeem()`, given the digest. `refusal`: what `redeem_together()` said of it; it is refused after equal work.
    `placed`: else it does not matter from where it was presented."""
    now = now or timezone.now()
    spent = _spend(digest, purposes, now)
    if spent is not None:
        refusal = _look(spent, now) or (_compare_network(spent, address) if placed else None)
    if spent is None or refusal:
        # One more statement, also where the reason is known already: no reason shall take longer than another.
        row = Ticket.objects.filter(digest=digest).first()
        raise _refused(refusal or _explain(row, now), row, address)
    return _granted(spent, address, now)


def redeem_together(
    presented: Sequence[tuple[str, str | None]], *, purposes: frozenset[Purpose], now: datetime | None = None
) -> list[Grant | Refusal | None]:
    """`redeem()` for many at once: each a digest and the address it was presented from.

    One statement (SQLite: one each) that waits for nobody, and so cannot meet another of its kind in a deadlock. A
    `Refusal` says that the ticket was spent by this attempt and why that grants nothing, None that it was not: it is
    worth nothing, or somebody else holds its row. What to answer then, `redeem_digest()` decides.
    """
    now = now or timezone.now()
    spent = _spend_free([digest for digest, _address in presented], purposes, now)
    # Presented twice at once, the first has it.
    return [_decided(spent.pop(digest, None), address, now) for digest, address in presented]


def _decided(spent: "_Spent | None", address: str | None, now: datetime) -> Grant | Refusal | None:
    if spent is None:
        return None
    return _look(spent, now) or _compare_network(spent, address) or _granted(spent, address, now)


def _granted(spent: "_Spent", address: str | None, now: datetime) -> Grant:
    counted.TICKETS_REDEEMED.add()
    audit.record(audit.TICKET_REDEEMED, user=spent.user_id, session=spent.session_id, ticket=spent.pk, address=address)
    return _grant(spent, now)


@dataclass(frozen=True, slots=True)
class _Spent:
    """A ticket that this call has spent, and what its session and person are like."""

    pk: int
    user_id: Any
    session_id: UUID
    network: str
    created_at: datetime
    purpose: str
    ended_at: datetime | None
    end_reason: str
    session_expires_at: datetime
    password_digest: str
    valid_from: datetime | None
    sockets_from: datetime | None
    is_active: bool
    password: str = field(repr=False)
    username: str

    @property
    def standing(self) -> Standing:
        return Standing.read(
            self.session_id,
            self.ended_at,
            self.end_reason,
            self.session_expires_at,
            self.password_digest,
            self.valid_from,
            self.is_active,
            self.password,
        )


def _spend(digest: str, purposes: Iterable[Purpose], now: datetime) -> _Spent | None:
    moment = connection.ops.adapt_datetimefield_value(now)
    allowed = [purpose.value for purpose in purposes]
    found = _run(_statement(len(allowed)), [moment, moment, *allowed, digest])
    return found.get(digest)


def _spend_free(digests: Sequence[str], purposes: Iterable[Purpose], now: datetime) -> dict[str, _Spent]:
    """Those that this call has spent, by digest; not those whose rows somebody else holds (PostgreSQL)."""
    if connection.vendor != "postgresql":
        return {digest: spent for digest in digests if (spent := _spend(digest, purposes, now))}
    allowed = [purpose.value for purpose in purposes]
    return _run(_statement_for_free(len(allowed)), [list(digests), now, *allowed, now, now, *allowed])


def _run(statement: str, parameters: list[Any]) -> dict[str, _Spent]:
    with prepared.cursor() as cursor:
        cursor.execute(statement, parameters)
        read = reader(_columns())
        return {digest: _Spent(*read(row)) for digest, *row in cursor.fetchall()}


@functools.cache
def _columns() -> tuple[Any, ...]:
    """What the statement returns: of the ticket, its session and its person."""
    ticket, session, user = Ticket._meta, LoginSession._meta, get_user_model()._meta
    return (
        *(ticket.get_field(name) for name in ("id", "user", "session", "network", "created_at", "purpose")),
        *(
            session.get_field(name)
            for name in ("ended_at", "end_reason", "expires_at", "password_digest", "valid_from", "sockets_from")
        ),
        *(user.get_field(name) for name in ("is_active", "password", get_user_model().USERNAME_FIELD)),
    )


@functools.cache
def _statement(purposes: int) -> str:
    return f"{_spending(purposes)} AND digest = %s {_returning()}"


@functools.cache
def _statement_for_free(purposes: int) -> str:
    return f"""
        WITH free AS MATERIALIZED (
            SELECT id FROM {_table()} WHERE digest = ANY(%s) AND {_is_good(purposes)} FOR UPDATE SKIP LOCKED
        )
        {_spending(purposes)} AND id = ANY(ARRAY(SELECT id FROM free)) {_returning()}"""  # noqa: S608 (names of tables, columns)


def _spending(purposes: int) -> str:
    # The condition says only columns of the ticket itself: these PostgreSQL asks again after waiting for the row's
    # lock. Were other tables joined to it, two racers could both win. What they say is fetched, and judged afterwards.
    return f"UPDATE {_table()} SET redeemed_at = %s WHERE {_is_good(purposes)}"  # noqa: S608


def _is_good(purposes: int) -> str:
    # Said so that no index of outstanding tickets fits: PostgreSQL was seen to walk through all of them, while its
    # statistics were old and told of few, instead of looking the digests up.
    allowed = ", ".join(["%s"] * purposes)
    return f"COALESCE(redeemed_at, revoked_at) IS NULL AND expires_at > %s AND purpose IN ({allowed})"


def _returning() -> str:
    return f"RETURNING digest, {', '.join(_selected(column, _table()) for column in _columns())}"


def _table() -> str:
    return quoted(Ticket._meta.db_table)


def _selected(column: Any, table: str) -> str:
    # A person's columns may be spread over the tables of a custom user model: each is asked where it stands.
    home, name = column.model._meta, quoted(column.column)
    if home.model is Ticket:
        return name
    reference = "session_id" if home.model is LoginSession else "user_id"
    place, key = quoted(home.db_table), quoted(home.pk.column)
    return f"(SELECT {place}.{name} FROM {place} WHERE {place}.{key} = {table}.{reference})"  # noqa: S608


def _look(spent: _Spent, now: datetime) -> Refusal | None:
    """What a spent ticket's session and person have against it."""
    reason = why_not(spent.standing, now)
    if reason is EndReason.ACCOUNT_DISABLED and not spent.is_active:
        return Refusal.INACTIVE
    if reason is not None:
        return Refusal.SESSION
    since = [spent.valid_from, None if spent.purpose == Purpose.REAUTH.value else spent.sockets_from]
    return Refusal.OUTDATED if any(moment is not None and spent.created_at < moment for moment in since) else None


def _explain(row: Ticket | None, now: datetime) -> Refusal:
    """Why the UPDATE did not take it, as far as can be told afterwards."""
    if row is None:
        return Refusal.UNKNOWN
    if row.redeemed_at is not None:
        return Refusal.USED
    if row.revoked_at is not None:
        return Refusal.REVOKED
    if row.expires_at <= now:
        return Refusal.EXPIRED
    return Refusal.PURPOSE


def _compare_network(spent: _Spent, address: str | None) -> Refusal | None:
    verdict = network.compare(spent.network, address, policy=conf.NETWORK_POLICY)
    if not verdict.same:
        details = {"user": spent.user_id, "ticket": spent.pk, "issued_to": spent.network, "address": address}
        audit.record(audit.TICKET_NETWORK_CHANGED, ok=verdict.admitted, **details)
    return None if verdict.admitted else Refusal.NETWORK


def _refused(refusal: Refusal, row: Ticket | None, address: str | None) -> TicketRefused:
    counted.TICKETS_REFUSED.add(refusal)
    details = {"user": row.user_id, "session": row.session_id, "ticket": row.pk} if row else {}
    audit.record(audit.TICKET_REDEEMED, ok=False, why=refusal, address=address, **details)
    return TicketRefused(refusal)


def _grant(spent: _Spent, now: datetime) -> Grant:
    ends = spent.session_expires_at
    return Grant(
        user_id=plain_id(spent.user_id),
        username=spent.username,
        session_id=spent.session_id,
        expires_at=min(now + timedelta(seconds=conf.GRANT_SECONDS), ends).timestamp(),
        session_expires_at=ends.timestamp(),
        issued_at=spent.created_at.timestamp(),
    )
