"""Deleting what can matter no more, in batches, each in a transaction of its own, so that nobody waits for long."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from tickets.allowance import MICRO
from tickets.conf import conf
from tickets.identification import METHOD
from tickets.models import Allowance, AuditEvent, BrokerLogin, LoginSession, Ticket

BATCH = 1_000

KEPT = timedelta(days=1)
"""How long rows stay after their end, for whoever asks what happened.

Sessions count from their expiry even if they ended before: while a cookie or a token may still name one, its row says
that it has ended.
"""


def prune(*, now: datetime, batch_size: int = BATCH) -> Iterator[tuple[str, int]]:
    """Delete tickets, sessions, audited acts and allowances that are over; yield the name and number of each kind."""
    over = now - KEPT
    yield "tickets", delete_in_batches(Ticket.objects.filter(expires_at__lt=over), batch_size)
    # Of tokens made elsewhere several may have one name, and one of them may come late: while it can be good, it is
    # remembered that its session was ended.
    longer = over - timedelta(days=conf.SESSION_DAYS)
    sessions = LoginSession.objects.filter(expires_at__lt=over).exclude(method=METHOD, expires_at__gte=longer)
    # Those that lost their session with its person are waiting for whoever closes connections, if anybody does.
    lost = Q(session__created_at=None, logged_in_at__lt=longer)
    logins = BrokerLogin.objects.filter(Q(session__expires_at__lt=over) | lost)
    yield "broker's logins", delete_in_batches(logins, batch_size)
    yield "login sessions", delete_in_batches(sessions, batch_size)
    audited = AuditEvent.objects.filter(at__lt=now - timedelta(days=conf.AUDIT_DAYS))
    yield "audited acts", delete_in_batches(audited, batch_size)
    # Long full again, so a fresh row would allow the same.
    stale = Allowance.objects.filter(tat__lt=int(over.timestamp()) * MICRO)
    yield "allowances", delete_in_batches(stale, batch_size)


def delete_in_batches(rows: QuerySet[Any], batch_size: int) -> int:
    """Delete `rows` in order of their keys; return how many there were."""
    deleted = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:batch_size]):
        rows.model._base_manager.filter(pk__in=keys).delete()
        deleted += len(keys)
    return deleted
