"""The site in several processes, and what they stand on.

The services come out of the Python index, through the classes that the tests start them with: those run as root and as
anybody else, find free ports, and have a leash that ends everything even if this program is killed.
"""

import contextlib
import functools
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.local import front, places
from deploy.local.places import Failed
from tests.support.processes import ROOT, Process
from tests.support.services import Postgres, Service, Valkey

DRAIN_SECONDS = 60.0
"""A server's own bounds are 25 s for its drain and 30 s for what runs after that."""

HURRIED_SECONDS = 10.0
"""What is left of a server's patience after the second signal."""


class Ended(Exception):
    """Somebody asked it to end while it started."""


def say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


class Rig:
    """`start`, `watch` until something happens, and `end` whatever happened."""

    def __init__(self, *, host: str, port: int, processes: int, environment: Mapping[str, str]) -> None:
        self.host = host
        self.port = port
        self.processes = processes
        self.environment = dict(environment)
        self.nginx = front.find()
        # Workers of an nginx that root started are somebody else, and pass through here to the processes' sockets.
        self.directory = Path(tempfile.mkdtemp(prefix="usher-scaled-"))
        self.directory.chmod(0o711)
        self.addresses: list[str] = []
        self._services: list[Service] = []
        self._servers: dict[str, Process] = {}
        self._front: Process | None = None
        self._asked = 0

    def asked_to_end(self, *_: object) -> None:
        """Signal handler: the first drains, the second ends at once."""
        self._asked += 1

    # Start --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        for port in [self.port] if self.nginx else range(self.port, self.port + self.processes):
            places.must_be_free(self.host, port)
        self._start_services()
        self._run("migrate", "--verbosity", "0")
        say(self._run("demo", "--host", self.host))
        self._start_servers()
        if self.nginx:
            self._start_front(self.nginx)

    def _start_services(self) -> None:
        for variable, service in (("DATABASE_URL", Postgres), ("REDIS_URL", Valkey)):
            if self.environment.get(variable):
                say(f"{variable} is given: that one is used, and stays.")
                continue
            try:
                started = service()
            except (OSError, RuntimeError) as error:
                raise Failed(f"{service.name} did not start: {error}") from error
            self._services.append(started)
            self.environment[variable] = (
                started.create_database("usher") if isinstance(started, Postgres) else started.url
            )
            self._go_on()

    def _start_servers(self) -> None:
        if self.nginx:
            given = self.environment.get("TRUSTED_PROXIES")
            self.environment["TRUSTED_PROXIES"] = f"{given},unix" if given else "unix"
        for number in range(1, self.processes + 1):
            if self.nginx:
                place = ["--uds", str(self._socket(number))]
            else:
                port = self.port + number - 1
                place = ["--host", self.host.strip("[]"), "--port", str(port)]
                self.addresses.append(f"http://{self.host}:{port}/")
            self._servers[f"server {number}"] = self._process(
                f"server-{number}", [str(ROOT / "deploy" / "serve"), *place], PYTHON=sys.executable
            )
        for number, (name, server) in enumerate(self._servers.items(), start=1):
            self._wait(name, server, functools.partial(self._answers, number))

    def _start_front(self, program: str) -> None:
        sockets = [self._socket(number) for number in range(1, self.processes + 1)]
        configuration = front.configure(self.directory, host=self.host, port=self.port, sockets=sockets)
        self._front = self._process("nginx", front.command(program, configuration))
        self._wait("nginx", self._front, lambda: places.answers(places.at(self.host, self.port)))
        self.addresses = [f"http://{self.host}:{self.port}/"]

    def _run(self, *arguments: str) -> str:
        process = self._process(arguments[0], [sys.executable, "manage.py", *arguments])
        while process.returncode is None:
            self._go_on()
            time.sleep(0.05)
        if process.returncode:
            raise Failed(f"manage.py {arguments[0]} ended with {process.returncode}:\n{process.log()}")
        return process.log().rstrip()

    def _process(self, name: str, command: list[str], **env: str) -> Process:
        return Process(command, log_path=self.directory / f"{name}.log", env=self.environment | env)

    def _wait(self, name: str, process: Process, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not answers():
            self._go_on()
            if process.returncode is not None:
                raise Failed(_obituary(name, process))
            if time.monotonic() > deadline:
                raise Failed(f"{name} does not answer:\n{_tail(process)}")
            time.sleep(0.05)

    def _go_on(self) -> None:
        if self._asked:
            raise Ended

    def _socket(self, number: int) -> Path:
        return self.directory / f"{number}.sock"

    def _answers(self, number: int) -> bool:
        if self.nginx:
            return places.answers(places.at_socket(self._socket(number)))
        return places.answers(places.at(self.host, self.port + number - 1))

    # Watch --------------------------------------------------------------------------------------------------------

    def describe(self) -> None:
        """Where it is, of what it is made, and where its words go."""
        for address in self.addresses:
            say(f"Usher is at {address}")
        if not self.nginx:
            say("nginx is not installed, so each process has an address of its own; on Debian: apt install nginx")
        for name, process in self._children().items():
            say(f"  {name}: pid {process.pid}, says {process.log_path}")
        say("What was started here is in temporary directories and is removed with them at the end. Ctrl-C ends it.")

    def watch(self) -> None:
        """Until somebody asks it to end. A process that ends by itself is a failure."""
        while not self._asked:
            for name, process in self._children().items():
                if process.returncode is not None:
                    raise Failed(f"{_obituary(name, process)}\nThe rest is ended, too.")
            time.sleep(0.1)

    def _children(self) -> dict[str, Process]:
        front_door = {"nginx": self._front} if self._front else {}
        return {service.name: service.running for service in self._services} | self._servers | front_door

    # End ----------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Servers first, while what they talk to and through still stands; then that, and the directory."""
        self._end_servers()
        if self._front:
            self._front.stop()
        for service in reversed(self._services):
            service.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end_servers(self) -> None:
        started, hurried = time.monotonic(), None
        self._signal_servers()
        if self._asked and self._running():
            say("Draining: clients are told to come back, which takes up to 25 s. Ctrl-C again ends it at once.")
        while self._running():
            now = time.monotonic()
            if hurried is None and self._asked != 1:  # again, or never: something failed and there is nothing to save
                hurried = now
                self._signal_servers()
            if now - started > DRAIN_SECONDS or (hurried is not None and now - hurried > HURRIED_SECONDS):
                for process in self._running():
                    say(f"pid {process.pid} does not end, and is killed.")
                    process.kill()
            time.sleep(0.05)

    def _running(self) -> list[Process]:
        return [process for process in self._servers.values() if process.returncode is None]

    def _signal_servers(self) -> None:
        for process in self._running():
            process.terminate()


def _obituary(name: str, process: Process) -> str:
    code = process.returncode or 0
    how = signal.Signals(-code).name if code < 0 else str(code)
    return f"{name} (pid {process.pid}) ended with {how}. Its last words:\n{_tail(process)}"


def _tail(process: Process) -> str:
    return "\n".join(f"  {line}" for line in process.log().splitlines()[-20:])
