"""The inbox as pages: everything on it works without JavaScript; `static/usher/inbox.js` makes it live."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from . import api, store
from .models import Notification
from .wire.content import GREATEST_INTEGER

PAGE = 25
TABS = (("all", "All"), ("unread", "Unread"), ("archived", "Archived"))
STATES = ("read", "unread", "archived", "unarchived")


@require_safe
@never_cache
@login_required
def inbox(request: HttpRequest) -> HttpResponse:
    """Newest first; `?show=all|unread|archived`, `?before=<number>` for what is older."""
    show = request.GET.get("show", "all")
    if show not in dict(TABS):
        raise BadRequest("show is all, unread or archived")
    before = _number(request.GET.get("before"))
    now = timezone.now()
    # The position first: the live connection goes on from it, so what is numbered meanwhile is told there.
    position = store.position_of(store.ensure_stream(request.user.pk))
    unread, _unseen = api.counts(request.user, now=now)
    shown: dict[str, Any] = {"unread": show == "unread", "archived": show == "archived", "before": before}
    rows = list(store.listed(request.user.pk, head=position.head, now=now, **shown)[: PAGE + 1])
    more = len(rows) > PAGE
    context: dict[str, Any] = {
        "show": show,
        "tabs": TABS,
        "position": position,
        "unread": unread,
        "rows": [_shown(row) for row in rows[:PAGE]],
        "next_page": rows[PAGE - 1].seq if more else None,
        "first_page": before is None,
        "blank": {},
    }
    return render(request, "usher/inbox.html", context)


def _shown(row: Notification) -> dict[str, Any]:
    names = ("id", "seq", "kind", "level", "title", "body", "url", "created_at")
    return {name: getattr(row, name) for name in names} | {
        "read": row.read_at is not None,
        "archived": row.archived_at is not None,
    }


@require_POST
@login_required
def mark(request: HttpRequest) -> HttpResponse:
    """A button of the inbox: its name is the state, its value a notification's id or `all` (up to `through`)."""
    state = next((state for state in STATES if state in request.POST), None)
    if state is None:
        raise BadRequest("no state was named")
    which = request.POST[state]
    through = _number(request.POST.get("through"))
    if which == "all":
        if through is None:
            raise BadRequest("through is missing")
        api.mark(request.user, state=state, through=through)
    else:
        api.mark(request.user, state=state, ids=[_uuid(which)])
    return HttpResponseRedirect(_back(request))


def _back(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and not urlsplit(wanted).netloc
    return wanted if safe else reverse("inbox")


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= GREATEST_INTEGER):
        raise BadRequest("that is no number of a notification")
    return int(text)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("that is no id of a notification") from None
