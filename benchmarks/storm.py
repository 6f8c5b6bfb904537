"""All clients come back at once.

    python -m benchmarks.storm --clients 1000

Every connection is cut in the same moment, as when a proxy restarts, and every client returns at once with a ticket
that it fetched before; whoever is turned away comes back with the next one, when it was told to or else after the
back-off of `static/usher/timing.js`. Usher's limits are as shipped, so the crowd comes from many addresses.
"""

import argparse
import asyncio
import random
import re
import time

import uvloop

from benchmarks.arena import LIMITS_LIFTED, Arena
from benchmarks.clients import DIALECTS, Client
from benchmarks.measuring import number, table
from benchmarks.swarm import Swarm

AN_ADDRESS = 20
"""Clients that share one."""
TRIES = 20
FLUSH_SECONDS = 11
"""A PostgreSQL server process that has nothing to do tells its counts within 10 s."""


_RETRY = re.compile(r'"retry_after_ms":(\d+)')


def back_off(failures: int) -> float:
    """Seconds; `backOff()` of the JavaScript client."""
    return random.random() * min(20, 0.5 * 2**failures)


def told_to_wait(refusal: str) -> float:
    """Seconds that a `bye` asks for; 0 if it was not said."""
    found = _RETRY.search(refusal)
    return int(found[1]) / 1000 if found else 0.0


class Returning:
    """One client that tries until it is in."""

    def __init__(self, swarm: Swarm, place: int, credentials: list[str]) -> None:
        self._swarm = swarm
        self._address = f"127.0.0.{2 + place // AN_ADDRESS}"
        self._credentials = credentials
        self.tries = 0

    async def come(self) -> None:
        while True:
            self.tries += 1
            try:
                client: Client = await self._swarm.one(self._credentials.pop(), address=self._address)
            except (OSError, TimeoutError) as refusal:
                await asyncio.sleep(told_to_wait(str(refusal)) or back_off(self.tries))
            else:
                self._swarm.clients.append(client)
                return


async def recover(arena: Arena, *, clients: int, server: str = "uvicorn", side: str = "usher") -> dict[str, float]:
    """Seconds until all are in again, seconds of CPU of the server, tries a client, and transactions."""
    async with arena.site("redis", without=LIMITS_LIFTED) as site:
        people = await site.backstage.call("people", count=clients)
        tries = TRIES if side == "usher" else 1
        lists = [await site.backstage.call(DIALECTS[side].credentials, user_ids=people) for _ in range(tries)]
        credentials = [[each[place] for each in lists] * (TRIES // tries) for place in range(clients)]
        process = await site.server(server, side)
        swarm = Swarm(DIALECTS[side], port=process.port)
        crowd = [Returning(swarm, place, own) for place, own in enumerate(credentials)]
        for some in range(0, clients, AN_ADDRESS):
            await asyncio.gather(*(each.come() for each in crowd[some : some + AN_ADDRESS]))
        await site.backstage.call("settle")
        await process.quiet()
        transactions = await _transactions(arena, site.database)
        swarm.cut()
        for each in crowd:
            each.tries = 0
        started, cpu = time.monotonic(), process.cpu()
        await asyncio.gather(*(each.come() for each in crowd))
        wall = time.monotonic() - started
        await process.quiet()
        used = process.cpu() - cpu
        swarm.check(0)
        transactions = await _transactions(arena, site.database) - transactions
    return {
        "wall": wall,
        "cpu": used,
        "tries": sum(each.tries for each in crowd) / clients,
        "transactions": transactions / clients,
    }


async def _transactions(arena: Arena, database: str) -> int:
    await asyncio.sleep(FLUSH_SECONDS)
    with arena.postgres.connect() as connection:
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = %s"
        return int(connection.execute(query, [database]).fetchone()[0])


HEAD = ["storm", "s until all are in", "s CPU", "tries a client", "transactions a client"]


def row(name: str, found: dict[str, float]) -> list[str]:
    return [name, *(number(found[what]) for what in ("wall", "cpu", "tries", "transactions"))]


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storm", description=__doc__.partition("\n")[0])
    parser.add_argument("--server", choices=["uvicorn", "daphne"], default="uvicorn")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--sides", default="usher,plain")
    arguments = parser.parse_args()
    rows = []
    with Arena() as arena:
        for side in arguments.sides.split(","):
            found = await recover(arena, clients=arguments.clients, server=arguments.server, side=side)
            rows.append(row(f"{arguments.server}, {side}, {arguments.clients:,} clients", found))
    print(table(HEAD, rows))


if __name__ == "__main__":
    uvloop.run(main())
