"""Versions with holes that are known, of what this site runs on: looked up in the advisories named, and no others."""

import re
from collections.abc import Mapping
from importlib import metadata
from typing import Final, NamedTuple


class Advisory(NamedTuple):
    package: str
    since: str
    """The first version that has it; empty where every version before `fixed` counts as having it."""
    fixed: str
    """The first version without it."""
    name: str
    source: str
    """In GitHub's database of advisories, which https://osv.dev has as well."""
    what: str

    @property
    def url(self) -> str:
        return f"https://github.com/advisories/{self.source}"


_RASTERS = ("CVE-2026-15307", "GHSA-wvqv-fj8w-qmhm", "files are written and requests made by spatial lookups")
_ANSWERS = ("CVE-2023-28859", "GHSA-8fww-64cx-x8p5", "an answer may come to whoever asked something else")

ADVISORIES: Final = (
    Advisory("Django", "", "5.2.17", *_RASTERS),
    Advisory("Django", "6.0", "6.0.8", *_RASTERS),
    Advisory(
        *("channels", "3.0.0", "3.0.3", "CVE-2020-35681", "GHSA-v542-8q9x-cffc"),
        "a request may be handed the session of another",
    ),
    Advisory(
        *("daphne", "", "4.2.2", "CVE-2026-44546", "GHSA-xh68-hfp5-5x5m"),
        "a handshake smuggles in headers, such as X-Forwarded-For",
    ),
    Advisory(
        *("Twisted", "", "24.7.0", "CVE-2024-41671", "GHSA-c8m8-j448-xjx7"),
        "requests in a row on one connection are answered in another order",
    ),
    Advisory(
        *("uvicorn", "", "0.11.7", "CVE-2020-7695", "GHSA-f97h-2pfx-f59f"),
        "an answer can be split by what is put into its headers",
    ),
    Advisory(
        *("h11", "", "0.16.0", "CVE-2025-43859", "GHSA-vqfr-h8mv-ghfj"),
        "requests are smuggled past a proxy in chunks",
    ),
    Advisory("redis", "", "4.4.4", *_ANSWERS),
    Advisory("redis", "4.5.0", "4.5.4", *_ANSWERS),
    Advisory(
        *("PyJWT", "", "2.15.0", "CVE-2026-101918", "GHSA-42vr-xj54-vc7v"),
        "a nested token that is decoded unverified fails as nothing else does",
    ),
    Advisory(
        *("djangorestframework-simplejwt", "", "5.5.1", "CVE-2024-22513", "GHSA-5vcc-86wm-547q"),
        "tokens are made for accounts that are closed",
    ),
    Advisory(
        *("djangorestframework", "3.6.4", "3.18.2", "CVE-2026-114136", "GHSA-3547-9m27-7rxg"),
        "a small body of JSON takes all memory",
    ),
)

SERVERS: Final[Mapping[str, Mapping[tuple[int, ...], str]]] = {
    "redis": {(6, 2): "6.2.20", (7, 2): "7.2.11", (7, 4): "7.4.6", (8, 0): "8.0.4", (8, 2): "8.2.2"},
    "valkey": {(7, 2): "7.2.11", (8, 0): "8.0.6", (8, 1): "8.1.4"},
}
"""The first of each series without CVE-2025-49844: whoever may send commands runs code on the server. By
https://github.com/redis/redis/security/advisories/GHSA-4789-qfc9-5f9q and the release notes of each."""


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
        f"{each.package} {versions[each.package]}: {each.name}, {each.what}; fixed in {each.fixed} ({each.url})"
        for each in ADVISORIES
        if each.package in versions and number(each.since) <= number(versions[each.package]) < number(each.fixed)
    ]


def server_hole(kind: str, version: str) -> str | None:
    """The version to go to from this one of a Redis or a Valkey; None if it has no hole that is known."""
    series, fixed = number(version)[:2], SERVERS.get(kind, {})
    if series in fixed:
        return fixed[series] if number(version) < number(fixed[series]) else None
    newer = [version for each, version in sorted(fixed.items()) if each > series]
    return newer[0] if newer else None  # of a series before, or between, that nobody mends any more
