"""Server CPU for each delivered frame, with acks on.

    python -m benchmarks.fanout --workload c --server uvicorn --layer redis --sockets 1000

(a) one notification to each of N people, one by one; (b) the same to all of them with one call; (c) one notification to
N sockets that hear the same topic, for which the plain way has a group. All sides run side by side on one database and
take turns.

Clients ack when 32 notifications are un-acked, else 5 s after the oldest. So the cost of acks depends on how busy a
stream is, and both ends are measured: `busy`, where each notification makes one client in 32 ack, as in a stream that
never rests; and `lone`, where each person is told one thing, and each frame is followed by an ack of its own.
"""

import argparse
import asyncio
import json
from dataclasses import dataclass

import uvloop

from benchmarks.arena import Arena, Site
from benchmarks.clients import DIALECTS, ON_A_TOPIC
from benchmarks.measuring import Sample, Side, number, ratio, table
from benchmarks.profiling import Profiler
from benchmarks.servers import Server
from benchmarks.swarm import Swarm


@dataclass(frozen=True)
class Fanout:
    """One comparison."""

    workload: str
    server: str
    layer: str
    sockets: int
    rounds: int
    """Notifications to each socket in a repetition on the plain side; see `rounds_of`."""
    acks: str = "busy"
    repetitions: int = 3

    def rounds_of(self, side: str) -> int:
        """Where frames are cheap more of them are needed for a steady figure; in a busy stream their number is free."""
        return self.rounds * (1 if side == "plain" or self.acks == "lone" else 3)

    def __str__(self) -> str:
        return f"({self.workload}) {self.server}, {self.layer}, {self.sockets:,} sockets, {self.acks}"


class Contender:
    """One side: its server, its clients, its way to publish."""

    def __init__(self, wanted: Fanout, side: str, site: Site) -> None:
        self.wanted = wanted
        self.side = side
        self.site = site
        self.samples: list[Sample] = []
        self.server: Server
        self.swarm: Swarm
        self._people: list[int] = []

    async def connect(self, people: list[int]) -> None:
        """Start the server and open all sockets: of one person in workload (c), else each of another one."""
        self._people = people
        self.server = await self.site.server(self.wanted.server, self.side)
        dialects = ON_A_TOPIC if self.wanted.workload == "c" else DIALECTS
        self.swarm = Swarm(dialects[self.side], port=self.server.port)
        await self.site.let_in(self.swarm, people * self.wanted.sockets if len(people) == 1 else people)

    async def repeat(self, rounds: int = 0) -> Sample:
        """
        Publish notifications to each socket and see how much CPU the server needs until all frames were delivered and
        all acks taken.
        """
        rounds = rounds or self.wanted.rounds_of(self.side)
        self.swarm.reset(busy=self.wanted.acks == "busy")
        await self.server.quiet()
        started, before = self.swarm.loop.time(), self.server.cpu()
        receiving = asyncio.create_task(self.swarm.receive(rounds, timeout=600))
        await self._publish(rounds)
        await receiving
        wall = self.swarm.loop.time() - started
        if not self.swarm.busy:
            await self.swarm.all_acked()
        await self.server.quiet()
        sample = Sample(
            cpu=self.server.cpu() - before, units=rounds * self.wanted.sockets, acks=self.swarm.acked, wall=wall
        )
        self.swarm.check(rounds)
        return sample

    async def _publish(self, rounds: int) -> None:
        how = {"side": self.side, "workload": self.wanted.workload, "user_ids": self._people, "rounds": rounds}
        if self.wanted.layer == "memory" or self.side == "socket.io":
            await self.server.post("/benchmark/publish/", json.dumps(how).encode())
        else:
            await self.site.backstage.call("publish", **how)


async def compare(arena: Arena, wanted: Fanout, sides: list[str], profiler: Profiler | None = None) -> list[Side]:
    """All sides in one run, taking turns, after a round that warms up and is not counted."""
    async with arena.site(wanted.layer) as site:
        people = await site.backstage.call("people", count=1 if wanted.workload == "c" else wanted.sockets)
        contenders = [Contender(wanted, side, site) for side in sides]
        for contender in contenders:
            await contender.connect(people)
        await site.backstage.call("settle")
        for contender in contenders:
            await contender.repeat(1)
        for _ in range(wanted.repetitions):
            for contender in contenders:
                contender.samples.append(await contender.repeat())
        if profiler:
            for contender in contenders:
                with profiler.record(contender.server.pid, f"{contender.side} {wanted}"):
                    await contender.repeat()
        return [Side(contender.side, contender.samples) for contender in contenders]


HEAD = ["workload", "side", "µs CPU a frame", "from", "to", "acks a frame", "wall s", "÷ usher"]


def rows(wanted: Fanout, sides: list[Side]) -> list[list[str]]:
    usher = next((side for side in sides if side.name == "usher"), sides[0])
    return [
        [
            str(wanted),
            side.name,
            number(side.micros),
            *map(number, side.spread),
            f"{side.acks:.2f}",
            number(min(sample.wall for sample in side.samples)),
            f"{ratio(side.micros, usher.micros):.1f}x",
        ]
        for side in sides
    ]


ROUNDS = {"a": 2, "b": 8, "c": 16}
"""Enough frames for a steady figure, without waiting long for the plain way to publish them."""


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout", description=__doc__.partition("\n")[0])
    parser.add_argument("--workload", choices="abc", default="c")
    parser.add_argument("--server", choices=["uvicorn", "daphne"], default="uvicorn")
    parser.add_argument("--layer", choices=["redis", "memory"], default="redis")
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--acks", choices=["busy", "lone"], default="busy")
    parser.add_argument(
        "--rounds",
        type=int,
        help="notifications to each socket in a repetition of the plain side; others get 3 times as many",
    )
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--sides", default="usher,plain", help="in this order; (c) knows usher,stomp,cable,plain,socket.io"
    )
    parser.add_argument("--profile", action="store_true", help="sample each server during one more repetition")
    return parser


async def main() -> None:
    arguments = options().parse_args()
    wanted = Fanout(
        workload=arguments.workload,
        server=arguments.server,
        layer=arguments.layer,
        sockets=arguments.sockets,
        rounds=1 if arguments.acks == "lone" else arguments.rounds or ROUNDS[arguments.workload],
        acks=arguments.acks,
        repetitions=arguments.repetitions,
    )
    profiler = Profiler() if arguments.profile else None
    with Arena() as arena:
        sides = await compare(arena, wanted, arguments.sides.split(","), profiler)
    print(table(HEAD, rows(wanted, sides)))
    if profiler:
        print(profiler.report())


if __name__ == "__main__":
    uvloop.run(main())
