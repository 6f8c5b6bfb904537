"""All benchmarks in one run: `make bench`, or `make bench QUICK=1` for a look.

    python -m benchmarks [--quick] [--only fanout,handshake]

Each part prints its own table as soon as it is done; the last table is the summary, which a full run also writes into
the README.
"""

import argparse
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from benchmarks import fanout, handshake, latency, lists, memory, notify, rabbitmq, report, storm
from benchmarks.arena import Arena
from benchmarks.fanout import Fanout
from benchmarks.measuring import Side, number, table
from benchmarks.report import AS_SOCKETIO, BELOW_PLAIN, Promise, Result, at_least, at_most
from benchmarks.servers import has_socketio
from tests.support.processes import ROOT

WORKLOADS = {
    "a": "a frame, each person told alone",
    "b": "a frame, all told at once",
    "c": "a frame, one topic heard by all",
}


def _fanout(workload: str, server: str, layer: str, sockets: int = 1000, **more: int | str) -> Fanout:
    rounds = 1 if more.get("acks") == "lone" else fanout.ROUNDS[workload]
    return Fanout(
        **{"workload": workload, "server": server, "layer": layer, "sockets": sockets, "rounds": rounds, **more}
    )


# In-memory the plain way needs 0.5 ms a frame with 1,000 sockets and 2.4 with 5,000: fewer notifications there.
FULL: list[tuple[Fanout, Sequence[Promise]]] = [
    (_fanout("a", "uvicorn", "redis"), [at_least(2)]),
    (_fanout("a", "uvicorn", "redis", acks="lone"), [at_least(2)]),
    (_fanout("a", "daphne", "redis"), [at_least(2)]),
    (_fanout("b", "uvicorn", "redis"), [at_least(8)]),
    (_fanout("b", "uvicorn", "redis", acks="lone"), []),
    (_fanout("b", "daphne", "redis"), [at_least(8)]),
    (_fanout("b", "uvicorn", "redis", 5000, rounds=2, repetitions=2), []),
    (_fanout("c", "uvicorn", "redis"), [at_least(12), AS_SOCKETIO]),
    (_fanout("c", "uvicorn", "memory", rounds=8), [at_least(30), AS_SOCKETIO]),
    (_fanout("c", "daphne", "redis"), [at_least(6)]),
    (_fanout("c", "daphne", "memory", rounds=8), [at_least(15)]),
    (_fanout("c", "uvicorn", "redis", 5000, rounds=4, repetitions=2), []),
    (_fanout("c", "uvicorn", "memory", 5000, rounds=1, repetitions=2), []),
]
QUICK: list[tuple[Fanout, Sequence[Promise]]] = [
    (_fanout("a", "uvicorn", "redis", rounds=1, repetitions=1), [at_least(2)]),
    (_fanout("b", "uvicorn", "redis", rounds=4, repetitions=1), [at_least(8)]),
    (_fanout("c", "uvicorn", "redis", rounds=8, repetitions=1), [at_least(12), AS_SOCKETIO]),
    (_fanout("c", "uvicorn", "memory", rounds=2, repetitions=1), [at_least(30), AS_SOCKETIO]),
]


