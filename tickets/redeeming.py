"""Spending a ticket: one conditional UPDATE decides, everything else only explains or narrows."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from tickets import audit, minting, network
from tickets.conf import conf
from tickets.grants import Grant, Purpose, Refusal, TicketRefused
from tickets.models import Ticket
from tickets.sessions import plain_id


def redeem(
    ticket: str,
    *,
    purposes: frozenset[Purpose] = frozenset({Purpose.CONNECT}),
    address: str | None,
    now: datetime | None = None,
) -> Grant:
    """Spend `ticket`, presented from `address` (None: unknown), on one of `purposes`.

    Of any number of callers with one ticket at most one gets a `Grant`; all others get `TicketRefused`, after the same
    two queries whatever the reason, or after none if it has not the shape of a ticket. A ticket from another network,
    or whose session has ended, is spent by the attempt. Call it outside a transaction: a rollback would unspend it.
    """
    now = now or timezone.now()
    if not minting.is_shaped(ticket):
        raise _refused(Refusal.MALFORMED, None, address)
    digest = minting.digest(ticket)
    spent = _spend(digest, purposes, now)
    row = Ticket.objects.select_related("session", "user").filter(digest=digest).first()
    refusal = _look(row, now) if spent and row else _explain(row, now)
    if row is None or refusal:
        raise _refused(refusal or Refusal.UNKNOWN, row, address)
    _check_network(row, address)
    audit.record("ticket_redeemed", user=row.user_id, session=row.session_id, ticket=row.pk, address=address)
    return _grant(row, now)


def _spend(digest: str, purposes: Iterable[Purpose], now: datetime) -> bool:
    # Only columns of the ticket itself. A condition on a joined table would move all of them into a subquery, which
    # PostgreSQL does not ask again after waiting for the row's lock: two racers would both win.
    return bool(
        Ticket.objects.filter(
            digest=digest,
            redeemed_at=None,
            revoked_at=None,
            expires_at__gt=now,
            purpose__in=[purpose.value for purpose in purposes],
        ).update(redeemed_at=now)
    )


def _look(row: Ticket, now: datetime) -> Refusal | None:
    """What a spent ticket's session and person have against it."""
    if not row.user.is_active:
        return Refusal.INACTIVE
    if row.session.ended_at is not None or row.session.expires_at <= now:
        return Refusal.SESSION
    return None


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


def _check_network(row: Ticket, address: str | None) -> None:
    verdict = network.compare(row.network, address, policy=conf.NETWORK_POLICY)
    if not verdict.same:
        details = {"user": row.user_id, "ticket": row.pk, "issued_to": row.network, "address": address}
        audit.record("ticket_network_changed", ok=verdict.admitted, **details)
    if not verdict.admitted:
        raise _refused(Refusal.NETWORK, row, address)


def _refused(refusal: Refusal, row: Ticket | None, address: str | None) -> TicketRefused:
    details = {"user": row.user_id, "session": row.session_id, "ticket": row.pk} if row else {}
    audit.record("ticket_redeemed", ok=False, why=refusal, address=address, **details)
    return TicketRefused(refusal)


def _grant(row: Ticket, now: datetime) -> Grant:
    ends = row.session.expires_at
    return Grant(
        user_id=plain_id(row.user_id),
        username=row.user.get_username(),
        session_id=row.session_id,
        expires_at=min(now + timedelta(seconds=conf.GRANT_SECONDS), ends).timestamp(),
        session_expires_at=ends.timestamp(),
    )
