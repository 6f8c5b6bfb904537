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

from django.contrib.auth import get_user_model
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

from tickets.api import caller_of, is_trusted_proxy, is_within, log_in_to_broker, refuse_broker_login

from .. import topics
from ..conf import conf
from . import grammar, people, queues, rules

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
    except (grammar.NotAsked, RequestDataTooBig):
        return grammar.DENY
    except Exception:
        logger.exception("RabbitMQ was answered `deny`, because that failed")
        return grammar.DENY


@_answers("username", "password", optional=("vhost", "client_id"))
def user(asked: dict[str, str]) -> str:
    """May they log in? The one question with a credential in it; RabbitMQ may ask it twice."""
    username, vhost = asked["username"], asked.get("vhost") or conf.RABBITMQ_VHOST
    if vhost != conf.RABBITMQ_VHOST:
        return _refuse(username, "vhost", vhost=vhost)
    person = log_in_to_broker(username, asked["password"], vhost, tokens=conf.RABBITMQ_AUTH_TOKENS)
    if person is None:
        return grammar.DENY
    if "client_id" in asked and not rules.is_own_client(person.user_id, asked["client_id"]):
        return _refuse(username, "client_id", user=person.user_id)
    return grammar.allow(_tags(person.user_id))


def _refuse(username: str, why: str, **details: Any) -> str:
    refuse_broker_login(username, why, **details)
    return grammar.DENY


def _tags(user_id: Any) -> list[str]:
    people_of_it = get_user_model()._default_manager.filter(pk=user_id)
    if not hasattr(people_of_it.model, "groups"):  # a user model of the site's own
        return []
    names = people_of_it.filter(groups__name__in=_GROUPS).values_list("groups__name", flat=True)
    return [_GROUPS[name] for name in names]


@_answers("username", "vhost", optional=("ip",))
def vhost(asked: dict[str, str]) -> str:
    """May they come in there, from that address? A proxy's says nothing of where the person is."""
    username, address = asked["username"], asked.get("ip") or ""
    if asked["vhost"] != conf.RABBITMQ_VHOST:
        return _refuse(username, "vhost", vhost=asked["vhost"], address=address)
    place = asked["vhost"], None if is_trusted_proxy(address) else address
    person = people.find(username)
    if person is None or not person.may_come(*place):
        person = people.look(username)  # they may have logged in a moment ago, by another process
    if person is None or not person.may_come(*place):
        whose = {"user": person.user_id} if person else {}
        return _refuse(username, "network" if person else "no_login", address=address, **whose)
    return grammar.ALLOW


@_answers("username", "vhost", "resource", "name", "permission")
def resource(asked: dict[str, str]) -> str:
    """May they do that with that queue or exchange?"""
    person = _of(asked)
    kind, name, permission = (asked[each] for each in ("resource", "name", "permission"))
    if person is None or not rules.may_use(person.user_id, kind, name, permission):
        return grammar.DENY
    if rules.is_made_up(name):
        return _word(queues.is_theirs(person.user_id, name, declared=permission == "configure"))
    return grammar.ALLOW


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
