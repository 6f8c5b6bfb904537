"""Issuing tickets and taking them back."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from tickets import audit, counted, minting
from tickets.admission import kept_network
from tickets.allowance import spend
from tickets.conf import conf
from tickets.grants import EndReason, IssuedTicket, Purpose, RateLimited, SessionEnded
from tickets.models import LoginSession, Ticket
from tickets.sessions import Standing, why_not


def issue(
    *,
    user: Any,
    session_id: UUID,
    purpose: Purpose = Purpose.CONNECT,
    network: str = "",
    now: datetime | None = None,
) -> IssuedTicket:
    """Make a ticket for `user`, bound to this login session and to the caller's address (`network`; "" binds to none).

    Raises `SessionEnded` if the session does not stand or is another person's, `RateLimited` if the person asks too
    often. A person who has `TICKETS["OUTSTANDING"]` unspent tickets loses the oldest. Both limits are exact across
    processes: the person's allowance stays locked until the ticket is in.
    """
    now = now or timezone.now()
    ends = _session_end(user, session_id, now)
    ticket = minting.mint()
    expires_at = min(now + timedelta(seconds=conf.TICKET_SECONDS), ends)
    try:
        with transaction.atomic():
            spend(f"issue:{user.pk}", per_minute=conf.ISSUE_PER_MINUTE, burst=conf.ISSUE_BURST, now=now)
            _make_room(user, now)
            row = Ticket.objects.create(
                digest=minting.digest(ticket),
                user=user,
                session_id=session_id,
                purpose=purpose.value,
                network=kept_network(network),
                created_at=now,
                expires_at=expires_at,
            )
    except RateLimited:
        counted.TICKETS_DENIED.add("rate_limited")
        audit.record(
            audit.TICKET_ISSUED, ok=False, user=user.pk, session=session_id, why="rate_limited", address=network
        )
        raise
    counted.TICKETS_ISSUED.add(purpose)
    audit.record(audit.TICKET_ISSUED, user=user.pk, session=session_id, ticket=row.pk, purpose=purpose, address=network)
    return IssuedTicket(
        ticket=ticket,
        purpose=purpose,
        expires_in=int((expires_at - now).total_seconds()),
        expires_at=expires_at,
        session_expires_at=ends,
    )


def _session_end(user: Any, session_id: UUID, now: datetime) -> datetime:
    """When the session expires; raises `SessionEnded` if it does not stand now. Redeeming asks again."""
    found = LoginSession.objects.filter(pk=session_id, user=user)
    standing = ("pk", "ended_at", "end_reason", "expires_at", "password_digest", "valid_from")
    row = found.values_list(*standing, "user__is_active", "user__password").first()
    if row is None:
        raise _no_ticket(user, session_id, None)
    session = Standing.read(*row)
    if reason := why_not(session, now):
        raise _no_ticket(user, session_id, reason)
    return session.expires_at


def _no_ticket(user: Any, session_id: UUID, reason: EndReason | None) -> SessionEnded:
    why = reason or "unknown_session"
    counted.TICKETS_DENIED.add(why)
    audit.record(audit.TICKET_ISSUED, ok=False, user=user.pk, session=session_id, why=why)
    return SessionEnded(reason)


def _make_room(user: Any, now: datetime) -> None:
    """Revoke the oldest of the person's unspent tickets, so that one more does not exceed the limit."""
    moment = connection.ops.adapt_datetimefield_value(now)
    person = Ticket._meta.get_field("user").get_db_prep_value(user.pk, connection)
    all_but_the_newest = connection.ops.limit_offset_sql(conf.OUTSTANDING - 1, None)
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_ROOM.format(all_but_the_newest), [moment, person, moment])


# By hand, since every ticket asks it: the ORM takes longer to say it than the database to do it. The condition is
# repeated outside: one that is redeemed at this moment must not be marked as revoked as well.
_MAKE_ROOM = f"""
    UPDATE {Ticket._meta.db_table} SET revoked_at = %s
    WHERE redeemed_at IS NULL AND id IN (
        SELECT id FROM {Ticket._meta.db_table}
        WHERE user_id = %s AND redeemed_at IS NULL AND revoked_at IS NULL AND expires_at > %s
        ORDER BY created_at DESC, id DESC {{}}
    )"""  # noqa: S608 (our own table)


def revoke(
    *,
    ticket_id: int | None = None,
    user_id: int | str | None = None,
    session_id: UUID | None = None,
    now: datetime | None = None,
) -> int:
    """Take back unspent tickets: one, a person's, or a session's (all that is named must fit). Returns how many."""
    wanted = {"pk": ticket_id, "user_id": user_id, "session_id": session_id}
    named = {name: value for name, value in wanted.items() if value is not None}
    if not named:
        raise ValueError("revoke() needs a ticket_id, a user_id or a session_id")
    now = now or timezone.now()
    revoked = Ticket.objects.filter(**named, redeemed_at=None, revoked_at=None).update(revoked_at=now)
    counted.TICKETS_REVOKED.add(many=revoked)
    audit.record(audit.TICKETS_REVOKED, count=revoked, ticket=ticket_id, user=user_id, session=session_id)
    return revoked


def revoke_many(
    ticket_ids: Collection[int], *, by: int | str | None = None, why: str = "", now: datetime | None = None
) -> int:
    """Take back unspent tickets by their numbers, in one transaction: some hundreds at once. Returns how many.

    The audit log has a line for each; `by` is who asked for it, and `why` what they gave as the reason.
    """
    now = now or timezone.now()
    unspent = Ticket.objects.filter(pk__in=ticket_ids, redeemed_at=None, revoked_at=None)
    with transaction.atomic():
        # Locked while they are unspent, so that what is audited is what was revoked.
        rows = list(unspent.select_for_update().order_by("pk").values_list("pk", "user_id", "session_id"))
        Ticket.objects.filter(pk__in=[pk for pk, _user, _session in rows]).update(revoked_at=now)
        asked = {"by": by, "why": why or None}
        revoked = ({"ticket": pk, "user": user, "session": session, **asked} for pk, user, session in rows)
        audit.record_many(audit.TICKET_REVOKED, revoked)
    counted.TICKETS_REVOKED.add(many=len(rows))
    return len(rows)
