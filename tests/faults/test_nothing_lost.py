"""Nothing that was committed is lost and nothing that was not appears, through twelve faults one after the other. And
whatever happened, and whoever came, a process tells Prometheus no more series than its code names."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from math import inf

import pytest

from tests.faults.ground import Ground
from tests.faults.publishing import UNDONE, Publisher
from tests.faults.sizes import GENEROUS, show, size
from tests.faults.strangers import MARK, pester
from tests.support.histories import Published, judge
from tests.support.loyal import Loyal, all_welcomed, http, leave_all, until
from tests.support.series import check_series
from tests.support.wires import Wire

BACK_WITHIN = 3.0
"""Seconds after a fault's end until everything that was published meanwhile has arrived."""
DELIVERED_WITHIN = 3.0
"""Seconds from publishing to arriving while Redis is away."""

PEOPLE, DEVICES = size(10, 20), 3
RATE = size(45, 60)
ENOUGH = size(1_000, 6_000)
LASTS = size(1.5, 10.0)
STRANGERS = size(400, 4_000)


@dataclass
class Trial:
    """Everything that is harmed, and everybody who must not notice more than a pause."""

    ground: Ground
    wire: Wire
    clients: list[Loyal]
    faults: list[tuple[str, float, float, float]] = field(default_factory=list)
    """(name, when it began, when it ended, until when what was published is held against it)"""


# The faults: each harms, lasts and is mended --------------------------------------------------------------------------

Fault = Callable[[Trial], Awaitable[None]]


async def lasting(harm: Callable[[], object], mend: Callable[[], object]) -> None:
    await asyncio.to_thread(harm)
    await asyncio.sleep(LASTS)
    await asyncio.to_thread(mend)


async def redis_killed(trial: Trial) -> None:
    await lasting(trial.ground.valkey.kill, trial.ground.valkey.start)


async def redis_stopped(trial: Trial) -> None:
    await lasting(trial.ground.valkey.pause, trial.ground.valkey.resume)


async def redis_flushed(trial: Trial) -> None:
    await asyncio.to_thread(trial.ground.valkey.flush)


async def server_killed(trial: Trial) -> None:
    server = trial.ground.servers[0]
    await lasting(server.kill, server.start)


async def server_stopped(trial: Trial) -> None:
    server = trial.ground.servers[1]
    await lasting(server.pause, server.resume)


async def server_rolled(trial: Trial) -> None:
    old = trial.wire.targets[0]
    new = await asyncio.to_thread(trial.ground.serve)
    trial.wire.targets = [*trial.wire.targets[1:], new]
    old.terminate()
    await asyncio.to_thread(old.process.wait, 30)


async def database_restarted(trial: Trial) -> None:
    await asyncio.to_thread(trial.ground.postgres.restart)


async def database_killed(trial: Trial) -> None:
    await lasting(trial.ground.postgres.kill, trial.ground.postgres.start)


async def database_stopped(trial: Trial) -> None:
    await lasting(trial.ground.postgres.pause, trial.ground.postgres.resume)


async def line_cut(trial: Trial) -> None:
    trial.wire.cut()
    await asyncio.sleep(LASTS)
    trial.wire.mend()


async def line_delayed(trial: Trial) -> None:
    trial.wire.slow(0.3)
    await asyncio.sleep(LASTS)
    trial.wire.mend()


async def line_swallows(trial: Trial) -> None:
    trial.wire.hole()
    await asyncio.sleep(LASTS)
    trial.wire.mend()


REDIS = (redis_killed, redis_stopped, redis_flushed)
FAULTS: tuple[Fault, ...] = (
    *REDIS,
    *(server_killed, server_stopped, server_rolled),
    *(database_restarted, database_killed, database_stopped),
    *(line_cut, line_delayed, line_swallows),
)


# The trial ------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def clients_of(ground: Ground, *, people: int, devices: int) -> AsyncIterator[Trial]:
    """Devices of people on two processes behind one wire, all welcome."""
    async with Wire(*ground.servers) as wire:
        clients = [
            Loyal(wire, someone, name=f"{someone.username}/{device}", ping=0.5, patience=1.5)
            for someone in ground.people(people)
            for device in range(devices)
        ]
        for client in clients:
            client.start()
        try:
            await all_welcomed(clients)
            yield Trial(ground, wire, clients)
        finally:
            await leave_all(clients)


