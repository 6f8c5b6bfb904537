"""From the commit to the frame, at a steady rate.

    python -m benchmarks.latency --rate 500

Each notification is written in a transaction of its own to the next of 200 connected people. The clock starts when
COMMIT returned in the publisher, before anything else is done, and stops when the client has read the frame; both read
the machine's monotonic clock. There is one server process, and publishers share the rate, since a synchronous one could
not keep it alone. The rate that they reached is told.
"""

import argparse
import asyncio
import re
import time

import uvloop

from benchmarks.arena import Arena, Backstage
from benchmarks.clients import DIALECTS
from benchmarks.measuring import number, percentile, table
from benchmarks.swarm import Lost, Swarm

PEOPLE = 200
A_PUBLISHER = 250
"""Notifications a second that one publisher can be relied on for."""

_NUMBER = re.compile(rb'"n": ?(\d+)')


class Arrivals:
    """When each numbered notification arrived."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    def __call__(self, payload: bytes) -> None:
        now = time.monotonic()
        found = _NUMBER.search(payload)
        if found:
            self.at[int(found[1])] = now


async def steady(
    arena: Arena, *, rate: int, seconds: float, server: str = "uvicorn", side: str = "usher"
) -> dict[str, float]:
    """p50, p99 and greatest latency in ms, and the rate that was reached."""
    async with arena.site("redis") as site:
        people = await site.backstage.call("people", count=PEOPLE)
        process = await site.server(server, side)
        swarm = Swarm(DIALECTS[side], port=process.port)
        await site.let_in(swarm, people)
        await site.backstage.call("settle")
        publishers = [await Backstage.start(site.env) for _ in range(-(-rate // A_PUBLISHER))]
        try:
            await _publish(publishers, side, people, rate, 2, first=1_000_000)  # warms up
            swarm.on_frame = arrivals = Arrivals()
            started = time.monotonic()
            committed = await _publish(publishers, side, people, rate, seconds, first=0)
            took = time.monotonic() - started
            await _all_arrived(arrivals, len(committed))
        finally:
            for publisher in publishers:
                await publisher.stop()
        late = [arrivals.at[n] - at for n, at in committed.items()]
    return {
        "p50": percentile(late, 0.5) * 1000,
        "p99": percentile(late, 0.99) * 1000,
        "max": max(late) * 1000,
        "rate": len(late) / took,
    }


async def _publish(
    publishers: list[Backstage], side: str, people: list[int], rate: int, seconds: float, *, first: int
) -> dict[int, float]:
    """Number of the notification -> when its commit returned."""
    each = int(rate * seconds / len(publishers))
    told = await asyncio.gather(
        *(
            publisher.call(
                "steadily",
                side=side,
                user_ids=people[place :: len(publishers)],
                rate=rate / len(publishers),
                first=first + place * each,
                count=each,
            )
            for place, publisher in enumerate(publishers)
        )
    )
    return {first + place * each + n: at for place, times in enumerate(told) for n, at in enumerate(times)}


async def _all_arrived(arrivals: Arrivals, count: int) -> None:
    for _ in range(200):
        if len(arrivals.at) >= count:
            return
        await asyncio.sleep(0.05)
    raise Lost(f"{len(arrivals.at)} of {count} notifications arrived")


HEAD = ["commit to frame", "a second", "p50 ms", "p99 ms", "max ms"]


def row(name: str, found: dict[str, float]) -> list[str]:
    return [name, *(number(found[what]) for what in ("rate", "p50", "p99", "max"))]


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__.partition("\n")[0])
    parser.add_argument("--server", choices=["uvicorn", "daphne"], default="uvicorn")
    parser.add_argument("--rate", type=int, action="append", help="a second; may be given more than once")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--side", choices=["usher", "plain"], default="usher")
    arguments = parser.parse_args()
    rows = []
    with Arena() as arena:
        for rate in arguments.rate or [200, 500]:
            how = {"server": arguments.server, "side": arguments.side}
            found = await steady(arena, rate=rate, seconds=arguments.seconds, **how)
            rows.append(row(f"{arguments.server}, {arguments.side}, {rate}/s", found))
    print(table(HEAD, rows))


if __name__ == "__main__":
    uvloop.run(main())
