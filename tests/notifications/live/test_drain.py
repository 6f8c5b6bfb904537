"""A process that is told to end, on real servers; the state of a process in-process."""

import asyncio
import time

import httpx
import pytest

from tests.support.client import Client, Refused

# The stack makes no difference to a process that ends; the server makes all of it.
pytestmark = pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)

CROWD = {
    "NOTIFICATIONS_SOCKETS_PER_USER": "100",
    "NOTIFICATIONS_DRAIN_SECONDS": "10",
    "TICKETS_ISSUE_BURST": "500",
    "TICKETS_OUTSTANDING": "100",
}


async def crowd(person, many):
    """Sockets of one person, all welcomed."""
    await person.token()

    async def one():
        return await Client.open(person.server, ticket=await person.ticket())

    sockets = await asyncio.gather(*(one() for _ in range(many)))
    await asyncio.gather(*(socket.expect("welcome") for socket in sockets))
    return sockets


async def says_goodbye(socket):
    bye = await socket.expect("bye", timeout=30)
    at = time.monotonic()
    assert (bye["code"], bye["reason"], bye["reconnect"], bye["need"]) == (4400, "going_away", True, "ticket")
    assert 100 <= bye["retry_after_ms"] <= 1000
    assert await socket.closed() == 4400
    return at


async def ended(server, within):
    async with asyncio.timeout(within):
        while server.process.returncode is None:
            await asyncio.sleep(0.02)


async def test_everybody_hears_goodbye_spread_over_the_drain_and_then_it_ends(make_site):
    site = make_site(**CROWD)
    server, person = site.server, site.newcomer()
    sockets = await crowd(person, 60)
    goodbyes = [asyncio.create_task(says_goodbye(socket)) for socket in sockets]
    began = time.monotonic()
    server.terminate()
    moments = sorted(await asyncio.gather(*goodbyes))
    await ended(server, within=10)
    assert moments[-1] - moments[0] > 0.3, "60 at 100 a second"
    assert time.monotonic() - began < 20
    assert not server.complaints()


async def test_while_it_drains_it_takes_nobody_in_and_says_so(make_site):
    site = make_site(**CROWD)
    server, person = site.server, site.newcomer()
    ticket = await person.ticket()
    sockets = await crowd(person, 60)
    server.terminate()
    async with asyncio.timeout(5), httpx.AsyncClient() as http:
        while (answer := await http.get(f"{server.http}/readyz")).status_code == 200:
            await asyncio.sleep(0.02)
        assert (answer.status_code, answer.json()["draining"]) == (503, True)
        assert (await http.get(f"{server.http}/healthz")).status_code == 200
    with pytest.raises(Refused) as refused:
        await Client.open(server, ticket=ticket)
    assert refused.value.status == (503 if server.kind == "uvicorn" else 403)
    await asyncio.gather(*(says_goodbye(socket) for socket in sockets))
    await ended(server, within=10)


async def test_a_second_word_ends_it_at_once(make_site):
    site = make_site(**CROWD)
    server, person = site.server, site.newcomer()
    sockets = await crowd(person, 60)
    server.terminate()
    await asyncio.wait([asyncio.create_task(socket.expect("bye")) for socket in sockets], return_when="FIRST_COMPLETED")
    began = time.monotonic()
    server.terminate()
    await ended(server, within=5)
    assert time.monotonic() - began < 1.5
    assert any(socket.frames[-1]["type"] != "bye" for socket in sockets), "it had not said goodbye to everybody"


async def test_with_nobody_here_it_ends_at_once(make_site):
    server = make_site().server
    began = time.monotonic()
    server.terminate()
    await ended(server, within=5)
    assert time.monotonic() - began < 3
