"""A rolling restart loses nothing, costs each client one reconnect at most, and spreads these over the drain."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.ground import Ground
from tests.faults.publishing import Publisher
from tests.faults.sizes import show, size
from tests.support.client import Frame
from tests.support.histories import judge
from tests.support.loyal import Loyal, all_welcomed, leave_all, until
from tests.support.servers import ServerKind
from tests.support.wires import Wire

PROCESSES = 3
CLIENTS = size(120, 900)
GOODBYES_PER_SECOND = 100
DRAIN_SECONDS = 25.0
MOST_AT_ONCE = size(0.9, 0.6)
"""The part of a process's clients that may be sent away within a fifth of its drain. A busy machine reads in bursts."""
SPREAD = size(0.2, 0.6)
"""The part of the promised time that lies between the first goodbye and the last as they are read here."""

pytestmark = pytest.mark.timeout(size(300, 600))


@dataclass(frozen=True)
class Drained:
    """How one process ended."""

    seconds: float
    code: int | None
    goodbyes: tuple[tuple[float, int], ...]
    """When each was heard, and the milliseconds it asked to wait."""


async def serve_more(site: Ground, kind: ServerKind, count: int, **how: str) -> list[Any]:
    return [await asyncio.to_thread(site.serve, kind, **how) for _ in range(count)]


async def drain(server: Any, clients: Sequence[Loyal]) -> Drained:
    began = time.monotonic()
    server.terminate()
    with contextlib.suppress(AssertionError):  # that is for the checker to say
        await until(lambda: server.returncode is not None, "end of the process", DRAIN_SECONDS + 10)
    ended = time.monotonic()
    await all_welcomed(clients)
    byes: list[Frame] = [bye for client in clients for socket in client.sockets for bye in socket.of("bye", code=4400)]
    heard = tuple(sorted((bye.at, bye["retry_after_ms"]) for bye in byes if bye.at >= began))
    return Drained(ended - began, server.returncode, heard)


async def rolled(site: Ground, kind: ServerKind, *, clients: int, **how: str) -> tuple[list[Loyal], list[Drained]]:
    """New processes are started, new connections go to them, and the old ones are ended one after the other."""
    old = await serve_more(site, kind, PROCESSES, **how)
    people = site.people(clients)
    async with Wire(*old) as wire:
        everybody = [Loyal(wire, someone, ping=5, patience=15) for someone in people]
        for client in everybody:
            client.start()
        try:
            await all_welcomed(everybody)
            publisher = await asyncio.to_thread(Publisher, site.stack, people, rate=30)
            wire.targets = await serve_more(site, kind, PROCESSES, **how)
            drained = [await drain(server, everybody) for server in old]
            await all_welcomed(everybody)
            await asyncio.to_thread(publisher.stop)
            heads = {f"u.{user}": head for user, head in site.ask("SELECT user_id, head FROM notifications_stream")}
            with contextlib.suppress(AssertionError):  # that is for the checker to say
                arrived = lambda client: client.position.endswith(f":{heads.get(client.someone.stream, 0)}")  # noqa: E731
                await until(lambda: all(map(arrived, everybody)), "arrival of everything", 20)
        finally:
            await leave_all(everybody)
    return everybody, drained


def check_clients(site: Ground, clients: list[Loyal]) -> None:
    verdict = judge([each for each, _ in site.committed()], [client.reader() for client in clients])
    assert verdict.clean, str(verdict)
    assert (verdict.resets, verdict.skipped) == (0, 0)
    reconnects = [client.reconnects for client in clients]
    show("reconnects", most=max(reconnects), mean=sum(reconnects) / len(reconnects))
    assert max(reconnects) <= 1, f"{max(reconnects)} reconnects of one client"
    assert min(reconnects) == 1, "everybody was on a process that ended"


def check_drain(drained: Drained, clients: int) -> None:
    moments = [at for at, _ in drained.goodbyes]
    assert len(moments) >= clients / PROCESSES / 2, f"only {len(moments)} goodbyes"
    expected = len(moments) / GOODBYES_PER_SECOND
    spread = moments[-1] - moments[0]
    show("drain", seconds=drained.seconds, goodbyes=len(moments), spread=spread, exit_code=drained.code)
    assert drained.seconds < DRAIN_SECONDS, f"ended only after {drained.seconds:.1f} s"
    assert spread >= expected * SPREAD, f"{len(moments)} goodbyes within {spread:.2f} s"
    window = spread / 5
    most = max(sum(at <= other <= at + window for other in moments) for at in moments)
    assert most <= MOST_AT_ONCE * len(moments), f"{most} of {len(moments)} goodbyes within {window:.2f} s"
    waits = {wait for _, wait in drained.goodbyes}
    assert all(wait > 0 for wait in waits) and len(waits) > len(moments) / 4, "all are asked to come back at once"


@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
async def test_everybody_comes_back_once_and_misses_nothing(ground, kind):
    site = ground()
    clients, drained = await rolled(site, kind, clients=CLIENTS)
    check_clients(site, clients)
    for one in drained:
        check_drain(one, CLIENTS)
    assert sum(len(one.goodbyes) for one in drained) == CLIENTS
    assert {bye["code"] for client in clients for bye in client.byes} == {4400}
    for server in site.servers:
        assert not server.complaints(), server.log()[-4_000:]


@pytest.mark.parametrize(
    ("naive", "complaint"), [("without_drain", "only 0 goodbyes"), ("goodbye_at_once", "goodbyes within|at once")]
)
async def test_ending_as_servers_do_does_not_pass(ground, naive, complaint):
    site = ground()
    _, drained = await rolled(site, "uvicorn", clients=30, naive=naive)
    with pytest.raises(AssertionError, match=complaint):
        for one in drained:
            check_drain(one, 30)
