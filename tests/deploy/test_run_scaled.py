"""`make run-scaled`, run: what it starts works, and all of it ends."""

import asyncio
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.deploy.fleet import Place
from tests.support.client import Person
from tests.support.processes import Process, free_port, wait_until
from tests.support.stack import site_environment

WITHOUT_NGINX = "/nowhere/nginx"


class Run:
    """The command, as somebody at a terminal sees it."""

    def __init__(self, log_path: Path, port: int, **env: str) -> None:
        self.port = port
        self.process = Process(
            [sys.executable, "-m", "deploy.local", "--port", str(port)], log_path=log_path, env=site_environment(**env)
        )
        self.family: list[psutil.Process] = []

    def wait_up(self) -> None:
        def up() -> bool:
            assert self.process.returncode is None, self.said
            return "Ctrl-C ends it." in self.said

        wait_until(up, timeout=90, what="scaled site")
        self.family = self.process.family()

    @property
    def said(self) -> str:
        return self.process.log()

    def pid_of(self, name: str) -> int:
        return int(re.search(rf"^  {name}: pid (\d+)", self.said, re.MULTILINE)[1])

    def place(self, number: int = 0) -> Place:
        return Place(re.findall(r"^Usher is at (http://\S+)/$", self.said, re.MULTILINE)[number])

    def left(self) -> list[psutil.Process]:
        """What it started and did not end."""
        _, alive = psutil.wait_procs(self.family, timeout=5)
        return alive

    def directories(self) -> list[Path]:
        return [Path(path) for path in set(re.findall(r"says (/\S+)/[^/\s]+\.log", self.said))]


@pytest.fixture
def run(tmp_path, open_directory) -> Iterator[Callable[..., Run]]:
    """`run(NGINX="/nowhere")`; what a killed one leaves in the temporary directory goes with that."""
    made: list[Run] = []

    def start(*, port: int | None = None, **env: str) -> Run:
        env = {"TMPDIR": str(open_directory)} | env
        made.append(Run(tmp_path / f"run-{len(made)}.log", port or free_port(), **env))
        return made[-1]

    yield start
    for each in made:
        each.process.stop(timeout=20)


async def test_everything_is_started_works_and_ends(run, nginx):
    started = run()
    started.wait_up()
    assert re.findall(r"^  demo / demo$", started.said, re.MULTILINE)
    names = re.findall(r"^  (\S.*): pid", started.said, re.MULTILINE)
    assert names == ["postgres", "valkey", "server 1", "server 2", "nginx"]

    site = started.place()
    assert site.http == f"http://127.0.0.1:{started.port}"
    demo = Person(site, "demo")
    answer = await demo.get("/readyz")
    assert answer.json() | {"draining": False} == {
        "database": "ok",
        "migrations": "ok",
        "layer": "ok",
        "draining": False,
    }
    async with demo.connect(origin=site.http) as one, demo.connect() as other:
        published = await Person(site, "service").post("/api/notifications/", {"user": "demo", "title": "Hello"})
        assert published.status_code == 201, published.text
        for opened in (one, other):
            await opened.expect("notification", title="Hello", seq=1)
        started.process.terminate()
        for opened in (one, other):  # through nginx, which outlives the servers
            assert await opened.closed() == 4400
    assert await asyncio.to_thread(started.process.wait, 30) == 0, started.said
    assert started.said.endswith("Ended.\n")
    assert not started.left()
    assert started.directories()
    assert not [path for path in started.directories() if path.exists()]


