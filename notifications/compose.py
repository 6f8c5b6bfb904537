"""Staff tells people something: who and what is filled in, looked at, and then sent. A page of the admin."""

import secrets
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.widgets import AdminTextareaWidget
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from tickets.api import AuditAct, audit

from . import api
from .forms import SAID, MessageForm
from .live.kicking import live

COMPOSED = AuditAct("composed_by_staff", "authz_admin", about=("by", "key"))

EXAMPLES = 10
"""People that are named before many are told."""

AUDIENCES = {
    "": "Nobody else",
    "everybody": "Everybody whose account is active",
    "staff": "Staff",
    "connected": "Whoever is connected now",
}


class ComposeForm(MessageForm):
    """To whom, and what. Whoever is named, in one of the groups or in the audience is told, once."""

    names = forms.CharField(
        label="People",
        required=False,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
        help_text="Usernames, one a line.",
    )
    groups = forms.ModelMultipleChoiceField(
        Group.objects.all(),
        required=False,
        widget=forms.SelectMultiple(attrs={"size": 4}),
        help_text="Hold down “Control”, or “Command” on a Mac, to select more than one.",
    )
    audience = forms.ChoiceField(choices=list(AUDIENCES.items()), required=False)

    field_order = ("names", "groups", "audience", *SAID, "why")

    def clean_names(self) -> list[str]:
        names = list(dict.fromkeys(filter(None, map(str.strip, self.cleaned_data["names"].splitlines()))))
        known = {person.get_username() for person in _named(names)}
        if unknown := [name for name in names if name not in known]:
            raise ValidationError(f"Nobody of an active account is called {', '.join(unknown[:5])}.")
        return names

    def clean(self) -> dict[str, Any]:
        said = super().clean()
        if not self.errors and not (said["names"] or said["groups"] or said["audience"]):
            raise ValidationError("Nobody was chosen.")
        return said

    def people(self) -> QuerySet[Any]:
        """Each once, whose account is active."""
        said = self.cleaned_data
        wanted = Q(pk__in=_named(said["names"]).values("pk"))
        if said["groups"]:
            wanted |= Q(pk__in=Group.objects.filter(pk__in=said["groups"]).values("user"))
        match said["audience"]:
            case "everybody":
                wanted = Q()
            case "staff":
                wanted |= Q(is_staff=True)
            case "connected":
                wanted |= Q(pk__in=live(now=timezone.now()).values("user_id"))
        return _active().filter(wanted)


def compose(admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Asks, shows, sends: three times the same address. What is sent twice, by a double click, is told once."""
    if not request.user.has_perm("notifications.add_notification"):
        audit(COMPOSED, ok=False, by=request.user.pk)
        raise PermissionDenied
    form = ComposeForm(request.POST or None)
    context = {
        **admin.admin_site.each_context(request),
        "title": "Tell people something",
        "opts": admin.opts,
        "media": admin.media + form.media,
        "form": form,
        "key": secrets.token_hex(8),
    }
    if request.method == "POST" and form.is_valid():
        if "sent" in request.POST:
            return _send(admin, request, form)
        people = form.people()
        count = people.count()
        context |= {"count": count, "examples": list(people[:EXAMPLES]), "more": max(0, count - EXAMPLES)}
    request.current_app = admin.admin_site.name  # as all admin views do
    return TemplateResponse(request, "admin/compose.html", context)


def _send(admin: "ModelAdmin[Any]", request: HttpRequest, form: ComposeForm) -> HttpResponse:
    said, key = form.cleaned_data, request.POST.get("key", "")[:64] or secrets.token_hex(8)
    what = {name: said[name].replace("\r\n", "\n") for name in SAID}
    told = api.notify_many(form.people(), idempotency_key=key, caller=f"admin:{request.user.pk}", **what)
    audit(COMPOSED, by=request.user.pk, key=key, count=told, title=said["title"], why=said["why"] or None)
    admin.message_user(request, f"People told: {told}.", messages.SUCCESS)
    return HttpResponseRedirect(reverse(f"{admin.admin_site.name}:notifications_notification_changelist"))


def _active() -> QuerySet[Any]:
    return get_user_model()._default_manager.filter(is_active=True)


def _named(names: list[str]) -> QuerySet[Any]:
    return _active().filter(**{f"{get_user_model().USERNAME_FIELD}__in": names})
