"""
The four questions of RabbitMQ (rabbitmq_auth_backend_http), under `/rabbitmq/auth/`.

Rules of this file:

* 200 and a word, whatever happens: to the broker anything else is a failure of ours, and it says so to its client.
* Asked from `NOTIFICATIONS["RABBITMQ_AUTH_NETWORKS"]` only. The answers say who may do what, and a guess at a ticket
  costs nothing here.
* By POST: an address with a ticket in it would be logged.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

from tickets.api import caller_of, is_trusted_proxy, is_within, log_in_to_broker

from .. import topics
from ..conf import conf
from . import grammar, people, rules

logger = logging.getLogger("notifications.rabbitmq")

Question = Callable[[dict[str, str]], str]

_GROUPS: Final = {f"rabbitmq-{tag}": tag for tag in grammar.TAGS}


def _answers(*needed: str, optional: tuple[str, ...] = ()) -> Callable[[Question], Callable[..., HttpResponse]]:
    """A view of what asks for these parameters."""

    def decorate(question: Question) -> Callable[..., HttpResponse]:
        @csrf_exempt
        def view(request: HttpRequest) -> HttpResponse:
            if not is_within(caller_of(request).address, conf.RABBITMQ_AUTH_NETWORKS):
                return HttpResponseForbidden("Not from here.\n", content_type="text/plain")
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            said = _answer(request, question, needed, optional)
            return HttpResponse(said, content_type="text/plain", headers={"Cache-Control": "no-store"})

        return view

    return decorate


def _answer(request: HttpRequest, question: Question, needed: tuple[str, ...], optional: tuple[str, ...]) -> str:
    try:
        if request.content_type != "application/x-www-form-urlencoded":
            return grammar.DENY
        return question(grammar.read(request.body, needed, optional))
    except grammar.NotAsked:
        return grammar.DENY
    except Exception:
        logger.exception("RabbitMQ was answered `deny`, because that failed")
        return grammar.DENY


@_answers("username", "password", optional=("vhost", "client_id"))
def user(asked: dict[str, str]) -> str:
    """May they log in? The one question with a credential in it; RabbitMQ may ask it twice."""
    vhost = asked.get("vhost") or conf.RABBITMQ_VHOST
    if vhost != conf.RABBITMQ_VHOST:
        return grammar.DENY
    person = log_in_to_broker(asked["username"], asked["password"], vhost, tokens=conf.RABBITMQ_AUTH_TOKENS)
    people.forget()  # that nobody of that name was logged in
    if person is None or ("client_id" in asked and not rules.is_own_client(person.user_id, asked["client_id"])):
        return grammar.DENY
    return grammar.allow(_tags(person.user_id))


def _tags(user_id: Any) -> list[str]:
    groups = Group.objects.filter(user=user_id, name__in=_GROUPS)
    return [_GROUPS[name] for name in groups.values_list("name", flat=True)]


@_answers("username", "vhost", optional=("ip",))
def vhost(asked: dict[str, str]) -> str:
    """May they come in there, from that address? A proxy's says nothing of where the person is."""
    person = people.find(asked["username"])
    address = asked.get("ip") or ""
    if person is None or asked["vhost"] != conf.RABBITMQ_VHOST:
        return grammar.DENY
    return _word(person.may_come(asked["vhost"], None if is_trusted_proxy(address) else address))


@_answers("username", "vhost", "resource", "name", "permission")
def resource(asked: dict[str, str]) -> str:
    """May they do that with that queue or exchange?"""
    person = _of(asked)
    return _word(
        person is not None and rules.may_use(person.user_id, asked["resource"], asked["name"], asked["permission"])
    )


@_answers("username", "vhost", "resource", "name", "permission", "routing_key")
def topic(asked: dict[str, str]) -> str:
    """May they listen to what is published with that routing key?"""
    person = _of(asked)
    if person is None:
        return grammar.DENY
    what = (asked[name] for name in ("resource", "name", "permission", "routing_key"))
    found = rules.listens_to(person.user_id, *what)
    return _word(topics.decide_now(person.user_id, found).allowed if isinstance(found, str) else found)


def _of(asked: dict[str, str]) -> Any:
    """Who asks, if they are logged in to that vhost."""
    person = people.find(asked["username"])
    return person if person and person.may_come(asked["vhost"], None) else None


def _word(allowed: bool) -> str:
    return grammar.ALLOW if allowed else grammar.DENY