async def go_through(trial: Trial, faults: tuple[Fault, ...], *, enough: int) -> list[dict]:
    """Publish all the while; what the publisher was told."""
    people = list({client.someone.user_id: client.someone for client in trial.clients}.values())
    publisher = await asyncio.to_thread(Publisher, trial.ground.stack, people, rate=RATE)
    for fault in faults:
        began = time.monotonic()
        await fault(trial)
        ended = time.monotonic()
        already = publisher.said
        with contextlib.suppress(AssertionError):  # that is for the checker to say
            await all_welcomed(trial.clients, timeout=30)
            await until(lambda already=already: publisher.said >= already + 30, "word of the publisher", 30)
        trial.faults.append((fault.__name__, began, ended, time.monotonic()))
        await asyncio.sleep(size(1.0, BACK_WITHIN))  # what was just published must not be the next fault's prey
    await until(lambda: publisher.said >= enough, f"{enough} calls", 600)
    return await asyncio.to_thread(publisher.stop)


async def everything_arrived(trial: Trial, timeout: float) -> None:
    heads = {f"u.{user}": head for user, head in trial.ground.ask("SELECT user_id, head FROM notifications_stream")}

    def arrived() -> bool:
        return all(
            (client.position or ":0").endswith(f":{heads.get(client.someone.stream, 0)}") for client in trial.clients
        )

    with contextlib.suppress(AssertionError):  # that is for the checker to say
        await until(arrived, "arrival of everything", timeout)


# The checker ----------------------------------------------------------------------------------------------------------


def check_history(trial: Trial, told: list[dict]) -> list[tuple[Published, str]]:
    """Nothing lost, phantom, reordered or said twice; nothing that a publisher was told is missing; no 1011."""
    log = trial.ground.committed()
    titles = {title for _, title in log}
    assert UNDONE not in titles
    missing = {
        call["title"] for call in told if "error" not in call and call["title"].split(":")[1][-1] != "3"
    } - titles
    assert not missing, f"told, and not in the log: {missing}"
    assert all(each.seq is not None for each, _ in log), "committed and never numbered"
    verdict = judge([each for each, _ in log], [client.reader() for client in trial.clients])
    assert verdict.clean, str(verdict)
    assert (verdict.resets, verdict.skipped) == (0, 0)
    codes = [code for client in trial.clients for code in client.codes]
    assert 1011 not in codes
    for server in trial.ground.servers:
        assert "code=1011" not in server.log()
    return log


def check_times(trial: Trial, told: list[dict], log: list[tuple[Published, str]]) -> None:
    """Everything published around a fault arrives soon after its end, and soon after publishing if it was Redis'."""
    began = {call["title"]: call["began"] for call in told if "error" not in call}
    published = {each.id: began[title] for each, title in log if title in began}
    arrivals = [
        (published[frame["id"]], frame.at)
        for client in trial.clients
        for socket in client.sockets
        for frame in socket.of("notification")
        if frame["id"] in published
    ]
    late = []
    for name, start, end, over in trial.faults:
        around = [(at, heard) for at, heard in arrivals if start <= at < over]
        after = max((heard - max(at, end) for at, heard in around), default=inf)
        during = max((heard - at for at, heard in around), default=inf)
        show(name, lasted=end - start, back_after=after, longest_way=during)
        if after > BACK_WITHIN * GENEROUS:
            late.append(f"{name}: back {after:.1f} s after its end")
        if name.startswith("redis") and during > DELIVERED_WITHIN * GENEROUS:
            late.append(f"{name}: {during:.1f} s on the way")
    assert not late, late


async def check_scrapes(site: Ground) -> None:
    """Of the process that lived through the faults and of one that came later, after strangers came to both."""
    for server in [each for each in site.servers if each.returncode is None]:
        await pester(server, STRANGERS)
        scrape = (await http().get(f"{server.http}/metrics", timeout=30)).text
        check_series(scrape)
        assert MARK.lower() not in scrape.lower(), "said by a stranger"
        assert 'usher_tickets_refused_total{reason="unknown"} 0.0' not in scrape, "none of them came through"


@pytest.mark.timeout(size(300, 1800))
async def test_nothing_is_lost_through_twelve_faults(own_ground):
    site = own_ground()
    site.serve()
    site.serve()
    async with clients_of(site, people=PEOPLE, devices=DEVICES) as trial:
        told = await go_through(trial, FAULTS, enough=ENOUGH)
        await everything_arrived(trial, timeout=60)
        await check_scrapes(site)
    log = check_history(trial, told)
    check_times(trial, told, log)
    show("in all", notifications=len(log), sockets=len(trial.clients), calls=len(told))
    for server in site.servers:
        assert not server.complaints(), server.log()[-4000:]


@pytest.mark.timeout(300)
async def test_plain_consumers_do_not_pass(own_ground):
    site = own_ground()
    site.serve(naive="plain")
    async with clients_of(site, people=3, devices=1) as trial:
        told = await go_through(trial, (line_cut,), enough=20)
        await everything_arrived(trial, timeout=2)
    with pytest.raises(AssertionError, match="lost"):
        check_history(trial, told)
