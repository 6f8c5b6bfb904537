"""Sockets while the database is away: told so, kept, and served again when it is back."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.bad_input.conftest import served
from tests.bad_input.raw import End, Raw
from tests.conftest import Site
from tests.support import canary
from tests.support.client import Person
from tests.support.services import Postgres

pytestmark = pytest.mark.parametrize("stack_kind", ["scaled"], indirect=True)

DATABASE_THREADS = 4
TOLD_WITHIN = 3.0


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def fragile(stacks, own_postgres, stack_kind, server_kind) -> Iterator[Site]:
    """A site whose PostgreSQL is the test's to harm."""
    site = Site(stacks.make(stack_kind, postgres=own_postgres), server_kind)
    site.add_server()
    yield site
    site.stop()
    site.stack.stop()


async def knock(site: Site, ticket: str) -> tuple[float, End]:
    start = time.monotonic()
    async with await Raw.open(site.server, ticket=ticket) as raw:
        end = await raw.end(10)
    return time.monotonic() - start, end


async def back(someone: Person) -> None:
    """As a client would: again and again with a new ticket, until it is welcome."""
    deadline = time.monotonic() + 30
    while True:
        if (answer := await someone.post("/api/tickets/")).status_code == 201:
            async with await Raw.open(someone.server, ticket=answer.json()["ticket"]) as raw:
                try:
                    await raw.hear("welcome")
                    return
                except AssertionError:
                    pass
        assert time.monotonic() < deadline, "not welcome within 30 s"
        await asyncio.sleep(0.2)


@pytest.mark.parametrize(("harm", "mend"), [("kill", "start"), ("pause", "resume")])
async def test_who_redeems_while_the_database_is_away_is_told_to_come_back(fragile, own_postgres, harm, mend):
    server = fragile.server
    alice, service = Person(server, "alice"), Person(server, "service")
    await service.token()
    # More than there are threads for the database: those that wait for one must not wait longer.
    tickets = [await alice.ticket() for _ in range(DATABASE_THREADS + 2)]
    async with alice.connect() as socket:
        await socket.expect("welcome")
        getattr(own_postgres, harm)()
        try:
            # What is no ticket needs no database to be refused.
            for none in ("garbage", canary.secret()[:-1]):
                seconds, end = await knock(fragile, none)
                assert (end.code, seconds < 1) == (4402, True)
            for seconds, end in await asyncio.gather(*[knock(fragile, ticket) for ticket in tickets]):
                assert (end.code, seconds < TOLD_WITHIN) == (4413, True)
                (bye,) = end.frames
                assert (bye["reason"], bye["reconnect"], bye["need"]) == ("unavailable", True, "ticket")
                assert bye["retry_after_ms"] > 0
            # Who is there stays, and hears what needs no database.
            await socket.send({"type": "ping", "ref": "still here"})
            await socket.expect("pong", ref="still here")
            assert (await alice.get("/healthz", bearer="")).status_code == 200
            if harm == "kill":  # paused, a connection that was open already would wait with it
                answer = await alice.post("/api/tickets/")
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
                assert int(answer.headers["Retry-After"]) >= 1
        finally:
            getattr(own_postgres, mend)()
        await back(alice)
        # A `state` sent in between would have been answered; what is told now arrives on the socket that never left.
        await asyncio.wait_for(told_again(socket, service), 30)
    assert server.returncode is None
    assert not server.complaints(), server.log()
    assert "code=1011" not in server.log()


async def told_again(socket, service) -> None:
    while True:
        try:
            await served(socket, service)
            return
        except AssertionError:  # a 503 of a connection that broke
            await asyncio.sleep(0.2)


async def test_a_state_or_reauth_that_cannot_be_carried_out_is_said_to_be_so(fragile, own_postgres):
    alice = Person(fragile.server, "alice")
    ticket = await alice.ticket("reauth")
    async with alice.connect() as socket:
        await socket.expect("welcome")
        own_postgres.kill()
        try:
            await socket.send({"type": "reauth", "ticket": ticket, "ref": "r"})
            failed = await socket.expect("reauth_failed", code="unavailable", ref="r")
            assert failed["attempts_left"] == 3  # nobody's fault
            await socket.send({"type": "state", "state": "read", "through": 0, "ref": "s"})
            await socket.expect("error", code="unavailable", ref="s", timeout=12)
        finally:
            own_postgres.start()
        await back(alice)
        assert socket.close_code is None
    assert not fragile.server.complaints(), fragile.server.log()
