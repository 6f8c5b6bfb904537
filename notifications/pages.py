"""What pages show of a person's notifications and devices, as plain data for templates and for `static/usher/`."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, QueryDict
from django.middleware.csrf import get_token
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from tickets.api import own_sessions

from . import api, preferences, store
from .conf import conf
from .live.kicking import live
from .models import Notification
from .wire.content import GREATEST_INTEGER
from .wire.streams import Position
from .words import words

PAGE = 25
ABOVE = 5
"""Newer ones that are shown above one that was asked for."""
SEARCH_LENGTH = 200
SHOWN = ("all", "unread", "archived")


# Where the person stands -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """The position is read before the counts, and both before any list: what is numbered meanwhile is told live."""

    user_id: Any
    position: Position
    unread: int
    unseen: int


def standing(request: HttpRequest) -> Standing:
    """Read once for a request, however many elements its page has."""
    known = getattr(request, "_usher_standing", None)
    if known is None or known.user_id != request.user.pk:
        position = store.position_of(store.ensure_stream(request.user.pk))
        known = Standing(request.user.pk, position, *api.counts(request.user))
        request._usher_standing = known  # type: ignore[attr-defined]
    return known


def data_block(request: HttpRequest, *, count_in_title: bool = False, count_in_icon: bool = False) -> dict[str, Any]:
    """The configuration of `static/usher/page.js`, as JSON in the page."""
    now = standing(request)
    return {
        "user": str(now.user_id),
        "epoch": now.position.epoch,
        "head": now.position.head,
        "state_version": now.position.state_version,
        "unread": now.unread,
        "unseen": now.unseen,
        "language": get_language() or settings.LANGUAGE_CODE,
        "csrf": {
            "cookie": settings.CSRF_COOKIE_NAME,
            "header": settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-"),
            "token": get_token(request),  # for sites that keep the cookie from scripts; asking for it also sets it
        },
        "urls": {
            "tickets": reverse("usher:tickets"),
            "list": reverse("usher:notifications"),
            "state": reverse("usher:notifications-state"),
            "sessions": reverse("usher:sessions"),
            "preferences": reverse("usher:preferences-api"),
            "inbox": reverse("usher:inbox"),
            "login": resolve_url(settings.LOGIN_URL),
        },
        "tab": {"title": count_in_title, "icon": _icon_address() if count_in_icon else ""},
        "kinds": {kind: preferences.name_of(kind) for kind in conf.KINDS},
        "unmutable": list(conf.UNMUTABLE_KINDS),
        "words": words(),
    }


def _icon_address() -> str:
    """With `{n}` for the number."""
    return reverse("usher:icon", args=[0]).removesuffix("0.svg") + "{n}.svg"


# The inbox -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of an inbox asks for: `?show=all|unread|archived`, `?q=words`, `?before=<number>`; or by
    `?at=<id>` for the page of the list that has this one."""

    show: str = "all"
    search: str = ""
    before: int | None = None
    at: UUID | None = None

    def address(self, **other: Any) -> str:
        """The address of the same inbox with something else asked for. Relative, so that it holds on any page."""
        wanted = {"show": self.show, "q": self.search, "before": self.before} | other
        return "?" + urlencode({name: value for name, value in wanted.items() if value not in ("", None)})


def asked(query: QueryDict) -> Asked:
    """Raises BadRequest for what no link of an inbox leads to."""
    show = query.get("show", "all")
    if show not in SHOWN:
        raise BadRequest("show is all, unread or archived")
    search = query.get("q", "").strip()
    if len(search) > SEARCH_LENGTH or "\0" in search:
        raise BadRequest("q is at most 200 characters")
    at = query.get("at")
    return Asked(show, search, number(query.get("before")), None if at is None else identity(at))


def inbox(request: HttpRequest, wanted: Asked) -> dict[str, Any]:
    """Newest first."""
    position = standing(request).position
    now = timezone.now()
    at = wanted.at
    if at is not None:
        wanted = _page_with(request.user.pk, at, position.head, now)
    found = store.listed(
        request.user.pk,
        head=position.head,
        now=now,
        unread=wanted.show == "unread",
        archived=wanted.show == "archived",
        search=wanted.search,
        before=wanted.before,
    )
    rows = list(found[: PAGE + 1])
    more = len(rows) > PAGE
    return {
        "asked": wanted,
        "here": wanted.address(),
        "tabs": [(name, words_of_tab(name), wanted.address(show=name, before=None)) for name in SHOWN],
        "days": _days([shown(row) for row in rows[:PAGE]], now),
        "at": at,
        "missing": at is not None and all(row.pk != at for row in rows[:PAGE]),
        "unread": standing(request).unread,
        "head": position.head,
        "first_page": wanted.before is None,
        "newest": wanted.address(before=None),
        "older": wanted.address(before=rows[PAGE - 1].seq) if more else None,
        "all_of_it": wanted.address(q="", before=None),
    }


