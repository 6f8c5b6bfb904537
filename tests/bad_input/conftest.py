"""Every row of these tables is followed by the same questions: is the worker still the same, is its log clean, and was
somebody honest beside it served all the while? That no secret was written down is asked at the end of all tests.
"""

import asyncio
import re
import sqlite3
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.support.client import Client, Person
from tests.support.servers import Server
from tests.support.stack import Stack

SERVED_WITHIN = 2.5
"""Ten times what is promised to somebody beside a troublemaker."""

_people: "weakref.WeakKeyDictionary[Server, dict[str, Person]]" = weakref.WeakKeyDictionary()


def person(server: Server, username: str) -> Person:
    """The same one each time."""
    return _people.setdefault(server, {}).setdefault(username, Person(server, username))


@pytest.fixture
def alice(site) -> Person:
    """Who misbehaves."""
    return person(site.server, "alice")


@pytest.fixture
def service(site) -> Person:
    """Who may publish."""
    return person(site.server, "service")


async def until(ask: Callable[[], bool], what: str, timeout: float = 5) -> None:
    """Until the answer is yes, leaving the event loop to the sockets of the test meanwhile."""
    deadline = time.monotonic() + timeout
    while not ask():
        assert time.monotonic() < deadline, f"no {what} within {timeout:g} s"
        await asyncio.sleep(0.01)


async def served(socket: Client, service: Person) -> None:
    """The honest socket hears, in time, what is said to its person."""
    said = await service.post(
        "/api/notifications/", {"user": socket.welcome["user"]["username"], "title": "still here"}
    )
    assert said.status_code == 201, said.text
    await socket.expect("notification", timeout=SERVED_WITHIN, id=said.json()["id"])


@pytest.fixture
def unharmed(site) -> Iterator[None]:
    """The worker is the same afterwards, and has said nothing of an error of its own; `site` looks for tracebacks."""
    server, before, pid = site.server, site.server.log_size(), site.server.pid
    yield
    assert (server.pid, server.returncode) == (pid, None)
    said = server.log_since(before)
    assert not re.search(r'" 5\d\d\b', said), f"a 5xx:\n{said}"
    assert "code=1011" not in said, f"a 1011:\n{said}"


@pytest.fixture
async def beside(site, service, unharmed) -> AsyncIterator[Client]:
    """Somebody honest on the same server: open before, served after, and welcome again."""
    demo = person(site.server, "demo")
    async with demo.connect() as socket:
        await socket.expect("welcome")
        yield socket
        await served(socket, service)
    async with demo.connect() as again:
        await again.expect("welcome", timeout=SERVED_WITHIN)


def database(stack: Stack) -> sqlite3.Connection:
    """The embedded site's own database, from outside; close it."""
    path = stack.env["DATABASE_URL"].removeprefix("sqlite:///")
    return sqlite3.connect(path, timeout=20, isolation_level=None)
