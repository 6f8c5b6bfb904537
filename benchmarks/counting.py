"""What it costs that everything is counted: CPU for each delivered frame with the figures as they are, and with none.

    python -m benchmarks.counting

One process under uvicorn, workload (c) of `benchmarks.fanout`, in which nothing else than telling is done; counting is
switched on and off in it from one repetition to the next. And, since that is less than what a machine's moods come to,
the call that counts a frame by itself.
"""

import argparse
import json
from datetime import UTC, datetime
from statistics import median
from timeit import timeit

import uvloop

from benchmarks.arena import Arena
from benchmarks.fanout import Contender, Fanout
from benchmarks.measuring import Side, number, table
from notifications import figures
from notifications.wire.vocabulary import Notification

CALLS = 200_000

SIDES = {"as it is": True, "uncounted": False}


async def compare(arena: Arena, wanted: Fanout) -> tuple[list[Side], list[float]]:
    """Both sides, and of each pair of repetitions what counting added, in µs a frame."""
    async with arena.site(wanted.layer) as site:
        contender = Contender(wanted, "usher", site)
        await contender.connect(await site.backstage.call("people", count=1))
        await site.backstage.call("settle")
        await contender.repeat()
        samples: dict[str, list] = {name: [] for name in SIDES}
        for repetition in range(wanted.repetitions):
            # Now this one first and now that one: whatever comes of being second is shared.
            for name in sorted(SIDES, reverse=bool(repetition % 2)):
                await contender.server.post("/benchmark/counting/", json.dumps({"counts": SIDES[name]}).encode())
                samples[name].append(await contender.repeat())
    pairs = zip(*(samples[name] for name in SIDES), strict=True)
    return [Side(*each) for each in samples.items()], [counted.micros - plain.micros for counted, plain in pairs]


def a_call(*, repetitions: int) -> float:
    """µs that counting one frame takes, more than a call that does nothing."""
    texts = dict.fromkeys(["stream", "id", "kind", "level", "title", "body", "url"], "x")
    frame = Notification(**texts, seq=1, data={}, created_at=datetime.now(UTC))
    ways = {"counts": figures.count_sent, "does nothing": lambda _event: None}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, way in ways.items():
            taken[name].append(timeit(lambda way=way: way(frame), number=CALLS) / CALLS * 1e6)
    counts, nothing = (median(each) for each in taken.values())
    return counts - nothing


HEAD = ["a frame", "µs CPU", "from", "to"]


def rows(sides: list[Side], added: list[float]) -> list[list[str]]:
    told = [[side.name, *map(number, (side.micros, *side.spread))] for side in sides]
    return [*told, ["added by counting", *(f"{value:.2f}" for value in (median(added), min(added), max(added)))]]


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counting", description=__doc__.partition("\n")[0])
    parser.add_argument("--layer", choices=["redis", "memory"], default="redis")
    parser.add_argument("--rounds", type=int, default=16, help="a third of the notifications of a repetition")
    parser.add_argument("--repetitions", type=int, default=20, help="pairs")
    arguments = parser.parse_args()
    how = {"sockets": 1000, "rounds": arguments.rounds, "repetitions": arguments.repetitions}
    with Arena() as arena:
        found = await compare(arena, Fanout(workload="c", server="uvicorn", layer=arguments.layer, **how))
    print(table(HEAD, rows(*found)))
    print(f"\nThe call that counts a frame: {number(a_call(repetitions=arguments.repetitions))} µs.")


if __name__ == "__main__":
    uvloop.run(main())
