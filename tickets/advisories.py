"""Versions with holes that are known, of what this site runs on: looked up in the advisories named, and no others."""

import re
from collections.abc import Mapping
from importlib import metadata
from typing import Final, NamedTuple


class Advisory(NamedTuple):
    package: str
    fixed: str
    """The first version without it, in the series that is used here; all before it count as having it."""
    name: str
    what: str


ADVISORIES: Final = (
    Advisory("Django", "5.2.17", "CVE-2026-15307", "files are written and requests made by spatial lookups"),
    Advisory("channels", "3.0.3", "CVE-2020-35681", "a request may be handed the session of another"),
    Advisory("daphne", "4.2.2", "CVE-2026-44546", "a handshake smuggles in headers, such as X-Forwarded-For"),
    Advisory("uvicorn", "0.11.7", "CVE-2020-7695", "an answer can be split by what is put into its headers"),
    Advisory("redis", "4.5.4", "CVE-2023-28859", "an answer may come to whoever asked something else"),
    Advisory("PyJWT", "2.15.0", "CVE-2026-101918", "tokens that are decoded unverified"),
    Advisory("djangorestframework", "3.18.2", "CVE-2026-114136", "a small body of JSON takes all memory"),
    Advisory("h11", "0.16.0", "CVE-2025-43859", "requests are smuggled past a proxy in chunks"),
)
"""Sources: https://docs.djangoproject.com/en/stable/releases/security/ and, by these names, https://osv.dev."""

SERVERS: Final[Mapping[str, Mapping[tuple[int, ...], str]]] = {
    "redis": {(6, 2): "6.2.20", (7, 2): "7.2.11", (7, 4): "7.4.6", (8, 0): "8.0.4", (8, 2): "8.2.2"},
    "valkey": {(7, 2): "7.2.11", (8, 0): "8.0.6", (8, 1): "8.1.4"},
}
"""The first of each series without CVE-2025-49844: whoever may send commands runs code on the server."""


def number(version: str) -> tuple[int, ...]:
    """`4.2.3rc1` is (4, 2, 3)."""
    return tuple(map(int, re.findall(r"\d+", re.match(r"[\d.]*", version)[0])))  # type: ignore[index]  # matches ""


def installed() -> dict[str, str]:
    """What is here of the packages that anything is known of."""
    found = {}
    for name in {advisory.package for advisory in ADVISORIES}:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def holes(versions: Mapping[str, str]) -> list[str]:
    """A line for each hole that these versions have."""
    return [
        f"{each.package} {versions[each.package]}: {each.name}, {each.what}; fixed in {each.fixed}"
        for each in ADVISORIES
        if each.package in versions and number(versions[each.package]) < number(each.fixed)
    ]


def server_hole(kind: str, version: str) -> str | None:
    """The version to go to from this one of a Redis or a Valkey; None if it has no hole that is known."""
    series, fixed = number(version)[:2], SERVERS.get(kind, {})
    if series in fixed:
        return fixed[series] if number(version) < number(fixed[series]) else None
    newer = [version for each, version in sorted(fixed.items()) if each > series]
    return newer[0] if newer else None  # of a series before, or between, that nobody mends any more
