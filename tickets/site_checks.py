"""System checks of what a site has around this room: what is missing there, and the line that mends it."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth import get_backends
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core import checks
from django.db import connection
from django.utils.module_loading import import_string

from tickets.backends import PasswordBackend
from tickets.conf import conf
from tickets.middleware import EndedSessionMiddleware, UsherMiddleware


@checks.register
def check_middleware(**_: Any) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    if not _has_middleware(EndedSessionMiddleware):
        name = f"{UsherMiddleware.__module__}.{UsherMiddleware.__qualname__}"
        hint = f'MIDDLEWARE = ["{name}", *MIDDLEWARE]: else whoever was signed out goes on by the cookie they have.'
        found.append(checks.Error("Nothing in MIDDLEWARE looks at login sessions.", hint=hint, id="tickets.E017"))
    for needed in (SessionMiddleware, AuthenticationMiddleware):
        if not _has_middleware(needed):
            hint = f'Add "{needed.__module__}.{needed.__qualname__}": pages are for whoever has signed in by Django.'
            found.append(checks.Error(f"MIDDLEWARE has no {needed.__qualname__}.", hint=hint, id="tickets.E018"))
    return found


def _has_middleware(wanted: type) -> bool:
    entries = map(import_string, settings.MIDDLEWARE)
    return any(isinstance(entry, type) and issubclass(entry, wanted) for entry in entries)


@checks.register
def check_time(**_: Any) -> list[checks.CheckMessage]:
    if settings.USE_TZ:
        return []
    hint = "USE_TZ = True: when a session ends must not depend on where the server is."
    return [checks.Error("USE_TZ is off.", hint=hint, id="tickets.E019")]


@checks.register(deploy=True)
def check_site(**_: Any) -> list[checks.CheckMessage]:
    return [*_key(), *_passwords(), *_database()]


def _key() -> Iterator[checks.CheckMessage]:
    if not conf.TOKEN_KEY:
        hint = "Give tokens a key of their own, so that either can be changed without the other."
        yield checks.Warning("TICKETS has no TOKEN_KEY: SECRET_KEY signs tokens, too.", hint=hint, id="tickets.W005")


def _passwords() -> Iterator[checks.CheckMessage]:
    if not any(isinstance(backend, PasswordBackend) for backend in get_backends()):
        hint = (
            'AUTHENTICATION_BACKENDS = ["tickets.backends.PasswordBackend"], in place of ModelBackend, does. '
            "Silence this if something else does."
        )
        message = "Nothing of ours limits how often names and passwords are tried on pages."
        yield checks.Warning(message, hint=hint, id="tickets.W006")


def _database() -> Iterator[checks.CheckMessage]:
    mode = connection.settings_dict.get("OPTIONS", {}).get("transaction_mode") or ""
    if connection.vendor == "sqlite" and mode.upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        hint = '"OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20} lets writers wait for each other.'
        message = "SQLite lets transactions fail that begin to write at the same time."
        yield checks.Warning(message, hint=hint, id="tickets.W007")
