"""System checks of `settings.NOTIFICATIONS` and of what this room stands on. Each id has a test that trips it."""

from collections.abc import Mapping
from math import inf
from typing import Any
from urllib.parse import urlsplit

from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

from tickets.api import is_network

from .conf import Conf, conf
from .wire.content import kind_problem

POLICIES = ("reauth", "close", "ignore")
SHORTEST_TOKEN = 20
_NAMES = [name for name, value in vars(Conf).items() if isinstance(value, property)]
_RABBITMQ: Mapping[str, tuple[type, ...]] = {
    "RABBITMQ_AUTH": (bool,),
    "RABBITMQ_AUTH_NETWORKS": (list, tuple, set, frozenset),
    "RABBITMQ_AUTH_TOKENS": (bool,),
    "RABBITMQ_VHOST": (str,),
    "RABBITMQ_URL": (str,),
    "RABBITMQ_MANAGEMENT_URL": (str,),
}
_SCHEMES: Mapping[str, tuple[str, str]] = {
    "RABBITMQ_URL": ("amqp", "amqps"),
    "RABBITMQ_MANAGEMENT_URL": ("http", "https"),
}
_NO_NUMBERS = ("ON_EXPIRY", "AUTHENTICATE_EACH_MESSAGE", "KINDS", "UNMUTABLE_KINDS", "METRICS_TOKEN", *_RABBITMQ)


@register("notifications")
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    from django.conf import settings

    found: list[CheckMessage] = []
    if conf.ON_EXPIRY not in POLICIES:
        found.append(
            Error(
                f"NOTIFICATIONS['ON_EXPIRY'] is {conf.ON_EXPIRY!r}.",
                hint=f"It is one of {', '.join(POLICIES)}.",
                id="notifications.E001",
            )
        )
    for name in _NAMES:
        value = getattr(conf, name)
        if name not in _NO_NUMBERS and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf
        ):
            found.append(
                Error(
                    f"NOTIFICATIONS[{name!r}] is {value!r}.",
                    hint="It is a number above 0.",
                    id="notifications.E002",
                )
            )
    each: object = conf.AUTHENTICATE_EACH_MESSAGE
    if not isinstance(each, bool):
        found.append(
            Error(
                f"NOTIFICATIONS['AUTHENTICATE_EACH_MESSAGE'] is {each!r}.",
                hint="It is True or False.",
                id="notifications.E005",
            )
        )
    token: object = conf.METRICS_TOKEN
    if not isinstance(token, str) or 0 < len(token) < SHORTEST_TOKEN or not token.isascii():
        found.append(
            Error(
                "NOTIFICATIONS['METRICS_TOKEN'] can be guessed, or cannot stand in a header.",
                hint="Use random characters: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
                id="notifications.E012",
            )
        )
    for name in set(getattr(settings, "NOTIFICATIONS", {})) - set(_NAMES):
        found.append(
            Error(
                f"NOTIFICATIONS[{name!r}] is not a setting.",
                hint="Look for a misspelling; notifications/conf.py lists all of them.",
                id="notifications.E003",
            )
        )
    return found


@register("notifications")
def check_kinds(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name, wanted in (("KINDS", Mapping), ("UNMUTABLE_KINDS", list | tuple | set | frozenset)):
        value: object = getattr(conf, name)
        wrong = [kind for kind in value if kind_problem(kind) or not kind] if isinstance(value, wanted) else [value]
        if wrong:
            found.append(
                Error(
                    f"NOTIFICATIONS[{name!r}] has {wrong[0]!r}, which is no kind.",
                    hint="KINDS is a dict of kinds and what people call them, UNMUTABLE_KINDS a list of kinds; a kind "
                    "is made of a-z, 0-9, dot, dash and underscore: ci.build.",
                    id="notifications.E011",
                )
            )
    return found


@register("notifications")
def check_layer(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    from .live import ears

    if ears.is_supported():
        return []
    return [
        Error(
            "The default channel layer is neither the in-memory one nor channels_redis' pub/sub layer.",
            hint="Use channels_redis.pubsub.RedisPubSubChannelLayer: the core layer ends idle sockets after 5 s with "
            "redis-py 8 and drops messages silently.",
            id="notifications.E004",
        )
    ]


@register(Tags.security, deploy=True)
def check_deployment(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if conf.ON_EXPIRY == "ignore":
        found.append(
            checks.Warning(
                "NOTIFICATIONS['ON_EXPIRY'] is 'ignore': grants never run out, only login sessions do.",
                hint="Use 'reauth' (clients prove themselves again, nothing is lost) or 'close'.",
                id="notifications.W001",
            )
        )
    return found


@register("notifications")
def check_rabbitmq(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name, kinds in _RABBITMQ.items():
        value: object = getattr(conf, name)
        if not isinstance(value, kinds):
            hint = f"It is a {kinds[0].__name__}."
            found.append(Error(f"NOTIFICATIONS[{name!r}] is {value!r}.", hint=hint, id="notifications.E016"))
    for name, schemes in _SCHEMES.items():
        value = getattr(conf, name)
        if value and isinstance(value, str) and urlsplit(value).scheme not in schemes:
            hint = f"It begins with {schemes[0]}:// or {schemes[1]}://."
            message = f"NOTIFICATIONS[{name!r}] is an address of something else."  # there may be a password in it
            found.append(Error(message, hint=hint, id="notifications.E016"))
    networks = conf.RABBITMQ_AUTH_NETWORKS
    for entry in networks if isinstance(networks, _RABBITMQ["RABBITMQ_AUTH_NETWORKS"]) else ():
        if not is_network(entry):
            hint = "An entry is an address or a network, such as 10.0.0.0/8, or `unix`."
            message = f"NOTIFICATIONS['RABBITMQ_AUTH_NETWORKS'] has {entry!r}."
            found.append(Error(message, hint=hint, id="notifications.E017"))
    return found
