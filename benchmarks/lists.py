"""What a list costs that staff looks at: the admin's pages of tickets and connections against those that Django makes.

    python -m benchmarks.lists

With 100 rows, and with 10,000 tickets and 2,000 connections; PostgreSQL; sides take turns in one process.
"""

import argparse
from itertools import product
from statistics import median

import uvloop

from benchmarks.arena import Arena
from benchmarks.measuring import number, ratio, table

FEW = {"tickets": 100, "connections": 100}
MANY = {"tickets": 10_000, "connections": 2_000}
PEOPLE = 2_000
SIDES = ("usher", "plain")
PAGES = ("first", "searched")

Found = dict[tuple[str, str, str, int], dict[str, float]]
"""By list, page, side and rows."""


async def compare(arena: Arena, *, repetitions: int) -> Found:
    """For each page the medians: ms, ms of CPU, and queries; the sides take turns."""
    found: Found = {}
    async with arena.site("memory") as site:
        people = await site.backstage.call("people", count=PEOPLE)
        for rows in (FEW, MANY):
            await site.backstage.call("fill", user_ids=people, **rows)
            await site.backstage.call("settle")
            for of, page in product(rows, PAGES):
                samples: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
                for repetition, side in product(range(repetitions + 2), SIDES):
                    spent = await site.backstage.call("look", side=side, of=of, page=page)
                    if repetition > 1:  # the first ones compile templates and make connections
                        samples[side].append(spent)
                for side in SIDES:
                    found[of, page, side, rows[of]] = _medians(samples[side])
    return found


def _medians(samples: list[dict[str, float]]) -> dict[str, float]:
    factors = {"wall": 1e3, "cpu": 1e3, "queries": 1}
    return {what: median(sample[what] for sample in samples) * factor for what, factor in factors.items()}


HEAD = ["a page", "rows", "ms CPU", "ms", "queries", "÷ usher (CPU)"]
NAMES = {"first": "the first page", "searched": "searched and filtered"}


def rows(found: Found) -> list[list[str]]:
    return [
        [
            f"{of}, {NAMES[page]}: {side}",
            f"{many:,}",
            *(number(spent[what]) for what in ("cpu", "wall")),
            f"{spent['queries']:g}",
            f"{ratio(spent['cpu'], found[of, page, 'usher', many]['cpu']):.2f}x",
        ]
        for (of, page, side, many), spent in found.items()
    ]


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lists", description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=20)
    arguments = parser.parse_args()
    with Arena() as arena:
        found = await compare(arena, repetitions=arguments.repetitions)
    print(table(HEAD, rows(found)))


if __name__ == "__main__":
    uvloop.run(main())
