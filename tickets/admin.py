"""Tickets, login sessions and what was audited, as staff see them. Nothing here shows a credential or what one could be
told by: no digest, no id of a refresh token."""

import contextlib
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from tickets import audit
from tickets.grants import EndReason, Purpose
from tickets.issuing import revoke_many
from tickets.models import AuditEvent, LoginSession, Ticket
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
            lambda keys, now, _said: revoke_many(keys, by=request.user.pk, now=now),
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
            lambda keys, now, _said: end_sessions(
                keys, reason=EndReason.DISCONNECTED_BY_STAFF, by=request.user.pk, now=now
            ),
            action="end_sessions",
            verb="End",
            done="Login sessions ended",
            warning="Their sockets close at once, and their tickets and tokens are worth nothing any more.",
        )

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tickets.end_loginsession")


class AuditedWhen(_Choice):
    title = "when"
    parameter_name = "when"

    def meanings(self, now: datetime) -> dict[str, Q]:
        spans = {"past_hour": timedelta(hours=1), "past_day": timedelta(days=1), "past_week": timedelta(weeks=1)}
        return {name: Q(at__gte=now - span) for name, span in spans.items()}


class AuditedAct(_Choice):
    title = "act"
    parameter_name = "act"

    def meanings(self, now: datetime) -> dict[str, Q]:
        return {name: Q(act=name) for name in sorted(audit.names())}


class AuditedResult(_Choice):
    title = "result"
    parameter_name = "result"

    def meanings(self, now: datetime) -> dict[str, Q]:
        return {"done": Q(ok=True), "refused": Q(ok=False), "critical": Q(level="CRITICAL")}


@admin.register(AuditEvent)
class AuditEventAdmin(StaffAdmin):
    """What was audited. It names people by their keys, since it outlives them; who is still there is named here."""

    fields = (
        *("moment", "act", "result", "level", "event", "person", "asked_for_by"),
        *("session", "ticket", "address", "why", "details"),
    )
    list_display = ("moment", "what", "result", "person", "asked_for_by", "address", "reason")
    list_filter = (AuditedResult, AuditedWhen, AuditedAct)
    list_select_related = ()
    raw_id_fields = ()
    ordering = ("-id",)  # which ascends with the time
    since = "at"
    search_help_text = "A username, or a complete id of a person, a login session or a ticket, or an address."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        people = get_user_model()
        named = people._default_manager.filter(**{f"{people.USERNAME_FIELD}__icontains": term})
        keys = [*map(str, named.values_list("pk", flat=True)[:MOST_PEOPLE]), term]
        columns = Q(session=term) | Q(ticket=term) | Q(address=term)
        return queryset.filter(Q(user__in=keys) | Q(by__in=keys) | columns), False

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        page = super().get_changelist_instance(request)
        page.result_list = _with_names(list(page.result_list))
        return page

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> AuditEvent | None:
        found: AuditEvent | None = super().get_object(request, object_id, from_field)
        return found and _with_names([found])[0]

    @admin.display(description="at", ordering="at")
    def moment(self, row: AuditEvent) -> str:
        text = f"{timezone.localtime(row.at):%Y-%m-%d %H:%M:%S}"
        return text.replace("-", "\N{NON-BREAKING HYPHEN}").replace(" ", "\N{NO-BREAK SPACE}")

    @admin.display(description="act", ordering="act")
    def what(self, row: AuditEvent) -> str:
        action = row.details.get("action")  # which of staff's acts on many
        return f"{row.act}: {action}".replace("_", " ") if action else row.act.replace("_", " ")

    @admin.display(description="why", ordering="why")
    def reason(self, row: AuditEvent) -> str:
        return (row.why or str(row.details.get("reason", ""))).replace("_", " ")

    @admin.display
    def result(self, row: AuditEvent) -> str:
        return "done" if row.ok else "refused"

    @admin.display(description="user", ordering="user")
    def person(self, row: AuditEvent) -> str:
        return row.names.get(row.user, row.user)  # type: ignore[attr-defined]

    @admin.display(description="by", ordering="by")
    def asked_for_by(self, row: AuditEvent) -> str:
        return row.names.get(row.by, row.by)  # type: ignore[attr-defined]


MOST_PEOPLE = 1_000
"""Whom a part of a name may mean: longer lists are no search."""


def _with_names(rows: list[AuditEvent]) -> list[AuditEvent]:
    """The same rows, each knowing what the people of all of them are called: one query."""
    people = get_user_model()
    keys = set()
    for text in {text for row in rows for text in (row.user, row.by)} - {""}:
        with contextlib.suppress(ValidationError):  # another kind of key, of another user model
            keys.add(people._meta.pk.to_python(text))
    names = {str(pk): person.get_username() for pk, person in people._default_manager.in_bulk(keys).items()}
    for row in rows:
        row.names = names  # type: ignore[attr-defined]
    return rows
