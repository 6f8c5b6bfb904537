"""What became of tickets and login sessions, for the lists that staff and operators look at: conditions on their rows.

That a ticket was presented and refused is known from what was audited: nothing is written into its row for it, so that
whoever presents tickets cannot make the database write, nor tell by the time it takes what is in it.
"""

from datetime import datetime
from typing import Any, Final

from django.db.models import Case, CharField, Exists, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast

from tickets import audit
from tickets.grants import EndReason, Refusal
from tickets.models import AuditEvent, LoginSession, Ticket
from tickets.network import binding

SPENT_FOR_NOTHING: Final = (Refusal.NETWORK, Refusal.SESSION, Refusal.INACTIVE, Refusal.OUTDATED)
"""Why a ticket that was good in itself was spent and granted nothing."""


def unspent(now: datetime) -> Q:
    return Q(redeemed_at=None, revoked_at=None, expires_at__gt=now)


def ticket_states(now: datetime) -> dict[str, Q]:
    """Each ticket is in just one of them. `refused` is what was spent and granted nothing."""
    return _ticket_states(now, Q(Exists(_refusals(SPENT_FOR_NOTHING))))


def _ticket_states(now: datetime, refused: Q) -> dict[str, Q]:
    spent = Q(redeemed_at__isnull=False)
    return {
        "issued": unspent(now),
        "redeemed": spent & ~refused,
        "refused": spent & refused,
        "expired": Q(redeemed_at=None, revoked_at=None, expires_at__lte=now),
        "revoked": Q(redeemed_at=None, revoked_at__isnull=False),
    }


def with_state(tickets: QuerySet[Ticket], *, now: datetime) -> QuerySet[Ticket, Any]:
    """The same, each with its `state`, and with why it was `refused` last, if it ever was."""
    # Asked for each row that is shown. For EXISTS PostgreSQL would rather read all refusals there ever were at once.
    whens = [When(meaning, then=Value(name)) for name, meaning in _ticket_states(now, Q(nothing__isnull=False)).items()]
    nothing = tickets.alias(nothing=Subquery(_refusals(SPENT_FOR_NOTHING).values("why")[:1]))
    why = _refusals(tuple(Refusal)).order_by("-id").values("why")[:1]
    return nothing.annotate(state=Case(*whens, output_field=CharField()), refused=Subquery(why))


def refused_for(reasons: tuple[Refusal, ...]) -> Q:
    """That a ticket was presented and refused for one of these reasons, whatever had become of it."""
    return Q(Exists(_refusals(reasons)))


def _refusals(reasons: tuple[Refusal, ...]) -> QuerySet[AuditEvent]:
    whys = [reason.value for reason in reasons]
    # That it names a ticket at all is said as the index says it: PostgreSQL would not conclude it, and read the table
    # for each ticket.
    of_ticket = AuditEvent.objects.filter(~Q(ticket=""), ticket=Cast(OuterRef("pk"), CharField()))
    return of_ticket.filter(act=audit.TICKET_REDEEMED.name, ok=False, why__in=whys)


def standing(now: datetime) -> Q:
    return Q(ended_at=None, expires_at__gt=now, user__is_active=True)


def session_states(now: datetime) -> dict[str, Q]:
    """Each login session is in just one of them: `standing`, or why it does not."""
    ended = Q(user__is_active=True, ended_at__isnull=False)
    return {
        "standing": standing(now),
        **{reason.value: ended & Q(end_reason=reason.value) for reason in EndReason},
        EndReason.EXPIRED.value: Q(user__is_active=True)
        & (Q(ended_at=None, expires_at__lte=now) | Q(end_reason=EndReason.EXPIRED.value)),
        EndReason.ACCOUNT_DISABLED.value: Q(user__is_active=False)
        | Q(ended_at__isnull=False, end_reason=EndReason.ACCOUNT_DISABLED.value),
    }


def with_unspent(sessions: QuerySet[LoginSession], *, now: datetime) -> QuerySet[LoginSession]:
    """Those that have tickets which could still be spent."""
    return sessions.filter(Exists(Ticket.objects.filter(unspent(now), session=OuterRef("pk"))))


def networks(text: str) -> list[str]:
    """As rows may name the network that somebody means by an address, or by a network in CIDR notation."""
    if "/" in text:
        return [text]
    return [name for exact in (False, True) if (name := binding(text, exact=exact))]
