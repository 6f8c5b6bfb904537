"""Nothing is left of a connection that is over, however it ended."""

import asyncio
import contextlib
import random
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.bad_input.raw import TEXT, frame
from tests.faults.ground import Ground
from tests.faults.sizes import show, size
from tests.faults.sockets import Stalled, answer_to, descriptors, megabytes, open_one, threads, ticket, upgrade
from tests.support.client import Refused
from tests.support.loyal import until
from tests.support.passes import Pass
from tests.support.servers import Server, ServerKind

CYCLES: dict[ServerKind, int] = {"uvicorn": size(700, 10_000), "daphne": size(300, 10_000)}
WARM_UP = size(150, 1_000)
AT_ONCE = 16
ROOM = 40
"""Sockets that the process takes: were one in a thousand counted for ever, it would soon be full."""
KIB_A_CYCLE, SLACK_MB = 0.5, 8.0
"""Memory that a cycle may seem to cost, beyond what allocators keep after a crowd: the slope shows at full length."""

pytestmark = pytest.mark.timeout(size(300, 3_600))


# Ways to go -----------------------------------------------------------------------------------------------------------


async def in_good_order(server: Server, someone: Pass) -> None:
    socket = await open_one(server, someone)
    await socket.close()


async def without_a_goodbye(server: Server, someone: Pass) -> None:
    socket = await open_one(server, someone)
    socket.cut()
    await socket.close()


async def before_the_handshake_is_over(server: Server, someone: Pass) -> None:
    peer = Stalled()
    await peer.dial(server)
    await peer.send(upgrade(server)[: random.randrange(1, 150)])
    peer.reset() if random.random() < 0.5 else peer.close()


async def as_soon_as_the_ticket_is_sent(server: Server, someone: Pass) -> None:
    peer = Stalled()
    await peer.dial(server)
    await peer.send(upgrade(server, await ticket(server, someone)))
    peer.reset()


async def in_the_middle_of_a_frame(server: Server, someone: Pass) -> None:
    peer = await Stalled.open(server, someone)
    await peer.send(frame(TEXT, b'{"type":"ping"}')[:-5])
    peer.reset()


async def with_a_frame_that_breaks_the_rules(server: Server, someone: Pass) -> None:
    peer = await Stalled.open(server, someone)
    await peer.send(struct.pack("!BB", 0x83, 0x05))
    await asyncio.sleep(0.05)
    peer.close()


ABNORMAL: list[Callable[[Server, Pass], Awaitable[None]]] = [
    without_a_goodbye,
    before_the_handshake_is_over,
    as_soon_as_the_ticket_is_sent,
    in_the_middle_of_a_frame,
    with_a_frame_that_breaks_the_rules,
]


async def come_and_go(server: Server, people: list[Pass], cycles: int) -> None:
    """So many connections; of ten, three end as none should."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        way = ABNORMAL[number // 10 % len(ABNORMAL)] if number % 10 in (2, 5, 8) else in_good_order
        async with gate:
            await way(server, people[number % len(people)])

    await asyncio.gather(*(one(number) for number in range(cycles)))


# What is left ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Holdings:
    descriptors: int
    threads: int
    database: int
    redis: int
    megabytes: float


def holdings(site: Ground, server: Server) -> Holdings:
    with site.valkey.client() as client:
        clients = len(client.client_list()) - 1
    return Holdings(descriptors(server), threads(server), site.connections(), clients, megabytes(server))


def check_back(before: Holdings, after: Holdings, *, cycles: int) -> None:
    grown = after.megabytes - before.megabytes
    show("held", before=before, after=after, cycles=cycles, kib_a_cycle=grown * 1024 / cycles)
    # A pool may have grown to its size meanwhile, and the descriptors with it; not with the number of cycles.
    assert after.database <= before.database + 8, "database connections"
    assert after.descriptors <= before.descriptors + 8, "descriptors"
    assert after.threads <= before.threads + 8, "threads"
    assert after.redis <= before.redis + 1, "Redis connections"
    assert grown < SLACK_MB + KIB_A_CYCLE * cycles / 1024, f"{grown:.1f} MB of memory"


async def check_room(server: Server, people: list[Pass]) -> None:
    """Exactly as many fit in as before the first came."""
    async with contextlib.AsyncExitStack() as stack:
        for number in range(ROOM):
            try:
                socket = await open_one(server, people[number % len(people)])
            except Refused as refused:
                raise AssertionError(f"no room for number {number + 1} of {ROOM}") from refused
            await stack.enter_async_context(socket)
        assert await answer_to(server, people[0]) == 403


async def settled(site: Ground, server: Server, than: Holdings | None) -> Holdings:
    """What is held when everything had time to end."""
    with contextlib.suppress(AssertionError):  # that is for the checker to say
        most = than.descriptors if than else 0
        await until(lambda: descriptors(server) <= most, "end of descriptors", 3 if than is None else 15)
    return holdings(site, server)


async def through_cycles(site: Ground, server: Server, cycles: int) -> tuple[Holdings, Holdings]:
    people = site.people(ROOM)
    await come_and_go(server, people, min(WARM_UP, cycles))
    before = await settled(site, server, None)
    await come_and_go(server, people, cycles)
    return before, await settled(site, server, before)


SMALL = {"NOTIFICATIONS_SOCKETS_PER_PROCESS": str(ROOM), "NOTIFICATIONS_AUTHENTICATION_SECONDS": "2"}


@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
async def test_nothing_is_left_of_a_thousand_connections(ground, kind):
    site = ground(**SMALL)
    server = site.serve(kind)
    before, after = await through_cycles(site, server, CYCLES[kind])
    check_back(before, after, cycles=CYCLES[kind])
    await check_room(server, site.people(ROOM))
    assert server.log().count("close connection=") >= CYCLES[kind] * 0.7
    assert not server.complaints(), server.log()[-4_000:]


async def test_a_server_that_keeps_something_of_each_does_not_pass(ground):
    site = ground(**SMALL)
    server = site.serve(naive="keeping")
    before, after = await through_cycles(site, server, 60)
    with pytest.raises(AssertionError, match=r"descriptors|Redis connections"):
        check_back(before, after, cycles=60)


async def test_a_server_that_counts_nobody_out_does_not_pass(ground):
    site = ground(NOTIFICATIONS_SOCKETS_PER_PROCESS=str(ROOM + 10))
    server = site.serve(naive="counting_nobody_out")
    people = site.people(ROOM)
    await come_and_go(server, people, 30)
    with pytest.raises(AssertionError, match="no room"):
        await check_room(server, people)
