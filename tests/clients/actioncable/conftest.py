"""Clients that nobody here wrote, as npm has them, against real servers."""

import json

import pytest

from tests.clients.actioncable.programs import Program
from tests.js.conftest import node as node
from tests.support.processes import ROOT

KEY = "shared with the other application " * 2
CABLE = "tests/clients/actioncable/cable.js"


@pytest.fixture
def cable(node):
    """`async with cable(site, "rails", "demo") as client:`: a client of Action Cable, ready to subscribe."""
    return lambda site, client, username, **how: Program.run(node, CABLE, plan(site, client, username, **how))


def plan(site, client, username, **how):
    password = site.stack.password_of(username)
    place = {"client": client, "site": site.server.http, "username": username, "password": password, "key": KEY}
    return json.dumps({**place, **how})


@pytest.fixture(scope="session", autouse=True)
def _packages(node):
    for name in ("@rails/actioncable", "@anycable/core", "ws"):
        assert (ROOT / "node_modules" / name).is_dir(), f"no {name}: `npm ci`"
