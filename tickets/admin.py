"""Tickets and login sessions as staff see them. Nothing here shows a credential or what one could be told by: no
digest, no id of a refresh token."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from tickets.grants import EndReason, Purpose
from tickets.issuing import revoke_many
from tickets.models import LoginSession, Ticket
from tickets.sessions import end_sessions, standing_of, why_not
from tickets.staff import StaffAdmin


def unspent(now: datetime) -> Q:
    return Q(redeemed_at=None, revoked_at=None, expires_at__gt=now)


def standing(now: datetime) -> Q:
    return Q(ended_at=None, expires_at__gt=now, user__is_active=True)


class _Choice(admin.SimpleListFilter):
    """A filter whose choices are known: reading them off a large table would read all of it."""

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.replace("_", " ")) for name in self.meanings(timezone.now())]

    def queryset(self, request: Any, queryset: QuerySet[Any]) -> QuerySet[Any]:
        meaning = self.meanings(timezone.now()).get(self.value() or "")
        return queryset if meaning is None else queryset.filter(meaning)

    def meanings(self, now: datetime) -> dict[str, Q]:
        raise NotImplementedError


class TicketState(_Choice):
    title = "state"
    parameter_name = "state"

    def meanings(self, now: datetime) -> dict[str, Q]:
        return {
            "issued": unspent(now),
            "redeemed": Q(redeemed_at__isnull=False),
            "expired": Q(redeemed_at=None, revoked_at=None, expires_at__lte=now),
            "revoked": Q(redeemed_at=None, revoked_at__isnull=False),
        }


class TicketPurpose(_Choice):
    title = "purpose"
    parameter_name = "purpose"

    def meanings(self, now: datetime) -> dict[str, Q]:
        return {purpose.value: Q(purpose=purpose.value) for purpose in Purpose}


class SessionState(_Choice):
    title = "state"
    parameter_name = "state"

    def meanings(self, now: datetime) -> dict[str, Q]:
        ended = Q(user__is_active=True, ended_at__isnull=False)
        return {
            "standing": standing(now),
            **{reason.value: ended & Q(end_reason=reason.value) for reason in EndReason},
            EndReason.EXPIRED.value: Q(user__is_active=True)
            & (Q(ended_at=None, expires_at__lte=now) | Q(end_reason=EndReason.EXPIRED.value)),
            EndReason.ACCOUNT_DISABLED.value: Q(user__is_active=False)
            | Q(ended_at__isnull=False, end_reason=EndReason.ACCOUNT_DISABLED.value),
        }


@admin.register(Ticket)
class TicketAdmin(StaffAdmin):
    fields = (
        *("id", "user", "session", "purpose", "network", "state"),
        *("created_at", "expires_at", "redeemed_at", "revoked_at"),
    )
    list_display = ("id", "user", "state", "purpose", "network", "created_at", "session")
    list_filter = (TicketState, TicketPurpose)
    list_select_related = ("user", "session")
    raw_id_fields = ("user", "session")
    ordering = ("-id",)
    date_hierarchy = "expires_at"  # which has an index
    ids = ("pk", "session_id")
    actions = ("revoke_tickets",)

    @admin.display
    def state(self, ticket: Ticket) -> str:
        if ticket.redeemed_at is not None:
            return "redeemed"
        if ticket.revoked_at is not None:
            return "revoked"
        return "issued" if ticket.expires_at > timezone.now() else "expired"

    @admin.action(description="Revoke selected tickets", permissions=["revoke"])
    def revoke_tickets(self, request: HttpRequest, queryset: QuerySet[Ticket]) -> HttpResponse | None:
        return self.act_on(
            request,
            queryset.filter(unspent(timezone.now())),
            lambda keys, now: revoke_many(keys, by=request.user.pk, now=now),
            action="revoke_tickets",
            verb="Revoke",
            done="Tickets revoked",
            warning="Their clients ask for others. To keep somebody out, end their login sessions.",
        )

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tickets.revoke_ticket")


@admin.register(LoginSession)
class LoginSessionAdmin(StaffAdmin):
    fields = (
        "id",
        "user",
        "method",
        "state",
        "device",
        "network",
        "created_at",
        "seen_at",
        "expires_at",
        "ended_at",
        "end_reason",
    )
    list_display = ("id", "user", "state", "method", "created_at", "expires_at", "ended_at")
    list_filter = (SessionState,)
    ordering = ("-expires_at",)  # the newest, nearly; and it has an index
    actions = ("end_sessions",)

    @admin.display
    def state(self, session: LoginSession) -> str:
        reason = why_not(standing_of(session), timezone.now())
        return reason.value.replace("_", " ") if reason else "standing"

    @admin.action(description="End selected login sessions", permissions=["end"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[LoginSession]) -> HttpResponse | None:
        return self.act_on(
            request,
            queryset.filter(standing(timezone.now())),
            lambda keys, now: end_sessions(keys, reason=EndReason.DISCONNECTED_BY_STAFF, by=request.user.pk, now=now),
            action="end_sessions",
            verb="End",
            done="Login sessions ended",
            warning="Their sockets close at once, and their tickets and tokens are worth nothing any more.",
        )

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tickets.end_loginsession")
