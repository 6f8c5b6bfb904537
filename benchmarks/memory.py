"""Memory of an idle socket.

    python -m benchmarks.memory --server uvicorn --sockets 2000

The server is a fresh process that has held some sockets before, so that what it loads once and the room that its
allocator keeps do not count as theirs. Each socket is another person's.
"""

import argparse
import asyncio

import uvloop

from benchmarks.arena import Arena, Site
from benchmarks.clients import DIALECTS
from benchmarks.measuring import number, table
from benchmarks.swarm import Swarm

WARM = 200
SETTLE_SECONDS = 5
"""Longer than anything that Usher does soon after a socket opened: its list of connections is written within 2 s."""


async def of_a_socket(site: Site, server: str, side: str, sockets: int) -> float:
    """KiB of resident memory that each of so many idle sockets adds."""
    people = await site.backstage.call("people", count=WARM + sockets)
    process = await site.server(server, side)
    swarm = Swarm(DIALECTS[side], port=process.port)
    await site.let_in(swarm, people[:WARM])
    await asyncio.sleep(SETTLE_SECONDS)
    before = process.memory()
    await site.let_in(swarm, people[WARM:])
    await asyncio.sleep(SETTLE_SECONDS)
    grown = process.memory() - before
    swarm.check(0)
    process.stop()
    return grown / sockets / 1024


async def compare(arena: Arena, server: str, sides: list[str], *, sockets: int) -> dict[str, float]:
    async with arena.site("redis") as site:
        return {side: await of_a_socket(site, server, side, sockets) for side in sides}


HEAD = ["an idle socket", "KiB"]


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--server", choices=["uvicorn", "daphne"], default="uvicorn")
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument("--sides", default="usher,plain,socket.io")
    arguments = parser.parse_args()
    with Arena() as arena:
        found = await compare(arena, arguments.server, arguments.sides.split(","), sockets=arguments.sockets)
    print(table(HEAD, [[f"{arguments.server}, {side}", number(kib)] for side, kib in found.items()]))


if __name__ == "__main__":
    uvloop.run(main())
