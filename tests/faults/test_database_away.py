"""The database may go away: sockets stay, tickets are refused in time and in words, and everything resumes."""

import asyncio
import time

import pytest

from tests.faults.ground import Ground
from tests.faults.publishing import Publisher
from tests.faults.sizes import GENEROUS, show, size
from tests.faults.sockets import open_one, opened
from tests.support.client import Client
from tests.support.histories import Reader, judge
from tests.support.loyal import http, until
from tests.support.passes import Pass
from tests.support.servers import Server

AWAY = size(6.0, 30.0)
REFUSED_WITHIN = size(10.0, 5.0)
ALIVE_WITHIN = size(2.0, 0.5)
RESUMES_WITHIN = 3.0 * GENEROUS
PEOPLE = size(8, 50)

pytestmark = pytest.mark.timeout(size(300, 600))


async def asked(server: Server, method: str, path: str, caller: Pass | None = None) -> tuple[int, float, str]:
    """Status, seconds and body."""
    headers = {"Authorization": f"Bearer {caller.access}"} if caller else {}
    began = time.monotonic()
    answer = await http().request(method, f"{server.http}{path}", headers=headers, timeout=60)
    return answer.status_code, time.monotonic() - began, answer.text


async def check_away(server: Server, sockets: list[Client], people: list[Pass]) -> None:
    """While there is no database."""
    over = time.monotonic() + AWAY
    refusals = []
    while time.monotonic() < over:
        # More at once than there are threads and connections: those that wait for one wait no longer for it.
        tickets = [asyncio.create_task(asked(server, "POST", "/api/tickets/", each)) for each in (people * 12)[:12]]
        status, seconds, _ = await asked(server, "GET", "/healthz")
        assert (status, seconds < ALIVE_WITHIN) == (200, True), f"/healthz took {seconds:.1f} s"
        await check_sockets_live(sockets)
        for status, seconds, body in await asyncio.gather(*tickets):
            refusals.append(seconds)
            assert status == 503, f"{status}: {body[:300]}"
            assert seconds < REFUSED_WITHIN, f"refused only after {seconds:.1f} s"
        status, seconds, _ = await asked(server, "GET", "/readyz")
        assert (status, seconds < REFUSED_WITHIN) == (503, True), f"/readyz: {status} after {seconds:.1f} s"
        await asyncio.sleep(0.2)
    show("without PostgreSQL", refusals=len(refusals), longest=max(refusals))


async def check_sockets_live(sockets: list[Client]) -> None:
    for number, socket in enumerate(sockets):
        assert socket.close_code is None, f"socket {number} was closed with {socket.close_code}"
        before = len(socket.of("pong"))
        await socket.send({"type": "ping"})
        await until(lambda: len(socket.of("pong")) > before or socket.close_code, "pong", 10)  # noqa: B023
        assert socket.close_code is None, f"socket {number} was closed with {socket.close_code}"


async def check_resumes(site: Ground, server: Server, sockets: list[Client], people: list[Pass]) -> None:
    """Tickets, sockets and readiness are back, each within a moment."""
    began = time.monotonic()
    while (await asked(server, "POST", "/api/tickets/", people[0]))[0] != 201:
        assert time.monotonic() - began < RESUMES_WITHIN, "no ticket"
        await asyncio.sleep(0.1)
    tickets = time.monotonic() - began
    await until(lambda: site.postgres.answers(), "PostgreSQL", 10)
    while (await asked(server, "GET", "/readyz"))[0] != 200:
        assert time.monotonic() - began < RESUMES_WITHIN, "not ready"
        await asyncio.sleep(0.1)
    async with await open_one(server, people[0]):
        show("PostgreSQL again", tickets=tickets, socket=time.monotonic() - began)
    await check_sockets_live(sockets)


def check_nothing_lost(site: Ground, sockets: list[Client], people: list[Pass]) -> None:
    readers = [
        Reader(someone.username, frozenset({someone.stream}), [socket.history()])
        for someone, socket in zip(people, sockets, strict=True)
    ]
    verdict = judge([each for each, _ in site.committed()], readers)
    assert verdict.clean, str(verdict)
    assert (verdict.resets, verdict.skipped) == (0, 0)


@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
@pytest.mark.parametrize(("harm", "mend"), [("kill", "start"), ("pause", "resume")])
async def test_sockets_stay_and_everything_resumes(own_ground, kind, harm, mend):
    site = own_ground()
    server = site.serve(kind)
    people = site.people(PEOPLE)
    async with opened(server, people) as sockets:
        publisher = await asyncio.to_thread(Publisher, site.stack, people, rate=20, threads=2)
        getattr(site.postgres, harm)()
        try:
            await check_away(server, sockets, people)
        finally:
            await asyncio.to_thread(getattr(site.postgres, mend))
        await check_resumes(site, server, sockets, people)
        already = publisher.said
        await until(lambda: publisher.said >= already + 10, "word of the publisher", 30)
        await asyncio.to_thread(publisher.stop)
        heads = dict(site.ask("SELECT user_id, head FROM notifications_stream"))

        def arrived() -> bool:
            return all(
                socket.position.endswith(f":{heads.get(each.user_id, 0)}")
                for each, socket in zip(people, sockets, strict=True)
            )

        await until(arrived, "arrival of everything", 10 * max(1.0, GENEROUS / 3))
        check_nothing_lost(site, sockets, people)
    assert not server.complaints(), server.log()[-4_000:]
    assert "code=1011" not in server.log()


async def test_a_consumer_that_asks_the_database_for_each_frame_does_not_pass(own_ground):
    site = own_ground()
    server = site.serve(naive="asking")
    people = site.people(2)
    async with opened(server, people) as sockets:
        await check_sockets_live(sockets)
        site.postgres.kill()
        with pytest.raises(AssertionError, match=r"was closed with 10(06|11)"):
            await check_away(server, sockets, people)


@pytest.mark.parametrize("kind", ["uvicorn"])  # daphne waits for its threads, whoever keeps them
async def test_a_server_that_is_told_to_end_does_not_wait_for_a_database_that_hangs(own_ground, kind):
    site = own_ground()
    server = await asyncio.to_thread(site.serve, kind)
    (someone,) = site.people(1)
    socket = await open_one(server, someone)
    site.postgres.pause()
    began = time.monotonic()
    server.terminate()
    await socket.expect("bye", code=4400)
    await until(lambda: server.returncode is not None, "end", 30)
    show("ended without PostgreSQL", seconds=time.monotonic() - began)
