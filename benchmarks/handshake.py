"""Server CPU for each handshake, and for the close after it.

    python -m benchmarks.handshake --server uvicorn

Usher's client is in when it was told `welcome`: its ticket is redeemed, its stream joined and read, its counts known.
The plain way's is in when the handshake succeeds: its cookie's session and person (or its token's person) are read, its
group is joined.
"""

import argparse
import asyncio

import uvloop

from benchmarks.arena import Arena, Site
from benchmarks.clients import DIALECTS
from benchmarks.measuring import Sample, Side, number, ratio, table
from benchmarks.profiling import Profiler
from benchmarks.servers import Server
from benchmarks.swarm import Swarm

NAMES = {
    "usher": "usher: ticket",
    "plain": "plain: session cookie",
    "jwt": "plain: JWT",
    "socket.io": "socket.io: session cookie",
}
AT_ONCE = 20
PEOPLE = 500


class Contender:
    """One side: its server, and a swarm that comes and goes."""

    def __init__(self, side: str, site: Site, server: Server, people: list[int]) -> None:
        self.side = side
        self.site = site
        self.server = server
        self.people = people
        self.samples: list[Sample] = []

    async def repeat(self, handshakes: int) -> Sample:
        """So many handshakes, some at a time, each closed as soon as it is in."""
        owners = [self.people[number % len(self.people)] for number in range(handshakes)]
        swarm = Swarm(DIALECTS[self.side], port=self.server.port)
        waiting = await self.site.backstage.call(swarm.dialect.credentials, user_ids=owners)

        async def work() -> None:
            while waiting:
                client = await swarm.one(waiting.pop())
                client.leave()
                await client.gone()

        await self.server.quiet()
        started, before = swarm.loop.time(), self.server.cpu()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        wall = swarm.loop.time() - started
        await self.server.quiet()
        return Sample(cpu=self.server.cpu() - before, units=handshakes, wall=wall)


async def compare(
    arena: Arena,
    server: str,
    sides: list[str],
    *,
    handshakes: int,
    repetitions: int,
    layer: str = "redis",
    profiler: Profiler | None = None,
) -> list[Side]:
    """All sides in one run, taking turns, after a round that warms up and is not counted."""
    async with arena.site(layer) as site:
        people = await site.backstage.call("people", count=PEOPLE)
        contenders = [Contender(side, site, await site.server(server, side), people) for side in sides]
        for contender in contenders:
            await contender.repeat(PEOPLE)
        await site.backstage.call("settle")
        for _ in range(repetitions):
            for contender in contenders:
                contender.samples.append(await contender.repeat(handshakes))
        if profiler:
            for contender in contenders:
                with profiler.record(contender.server.pid, f"{contender.side} handshakes, {server}"):
                    await contender.repeat(handshakes)
        return [Side(contender.side, contender.samples) for contender in contenders]


HEAD = ["handshake", "µs CPU", "from", "to", "a second", "÷ usher"]


def rows(server: str, sides: list[Side]) -> list[list[str]]:
    usher = next((side for side in sides if side.name == "usher"), sides[0])
    return [
        [
            f"{server}, {NAMES[side.name]}",
            number(side.micros),
            *map(number, side.spread),
            number(max(sample.units / sample.wall for sample in side.samples)),
            f"{ratio(side.micros, usher.micros):.2f}x",
        ]
        for side in sides
    ]


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.handshake", description=__doc__.partition("\n")[0])
    parser.add_argument("--server", choices=["uvicorn", "daphne"], default="uvicorn")
    parser.add_argument("--layer", choices=["redis", "memory"], default="redis")
    parser.add_argument("--handshakes", type=int, default=1000, help="in a repetition")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--sides", default="usher,plain,jwt", help="which to run, in this order: usher,plain,jwt,socket.io"
    )
    parser.add_argument("--profile", action="store_true", help="sample each server during one more repetition")
    arguments = parser.parse_args()
    profiler = Profiler() if arguments.profile else None
    with Arena() as arena:
        sides = await compare(
            arena,
            arguments.server,
            arguments.sides.split(","),
            handshakes=arguments.handshakes,
            repetitions=arguments.repetitions,
            layer=arguments.layer,
            profiler=profiler,
        )
    print(table(HEAD, rows(arguments.server, sides)))
    if profiler:
        print(profiler.report())


if __name__ == "__main__":
    uvloop.run(main())