def _page_with(user_id: Any, at: UUID, head: int, now: datetime) -> Asked:
    """What asks for the page that has this one, with some newer ones above it; if there is none, for the first page."""
    row = store.current(user_id, now=now).filter(pk=at).first()
    if row is None:
        return Asked()
    archived = row.archived_at is not None
    newer = store.listed(user_id, head=head, now=now, archived=archived, after=row.seq).values_list("seq", flat=True)
    above = list(newer[:PAGE])
    return Asked("archived" if archived else "all", before=above[ABOVE] if len(above) == PAGE else None)


def words_of_tab(name: str) -> str:
    return {
        "all": pgettext("notifications", "All"),
        "unread": pgettext("notifications", "Unread"),
        "archived": pgettext("notifications", "Archived"),
    }[name]


def shown(row: Notification) -> dict[str, Any]:
    names = ("id", "seq", "kind", "level", "title", "body", "url", "created_at")
    return {name: getattr(row, name) for name in names} | {
        "read": row.read_at is not None,
        "archived": row.archived_at is not None,
        "kind_name": preferences.name_of(row.kind),
        "mutable": row.archived_at is None and preferences.may_mute(row.kind),
    }


def _days(rows: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Rows by the day they are of, in the site's time zone; `static/usher/rows.js` does it again in the person's."""
    grouped: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(timezone.localdate(row["created_at"]), []).append(row)
    today = timezone.localdate(now)
    near = {0: _("Today"), 1: _("Yesterday")}
    return [{"date": day, "near": near.get((today - day).days, ""), "rows": rows} for day, rows in grouped.items()]


def identity(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("that is no id") from None


def number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= GREATEST_INTEGER):
        raise BadRequest("that is no number of a notification")
    return int(text)


# Devices -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Device:
    """One login session, as its person sees it."""

    id: UUID
    current: bool
    name: str
    """Browser and system, in words; `agent` is what they were read from."""
    agent: str
    icon: str
    method: str
    network: str
    since: datetime
    last_seen: datetime
    connections: int


def devices(user_id: Any, current: UUID | None, *, now: datetime) -> list[Device]:
    """This one first, then those that are connected, then the one seen last. Connections are some seconds late."""
    connected: defaultdict[UUID, int] = defaultdict(int)
    rows: Any = live(now=now).filter(user=user_id, kicked_at=None)
    for session_id in rows.values_list("session_id", flat=True):
        connected[session_id] += 1
    found = []
    for session in own_sessions(user_id, now=now):
        count, is_current = connected[session.id], session.id == current
        seen = now if count or is_current else session.last_seen
        name = device_name(session.device) or method_name(session.method)
        about = (name, session.device, _icon(session.device), method_name(session.method), session.network)
        found.append(Device(session.id, is_current, *about, session.since, seen, count))
    return sorted(found, key=lambda each: (each.current, each.connections > 0, each.last_seen), reverse=True)


def _icon(agent: str) -> str:
    if not agent.startswith("Mozilla/"):
        return "program"
    return "phone" if any(sign in agent for sign in ("iPhone", "Android", "Mobile")) else "device"


def method_name(method: str) -> str:
    return {
        "django": _("Browser session"),
        "token": _("Program with a token"),
        "jwt": _("Token of another application"),
    }.get(method, method)


# In this order: every browser also says the names of those it descends from.
_BROWSERS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox", "Firefox")),
    *(("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("HeadlessChrome", "Chrome"), ("Chrome", "Chrome")),
    *(("Safari", "Safari"), ("curl/", "curl"), ("python-httpx", "httpx"), ("python-requests", "requests")),
)
_SYSTEMS = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("CrOS", "ChromeOS")),
    *(("Windows", "Windows"), ("Macintosh", "macOS"), ("Linux", "Linux")),
)


def device_name(agent: str) -> str:
    """“Firefox on Linux”, as far as a User-Agent tells; empty if it tells neither."""
    browser = next((name for sign, name in _BROWSERS if sign in agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system
