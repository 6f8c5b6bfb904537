"""The log and the live connections as staff see them. Nothing here can be written: what people are told comes from
code, and goes by retention."""

from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from tickets.api import AuditAct, audit, audit_many
from tickets.staff import Said, StaffAdmin

from . import admin_dashboard, api  # noqa: F401  (importing the first registers it)
from .compose import compose
from .forms import MessageForm, content_of
from .live import kicking
from .live.positions import with_position
from .live.presence import lease_seconds
from .models import Acked, Connection, Notification, Stream

DISCONNECTED = AuditAct("connection_disconnected", "authz_admin", about=("by", "connection"))
ASKED = AuditAct("connection_asked", "authz_admin", about=("by", "connection"))
TOLD = AuditAct("told_by_staff", "authz_admin", about=("by", "user"))


@admin.register(Stream)
class StreamAdmin(StaffAdmin):
    fields = ("user", "head", "acked", "acked_at", "live", "floor", "state_version", "fence", "epoch")
    list_display = ("user", "head", "acked", "acked_at", "live", "floor", "state_version", "fence", "epoch")
    ordering = ("-id",)
    ids = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Stream, Any]:
        reached = Acked.objects.filter(user=OuterRef("user_id"))
        live = kicking.live(now=timezone.now()).filter(user=OuterRef("user_id")).order_by().values("user")
        return (
            super()
            .get_queryset(request)
            .annotate(through=Subquery(reached.values("through")), at=Subquery(reached.values("at")))
            .annotate(live=Coalesce(Subquery(live.annotate(many=Count("pk")).values("many")), 0))
        )

    @admin.display(description="acked through")
    def acked(self, stream: Any) -> int | None:
        """By the client of theirs that is furthest, some seconds ago."""
        return stream.through

    @admin.display(description="acked at")
    def acked_at(self, stream: Any) -> datetime | None:
        return stream.at

    @admin.display(description="live connections")
    def live(self, stream: Any) -> int:
        return stream.live


