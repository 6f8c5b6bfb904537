"""The site's own pages: everything on them works without JavaScript; `static/usher/` makes them live."""

import logging
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
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from tickets.api import end_other_sessions, end_own_session

from . import api, pages
from .wire.native import STATE_IDS

logger = logging.getLogger("notifications.socket")

STATES = ("read", "unread", "archived", "unarchived")


@require_safe
@never_cache
@login_required
def inbox(request: HttpRequest) -> HttpResponse:
    """The list itself is a tag's: see `templatetags/usher.py`."""
    pages.asked(request.GET)
    return render(request, "usher/inbox.html", {"unread": pages.standing(request).unread})


@require_POST
@login_required
def mark(request: HttpRequest) -> HttpResponse:
    """A button of the inbox: its name is the state, its value a notification's id, `selected` (those in `ids`) or `all`
    (up to `through`)."""
    state = next((state for state in STATES if state in request.POST), None)
    if state is None:
        raise BadRequest("no state was named")
    which = request.POST[state]
    if which == "all":
        through = pages.number(request.POST.get("through"))
        if through is None:
            raise BadRequest("through is missing")
        api.mark(request.user, state=state, through=through)
    elif ids := [pages.identity(text) for text in (request.POST.getlist("ids") if which == "selected" else [which])]:
        if len(ids) > STATE_IDS:
            raise BadRequest("these are too many at once")
        api.mark(request.user, state=state, ids=ids)
    return HttpResponseRedirect(_back(request))


def _back(request: HttpRequest, otherwise: str = "inbox") -> str:
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and not urlsplit(wanted).netloc
    return wanted if safe else reverse(f"usher:{otherwise}")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def preferences(request: HttpRequest) -> HttpResponse:
    """The page of the tag; and its buttons: `mute` or `unmute` with a kind."""
    if request.method != "POST":
        return render(request, "usher/preferences.html")
    act, name = (api.mute, "mute") if "mute" in request.POST else (api.unmute, "unmute")
    try:
        act(request.user, kind=request.POST.get(name, ""))
    except (api.InvalidContent, api.MayNotMute, api.TooManyMuted) as error:
        raise BadRequest(str(error)) from error
    return HttpResponseRedirect(_back(request, "preferences"))


@require_safe
@cache_control(public=True, max_age=86_400)
def icon(request: HttpRequest, count: int) -> HttpResponse:
    """The site's icon with a number on it: for a browser's tab. Above 99 it says so."""
    context = {"count": count, "badge": "99+" if count > 99 else str(count)}
    return render(request, "usher/icon.svg", context, content_type="image/svg+xml")


@require_safe
@never_cache
@login_required
def devices(request: HttpRequest) -> HttpResponse:
    """Where the person is signed in."""
    found = pages.devices(request.user.pk, _current(request), now=timezone.now())
    others = sum(not device.current for device in found)
    context: dict[str, Any] = {"devices": found, "others": others, "ended": "ended" in request.GET}
    return render(request, "usher/devices.html", context)


@require_POST
@login_required
def end_device(request: HttpRequest) -> HttpResponse:
    """Sign out one device (`session`), or all but this one (`session=others`). This one goes by signing out."""
    which, current = request.POST.get("session", ""), _current(request)
    if which == "others":
        ended = bool(end_other_sessions(request.user.pk, current))
    else:
        session = pages.identity(which)
        ended = session != current and end_own_session(request.user.pk, session)
    return HttpResponseRedirect(reverse("usher:devices") + ("?ended" if ended else ""))


def _current(request: HttpRequest) -> UUID | None:
    """The login session that the page is shown to, as the middleware of `tickets` has found it."""
    return getattr(request, "usher_session", None)


@never_cache
def no_socket(request: HttpRequest) -> HttpResponse:
    """Where the socket is, for whoever asks Django: a handshake comes here only if nobody in front of it took it."""
    if request.headers.get("Upgrade", "").lower() == "websocket":
        logger.error("A handshake of a socket came to Django: serve ASGI_APPLICATION, made by notifications.asgi.")
    return HttpResponse("This is the address of a WebSocket.\n", status=400, content_type="text/plain")
