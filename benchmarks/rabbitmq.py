"""The same notification from RabbitMQ's Web STOMP plugin, where RabbitMQ is installed.

    python -m benchmarks.rabbitmq --sockets 1000

A private node on free ports of this machine. Each client subscribes to one topic and has a queue of its own there; it
acks cumulatively, one notification in 32, as in a busy stream. Durability is left out: what RabbitMQ does by default.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import uvloop

from benchmarks.clients import Dialect
from benchmarks.content import WHAT
from benchmarks.frames import upgrade_request
from benchmarks.measuring import Sample, Side, number, table
from benchmarks.servers import Server
from benchmarks.swarm import Swarm
from tests.support.processes import Process, free_port

DESTINATION = b"/topic/news"


def stomp(command: bytes, body: bytes = b"", **headers: bytes) -> bytes:
    """A frame (STOMP 1.2)."""
    lines = [command, *(name.replace("_", "-").encode() + b":" + value for name, value in headers.items()), b"", body]
    return b"\n".join(lines) + b"\0"


def _request(host: str, _credential: str) -> bytes:
    return upgrade_request("/ws", host=host, headers={"Sec-WebSocket-Protocol": "v12.stomp"})


_connect = stomp(b"CONNECT", accept_version=b"1.2", host=b"/", login=b"guest", passcode=b"guest", heart_beat=b"0,0")
_subscribe = stomp(
    b"SUBSCRIBE", id=b"0", destination=DESTINATION, ack=b"client", prefetch_count=b"64", receipt=b"subscribed"
)
LISTENER = Dialect(
    _request,
    "",
    ack=stomp(b"ACK", id=b"%b"),
    position=re.compile(rb"\nack:([^\n]+)\n"),
    notification=b"MESSAGE\n",
    greeting=_connect,
    welcome=b"RECEIPT\n",
    replies={b"CONNECTED\n": _subscribe},
)
PUBLISHER = Dialect(_request, "", greeting=_connect, welcome=b"CONNECTED\n")


def program() -> str | None:
    """The server itself; Debian's /usr/sbin/rabbitmq-server is a script around it that wants to be another user."""
    debian = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return str(debian) if debian.exists() else shutil.which("rabbitmq-server")


class Broker(Server):
    """A RabbitMQ node with Web STOMP, and the port mapper that Erlang wants."""

    def __init__(self, found: str, env: dict[str, str], directory: Path) -> None:
        home = directory / "rabbitmq"
        home.mkdir()
        port, amqp, tcp, dist, mapper = (free_port() for _ in range(5))
        (home / "plugins").write_text("[rabbitmq_web_stomp].\n")
        (home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{amqp}\nstomp.listeners.tcp.1 = 127.0.0.1:{tcp}\n"
            f"web_stomp.tcp.ip = 127.0.0.1\nweb_stomp.tcp.port = {port}\n"
        )
        env = {
            **env,
            "HOME": str(home),
            "ERL_EPMD_PORT": str(mapper),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home),
            "RABBITMQ_LOG_BASE": str(home),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": str(home),
            "RABBITMQ_NODENAME": "usher-benchmark@localhost",
        }
        self._mapper = Process(["epmd", "-port", str(mapper), "-address", "127.0.0.1"], log_path=home / "epmd.log")
        super().__init__([found], env=env, log_path=home / "server.log", port=port)

    @property
    def pid(self) -> int:
        """Of Erlang's machine; what was started is a script."""
        return next(process.pid for process in self._process.family() if process.name() == "beam.smp")

    async def ready(self, path: str = "") -> None:
        """Until somebody was let in."""
        for _ in range(120):
            if self._process.returncode is not None:
                break
            try:
                await Swarm(PUBLISHER, port=self.port).one("")
            except OSError:
                await asyncio.sleep(0.5)
            else:
                return
        raise RuntimeError(f"RabbitMQ did not come up:\n{self.log()}")

    def stop(self) -> None:
        super().stop()
        self._mapper.stop()


async def measure(broker: Broker, *, sockets: int, rounds: int, repetitions: int) -> Side:
    """CPU for each delivered frame."""
    swarm = Swarm(LISTENER, port=broker.port)
    await swarm.connect([""] * sockets)
    publisher = await Swarm(PUBLISHER, port=broker.port).one("")
    body = json.dumps({"type": "notification", "seq": 1, "id": "1", **WHAT}).encode()
    samples = []
    for _ in range(repetitions + 1):
        swarm.reset(busy=True)
        await broker.quiet()
        before = broker.cpu()
        for _ in range(rounds):
            publisher.say(stomp(b"SEND", body, destination=DESTINATION))
        await swarm.receive(rounds, timeout=120)
        await broker.quiet()
        samples.append(Sample(cpu=broker.cpu() - before, units=rounds * sockets, acks=swarm.acked))
    swarm.cut()
    return Side("RabbitMQ Web STOMP", samples[1:])


async def beside(env: dict[str, str], directory: Path, *, sockets: int = 1000, repetitions: int = 3) -> Side | None:
    """What it needs for a frame of workload (c); None where it is not installed."""
    found = program()
    if found is None:
        return None
    broker = Broker(found, env, directory)
    try:
        await broker.ready()
        return await measure(broker, sockets=sockets, rounds=16, repetitions=repetitions)
    finally:
        broker.stop()


HEAD = ["workload", "µs CPU a frame", "from", "to", "acks a frame"]


def row(side: Side, sockets: int) -> list[str]:
    return [
        f"(c) {side.name}, {sockets:,} sockets, busy",
        *map(number, (side.micros, *side.spread)),
        f"{side.acks:.2f}",
    ]


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rabbitmq", description=__doc__.partition("\n")[0])
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="usher-rabbitmq-") as directory:
        how = {"sockets": arguments.sockets, "repetitions": arguments.repetitions}
        side = await beside(dict(os.environ), Path(directory), **how)
    print(table(HEAD, [row(side, arguments.sockets)]) if side else "RabbitMQ is not installed.")


if __name__ == "__main__":
    uvloop.run(main())
