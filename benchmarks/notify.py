"""What one call costs the one who makes it: `notify()` against `objects.create()` and `group_send`.

    python -m benchmarks.notify

From a synchronous process, as a view under WSGI, a worker or a command; PostgreSQL and Redis; people take turns.
"""

import argparse
from statistics import median

import uvloop

from benchmarks.arena import Arena
from benchmarks.measuring import number, ratio, table

PEOPLE = 100
SIDES = ("usher", "plain")


async def compare(arena: Arena, *, calls: int, repetitions: int) -> dict[str, dict[str, float]]:
    """For each side the median time and CPU of a call, in µs; the sides take turns."""
    async with arena.site("redis") as site:
        people = await site.backstage.call("people", count=PEOPLE)
        await site.backstage.call("settle")
        found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for repetition in range(repetitions + 1):
            for side, samples in found.items():
                how = {"side": side, "workload": "a", "user_ids": people, "rounds": max(1, calls // PEOPLE)}
                spent = await site.backstage.call("publish", **how)
                if repetition:  # the first one makes connections and streams
                    samples.append({what: spent[what] / len(people) / how["rounds"] * 1e6 for what in ("wall", "cpu")})
        return {
            side: {what: median(sample[what] for sample in samples) for what in ("wall", "cpu")}
            for side, samples in found.items()
        }


HEAD = ["a call", "µs", "µs CPU", "÷ usher (µs)", "÷ usher (CPU)"]
NAMES = {"usher": "notify()", "plain": "objects.create() + group_send"}


def rows(found: dict[str, dict[str, float]]) -> list[list[str]]:
    usher = found["usher"]
    return [
        [
            NAMES[side],
            *(number(spent[what]) for what in ("wall", "cpu")),
            *(f"{ratio(spent[what], usher[what]):.1f}x" for what in ("wall", "cpu")),
        ]
        for side, spent in found.items()
    ]


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.notify", description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=500, help="in a repetition")
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    with Arena() as arena:
        found = await compare(arena, calls=arguments.calls, repetitions=arguments.repetitions)
    print(table(HEAD, rows(found)))


if __name__ == "__main__":
    uvloop.run(main())
