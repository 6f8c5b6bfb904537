"""Tickets, login sessions and what was audited, as staff see them. Nothing here shows a credential or what one could be
told by: no digest, no id of a refresh token."""

import contextlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from tickets import audit, shown
from tickets.grants import EndReason, Purpose, Refusal
from tickets.issuing import revoke_many
from tickets.models import AuditEvent, LoginSession, Ticket
from tickets.sessions import end_sessions, standing_of, why_not
from tickets.staff import Before, Said, StaffAdmin, batches


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
        return shown.ticket_states(now)


class TicketRefused(_Choice):
    title = "refusal"
    parameter_name = "refused"

    def meanings(self, now: datetime) -> dict[str, Q]:
        known = tuple(reason for reason in Refusal if reason not in (Refusal.MALFORMED, Refusal.UNKNOWN))
        return {"any": shown.refused_for(known), **{reason.value: shown.refused_for((reason,)) for reason in known}}


class TicketPurpose(_Choice):
    title = "purpose"
    parameter_name = "purpose"

    def meanings(self, now: datetime) -> dict[str, Q]:
        return {purpose.value: Q(purpose=purpose.value) for purpose in Purpose}


class SessionState(_Choice):
    title = "state"
    parameter_name = "state"

    def meanings(self, now: datetime) -> dict[str, Q]:
        return shown.session_states(now)


class IssuedBefore(Before):
    title = "time of issue"
    column = "created_at"


@admin.register(Ticket)
class TicketAdmin(StaffAdmin):
    fields = (
        *("id", "user", "session", "purpose", "network", "state", "refusal"),
        *("created_at", "expires_at", "redeemed_at", "revoked_at", "audited"),
    )
    list_display = ("id", "user", "state", "refusal", "purpose", "network", "created_at", "session")
    list_filter = (TicketState, TicketRefused, TicketPurpose, IssuedBefore)
    list_select_related = ("user", "session")
    raw_id_fields = ("user", "session")
    ordering = ("-id",)
    date_hierarchy = "expires_at"  # which has an index
    ids = ("pk", "session_id")
    networks = ("network",)
    search_help_text = "A username, a complete id, or an address."
    actions = ("revoke_tickets",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Ticket, Any]:
        return shown.with_state(super().get_queryset(request), now=timezone.now())

    @admin.display
    def state(self, ticket: Any) -> str:
        return str(ticket.state)

    @admin.display(description="last refused for")
    def refusal(self, ticket: Any) -> str | None:
        refused: str | None = ticket.refused
        return refused

    @admin.display(description="what was audited")
    def audited(self, ticket: Ticket) -> str:
        """Of this ticket: the newest, and where the rest is."""
        rows = AuditEvent.objects.filter(ticket=str(ticket.pk)).order_by("-id")[:AUDITED]
        lines = format_html_join("", "<li>{} {} {} {} {}</li>", map(_said_of, rows))
        page = reverse("admin:tickets_auditevent_changelist")
        return format_html('<ul>{}</ul><a href="{}?q={}">all</a>', lines, page, ticket.pk)

    @admin.action(description="Revoke selected tickets", permissions=["revoke"])
    def revoke_tickets(self, request: HttpRequest, queryset: QuerySet[Ticket]) -> HttpResponse | None:
        return self.act_on(
            request,
            queryset.filter(shown.unspent(timezone.now())),
            lambda keys, now, said: revoke_many(keys, by=request.user.pk, why=said["why"], now=now),
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
        *("id", "user", "method", "state", "device", "network"),
        *("created_at", "seen_at", "expires_at", "ended_at", "end_reason", "its_tickets"),
    )
    list_display = ("id", "user", "state", "method", "network", "created_at", "seen_at", "expires_at", "ended_at")
    list_filter = (SessionState,)
    ordering = ("-expires_at",)  # the newest, nearly; and it has an index
    networks = ("network",)
    search_help_text = "A username, a complete id, or an address."
    actions = ("end_sessions", "revoke_tickets")

    @admin.display
    def state(self, session: LoginSession) -> str:
        reason = why_not(standing_of(session), timezone.now())
        return reason.value.replace("_", " ") if reason else "standing"

    @admin.display(description="tickets")
    def its_tickets(self, session: LoginSession) -> str:
        unspent = session.tickets.filter(shown.unspent(timezone.now())).count()
        page = reverse("admin:tickets_ticket_changelist")
        return format_html('<a href="{}?q={}">{} that could be spent now</a>', page, session.pk, unspent)

    @admin.action(description="End selected login sessions", permissions=["end"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[LoginSession]) -> HttpResponse | None:
        return self.act_on(
            request,
            queryset.filter(shown.standing(timezone.now())),
            lambda keys, now, said: end_sessions(
                keys, reason=EndReason.DISCONNECTED_BY_STAFF, by=request.user.pk, why=said["why"], now=now
            ),
            action="end_sessions",
            verb="End",
            done="Login sessions ended",
            warning="Their sockets close at once, and their tickets and tokens are worth nothing any more.",
        )

    @admin.action(description="Revoke the tickets of selected login sessions", permissions=["revoke"])
    def revoke_tickets(self, request: HttpRequest, queryset: QuerySet[LoginSession]) -> HttpResponse | None:
        def act(sessions: list[UUID], now: datetime, said: Said) -> int:
            theirs = Ticket.objects.filter(shown.unspent(now), session_id__in=sessions)
            return sum(revoke_many(keys, by=request.user.pk, why=said["why"], now=now) for keys in batches(theirs))

        return self.act_on(
            request,
            shown.with_unspent(queryset, now=timezone.now()),
            act,
            action="revoke_tickets",
            verb="Revoke the tickets of",
            done="Tickets revoked",
            warning="All that could be spent now. Their clients ask for others; their sockets stay.",
        )

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tickets.end_loginsession")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tickets.revoke_ticket")


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
    def person(self, row: AuditEvent) -> str | None:
        return row.names.get(row.user, row.user) or None  # type: ignore[attr-defined]

    @admin.display(description="by", ordering="by")
    def asked_for_by(self, row: AuditEvent) -> str | None:
        return row.names.get(row.by, row.by) or None  # type: ignore[attr-defined]


def _said_of(row: AuditEvent) -> tuple[str, ...]:
    when = f"{timezone.localtime(row.at):%Y-%m-%d %H:%M:%S}"
    return when, row.act.replace("_", " "), "" if row.ok else "refused", row.why.replace("_", " "), row.address


AUDITED = 20
"""Lines of the audit that a ticket's page shows."""

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
