"""The doctor on sites on which all is wrong, and on the one that is shipped, on which nothing is."""

import json
import re
import secrets
import subprocess
import sys

import pytest

from notifications.doctor import WHY
from tests.deploy.test_environment import EXAMPLE
from tests.support.processes import ROOT, free_port
from tests.support.stack import site_environment

ELSEWHERE = {
    # Only a site that is up can show them, only another server, another database or another model of users:
    # tests/notifications/test_probes.py, tests/tickets/test_probes.py, tests/tickets/test_checks.py
    *("notifications.E013", "notifications.E014", "notifications.E015", "notifications.W014"),
    *("notifications.W012", "notifications.W013", "tickets.W023", "tickets.E010", "tickets.E016"),
}
SAID = re.compile(r"(?:tickets|notifications)\.[EW]\d{3}")


def expected():
    """What bad_settings.py says that is found: {site: ids}."""
    source = (ROOT / "tests" / "project" / "bad_settings.py").read_text()
    _head, *parts = re.split(r'^if _BAD == "(\w+)":', source, flags=re.MULTILINE)
    return {name: sorted(SAID.findall(text)) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def doctor(*arguments, **env):
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json", *arguments],
        cwd=ROOT,
        env=site_environment(**env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


@pytest.fixture
def place(tmp_path):
    """Where bad sites keep their files."""
    (tmp_path / "usher").mkdir()
    (tmp_path / "usher" / "client.js").touch()
    with (tmp_path / "large.jsonl").open("wb") as large:
        large.truncate((1 << 30) + 1)
    return tmp_path


@pytest.mark.parametrize("name", expected())
def test_what_is_wrong_is_found_once_each(name, place, stacks):
    nobody = f"127.0.0.1:{free_port()}"
    kinds = {"settings": "scaled", "layers": "embedded"}  # the others have a database of their own, or none
    database = stacks.make(kinds[name]).env["DATABASE_URL"] if name in kinds else f"postgresql://usher@{nobody}/usher"
    found, code = doctor(
        BAD=name,
        BAD_PLACE=str(place),
        DJANGO_SETTINGS_MODULE="tests.project.bad_settings",
        DATABASE_URL=database,
        REDIS_URL=f"redis://{nobody}/0",
    )
    ours = sorted(each["id"] for each in found if each["level"] != "ok" and SAID.fullmatch(each["id"]))
    assert ours == expected()[name]
    assert code == 2
    assert all(each["what"] and each["why"] and each["mend"] for each in found if each["level"] != "ok")


def test_that_is_every_finding_there_is():
    tripped = [number for numbers in expected().values() for number in numbers]
    assert sorted(tripped) == sorted(set(WHY) - ELSEWHERE), "each in one site alone"


def test_the_shipped_example_has_nothing_wrong_with_it(stacks, tmp_path):
    stack = stacks.make("scaled")
    keys = {name: secrets.token_urlsafe(50) for name in ("SECRET_KEY", "JWT_SIGNING_KEY")}
    services = {name: stack.env[name] for name in ("DATABASE_URL", "REDIS_URL")}
    shipped = {**EXAMPLE, **keys, **services, "DJANGO_SETTINGS_MODULE": "tests.project.shipped_settings"}
    shipped |= {"SHIPPED_STATIC_ROOT": str(tmp_path)}
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
    subprocess.run(collect, cwd=ROOT, env=site_environment(**shipped), check=True, timeout=60)
    found, code = doctor("--fail-level=warning", **shipped)
    assert [each for each in found if each["level"] != "ok"] == []
    assert code == 0
    facts = " ".join(each["what"] for each in found)
    assert all(word in facts for word in ("PostgreSQL", "clocks", "there and back in", "descriptors"))
