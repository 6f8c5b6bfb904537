"""The dashboard, where the admin lists what it has: `admin/notifications/figures/`, for staff who may view it."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from .conf import conf
from .dashboard import last_hour
from .models import Figures
from .wire.closing import CloseCode

LOOK_SECONDS = 5.0
"""How often an open page asks again, at most: twice as often as there is news."""


@admin.register(Figures)
class DashboardAdmin(admin.ModelAdmin):
    """One page in place of a list: rows of figures tell nobody anything one by one."""

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="notifications_figures_changelist"),
            path("live.json", wrap(require_safe(self.live)), name="notifications_figures_live"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self._refuse_strangers(request)
        context = {
            **self.admin_site.each_context(request),
            "title": "Dashboard",
            "opts": self.opts,
            "live": reverse("admin:notifications_figures_live", current_app=self.admin_site.name),
            "look_seconds": f"{min(LOOK_SECONDS, conf.FIGURES_SECONDS / 2):g}",
            "codes": {str(int(code)): code.sentence for code in CloseCode},
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name  # as all admin views do
        return TemplateResponse(request, "usher/dashboard.html", context)

    def live(self, request: HttpRequest) -> JsonResponse:
        """What the page draws."""
        self._refuse_strangers(request)
        return JsonResponse(last_hour(now=timezone.now()))

    def _refuse_strangers(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