class Run:
    """Goes through all parts; keeps what they found."""

    def __init__(self, arena: Arena, *, quick: bool) -> None:
        self.arena = arena
        self.quick = quick
        self.results: list[Result] = []
        self.notes: list[str] = [] if has_socketio() else ["socket.io: not installed (Node.js 20 or newer with npm)."]

    async def fanout(self) -> None:
        for wanted, promises in QUICK if self.quick else FULL:
            sides = await fanout.compare(self.arena, wanted, _sides(wanted.server, "usher", "plain"))
            print(table(fanout.HEAD, fanout.rows(wanted, sides)), flush=True)
            self._add(f"{WORKLOADS[wanted.workload]}: {_place(wanted)}", sides, promises)
        for layer in ("redis", "memory"):
            self._growth("uvicorn", layer)

    async def protocols(self) -> None:
        """What the clients of others cost, beside our own; on a topic that all of them hear."""
        how = {"rounds": 4, "repetitions": 1} if self.quick else {}
        for server in ["uvicorn"] if self.quick else ["uvicorn", "daphne"]:
            wanted = _fanout("c", server, "redis", **how)
            sides = await fanout.compare(self.arena, wanted, ["usher", "stomp", "cable"])
            print(table(fanout.HEAD, fanout.rows(wanted, sides)), flush=True)
            native, *others = (side.micros for side in sides)
            for name, micros in zip(("STOMP 1.2", "Action Cable"), others, strict=True):
                what = f"a frame, one topic heard by all in {name}: {_place(wanted)}"
                self.results.append(Result(what, "µs", micros, promises=[at_most(2 * native)]))

    def _growth(self, server: str, layer: str) -> None:
        """How the price of a frame grows from 1,000 to 5,000 sockets."""
        names = [f"{WORKLOADS['c']}: {_place(_fanout('c', server, layer, sockets))}" for sockets in (1000, 5000)]
        found = {result.what: result for result in self.results}
        if all(name in found for name in names):
            small, large = (found[name] for name in names)
            plain = large.plain / small.plain if large.plain and small.plain else None
            what = f"a frame with 5,000 sockets, as with 1,000: {server}, {LAYERS[layer]}"
            self.results.append(Result(what, "x", large.usher / small.usher, plain, promises=[at_most(1.3)]))

    async def rabbitmq(self) -> None:
        side = await rabbitmq.beside(dict(os.environ), self.arena.directory, repetitions=1 if self.quick else 3)
        if side is None:
            print("RabbitMQ is not installed.")
            self.notes.append("RabbitMQ Web STOMP: not installed.")
            return
        print(table(rabbitmq.HEAD, [rabbitmq.row(side, 1000)]), flush=True)
        what = "a frame of one topic heard by all, 1,000 sockets"
        self.notes.append(f"RabbitMQ Web STOMP, {what}: {number(side.micros)} µs.")

    async def handshake(self) -> None:
        how = {"handshakes": 300, "repetitions": 1} if self.quick else {"handshakes": 1000, "repetitions": 3}
        promised = {"uvicorn": (2.5, 1.8), "daphne": (1.4, 1.4)}
        for server in ["uvicorn"] if self.quick else ["uvicorn", "daphne"]:
            sides = await handshake.compare(self.arena, server, _sides(server, "usher", "plain", "jwt"), **how)
            print(table(handshake.HEAD, handshake.rows(server, sides)), flush=True)
            cookie, token = promised[server]
            self._add(f"a handshake, plain with a session cookie: {server}", sides, [at_least(cookie)])
            self._add(f"a handshake, plain with a JWT: {server}", sides, [at_least(token)], plain="jwt")

    async def memory(self) -> None:
        for server in ["uvicorn"] if self.quick else ["uvicorn", "daphne"]:
            sides = _sides(server, "usher", "plain")
            found = await memory.compare(self.arena, server, sides, sockets=1000 if self.quick else 2000)
            print(table(memory.HEAD, [[f"{server}, {side}", number(kib)] for side, kib in found.items()]), flush=True)
            what = f"memory of an idle socket: {server}"
            others = (found["plain"], found.get("socket.io"))
            self.results.append(Result(what, "KiB", found["usher"], *others, promises=[at_most(30), BELOW_PLAIN]))

    async def notify(self) -> None:
        found = await notify.compare(self.arena, calls=200 if self.quick else 500, repetitions=2 if self.quick else 5)
        print(table(notify.HEAD, notify.rows(found)), flush=True)
        for what, unit in (("wall", "time"), ("cpu", "CPU of the caller")):
            usher, plain = (found[side][what] for side in ("usher", "plain"))
            name = f"notify() in a synchronous process: {unit}"
            self.results.append(Result(name, "µs", usher, plain, promises=[at_least(3)]))

    async def lists(self) -> None:
        found = await lists.compare(self.arena, repetitions=5 if self.quick else 30)
        print(table(lists.HEAD, lists.rows(found)), flush=True)
        for of, many in lists.MANY.items():
            name = f"a page of {many:,} {of} in the admin"
            usher, plain = (found[of, "first", side, many] for side in lists.SIDES)
            few = found[of, "first", "usher", lists.FEW[of]]
            self.results.append(Result(f"{name}: CPU", "ms", usher["cpu"], plain["cpu"]))
            promises = [at_most(few["queries"])]  # as many as with a hundred rows
            self.results.append(Result(f"{name}: queries", "", usher["queries"], plain["queries"], promises=promises))

    async def latency(self) -> None:
        rows = []
        for rate in (200, 500):
            found = await latency.steady(self.arena, rate=rate, seconds=5 if self.quick else 20)
            rows.append(latency.row(f"uvicorn, usher, {rate}/s", found))
            for share, limit in (("p50", 3), ("p99", 25)):
                promises = [at_most(limit)] if rate == 500 else []
                what = f"commit to frame at {rate}/s, {share}"
                self.results.append(Result(what, "ms", found[share], promises=promises))
        print(table(latency.HEAD, rows), flush=True)

    async def storm(self) -> None:
        clients = 300 if self.quick else 1000
        found = {side: await storm.recover(self.arena, clients=clients, side=side) for side in ("usher", "plain")}
        rows = [storm.row(f"uvicorn, {side}, {clients:,} clients", each) for side, each in found.items()]
        print(table(storm.HEAD, rows), flush=True)
        usher, plain = found["usher"], found["plain"]
        promises = [at_most(30)] if clients == 1000 else []
        name = f"{clients:,} clients come back at once"
        self.results.append(Result(f"{name}: until all are in", "s", usher["wall"], plain["wall"], promises=promises))
        self.results.append(Result(f"{name}: CPU", "s", usher["cpu"], plain["cpu"]))

    def _add(self, what: str, sides: list[Side], promises: Sequence[Promise], *, plain: str = "plain") -> None:
        found = {side.name: side.micros for side in sides}
        others = (found.get(plain), found.get("socket.io"))
        self.results.append(Result(what, "µs", found["usher"], *others, promises=promises))