@admin.register(Notification)
class NotificationAdmin(StaffAdmin):
    fields = (
        *("id", "user", "seq", "created_at", "kind", "level", "title", "body", "url", "data", "expires_at"),
        *("seen_at", "read_at", "archived_at"),
    )
    list_display = ("title", "user", "state", "level", "kind", "seq", "created_at")
    list_filter = ("level", ("read_at", admin.EmptyFieldListFilter), ("archived_at", admin.EmptyFieldListFilter))
    ordering = ("-id",)  # which ascends with the time

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(partial(compose, self))
        return [path("compose/", view, name="notifications_notification_compose"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may = request.user.has_perm("notifications.add_notification")
        return super().changelist_view(request, {"may_compose": may, **(extra_context or {})})

    @admin.display
    def state(self, notification: Notification) -> str:
        for column, state in (("archived_at", "archived"), ("read_at", "read"), ("seen_at", "seen")):
            if getattr(notification, column) is not None:
                return state
        return "unseen" if notification.seq is not None else "waiting for its number"


@admin.register(Connection)
class ConnectionAdmin(StaffAdmin):
    fields = (
        *("name", "user", "session", "network", "protocol", "server", "opened_at", "last_seen"),
        *("cursor", "behind", "unacked", "asked_at", "kicked_at", "kicked_code"),
    )
    list_display = (
        *("name", "user", "state", "opened_at", "cursor", "behind", "unacked"),
        *("network", "protocol", "server", "last_seen", "session"),
    )
    list_filter = ("server", "protocol")
    ordering = ("-opened_at",)
    since = "opened_at"
    ids = ("pk", "session_id")
    networks = ("network",)
    search_help_text = "A username, a complete id, or an address."
    actions = ("disconnect", "ask", "tell")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        """Only what is believed to be live."""
        return with_position(super().get_queryset(request).filter(leased_until__gt=timezone.now()))

    @admin.display(description="behind by")
    def behind(self, connection: Any) -> int | None:
        """Numbers that it was not told yet, some seconds ago."""
        behind: int | None = connection.behind
        return behind

    @admin.display(description="not acked")
    def unacked(self, connection: Any) -> int | None:
        unacked: int | None = connection.unacked
        return unacked

    @admin.display
    def state(self, connection: Connection) -> str:
        if connection.kicked_at is None:
            return "live" if connection.asked_at is None else "live; was asked to re-authenticate"
        return f"being disconnected ({connection.get_kicked_code_display() or 'by staff'})"

    @admin.display(description="last seen", ordering="leased_until")
    def last_seen(self, connection: Connection) -> datetime:
        """By its process, which says so every `PRESENCE_SECONDS` of all that it has."""
        return connection.leased_until - lease_seconds()

    @admin.display(description="login session", ordering="session_id")
    def session(self, connection: Connection) -> str:
        page = reverse("admin:tickets_loginsession_change", args=[connection.session_id])
        return format_html('<a href="{}">{}</a>', page, connection.session_id)

    @admin.action(description="Disconnect selected connections", permissions=["disconnect"])
    def disconnect(self, request: HttpRequest, queryset: QuerySet[Connection]) -> HttpResponse | None:
        def act(names: list[str], now: datetime, said: Said) -> int:
            kicked = kicking.disconnect(names, now=now)
            for name, user_id in kicked:
                audit(DISCONNECTED, connection=name, user=user_id, by=request.user.pk, why=said["why"] or None)
            return len(kicked)

        return self.act_on(
            request,
            queryset.filter(kicked_at=None),
            act,
            action="disconnect",
            verb="Disconnect",
            done="Connections disconnected",
            warning="Their login sessions live on, but these clients stay away until a person acts. "
            "To keep somebody out, end their login sessions.",
        )

    @admin.action(description="Have selected connections re-authenticate", permissions=["ask"])
    def ask(self, request: HttpRequest, queryset: QuerySet[Connection]) -> HttpResponse | None:
        def act(names: list[str], now: datetime, said: Said) -> int:
            asked = kicking.ask(names, now=now)
            for name, user_id in asked:
                audit(ASKED, connection=name, user=user_id, by=request.user.pk, why=said["why"] or None)
            return len(asked)

        return self.act_on(
            request,
            queryset.filter(kicked_at=None),
            act,
            action="ask",
            verb="Re-authenticate",
            done="Connections asked to re-authenticate",
            warning="Nothing private reaches them until their clients have shown a new ticket, which clients of people "
            "who are still signed in do by themselves; then all they missed follows.",
        )

    @admin.action(description="Send a message to the people of selected connections", permissions=["tell"])
    def tell(self, request: HttpRequest, queryset: QuerySet[Connection]) -> HttpResponse | None:
        told: set[Any] = set()  # who has several connections is told once

        def act(names: list[str], now: datetime, said: Said) -> int:
            people = set(Connection.objects.filter(pk__in=names).values_list("user_id", flat=True)) - told
            told.update(people)
            what, caller = content_of(said), f"admin:{request.user.pk}"
            key = f"{said['asked'].isoformat()} {what.fingerprint()}"
            published = api.publish_many(people, what, idempotency_key=key, caller=caller, now=now)
            new = [each for each in published if not each.again]
            by = {"by": request.user.pk, "why": said["why"] or None}
            audit_many(TOLD, [{"user": each.user_id, "notification": each.id, **by} for each in new])
            return len(new)

        return self.act_on(
            request,
            queryset.filter(kicked_at=None),
            act,
            action="tell",
            verb="Send a message to",
            done="People told",
            warning="It is a notification like any other: it stays in their inboxes.",
            form=MessageForm,
        )

    def has_ask_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("notifications.ask_connection")

    def has_tell_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("notifications.add_notification")

    def has_disconnect_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("notifications.disconnect_connection")
