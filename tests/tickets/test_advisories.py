"""Versions with holes, and those of this site, which have none that is known."""

import re

import pytest

from tests.support.processes import ROOT
from tickets.advisories import ADVISORIES, SERVERS, holes, installed, number, server_hole


def test_what_this_site_is_run_with_has_none():
    assert holes(installed()) == []
    pinned = dict(
        re.findall(r"^([\w-]+)(?:\[[^\]]*\])?==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    )
    assert {each.package for each in ADVISORIES} - {"h11", "Twisted"} <= set(pinned), "no package that is not used"
    assert holes(pinned) == []


@pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda each: f"{each.package}-{each.fixed}")
def test_the_version_before_has_it_and_the_one_that_mends_it_has_not(advisory):
    *rest, last = number(advisory.fixed)
    before = [*rest[:-1], rest[-1] - 1, 99] if last == 0 else [*rest, last - 1]
    (line,) = holes({advisory.package: ".".join(map(str, before))})
    assert advisory.name in line
    assert advisory.fixed in line
    assert holes({advisory.package: advisory.fixed}) == []
    assert advisory.url in line
    assert re.fullmatch(r"CVE-\d{4}-\d{4,6}", advisory.name)
    assert re.fullmatch(r"https://github\.com/advisories/GHSA(-[0-9a-z]{4}){3}", advisory.url)


@pytest.mark.parametrize(
    ("package", "version", "found"),
    [
        *[("channels", "2.4.0", 0), ("channels", "3.0.0", 1), ("channels", "3.0.2", 1)],
        *[("Django", "4.2.30", 1), ("Django", "5.2.17", 0), ("Django", "6.0", 1), ("Django", "6.0.8", 0)],
        *[("redis", "4.4.3", 1), ("redis", "4.4.4", 0), ("redis", "4.5.0", 1), ("djangorestframework", "3.6.3", 0)],
    ],
)
def test_only_versions_that_have_it(package, version, found):
    assert len(holes({package: version})) == found


@pytest.mark.parametrize(
    ("version", "numbers"), [("5.2.19", (5, 2, 19)), ("4.2.3rc1", (4, 2, 3)), ("5.3.dev1+g", (5, 3)), ("", ())]
)
def test_a_version_is_numbers(version, numbers):
    assert number(version) == numbers


@pytest.mark.parametrize(
    ("kind", "version", "goes_to"),
    [
        ("redis", "7.4.5", "7.4.6"),
        ("redis", "7.4.6", None),
        ("redis", "6.0.16", "6.2.20"),
        ("redis", "7.0.15", "7.2.11"),
        ("redis", "8.4.0", None),
        ("valkey", "8.1.3", "8.1.4"),
        ("valkey", "9.1.2", None),
        ("keydb", "6.3.4", None),
    ],
)
def test_a_server_s(kind, version, goes_to):
    assert server_hole(kind, version) == goes_to


def test_each_series_goes_to_a_version_of_its_own():
    assert all(number(fixed)[:2] == series for kind in SERVERS.values() for series, fixed in kind.items())
