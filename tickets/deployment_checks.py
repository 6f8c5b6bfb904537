"""System checks of what a site is deployed with, where no single setting is wrong but what they come to is."""

import ipaddress
import logging
from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.db import connection

from tickets import advisories
from tickets.conf import conf
from tickets.network import parse_origin, parse_proxy

WIDEST: Final = {4: 8, 6: 16}
"""Bits: 10.0.0.0/8 and the networks of the largest CDNs are within it, half of the world is not."""

DISTINCT: Final = 10
"""Characters that differ in a key: a random one of 32 has about 25, a word that is repeated has five."""


@checks.register(deploy=True)
def check_deployed(**_: Any) -> list[checks.CheckMessage]:
    return [*_hosts(), *_origins(), *_proxies(), *_keys(), *_times(), *_pool(), *_versions(), *_rotation()]


def _warning(number: int, message: str, hint: str) -> checks.CheckMessage:
    return checks.Warning(message, hint=hint, id=f"tickets.W{number:03}")


def _hosts() -> Iterator[checks.CheckMessage]:
    if "*" in settings.ALLOWED_HOSTS:
        yield _warning(8, "ALLOWED_HOSTS has '*'.", "List the names that the site is called by.")


def _origins() -> Iterator[checks.CheckMessage]:
    plain = [entry for entry in _entries(conf.ALLOWED_ORIGINS) if _is_plain(entry)]
    if plain:
        yield _warning(9, f"TICKETS['ALLOWED_ORIGINS'] has {', '.join(plain)}.", "Serve these pages by https, too.")


def _is_plain(entry: str) -> bool:
    origin = parse_origin(entry)
    return origin is not None and origin.scheme in ("http", "ws")


def _proxies() -> Iterator[checks.CheckMessage]:
    wide = [entry for entry in _entries(conf.TRUSTED_PROXIES) if _is_wide(entry)]
    if wide:
        hint = "Name the proxies themselves, or the network that only they are in."
        yield _warning(10, f"TICKETS['TRUSTED_PROXIES'] has {', '.join(wide)}.", hint)
    if not conf.TRUSTED_PROXIES and settings.SECURE_SSL_REDIRECT and not settings.SECURE_PROXY_SSL_HEADER:
        hint = "Name what stands in front of this site: TRUSTED_PROXIES=unix for nginx by a unix socket, as shipped."
        yield _warning(11, "HTTPS is asked for, and TICKETS['TRUSTED_PROXIES'] is empty.", hint)


def _is_wide(entry: str) -> bool:
    try:
        network = parse_proxy(entry)
    except ValueError:
        return False
    return isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network) and (
        network.prefixlen < WIDEST[network.version]
    )


def _entries(value: Any) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list | tuple) else []


def _keys() -> Iterator[checks.CheckMessage]:
    for name in ("TOKEN_KEY", "JID_KEY"):
        key = getattr(conf, name)
        if isinstance(key, str) and key and len(set(key)) < DISTINCT:
            hint = "python -c 'import secrets; print(secrets.token_urlsafe(50))' makes one that nobody guesses."
            yield _warning(12, f"TICKETS[{name!r}] is hardly random.", hint)


def _times() -> Iterator[checks.CheckMessage]:
    if not _all_numbers("GRANT_SECONDS", "SESSION_DAYS", "REFRESH_GRACE", "ACCESS_SECONDS"):
        return
    if conf.GRANT_SECONDS >= conf.SESSION_DAYS * 86_400:
        hint = "Make GRANT_SECONDS shorter, some minutes, or SESSION_DAYS longer."
        yield _warning(13, "TICKETS: GRANT_SECONDS is no shorter than SESSION_DAYS.", hint)
    if conf.REFRESH_GRACE >= conf.ACCESS_SECONDS:
        hint = "REFRESH_GRACE is for a second tab that was slower: some seconds."
        yield _warning(14, "TICKETS: REFRESH_GRACE is no shorter than ACCESS_SECONDS.", hint)


def _all_numbers(*names: str) -> bool:
    values = [getattr(conf, name) for name in names]
    return all(isinstance(value, int | float) and value > 0 for value in values)


def _pool() -> Iterator[checks.CheckMessage]:
    size, needed = pool_size(), connections_needed()
    if connection.vendor == "postgresql" and size is not None and size < needed:
        hint = f'"OPTIONS": {{"pool": {{"max_size": {needed}}}}} is DATABASE_THREADS + REQUESTS_AT_ONCE.'
        yield _warning(
            15, f"The pool of the database has room for {size} connections, and {needed} may be asked for.", hint
        )


def pool_size() -> int | None:
    """Connections that the pool of a process holds at most; None without one, or with one of no fixed size."""
    pool = connection.settings_dict.get("OPTIONS", {}).get("pool")
    return (pool.get("max_size") or pool.get("min_size", 4)) if isinstance(pool, dict) else 4 if pool else None


def connections_needed() -> int:
    return int(conf.DATABASE_THREADS) + int(conf.REQUESTS_AT_ONCE)


def _versions() -> Iterator[checks.CheckMessage]:
    for line in advisories.holes(advisories.installed()):
        yield _warning(16, line + ".", "Upgrade it: pip install -r requirements.txt has what everything was run with.")


def _rotation() -> Iterator[checks.CheckMessage]:
    kept = [handler for handler in logging.getLogger("tickets.audit").handlers if type(handler) is logging.FileHandler]
    for handler in kept:
        hint = 'Let "tickets.logs.AuditFile" write it, which opens it anew.'
        yield _warning(17, f"{handler.baseFilename} is written by a handler that goes on in a file moved away.", hint)
