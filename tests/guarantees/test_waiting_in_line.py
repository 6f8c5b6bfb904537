"""A thousand clients at once are served by a handful of threads; and nobody waits for a database that hangs."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import Site
from tests.support import crowd
from tests.support.servers import Server
from tests.support.services import Postgres

pytestmark = pytest.mark.parametrize("stack_kind", ["scaled"], indirect=True)

UNBOUNDED = "tests.guarantees.unbounded:application"

PEOPLE = 250
EACH = 4
THREADS = 40
"""What a process may have: 4 for requests, 4 for the database, the pool's, the server's; and those just ending."""

ANSWERED_WITHIN = 15.0
"""Seconds; 4 are promised to whoever is inside, and nobody at all would be answered while the database hangs."""


# A thousand at once -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def threads_of(server: Server):
    """The most threads that the process had, sampled all the while: read it from the list when it is over."""
    seen = [0]

    def count() -> int:
        status = Path(f"/proc/{server.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("Threads:")).split()[1])

    async def watch() -> None:
        while True:
            seen[0] = max(seen[0], count())
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()


async def everybody_returns(server: Server, tokens: list[str], *, each: int) -> None:
    """All ask for tickets at the same moment; each is given, and by few threads."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(base_url=server.http, limits=limits, timeout=90, trust_env=False) as http,
        threads_of(server) as seen,
    ):
        headers = [{"Authorization": f"Bearer {token}"} for token in tokens * each]
        answers = await asyncio.gather(*[http.post("/api/tickets/", headers=each) for each in headers])
    assert Counter(answer.status_code for answer in answers) == {201: len(headers)}
    assert len({answer.json()["ticket"] for answer in answers}) == len(headers)
    assert seen[0] <= THREADS


def signed_in(site_or_stack, count: int) -> list[str]:
    (people,) = crowd.run(site_or_stack, "tests.guarantees.returning", "sign_in", count=count)
    return [person["access"] for person in people]


async def test_a_thousand_tickets_at_once(make_site):
    site = make_site()
    await everybody_returns(site.server, signed_in(site.stack, PEOPLE), each=EACH)
    assert not site.server.complaints()


async def test_without_a_line_each_would_take_a_thread(stack, server_kind):
    """The negative control, with fewer."""
    with Server(server_kind, stack, application=UNBOUNDED) as server:
        with pytest.raises(AssertionError):
            await everybody_returns(server, signed_in(stack, PEOPLE), each=1)
        server.kill()  # its threads wait for connections


# A database that hangs --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def fragile(stacks, own_postgres, stack_kind, server_kind) -> Iterator[Site]:
    site = Site(stacks.make(stack_kind, postgres=own_postgres), server_kind)
    yield site
    own_postgres.resume()
    site.stop()
    site.stack.stop()


async def all_are_told(server: Server, token: str, count: int) -> None:
    """Everybody who asks while the database hangs is told in time to come back."""

    async def ask(http: httpx.AsyncClient) -> tuple[int, str, bool]:
        start = time.monotonic()
        answer = await http.post("/api/tickets/", headers={"Authorization": f"Bearer {token}"})
        in_time = time.monotonic() - start < ANSWERED_WITHIN
        return answer.status_code, answer.headers.get("Retry-After", ""), in_time

    async with httpx.AsyncClient(base_url=server.http, timeout=ANSWERED_WITHIN + 1, trust_env=False) as http:
        try:
            answers = await asyncio.gather(*[ask(http) for _ in range(count)])
        except httpx.TimeoutException as error:
            raise AssertionError("not answered at all") from error
    assert set(answers) == {(503, "2", True)}


async def served_again(server: Server, token: str) -> None:
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient(base_url=server.http, timeout=10, trust_env=False) as http:
        while True:
            answer = await http.post("/api/tickets/", headers={"Authorization": f"Bearer {token}"})
            if answer.status_code == 201:
                return
            assert (answer.status_code, time.monotonic() < deadline) == (503, True)
            await asyncio.sleep(0.2)


async def probe(server: Server, path: str) -> tuple[int, bool]:
    start = time.monotonic()
    async with httpx.AsyncClient(base_url=server.http, timeout=10, trust_env=False) as http:
        status = (await http.get(path)).status_code
    return status, time.monotonic() - start < 8


async def test_a_database_that_hangs_is_not_waited_for(fragile, own_postgres):
    server = fragile.add_server()
    alice = fragile.person("alice")
    token = await alice.token()
    async with alice.connect() as socket:
        await socket.expect("welcome")
        own_postgres.pause()
        # Those inside, those in line, and those who come when everybody inside is known to hang.
        await all_are_told(server, token, 50)
        await all_are_told(server, token, 50)
        assert await probe(server, "/readyz") == (503, True)
        assert await probe(server, "/healthz") == (200, True)
        await socket.send({"type": "ping", "ref": "still-here"})
        await socket.expect("pong", ref="still-here")
        own_postgres.resume()
        await served_again(server, token)
        await socket.send({"type": "ping", "ref": "and-now"})
        await socket.expect("pong", ref="and-now")
    assert await probe(server, "/readyz") == (200, True)
    assert not server.complaints()


async def test_without_a_line_it_would_be_waited_for(fragile, own_postgres, server_kind):
    """The negative control."""
    with Server(server_kind, fragile.stack, application=UNBOUNDED) as server:
        fragile.servers.append(server)
        token = await fragile.person("alice").token()
        own_postgres.pause()
        with pytest.raises(AssertionError):
            await all_are_told(server, token, 10)
        own_postgres.resume()
        await served_again(server, token)