LAYERS = {"redis": "pub/sub", "memory": "in-memory"}


def _place(wanted: Fanout) -> str:
    acks = ", each acked alone" if wanted.acks == "lone" else ""
    return f"{wanted.server}, {LAYERS[wanted.layer]}, {wanted.sockets:,} sockets{acks}"


def _sides(server: str, *ours: str) -> list[str]:
    """socket.io, where it is installed, stands beside uvicorn: one of them is the other's measure."""
    return [*ours, "socket.io"] if server == "uvicorn" and has_socketio() else list(ours)


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"On {os.cpu_count()} cores of {cpu} with Python {platform.python_version()}; every server is one process."


PARTS: dict[str, Callable[[Run], Awaitable[None]]] = {
    "fanout": Run.fanout,
    "protocols": Run.protocols,
    "rabbitmq": Run.rabbitmq,
    "handshake": Run.handshake,
    "memory": Run.memory,
    "notify": Run.notify,
    "lists": Run.lists,
    "latency": Run.latency,
    "storm": Run.storm,
}


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of everything; the README stays as it is")
    parser.add_argument("--only", default=",".join(PARTS), help="some parts of: %(default)s; the README stays as it is")
    arguments = parser.parse_args()
    wanted = [part for part in PARTS if part in arguments.only.split(",")]
    with Arena() as arena:
        run = Run(arena, quick=arguments.quick)
        for part in wanted:
            print(f"\n{part}\n", flush=True)
            await PARTS[part](run)
    print(f"\nsummary (medians)\n\n{report.summary(run.results)}\n")
    print("\n".join(run.notes))
    if wanted == list(PARTS) and not arguments.quick:
        readme = ROOT / "README.md"
        readme.write_text(
            report.put(readme.read_text(), report.readme_block(run.results, run.notes, machine=_machine()))
        )
        print("Written into README.md.")


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
