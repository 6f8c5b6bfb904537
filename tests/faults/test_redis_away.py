"""Redis is optional at every moment: without it sockets open, the sync delivers, `readyz` says so and nobody waits."""

import asyncio
import statistics
import time

import pytest

from tests.faults.ground import Ground
from tests.faults.publishing import Publisher
from tests.faults.sizes import GENEROUS, show, size
from tests.faults.sockets import open_one
from tests.support.client import Client
from tests.support.loyal import http, until
from tests.support.passes import Pass
from tests.support.servers import Server

AWAY = size(6.0, 60.0)
DELIVERED_WITHIN = 3.0 * GENEROUS
STALL = size(2.0, 0.5)
"""Seconds longer than usual that a call may take; what hangs does so for as long as Redis is away."""
OPENS_WITHIN = 1.0 * GENEROUS
NOTICED_WITHIN = 8.0
HEALED_WITHIN = 10.0
AT_ONCE = 0.5
"""Seconds in which an announcement arrives; half of what the sync finds takes longer than twice that."""

pytestmark = pytest.mark.timeout(size(300, 600))


class Calls:
    """What is asked of a site all the while, and how long each answer took."""

    def __init__(self, site: Ground) -> None:
        self.site = site
        self.hearing, self.telling = site.servers
        """Sockets are on one process, and what they are to hear is told on the other."""
        self.someone, *self.others = site.people(12)
        (self.service,) = site.people(1, "teller", permissions=("notifications.add_notification",))

    async def deliver(self, socket: Client, patience: float) -> tuple[float, float]:
        """Tell; the seconds of the call, and from its beginning to the frame."""
        began = time.monotonic()
        answer = await self._post("/api/notifications/", self.service, {"user": self.someone.username, "title": "x"})
        assert answer.status_code == 201, answer.text
        took = time.monotonic() - began
        frame = await socket.expect("notification", id=answer.json()["id"], timeout=patience)
        return took, frame.at - began

    async def open(self, server: Server, someone: Pass) -> float:
        began = time.monotonic()
        socket = await open_one(server, someone)
        took = time.monotonic() - began
        await socket.close()
        return took

    async def readiness(self) -> list[tuple[int, str]]:
        answers = [await http().get(f"{server.http}/readyz", timeout=10) for server in self.site.servers]
        return [(answer.status_code, answer.json()["layer"]) for answer in answers]

    async def _post(self, path: str, caller: Pass, body: object):
        headers = {"Authorization": f"Bearer {caller.access}"}
        return await http().post(f"{self.telling.http}{path}", json=body, headers=headers, timeout=90)


async def says(calls: Calls, word: str, within: float) -> float:
    """How long until all processes are ready and call their layer so."""
    began = time.monotonic()
    while (answers := await calls.readiness()) != [(200, word)] * len(answers):
        assert time.monotonic() - began < within, f"not {word} within {within:g} s: {answers}"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def check_without(calls: Calls, socket: Client, usual: float, within: float = DELIVERED_WITHIN) -> None:
    """For as long as it is away."""
    until_then = time.monotonic() + AWAY
    noticed = await says(calls, "degraded", NOTICED_WITHIN * max(1.0, GENEROUS / 3))
    taken, delivered, opening = [], [], []
    while not taken or time.monotonic() < until_then:
        took, whole = await calls.deliver(socket, patience=within)
        taken.append(took)
        delivered.append(whole)
        opening.append(await calls.open(calls.hearing, calls.others[len(opening) % len(calls.others)]))
    show(
        "without Redis", noticed=noticed, calls=len(taken), usual=usual, longest_call=max(taken),
        longest_way=max(delivered), longest_opening=max(opening),
    )  # fmt: skip
    assert max(taken) <= usual + STALL, f"a call took {max(taken):.1f} s"
    assert max(delivered) <= DELIVERED_WITHIN
    assert max(opening) <= OPENS_WITHIN
    assert socket.close_code is None


async def check_healed(calls: Calls, socket: Client) -> None:
    """Told by announcement again, in the same processes."""
    healed = await says(calls, "ok", HEALED_WITHIN * max(1.0, GENEROUS / 3))
    ways = [(await calls.deliver(socket, patience=DELIVERED_WITHIN))[1] for _ in range(9)]
    show("with Redis again", healed=healed, median=statistics.median(ways), longest=max(ways))
    assert statistics.median(ways) < AT_ONCE, f"announcements are not heard: {ways}"


def check_servers(site: Ground) -> None:
    for server in site.servers:
        assert server.returncode is None
        assert not server.complaints(), server.log()[-4_000:]


async def test_absent_at_the_start(own_ground):
    site = own_ground()
    site.valkey.kill()
    site.serve()
    site.serve()
    calls = Calls(site)
    async with await open_one(calls.hearing, calls.someone) as socket:
        took, _ = await calls.deliver(socket, patience=DELIVERED_WITHIN)
        await check_without(calls, socket, usual=took)
        site.valkey.start()
        await check_healed(calls, socket)
    check_servers(site)


@pytest.mark.parametrize(("harm", "mend"), [("kill", "start"), ("pause", "resume")])
async def test_away_in_the_middle(own_ground, harm, mend):
    site = own_ground()
    site.serve()
    site.serve()
    calls = Calls(site)
    async with await open_one(calls.hearing, calls.someone) as socket:
        await says(calls, "ok", 10 * GENEROUS)
        usual = max([(await calls.deliver(socket, patience=DELIVERED_WITHIN))[0] for _ in range(5)])
        getattr(site.valkey, harm)()
        await check_without(calls, socket, usual)
        getattr(site.valkey, mend)()
        await check_healed(calls, socket)
    check_servers(site)


async def test_announcements_alone_do_not_pass(own_ground):
    site = own_ground()
    site.serve(naive="without_sync")
    site.serve()
    calls = Calls(site)
    async with await open_one(calls.hearing, calls.someone) as socket:
        await says(calls, "ok", 10 * GENEROUS)
        took, _ = await calls.deliver(socket, patience=5)
        site.valkey.kill()
        with pytest.raises(AssertionError, match="no notification"):
            await check_without(calls, socket, usual=took, within=5)


# A process that only publishes ----------------------------------------------------------------------------------------


async def published_through_a_hang(site: Ground, *, naive: bool) -> list[dict]:
    people = site.people(4)
    publisher = await asyncio.to_thread(Publisher, site.stack, people, rate=20, threads=2, naive=naive)
    await until(lambda: publisher.said >= 20, "word of the publisher", 30)
    site.valkey.pause()
    await asyncio.sleep(AWAY)
    site.valkey.resume()
    return await asyncio.to_thread(publisher.stop)


def check_never_waits(told: list[dict]) -> None:
    assert not [call for call in told if "error" in call]
    taken = sorted(call["ended"] - call["began"] for call in told)
    show("notify()", calls=len(taken), median=statistics.median(taken), longest=taken[-1])
    assert taken[-1] <= statistics.median(taken) + STALL, f"a call took {taken[-1]:.1f} s"


async def test_a_publisher_never_waits_for_it(own_ground):
    check_never_waits(await published_through_a_hang(own_ground(), naive=False))


async def test_a_publisher_that_waits_for_redis_does_not_pass(own_ground):
    told = await published_through_a_hang(own_ground(), naive=True)
    with pytest.raises(AssertionError, match="a call took"):
        check_never_waits(told)
