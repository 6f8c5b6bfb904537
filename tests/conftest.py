"""What tests ask for by name. Everything is started when first needed and always ended.

    async def test_…(site):                       # embedded and scaled, under daphne and uvicorn: four runs
        alice = site.person("alice")
        async with alice.connect() as socket: …

    async def test_…(make_site):                  # the same four, with settings of its own
        site = make_site(TICKETS_GRANT_SECONDS="3")

    @pytest.mark.parametrize("stack_kind", ["scaled"], indirect=True)      # only one of the kinds
    @EACH_KIND_ONCE                                # both of both in two runs, where it matters not which of them meet

`stack`, `server` and `stacks` are the pieces, for what these do not cover. A test that harms a service makes its own:
`stacks.make("scaled", valkey=Valkey())`.
"""

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from tests.support import canary
from tests.support.client import Person
from tests.support.servers import Server, ServerKind
from tests.support.services import Postgres, Valkey
from tests.support.settings import PASSWORD_HASHERS
from tests.support.stack import Stack, StackKind, Stacks

EACH_KIND_ONCE = pytest.mark.parametrize(
    ("stack_kind", "server_kind"), [("embedded", "daphne"), ("scaled", "uvicorn")], indirect=True
)

# Where tests wait for real servers. They begin first, so that what only computes fills the gaps and the end.
_WAITING = ("guarantees", "faults", "journeys", "browser", "js", "clients")

_numbers = itertools.count(1)
_log_sizes = pytest.StashKey[dict[Server, int]]()


@dataclass
class Site:
    """A stack and one server process on it, or several."""

    stack: Stack
    server_kind: ServerKind
    servers: list[Server] = field(default_factory=list)
    _newcomers: list[str] = field(default_factory=list)

    @property
    def server(self) -> Server:
        return self.servers[0]

    def add_server(self, **env: str) -> Server:
        """One more process of this site."""
        server = Server(self.server_kind, self.stack, env=env)
        self.servers.append(server)
        return server

    def person(self, username: str) -> Person:
        return Person(self.server, username)

    def newcomer(self) -> Person:
        """Somebody nobody has met, for tests that count what a person has."""
        if not self._newcomers:  # a second for one, and for many
            self._newcomers = [f"newcomer-{next(_numbers)}" for _ in range(20)]
            self.stack.add_people(*self._newcomers)
        return self.person(self._newcomers.pop())

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


# Services and stacks --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _no_credential_is_written_down(tmp_path_factory) -> Iterator[None]:
    """Not by anything that was started here: looked for when all of it has ended."""
    canary.present.directory = tmp_path_factory.mktemp("canary")
    yield
    spilled = canary.present.spilled()
    if spilled:
        pytest.fail("\n".join([f"credentials stand in {len(spilled)} places:", *spilled[:20]]), pytrace=False)


@pytest.fixture(scope="session")
def stacks(tmp_path_factory, _no_credential_is_written_down) -> Iterator[Stacks]:
    with Stacks(tmp_path_factory.mktemp("stacks")) as made:
        yield made


@pytest.fixture(scope="session")
def postgres(stacks) -> Postgres:
    """Shared: read it, do not stop it."""
    return stacks.postgres


@pytest.fixture(scope="session")
def valkey(stacks) -> Valkey:
    """Shared: read it, do not stop it."""
    return stacks.valkey


@pytest.fixture(scope="session", params=["embedded", "scaled"])
def stack_kind(request) -> StackKind:
    return request.param


@pytest.fixture(scope="session", params=["daphne", "uvicorn"])
def server_kind(request) -> ServerKind:
    return request.param


@pytest.fixture
def stack(stacks, stack_kind) -> Iterator[Stack]:
    """A stack of the test's own."""
    made = stacks.make(stack_kind)
    yield made
    made.stop()


# Servers ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(stack, server_kind) -> Iterator[Callable[..., Server]]:
    """`server(TICKETS_GRANT_SECONDS="3")`: a process on the test's own stack; called again, another one."""
    site = Site(stack, server_kind)
    yield site.add_server
    site.stop()


@pytest.fixture
def make_site(stacks, stack_kind, server_kind) -> Iterator[Callable[..., Site]]:
    """`make_site(TICKETS_GRANT_SECONDS="3")`: a site of the test's own; its environment is every process's."""
    made: list[Site] = []

    def make(**env: str) -> Site:
        site = Site(stacks.make(stack_kind, **env), server_kind)
        made.append(site)
        site.add_server()
        return site

    yield make
    for site in made:
        site.stop()
        site.stack.stop()


@pytest.fixture(scope="session")
def _shared_site(stacks, stack_kind, server_kind) -> Iterator[Site]:
    # The ticket allowance is a person's, and here many tests are the same few people.
    site = Site(stacks.make(stack_kind, TICKETS_ISSUE_PER_MINUTE="6000", TICKETS_ISSUE_BURST="3000"), server_kind)
    site.add_server()
    yield site
    site.stop()
    site.stack.stop()


@pytest.fixture
def site(_shared_site) -> Iterator[Site]:
    """A site with default settings, shared by the tests that ask for it; its log must stay free of tracebacks."""
    server = _shared_site.server
    before = server.log_size()
    yield _shared_site
    complaints = server.complaints(since=before)
    assert not complaints, f"{complaints} in the log of {server}:\n{server.log_since(before)}"


# The run ----------------------------------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For several workers: files that wait first, one of each directory in turn, so that crowds do not all meet."""
    if not hasattr(config, "workerinput"):
        return
    here = Path(__file__).parent
    files: dict[str, list[Path]] = {name: [] for name in _WAITING}

    def turn(item: pytest.Item) -> tuple[int, str]:
        room = item.path.relative_to(here).parts[0]
        if room not in files:
            return sys.maxsize, ""
        if item.path not in files[room]:
            files[room].append(item.path)
        return files[room].index(item.path), room

    items.sort(key=turn)


def pytest_configure() -> None:
    settings.PASSWORD_HASHERS = PASSWORD_HASHERS  # of this process; those of the servers are in their environment


# In-process -------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _no_trail() -> Iterator[None]:
    """What tests do inside a transaction of theirs no thread beside it writes, nor any test after it."""
    from tickets import trail

    trail.Trail.start = lambda _self: None  # type: ignore[method-assign]
    trail.forget()
    yield
    trail.forget()


@pytest.fixture(autouse=True)
def _no_language() -> Iterator[None]:
    """A thread goes on in the language of the last request that it served."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings, tmp_path_factory) -> None:
    """SQLite tests run on a file: the in-memory database that Django would take lets its threads not wait for each
    other but fail, and has no write-ahead log."""
    from django.db import connections

    for connection in connections.all():
        if connection.vendor == "sqlite":
            connection.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup) -> Iterator[None]:
    """The database threads keep their connections for a while, and PostgreSQL drops no database that is in use."""
    yield
    from django.db import connections

    from tickets.threads import _executor

    size = _executor()._max_workers
    together = threading.Barrier(size)

    def close() -> None:
        together.wait(20)  # so that each thread does it once
        connections.close_all()

    for job in [_executor().submit(close) for _ in range(size)]:
        job.result()


# What a failing test shows ----------------------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_log_sizes] = {server: server.log_size() for server in Server.running}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        before = item.stash.get(_log_sizes, {})
        for server in sorted(Server.running, key=lambda server: server.port):
            said = server.log_since(before.get(server, 0))
            report.sections.append((f"log of {server} ({server.log_path})", said[-20_000:]))
    return report
