"""System checks: one number for each way the settings can be wrong, with what to write instead."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.exceptions import FieldDoesNotExist

from tickets.conf import Conf, conf
from tickets.network import parse_origin, parse_proxy
from tickets.signing import key

POLICIES = ("off", "report", "prefix", "exact")
CARRIERS = ("subprotocol", "header", "frame", "bearer", "token_frame")
SHORTEST_KEY = 32
"""Bytes: RFC 7518, section 3.2, wants a key at least as long as the hash."""
NEW_KEY = f"Use at least {SHORTEST_KEY} random bytes: python -c 'import secrets; print(secrets.token_urlsafe(50))'"
SANE_TICKET_SECONDS = (5, 300)

_POSITIVE = (
    "TICKET_SECONDS",
    "OUTSTANDING",
    "ISSUE_PER_MINUTE",
    "ISSUE_BURST",
    "SIGN_IN_PER_MINUTE_NAME",
    "SIGN_IN_PER_MINUTE_ADDRESS",
    "GRANT_SECONDS",
    "SESSION_DAYS",
    "REDEEM_TIMEOUT",
    "REFRESH_GRACE",
    "ACCESS_SECONDS",
    "JID_SECONDS",
    "DATABASE_THREADS",
    "REQUESTS_AT_ONCE",
)


@checks.register
def check_settings(**_: Any) -> list[checks.CheckMessage]:
    return [
        *_unknown_names(),
        *_policy(),
        *_carriers(),
        *_numbers(),
        *_audit(),
        *_malformed("ALLOWED_ORIGINS", conf.ALLOWED_ORIGINS, _refuse_origin, "E004", "Write scheme://host[:port]."),
        *_malformed(
            "TRUSTED_PROXIES", conf.TRUSTED_PROXIES, parse_proxy, "E005", "Write 10.0.0.1, 10.0.0.0/8 or unix."
        ),
        *_socket(),
        *_ticket_life(),
    ]


@checks.register
def check_tokens(**_: Any) -> list[checks.CheckMessage]:
    return [*_own_key(), *_shared_key()]


def _own_key() -> Iterator[checks.CheckMessage]:
    own = conf.TOKEN_KEY
    if own and own in _other_keys():
        hint = "Give tokens a key of their own, or none: then one is made of the SECRET_KEY."
        yield checks.Error("TICKETS['TOKEN_KEY'] is another key of this site.", hint=hint, id="tickets.E007")
    if own and len(own.encode()) < SHORTEST_KEY:
        yield checks.Error("TICKETS['TOKEN_KEY'] is too short.", hint=NEW_KEY, id="tickets.E008")


def _other_keys() -> tuple[str, ...]:
    """Those of Django, and of whatever the site makes JWTs of its own with."""
    theirs = getattr(settings, "SIMPLE_JWT", {})
    return settings.SECRET_KEY, *(str(theirs[name]) for name in ("SIGNING_KEY", "VERIFYING_KEY") if theirs.get(name))


def _shared_key() -> Iterator[checks.CheckMessage]:
    shared = conf.JID_KEY
    if shared and (shared in (key(), *_other_keys()) or len(shared.encode()) < SHORTEST_KEY):
        hint = (
            f"Use at least {SHORTEST_KEY} random bytes that are no other key of this site: who knows it is everybody."
        )
        yield checks.Error("TICKETS['JID_KEY'] is too short or not its own.", hint=hint, id="tickets.E012")
    if shared and not _names_one_person(conf.JID_USER_FIELD):
        hint = "Name a unique field of the user model, such as pk or the username."
        message = f"TICKETS['JID_USER_FIELD'] is {conf.JID_USER_FIELD!r}."
        yield checks.Error(message, hint=hint, id="tickets.E014")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", conf.JID_NAME) or conf.JID_NAME in ("ticket", "token", "since"):
        hint = "Use small letters, digits, - and _, and none of ticket, token, since."
        yield checks.Error(f"TICKETS['JID_NAME'] is {conf.JID_NAME!r}.", hint=hint, id="tickets.E015")
    if conf.JID_ENFORCE and not shared:
        hint = "Set JID_KEY, or nobody can open a socket."
        yield checks.Error("TICKETS['JID_ENFORCE'] is on without JID_KEY.", hint=hint, id="tickets.E013")


def _names_one_person(name: str) -> bool:
    if name == "pk":
        return True
    try:
        field = get_user_model()._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return bool(getattr(field, "unique", False))


@checks.register
def check_user_model(**_: Any) -> list[checks.CheckMessage]:
    needed = {
        "is_active": ("E010", "Add is_active = models.BooleanField(default=True): it is how an account is closed."),
        "password": ("E016", "Extend AbstractBaseUser: a changed password ends the person's sessions."),
    }
    found: list[checks.CheckMessage] = []
    for name, (number, hint) in needed.items():
        try:
            get_user_model()._meta.get_field(name)
        except FieldDoesNotExist:
            found.append(checks.Error(f"The user model has no field {name}.", hint=hint, id=f"tickets.{number}"))
    return found


@checks.register(deploy=True)
def check_deployment(**_: Any) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    if conf.ALLOW_QUERY:
        hint = "Let clients send the ticket as a subprotocol or in the Authorization header; addresses are logged."
        found.append(checks.Warning("TICKETS['ALLOW_QUERY'] is on.", hint=hint, id="tickets.W002"))
    if conf.JID_KEY and conf.JID_ALLOW_QUERY:
        hint = "Have clients send it in a header where they can; addresses are logged, and it is good more than once."
        found.append(checks.Warning("TICKETS['JID_ALLOW_QUERY'] is on.", hint=hint, id="tickets.W004"))
    if conf.NETWORK_POLICY in ("off", "report"):
        hint = "Use 'prefix': a stolen ticket is then worth nothing elsewhere."
        message = f"TICKETS['NETWORK_POLICY'] is {conf.NETWORK_POLICY!r}: no network is refused."
        found.append(checks.Warning(message, hint=hint, id="tickets.W003"))
    return found


def _unknown_names() -> Iterator[checks.CheckMessage]:
    known = {name for name in vars(Conf) if name.isupper()}
    for name in sorted(set(getattr(settings, "TICKETS", {})) - known):
        hint = f"Known are: {', '.join(sorted(known))}."
        yield checks.Error(f"TICKETS has no setting {name!r}.", hint=hint, id="tickets.E001")


def _policy() -> Iterator[checks.CheckMessage]:
    if conf.NETWORK_POLICY not in POLICIES:
        hint = f"Choose one of {', '.join(POLICIES)}."
        message = f"TICKETS['NETWORK_POLICY'] is {conf.NETWORK_POLICY!r}."
        yield checks.Error(message, hint=hint, id="tickets.E002")


def _carriers() -> Iterator[checks.CheckMessage]:
    found = conf.CARRIERS
    if not isinstance(found, list | tuple) or not found or any(each not in CARRIERS for each in found):
        hint = f"List at least one of {', '.join(CARRIERS)}; tickets in addresses are ALLOW_QUERY."
        yield checks.Error(f"TICKETS['CARRIERS'] is {found!r}.", hint=hint, id="tickets.E011")


def _numbers() -> Iterator[checks.CheckMessage]:
    for name in _POSITIVE:
        value = getattr(conf, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            hint = "Write a number above zero."
            yield checks.Error(f"TICKETS[{name!r}] is {value!r}.", hint=hint, id="tickets.E003")


def _audit() -> Iterator[checks.CheckMessage]:
    value = conf.AUDIT_DAYS
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        hint = "Write a number, or 0 to keep audited acts in the log alone."
        yield checks.Error(f"TICKETS['AUDIT_DAYS'] is {value!r}.", hint=hint, id="tickets.E003")


def _malformed(
    name: str, entries: Any, parse: Callable[[str], Any], number: str, hint: str
) -> Iterator[checks.CheckMessage]:
    for entry in entries if isinstance(entries, list | tuple) else [entries]:
        try:
            parse(entry)
        except (ValueError, TypeError, AttributeError):
            yield checks.Error(f"TICKETS[{name!r}] has the entry {entry!r}.", hint=hint, id=f"tickets.{number}")


def _refuse_origin(entry: str) -> None:
    if parse_origin(entry) is None:
        raise ValueError(entry)


def _socket() -> Iterator[checks.CheckMessage]:
    if conf.SOCKET_PATH[:1] not in ("", "/") or not conf.PROTOCOLS:
        hint = "SOCKET_PATH is empty or begins with a slash, and PROTOCOLS names at least one subprotocol."
        yield checks.Error("TICKETS does not say where or how to connect.", hint=hint, id="tickets.E006")


def _ticket_life() -> Iterator[checks.CheckMessage]:
    shortest, longest = SANE_TICKET_SECONDS
    life = conf.TICKET_SECONDS
    if isinstance(life, int | float) and life > 0 and not shortest <= life <= longest:
        hint = f"Between {shortest} and {longest}: too short fails on slow links, too long is worth stealing."
        yield checks.Warning(f"TICKETS['TICKET_SECONDS'] is {life!r}.", hint=hint, id="tickets.W001")
