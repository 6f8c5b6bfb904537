"""No connection outlives its session: however it ends, with Redis and without, and though a server slept meanwhile."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

import pytest

from tests.faults.ending import AFTER, CODES, UNSEEN, end
from tests.faults.ground import Ground
from tests.faults.publishing import Publisher
from tests.faults.sizes import show, size
from tests.faults.sockets import open_one, opened, percentile
from tests.support.client import Client
from tests.support.passes import Pass

PROCESSES = ("uvicorn", "uvicorn", "daphne")
PEOPLE = size(96, 104)
"""Each with two sockets: some 200."""
TOLD_WITHIN = size(3.0, 1.0)
"""Seconds for 99 of 100, where a message tells it. What only the sweep finds takes up to ten."""
FOUND_WITHIN = size(20.0, 12.0)

pytestmark = pytest.mark.timeout(size(300, 600))


@dataclass(frozen=True)
class Ended:
    """One socket of somebody whose session was ended."""

    act: str
    socket: Client
    returned: float
    """When the ending call had returned."""

    @property
    def took(self) -> float:
        byes = self.socket.of("bye")
        return byes[-1].at - self.returned if byes else float("inf")


async def everybody_opens(
    site: Ground, people: list[Pass], stack: contextlib.AsyncExitStack
) -> dict[int, list[Client]]:
    """Two sockets for each, on two of the processes."""
    found: dict[int, list[Client]] = {person.user_id: [] for person in people}
    servers = site.servers
    for number, server in enumerate(servers):
        here = [each for place, each in enumerate(people) if place % len(servers) != number]
        sockets = await stack.enter_async_context(opened(server, here))
        for person, socket in zip(here, sockets, strict=True):
            found[person.user_id].append(socket)
    assert all(len(sockets) == 2 for sockets in found.values())
    return found


async def ended(site: Ground, people: list[Pass], acts: list[str], patience: float) -> list[Ended]:
    """All of them open sockets; each person's sessions are ended in one of these ways."""
    plan = {person.user_id: acts[place % len(acts)] for place, person in enumerate(people)}
    async with contextlib.AsyncExitStack() as stack:
        sockets = await everybody_opens(site, people, stack)
        calls = await asyncio.to_thread(end, site.stack, plan)
        until = time.monotonic() + patience
        everyone = [
            Ended(plan[user_id], socket, returned)
            for user_id, (_began, returned) in calls.items()
            for socket in sockets[user_id]
        ]
        while time.monotonic() < until and not all(each.socket.of("bye") for each in everyone):
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)  # for what may not come
    return everyone


def check(everyone: list[Ended], within: float) -> None:
    late = [each for each in everyone if each.socket.of("notification", title=AFTER)]
    assert not late, f"{len(late)} sockets heard what was said after their end"
    wrong = [each.act for each in everyone if [bye["code"] for bye in each.socket.of("bye")] != [CODES[each.act]]]
    assert not wrong, f"{len(wrong)} of {len(everyone)} sockets were not told what happened: {sorted(set(wrong))}"
    for act in sorted({each.act for each in everyone}):
        took = [each.took for each in everyone if each.act == act]
        show(act, sockets=len(took), median=percentile(took, 0.5), p99=percentile(took, 0.99), most=max(took))
        bound = FOUND_WITHIN if act in UNSEEN else within
        assert percentile(took, 0.99) < bound, f"{act}: {percentile(took, 0.99):.1f} s"


async def serve(site: Ground, **how: str) -> None:
    for kind in PROCESSES:
        await asyncio.to_thread(site.serve, kind, **how)


async def test_with_redis(ground):
    site = ground()
    await serve(site)
    check(await ended(site, site.people(PEOPLE), list(CODES), FOUND_WITHIN), TOLD_WITHIN)


async def test_without_redis(own_ground):
    site = own_ground()
    await serve(site)
    people = site.people(PEOPLE)
    site.valkey.kill()
    check(await ended(site, people, list(CODES), FOUND_WITHIN), FOUND_WITHIN)


async def test_a_server_that_slept_meanwhile_says_nothing_more(ground):
    site = ground()
    await serve(site)
    people = site.people(PEOPLE // 3)
    acts = [act for act in CODES if act not in UNSEEN]
    plan = {person.user_id: acts[place % len(acts)] for place, person in enumerate(people)}
    async with contextlib.AsyncExitStack() as stack:
        sockets = await everybody_opens(site, people, stack)
        for server in site.servers:
            server.pause()
        calls = await asyncio.to_thread(end, site.stack, plan)
        await asyncio.sleep(1)
        woken = time.monotonic()
        for server in site.servers:
            server.resume()
        everyone = [Ended(plan[user], socket, woken) for user in calls for socket in sockets[user]]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FOUND_WITHIN):
                while not all(each.socket.of("bye") for each in everyone):
                    await asyncio.sleep(0.1)
    check(everyone, FOUND_WITHIN)


async def test_a_grant_that_runs_out_stops_delivery(ground):
    site = ground(TICKETS_GRANT_SECONDS="3")
    await serve(site)
    people = site.people(30)
    publisher = await asyncio.to_thread(Publisher, site.stack, people, rate=100)
    async with contextlib.AsyncExitStack() as stack:
        sockets = [each for several in (await everybody_opens(site, people, stack)).values() for each in several]
        for socket in sockets:
            await socket.expect("reauth_required", timeout=20)
        said = publisher.said
        await asyncio.sleep(1)
        assert publisher.said > said, "nothing was published that they could have heard"
        assert all(socket.of("notification") for socket in sockets), "nothing was heard before either"
        late = []
        for socket in sockets:
            (required,) = socket.of("reauth_required")
            held_at = socket.frames.index(required)
            late.append(required.at - socket.of("welcome")[0].at - 3)
            assert not [frame for frame in socket.frames[held_at + 1 :] if frame.type == "notification"]
    await asyncio.to_thread(publisher.stop)
    show("expiry", sockets=len(late), p99=percentile(late, 0.99), most=max(late))
    assert percentile(late, 0.99) < TOLD_WITHIN


@pytest.mark.parametrize(
    ("naive", "complaint"),
    [("without_fence", "heard what was said after"), ("deaf_to_ends", "were not told")],
)
async def test_without_it_does_not_pass(ground, naive, complaint):
    site = ground(NOTIFICATIONS_SWEEP_SECONDS="120")  # which would find them, sooner or later
    await serve(site, naive=naive)
    acts = [act for act in CODES if act not in UNSEEN and act != "deletion"]
    everyone = await ended(site, site.people(24), acts, TOLD_WITHIN + 1)
    with pytest.raises(AssertionError, match=complaint):
        check(everyone, TOLD_WITHIN)


async def test_nobody_comes_back_by_an_older_credential(ground):
    site = ground()
    server = await asyncio.to_thread(site.serve)
    (someone,) = site.people(1)
    socket = await open_one(server, someone)
    await asyncio.to_thread(end, site.stack, {someone.user_id: "everywhere"})
    await socket.expect("bye", code=4503)
    async with await Client.open(server, carrier="none", headers=bearer(someone)) as again:
        await again.expect("bye", code=4402)


def bearer(someone: Pass) -> dict[str, str]:
    return {"Authorization": f"Bearer {someone.access}"}
