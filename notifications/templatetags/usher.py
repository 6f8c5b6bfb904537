"""Notifications in any template, under any Content-Security-Policy that lets a site's own files run:

    {% load usher %}
    <head> … {% usher_head %}</head>
    <body> … {% usher_status %} {% usher_bell %} … {% usher_inbox %} … {% usher_toasts %}</body>

`{% usher_preferences %}` stands on a page of its own.

Each element is complete without JavaScript; `static/usher/elements.js` makes it live. Whoever is not signed in gets
nothing of it.
"""

from typing import Any

from django import template
from django.core.exceptions import BadRequest, ImproperlyConfigured
from django.http import HttpRequest
from django.template.loader import get_template
from django.utils.html import json_script

from .. import pages, preferences
from ..words import bell_label

register = template.Library()


@register.simple_tag(takes_context=True)
def usher_head(context: Any, *, count_in_title: bool = False, count_in_icon: bool = False) -> str:
    """Style, script, configuration and the template of a row. Once, in the `<head>`, before any element.

    `count_in_title` keeps the number of unread ones in front of the page's title; `count_in_icon` replaces the page's
    icon by Usher's own with the number on it."""
    request = _request(context)
    if request is None:
        return ""
    block = pages.data_block(request, count_in_title=count_in_title, count_in_icon=count_in_icon)
    return _rendered("head", request, data=json_script(block, "usher"), blank={})


@register.simple_tag(takes_context=True)
def usher_bell(context: Any) -> str:
    """A link to the inbox that counts what is unseen; with JavaScript it opens a panel with the latest."""
    request = _request(context)
    if request is None:
        return ""
    unseen = pages.standing(request).unseen
    badge = "99+" if unseen > 99 else str(unseen)
    return _rendered("bell", request, unseen=unseen, badge=badge, label=bell_label(unseen))


@register.simple_tag(takes_context=True)
def usher_status(context: Any) -> str:
    """One line on the connection: live, lost, offline, signed out, and what to do about it."""
    return _plain("status", context)


@register.simple_tag(takes_context=True)
def usher_toasts(context: Any) -> str:
    """What arrives while somebody looks. Once, at the end of the `<body>`."""
    return _plain("toasts", context)


@register.simple_tag(takes_context=True)
def usher_inbox(context: Any) -> str:
    """The list, as `?show=`, `?q=` and `?before=` of the page's address ask. What it cannot read there is taken for
    somebody else's."""
    request = _request(context)
    if request is None:
        return ""
    try:
        wanted = pages.asked(request.GET)
    except BadRequest:
        wanted = pages.Asked()
    return _rendered("inbox", request, **pages.inbox(request, wanted))


@register.simple_tag(takes_context=True)
def usher_preferences(context: Any) -> str:
    """Which kinds of notifications the person is told of, and whether this device alerts them."""
    request = _request(context)
    return "" if request is None else _rendered("preferences", request, kinds=preferences.kinds(request.user))


def _plain(name: str, context: Any) -> str:
    request = _request(context)
    return "" if request is None else _rendered(name, request)


def _rendered(name: str, request: HttpRequest, **shown: Any) -> str:
    return get_template(f"usher/elements/{name}.html").render({"request": request, **shown}, request)


def _request(context: Any) -> HttpRequest | None:
    """The page's, if somebody is signed in."""
    request = context.get("request") or getattr(context, "request", None)  # with the context processor, or without
    if request is None:
        raise ImproperlyConfigured("The tags of {% load usher %} need the request: render(request, …).")
    user = getattr(request, "user", None)
    return request if user is not None and user.is_authenticated else None