async def test_given_services_are_used_and_a_dead_process_ends_it(run, stacks):
    stack = stacks.make("embedded", REDIS_URL=stacks.valkey.url)
    first_port = two_ports()
    given = {name: stack.env[name] for name in ("DATABASE_URL", "REDIS_URL")}
    started = run(port=first_port, NGINX=WITHOUT_NGINX, **given)
    started.wait_up()
    assert "DATABASE_URL is given" in started.said
    assert "nginx is not installed, so each process has an address of its own" in started.said
    assert re.findall(r"^  (\S.*): pid", started.said, re.MULTILINE) == ["server 1", "server 2"]
    assert started.place(1).http == f"http://127.0.0.1:{first_port + 1}"

    async with Person(started.place(0), "demo").connect() as one, Person(started.place(1), "demo").connect() as other:
        await asyncio.to_thread(stack.manage, "notify", "demo", "--title", "From another process")
        for opened in (one, other):
            await opened.expect("notification", title="From another process")
        psutil.Process(started.pid_of("server 2")).kill()
        assert await asyncio.to_thread(started.process.wait, 20) == 1
    assert re.search(r"server 2 \(pid \d+\) ended with SIGKILL", started.said)
    assert not started.left()
    # Somebody else's: they stay.
    assert Path(stack.env["DATABASE_URL"].removeprefix("sqlite:///")).exists()
    assert stacks.valkey.answers()


def two_ports() -> int:
    """The first of two neighbours that are both free."""
    while True:
        first = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
            return first


def test_a_second_signal_ends_it_at_once(run, tmp_path):
    started = run(port=two_ports(), NGINX=WITHOUT_NGINX, DATABASE_URL=f"sqlite:///{tmp_path}/site.sqlite3")
    started.wait_up()
    with socket.create_connection(("127.0.0.1", started.port)) as half:
        half.sendall(b"POST /api/token/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        server = psutil.Process(started.pid_of("server 1"))
        ports = (started.port, half.getsockname()[1])
        wait_until(
            lambda: any(
                (each.laddr[1], each.raddr and each.raddr[1]) == ports for each in server.net_connections("tcp")
            ),
            timeout=10,
            what="request",
        )
        started.process.terminate()
        wait_until(lambda: not psutil.pid_exists(started.pid_of("server 2")), timeout=20, what="end of the idle one")
        assert "Ctrl-C again ends it at once." in started.said
        assert started.process.returncode is None  # for the half request, for up to 30 s
        asked_again = time.monotonic()
        started.process.terminate()
        assert started.process.wait(20) == 0
    assert time.monotonic() - asked_again < 20
    assert "is killed" not in started.said
    assert not started.left()


def test_ended_while_it_starts(run, tmp_path):
    started = run(
        NGINX=WITHOUT_NGINX, DATABASE_URL=f"sqlite:///{tmp_path}/site.sqlite3", REDIS_URL="redis://127.0.0.1:1/0"
    )
    wait_until(lambda: (tmp_path / "site.sqlite3").exists(), timeout=30, what="start of its migrations")
    started.family = started.process.family()
    started.process.terminate()
    assert started.process.wait(30) == 0
    assert not started.left()


def test_killed_outright_it_leaves_no_process(run, tmp_path):
    started = run(NGINX=WITHOUT_NGINX, DATABASE_URL=f"sqlite:///{tmp_path}/site.sqlite3")
    wait_until(lambda: (tmp_path / "site.sqlite3").exists(), timeout=30, what="start of its migrations")
    started.family = started.process.family()
    assert len(started.family) >= 4  # with Valkey, the migrations, and the leash that ends both
    psutil.Process(started.process.pid).kill()
    assert not started.left()


def test_a_port_that_is_taken(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        started = run(port=taken.getsockname()[1])
        assert started.process.wait(20) == 1
    assert re.search(
        r"^Port \d+ of 127\.0\.0\.1 cannot be had: .*in use.* Another one: PORT=…$", started.said, re.MULTILINE
    )


def test_a_database_that_is_not_there(run):
    started = run(
        NGINX=WITHOUT_NGINX, DATABASE_URL="sqlite:////nowhere/site.sqlite3", REDIS_URL="redis://127.0.0.1:1/0"
    )
    assert started.process.wait(60) == 1
    assert "manage.py migrate ended with 1" in started.said
    assert "unable to open database file" in started.said
