"""Who stops reading harms nobody: the others are served as before, memory stays bounded, and the slow are sent away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from math import inf

import pytest

from tests.bad_input.raw import TEXT, frame
from tests.faults.ground import Ground
from tests.faults.sizes import show, size
from tests.faults.sockets import Stalled, descriptors, megabytes, opened, percentile
from tests.faults.telling import tell
from tests.support.client import Client
from tests.support.loyal import until
from tests.support.passes import Pass
from tests.support.servers import Server

HEALTHY, SLOW = 150, 50
ROUNDS, RATE = size(40, 2_000), 8.0
KIB = 1_024
WINDOW = 64
STALL_SECONDS = size(3, 30)

RATIO = size(10.0, 1.5)
"""How much longer the slowest hundredth of frames may take beside those who do not read."""
NOISE = size(0.25, 0.01)
"""Seconds below which two such figures are the same."""

SERVERS = pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
PATIENT = {"NOTIFICATIONS_ACK_STALL_SECONDS": str(STALL_SECONDS)}

pytestmark = pytest.mark.timeout(size(300, 3_600))


# What is measured -----------------------------------------------------------------------------------------------------


def latencies(sockets: list[Client], began: dict[str, float]) -> list[float]:
    """Of each frame of these rounds, from the call to the client; infinite for one that did not come."""
    found = []
    for socket in sockets:
        heard = {frame["title"]: frame.at for frame in socket.of("notification")}
        found += [heard.get(title, inf) - at for title, at in began.items()]
    return found


async def measured(site: Ground, people: list[Pass], sockets: list[Client], name: str, rounds: int = ROUNDS) -> float:
    """The 99th percentile over a phase in which all these people are told something."""
    began = await tell(site.stack, people, rounds=rounds, rate=RATE, size=KIB, name=name)
    last = list(began)[-1]
    with contextlib.suppress(AssertionError):  # that is for the checker to say
        await until(lambda: all(socket.frames[-1].get("title") == last for socket in sockets), "last round", 5)
    return percentile(latencies(sockets, began), 0.99)


@contextlib.asynccontextmanager
async def stalled(server: Server, people: list[Pass]) -> AsyncIterator[list[Stalled]]:
    """Peers that were welcome and do not read any more."""
    peers = [await Stalled.open(server, someone) for someone in people]
    try:
        yield peers
    finally:
        for peer in peers:
            peer.close()


async def fill_windows(site: Ground, slow: list[Pass]) -> None:
    await tell(site.stack, slow, rounds=WINDOW - 4, rate=100, size=KIB, name="fill")


def check_unharmed(undisturbed: float, beside: float) -> None:
    show("99th percentile", undisturbed=undisturbed, beside=beside, ratio=beside / undisturbed)
    assert beside <= max(RATIO * undisturbed, undisturbed + NOISE), f"{beside:.3f} s instead of {undisturbed:.3f} s"


# The others -----------------------------------------------------------------------------------------------------------


@SERVERS
async def test_the_others_do_not_notice_and_the_slow_are_sent_away(ground, kind):
    site = ground()
    server = site.serve(kind, **PATIENT)
    healthy, slow = site.people(HEALTHY, "healthy"), site.people(SLOW, "slow")
    async with opened(server, healthy) as sockets:
        undisturbed = await measured(site, healthy + slow, sockets, "undisturbed")
        own, at_rest = descriptors(server), megabytes(server)
        async with stalled(server, slow):
            await fill_windows(site, slow)
            beside = await measured(site, healthy + slow, sockets, "beside")
            # They neither read nor close: it is for the server to be rid of them, their descriptors included.
            await until(lambda: server.log().count("code=4409") == SLOW, "4409 for all", STALL_SECONDS + 20)
            began = time.monotonic()
            await until(lambda: descriptors(server) <= own + 2, "end of their descriptors", 30)
            show(kind, rid_after=time.monotonic() - began, grown_mb=megabytes(server) - at_rest)
        check_unharmed(undisturbed, beside)
        assert all(socket.close_code is None for socket in sockets)
    assert not server.complaints(), server.log()[-4_000:]


async def test_a_hub_that_awaits_each_send_does_not_pass(ground):
    site = ground()
    server = site.serve(naive="awaiting", NOTIFICATIONS_WINDOW="1000000", NOTIFICATIONS_SYNC_SECONDS="60")
    healthy, slow = site.people(20, "healthy"), site.people(5, "slow")
    async with opened(server, healthy) as sockets:
        undisturbed = await measured(site, healthy + slow, sockets, "undisturbed", rounds=10)
        assert undisturbed < inf, "it serves those who read"
        async with stalled(server, slow):
            await tell(site.stack, slow, rounds=300, rate=100, size=3 * KIB, name="fill")
            beside = await measured(site, healthy + slow, sockets, "beside", rounds=10)
    with pytest.raises(AssertionError, match="instead of"):
        check_unharmed(undisturbed, beside)


# Memory ---------------------------------------------------------------------------------------------------------------

FLOOD_PEERS, FLOOD_ROUNDS, FLOOD_BODY = size(10, 50), size(800, 2_000), size(3_900, KIB)
SLACK_MB = 10.0


async def flooded(site: Ground, server: Server) -> float:
    """By how many MB the server has grown when peers that do not read were told more than it may keep for them."""
    slow = site.people(FLOOD_PEERS, "slow")
    async with stalled(server, slow):
        before = megabytes(server)
        await tell(site.stack, slow, rounds=FLOOD_ROUNDS, rate=size(1_000, 50), size=FLOOD_BODY, name="flood")
        await asyncio.sleep(1)
        return megabytes(server) - before


def check_memory(grown: float) -> None:
    window = FLOOD_PEERS * WINDOW * (FLOOD_BODY + 500) / 2**20
    show("memory", grown_mb=grown, windows_mb=window)
    assert grown < window + SLACK_MB, f"{grown:.1f} MB for windows of {window:.1f} MB"


@SERVERS
async def test_what_is_not_read_is_not_kept(ground, kind):
    site = ground()
    check_memory(await flooded(site, site.serve(kind)))


async def test_a_server_without_a_window_does_not_pass(ground):
    site = ground()
    # daphne takes whatever it is given: the window is all that stands between a slow reader and memory.
    grown = await flooded(site, site.serve("daphne", NOTIFICATIONS_WINDOW="1000000"))
    with pytest.raises(AssertionError, match="MB for windows"):
        check_memory(grown)


# Asking without reading -----------------------------------------------------------------------------------------------

ASKED_MB = size(12, 100)
ANSWERS_MB = 8.0
PING = 9


def asking(what: str) -> bytes:
    one = (
        frame(PING, b"x" * 125)
        if what == "pings of the protocol"
        else frame(TEXT, b'{"type":"ping","ref":"%s"}' % (b"x" * 60))
    )
    return one * 500


@SERVERS
@pytest.mark.parametrize("what", ["pings of the protocol", "pings of ours"])
async def test_answers_to_who_does_not_read_them_do_not_pile_up(ground, kind, what):
    site = ground()
    server = site.serve(kind)
    (someone,) = site.people(1)
    peer = await Stalled.open(server, someone)
    before = megabytes(server)
    most = 0.0
    chunk = asking(what)
    with contextlib.suppress(OSError, TimeoutError):  # which is one way of not keeping them
        for _ in range(ASKED_MB * 2**20 // len(chunk)):
            await peer.send(chunk, timeout=5)
            most = max(most, megabytes(server) - before)
    await asyncio.sleep(0.5)
    most = max(most, megabytes(server) - before)
    peer.close()
    show(f"{what} on {kind}", grown_mb=most)
    assert most < ANSWERS_MB, f"{most:.1f} MB of answers"
