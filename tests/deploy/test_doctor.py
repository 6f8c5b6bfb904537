"""The shipped example, up behind the shipped nginx: the doctor has nothing to say against it."""

import json
import secrets

import pytest

from tests.deploy.fleet import NAME, Fleet
from tests.deploy.test_environment import EXAMPLE
from tests.support.stack import Stack, Stacks


@pytest.fixture
def shipped(stacks: Stacks, tmp_path) -> Stack:
    keys = {name: secrets.token_urlsafe(50) for name in ("SECRET_KEY", "JWT_SIGNING_KEY")}
    services = {"DATABASE_URL", "REDIS_URL"}
    env = {name: value for name, value in EXAMPLE.items() if name not in services}
    where = {"DJANGO_SETTINGS_MODULE": "tests.project.shipped_settings", "SHIPPED_STATIC_ROOT": str(tmp_path)}
    stack = stacks.make("scaled", **env | keys | where | {"ALLOWED_HOSTS": NAME})
    stack.manage("collectstatic", "--no-input", "-v0")
    return stack


def test_it_is_examined_and_nothing_is_wrong(make_front, shipped, open_directory):
    fleet = Fleet(shipped, open_directory / "shipped", processes=1)
    try:
        front = make_front(fleet.directory)
        trusted = {"SSL_CERT_FILE": str(front.certificate / "fullchain.pem")}
        said = shipped.manage("doctor", "--json", "--fail-level=warning", "--url", front.http, env=trusted)
    finally:
        fleet.stop()
    found = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert [each for each in found if each["level"] != "ok"] == []
    assert f"site: the socket is at {front.ws}/ws/" in [each["what"] for each in found]
