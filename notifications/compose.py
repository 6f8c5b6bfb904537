"""Staff tells people something: who and what is filled in, looked at, and then sent. A page of the admin."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.widgets import AdminTextareaWidget
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from tickets.api import AuditAct, audit
from tickets.staff import Said

from . import api
from .forms import SAID, MessageForm, content_of
from .live.kicking import live

COMPOSED = AuditAct(
    "composed_by_staff", "authz_admin", "authz_fail", ("by", "key"), because={"interrupted": "authz_admin"}
)

EXAMPLES = 10
"""People that are named before many are told."""

AUDIENCES = {
    "": "Nobody else",
    "everybody": "Everybody whose account is active",
    "staff": "Staff",
    "connected": "Whoever is connected now",
}

MOVING = ("everybody", "connected")
"""Audiences that change by themselves all the while: of these not who they are is held to, but how many."""

SEEN_FOR = timedelta(hours=1)
"""How long a preview can be sent. It must be less than a day, after which what was told by it could be told again."""


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


@dataclass(frozen=True, slots=True)
class Preview:
    """What was shown before it is sent; signed, it goes along with the form. `key`: what is sent by it is told once."""

    key: str
    what: str
    whom: str
    count: int

    @classmethod
    def of(cls, form: ComposeForm) -> Self:
        said = form.cleaned_data
        keys = list(form.people().order_by("pk").values_list("pk", flat=True))
        groups = sorted(str(group.pk) for group in said["groups"])
        held_to = [] if said["audience"] in MOVING else [str(key) for key in keys]
        whom = hashlib.sha256(repr([said["names"], groups, said["audience"], held_to]).encode()).hexdigest()
        return cls(secrets.token_hex(8), content_of(said).fingerprint(), whom, len(keys))

    @classmethod
    def shown(cls, request: HttpRequest) -> Self | None:
        """What this person was shown; None if that was nothing, or too long ago."""
        try:
            return cls(*signing.loads(request.POST.get("preview", ""), salt=_salt(request), max_age=SEEN_FOR))
        except signing.BadSignature:
            return None

    def signed(self, request: HttpRequest) -> str:
        return signing.dumps([self.key, self.what, self.whom, self.count], salt=_salt(request))

    def is_still(self, now: Self) -> bool:
        """Whether that is what would be sent now."""
        return (self.what, self.whom) == (now.what, now.whom) and now.count <= self.count * 1.1


def _salt(request: HttpRequest) -> str:
    return f"usher.compose:{request.user.pk}"


def compose(admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Asks, shows, sends: three times the same address. Only what was shown is sent; if it is another thing by then, or
    goes to others, that is shown first. What is sent twice, by a double click, is told once."""
    if not request.user.has_perm("notifications.add_notification"):
        audit(COMPOSED, ok=False, by=request.user.pk)
        raise PermissionDenied
    form = ComposeForm(request.POST or None)
    form.fields["groups"].queryset = _groups(request.user)  # type: ignore[attr-defined]
    context: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        preview = Preview.of(form)
        if "sent" in request.POST:
            shown = Preview.shown(request)
            if shown and shown.is_still(preview):
                return _send(admin, request, form, shown.key)
            admin.message_user(request, "This is not what you were shown: look again.", messages.WARNING)
        context |= {
            "preview": preview.signed(request),
            "count": preview.count,
            "examples": list(form.people()[:EXAMPLES]),
            "more": max(0, preview.count - EXAMPLES),
        }
    context |= {
        **admin.admin_site.each_context(request),
        "title": "Tell people something",
        "opts": admin.opts,
        "media": admin.media + form.media,
        "form": form,
    }
    request.current_app = admin.admin_site.name  # as all admin views do
    return TemplateResponse(request, "admin/compose.html", context)


def _send(admin: "ModelAdmin[Any]", request: HttpRequest, form: ComposeForm, key: str) -> HttpResponse:
    said = form.cleaned_data
    what = {name: said[name].replace("\r\n", "\n") for name in SAID}
    who = {"by": request.user.pk, "key": key, "title": said["title"], **_chosen(said)}
    gone_through = [0]
    try:
        told = api.notify_many(
            form.people(), idempotency_key=key, caller=f"admin:{request.user.pk}", progress=gone_through.append, **what
        )
    except Exception:  # by then some were told; whoever sends it again tells the rest
        audit(COMPOSED, ok=False, **who, count=gone_through[-1], why="interrupted", reason=said["why"] or None)
        raise
    audit(COMPOSED, **who, count=told, why=said["why"] or None)
    admin.message_user(request, f"People told: {told}.", messages.SUCCESS)
    return HttpResponseRedirect(reverse(f"{admin.admin_site.name}:notifications_notification_changelist"))


def _chosen(said: Said) -> dict[str, str | None]:
    """To whom, for the audit log."""
    groups = ", ".join(str(group) for group in said["groups"])
    return {"names": ", ".join(said["names"]) or None, "groups": groups or None, "audience": said["audience"] or None}


def _groups(staff: Any) -> QuerySet[Group]:
    """All for those who may look at groups; others know, and tell, those they are in."""
    may_see = staff.has_perm("auth.view_group") or staff.has_perm("auth.change_group")
    return Group.objects.all() if may_see else staff.groups.all()


def _active() -> QuerySet[Any]:
    return get_user_model()._default_manager.filter(is_active=True)


def _named(names: list[str]) -> QuerySet[Any]:
    return _active().filter(**{f"{get_user_model().USERNAME_FIELD}__in": names})
