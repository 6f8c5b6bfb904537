"""The same lists as Django's admin makes them of what its tutorial says: columns, filters, a search box."""

from typing import Any

from django.contrib import admin

from notifications.models import Connection, Stream
from tickets.models import Ticket

site = admin.AdminSite(name="plain")


@admin.register(Ticket, site=site)
class TicketAdmin(admin.ModelAdmin):
    list_display = ("id", "user", "state", "purpose", "network", "created_at", "session")
    list_filter = ("purpose", "redeemed_at")
    search_fields = ("user__username",)
    date_hierarchy = "expires_at"
    ordering = ("-id",)

    @admin.display
    def state(self, ticket: Ticket) -> str:
        return "redeemed" if ticket.redeemed_at else "revoked" if ticket.revoked_at else "issued"


@admin.register(Connection, site=site)
class ConnectionAdmin(admin.ModelAdmin):
    list_display = (
        *("name", "user", "opened_at", "cursor", "behind", "unacked"),
        *("network", "protocol", "server", "session_id"),
    )
    list_filter = ("server", "protocol")
    search_fields = ("user__username",)
    ordering = ("-opened_at",)

    @admin.display
    def behind(self, connection: Any) -> int:
        head: int = Stream.objects.get(user=connection.user).head
        return head - connection.cursor

    @admin.display
    def unacked(self, connection: Any) -> int:
        unacked: int = connection.cursor - connection.acked
        return unacked
