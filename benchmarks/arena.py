"""What a comparison stands on: PostgreSQL, a Redis-compatible server, a site, servers and the process behind them."""

import asyncio
import json
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

from benchmarks.servers import Server
from benchmarks.swarm import Swarm
from tests.support.processes import ROOT
from tests.support.services import Postgres, Valkey
from tests.support.stack import site_environment

ENVIRONMENT = {
    "DEBUG": "0",
    "ALLOWED_HOSTS": "127.0.0.1",
    "SECURE_SSL_REDIRECT": "0",
    "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
    "TICKETS_TICKET_SECONDS": "86400",
}
# They would refuse a benchmark's crowd, which comes from one address and, in workload (c), is one person.
LIMITS_LIFTED = {
    "NOTIFICATIONS_SOCKETS_PER_USER": "100000",
    "NOTIFICATIONS_SOCKETS_PER_PROCESS": "100000",
    "NOTIFICATIONS_UNAUTHENTICATED_PER_ADDRESS": "100000",
    "NOTIFICATIONS_UNAUTHENTICATED_PER_PROCESS": "100000",
}
ORIGINAL = "original"
LINE = 64 * 1024 * 1024
TRIES = 10


class Backstage:
    """The process that makes people and publishes, see `benchmarks.backstage`. It ends when its input does."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, env: dict[str, str]) -> "Backstage":
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.backstage"),
            env=env,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=LINE,
        )
        backstage = cls(process)
        await backstage._answer()
        return backstage

    async def call(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        return await self._answer()

    async def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process behind the scenes ended; see its traceback above")
        return json.loads(line)

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Site:
    """One database and one layer, on which both sides run."""

    def __init__(self, env: dict[str, str], directory: Path) -> None:
        self.env = env
        self.directory = directory
        self.database = env["DATABASE_URL"].rpartition("/")[2]
        self.servers: list[Server] = []
        self.backstage: Backstage

    async def server(self, kind: str, side: str) -> Server:
        """A server process that answers."""
        server = Server.of(kind, side, env=self.env, directory=self.directory)
        self.servers.append(server)
        await server.ready()
        return server

    async def let_in(self, swarm: Swarm, owners: list[int]) -> None:
        """A client for each of these people. Whoever is told to come back later, on a busy machine, does."""
        for _ in range(TRIES):
            credentials = await self.backstage.call(swarm.dialect.credentials, user_ids=owners)
            owners = [owners[place] for place in await swarm.connect(credentials)]
            if not owners:
                return
            await asyncio.sleep(1)
        raise RuntimeError(f"{len(owners)} clients were not let in")

    async def __aenter__(self) -> Self:
        self.backstage = await Backstage.start(self.env)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for server in self.servers:
            server.stop()
        await self.backstage.stop()


class Arena:
    """The services, for as many sites as are wanted; each site has a fresh database."""

    def __init__(self) -> None:
        # A socket is a descriptor here and one in its server, which inherits the limit.
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.directory = Path(tempfile.mkdtemp(prefix="usher-benchmarks-"))
        self.postgres = Postgres()
        self.valkey = Valkey()
        self._keys = {name: secrets.token_urlsafe(50) for name in ("SECRET_KEY", "JWT_SIGNING_KEY")}
        self._migrate()

    def site(self, layer: str, *, without: Collection[str] = ()) -> Site:
        """`layer`: redis (channels_redis pub/sub) or memory; `without` some variables of the environment."""
        database = self.postgres.create_database(template=ORIGINAL)
        env = {name: value for name, value in self._env(database, layer).items() if name not in without}
        return Site(env, self.directory)

    def _env(self, database: str, layer: str) -> dict[str, str]:
        redis = self.valkey.url if layer == "redis" else ""
        return site_environment(**ENVIRONMENT, **LIMITS_LIFTED, **self._keys, DATABASE_URL=database, REDIS_URL=redis)

    def _migrate(self) -> None:
        database = self.postgres.create_database(ORIGINAL)
        # Tables of applications without migrations are made first, and those of the plain way refer to the site's.
        for more in (["auth"], ["--run-syncdb"]):
            command = [sys.executable, "manage.py", "migrate", "--skip-checks", "--verbosity=0", *more]
            subprocess.run(command, cwd=ROOT, env=self._env(database, "memory"), check=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.valkey.stop()
        self.postgres.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
