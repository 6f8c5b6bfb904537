"""What one site stands on: a database, a channel layer, and the environment that names them.

    with Stacks() as stacks:
        stack = stacks.make("scaled", TICKETS_GRANT_SECONDS="3")
        stack.add_people("bob", "carol")
        print(stack.manage("check"))

`python -m tests.support.stack -- COMMAND…` runs a command with DATABASE_URL and REDIS_URL of a PostgreSQL and a
Redis-compatible server that live as long as the command, and ends with its exit code.
"""

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, Self

from tests.support import canary, crowd
from tests.support.processes import ROOT, Process
from tests.support.services import Postgres, Valkey

StackKind = Literal["embedded", "scaled"]

# Known to the site alone, whoever it says something to.
_KEYS = ("SECRET_KEY", "JWT_SIGNING_KEY", "TICKETS_JID_KEY")

# What the site reads. A developer's own values must not reach the sites of the tests.
_SITE_VARIABLES = {
    "DEBUG",
    "SECRET_KEY",
    "JWT_SIGNING_KEY",
    "ALLOWED_HOSTS",
    "ALLOWED_ORIGINS",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_URL",
    "REDIS_URL",
    "TRUSTED_PROXIES",
    "METRICS_TOKEN",
    "RABBITMQ_URL",
    "SECURE_SSL_REDIRECT",
    "LOG_FORMAT",
    "LOG_LEVELS",
    "DJANGO_SETTINGS_MODULE",
    "HOST",
    "PORT",
}


def site_environment(**variables: str) -> dict[str, str]:
    """The caller's environment without anything meant for another site, with these variables instead."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in _SITE_VARIABLES and not name.startswith(("TICKETS_", "NOTIFICATIONS_", "PYTEST_"))
    }
    return inherited | {"PYTHONUNBUFFERED": "1", "DEBUG": "1", "DATABASE_URL": "", "REDIS_URL": ""} | variables


class Stack:
    """One site without its servers; several servers on one stack are one site of several processes."""

    def __init__(self, kind: StackKind, directory: Path, env: Mapping[str, str]) -> None:
        self.kind = kind
        self.directory = directory
        self.env = {"DJANGO_SETTINGS_MODULE": "tests.support.settings"} | dict(env)
        self._passwords: dict[str, str] = {}
        self._scripts: list[Process] = []
        canary.present.watch(directory)
        for name in _KEYS:
            canary.remembered(self.env.get(name, ""))

    def __repr__(self) -> str:
        return f"<Stack {self.kind} {self.directory}>"

    def migrate(self) -> None:
        self.manage("migrate", "--verbosity", "0")

    def manage(self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> str:
        """Run manage.py to its end. Returns what it printed; a failure raises with it."""
        if env:
            return self._run("manage.py", *arguments, env=env, timeout=timeout)
        running = crowd.start(self, "tests.support.chores", "manage", arguments=arguments)
        (code,) = running.answers(timeout)
        if code:
            raise RuntimeError(f"manage.py {' '.join(arguments)} ended with {code}:\n{running.said()}")
        return running.said()

    def run_module(self, module: str, *arguments: str, timeout: float = 60) -> str:
        """Run `python -m module` to its end. Returns what it printed; a failure raises with it."""
        return self._run("-m", module, *arguments, timeout=timeout)

    def script(self, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """Start `python -m module` beside the servers, as a worker or cron would run; ended with the stack."""
        process = Process(
            [sys.executable, "-m", module, *arguments],
            log_path=self.log_path(module.rpartition(".")[2]),
            env=self.env | dict(env or {}),
        )
        self._scripts.append(process)
        return process

    def add_people(self, *usernames: str, staff: bool = False, permissions: Collection[str] = ()) -> None:
        """Create people whose password is `password_of(username)`. Staff may do all, or what `permissions` name."""
        password = canary.remembered("one-for-all")
        wanted = {"usernames": usernames, "password": password, "staff": staff, "permissions": list(permissions)}
        crowd.run(self, "tests.support.chores", "create", **wanted)
        self._passwords |= dict.fromkeys(usernames, password)

    def password_of(self, username: str) -> str:
        """Demo people's password is their name."""
        return self._passwords.get(username, username)

    def log_path(self, name: str) -> Path:
        """A file of this name in the stack's directory that nobody has written to."""
        number = 1
        while (path := self.directory / f"{name}-{number}.log").exists():
            number += 1
        return path

    def stop(self) -> None:
        for process in self._scripts:
            process.stop()

    def _run(self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.env | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout


class Stacks:
    """Makes stacks. Migrations and demo people are made once for each kind and copied from then on.

    PostgreSQL and Valkey start with the first scaled stack and are shared by all; a test that stops or kills one
    makes `Stacks` of its own, or passes its own services to `make`.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="usher-stacks-")
        self.directory = directory or Path(self._temporary.name)
        self._postgres: Postgres | None = None
        self._valkey: Valkey | None = None
        self._made: list[Stack] = []
        self._numbers = itertools.count(1)
        self._embedded_original: Path | None = None
        self._scaled_originals: dict[Postgres, str] = {}

    @property
    def postgres(self) -> Postgres:
        self._postgres = self._postgres or Postgres()
        return self._postgres

    @property
    def valkey(self) -> Valkey:
        self._valkey = self._valkey or Valkey()
        return self._valkey

    def make(
        self,
        kind: StackKind,
        *,
        postgres: Postgres | None = None,
        valkey: Valkey | None = None,
        **env: str,
    ) -> Stack:
        """A migrated stack with the demo people `demo`, `alice`, `staff`, `service` (password = username)."""
        directory = self.directory / f"{kind}-{next(self._numbers)}"
        directory.mkdir(parents=True)
        if kind == "embedded":
            place = {"DATABASE_URL": f"sqlite:///{self._copy_embedded(directory)}"}
        else:
            place = {
                "DATABASE_URL": self._copy_scaled(postgres or self.postgres),
                "REDIS_URL": (valkey or self.valkey).overheard().url,
            }
        stack = Stack(kind, directory, site_environment(**place, **env))
        self._made.append(stack)
        return stack

    def _copy_embedded(self, directory: Path) -> Path:
        if self._embedded_original is None:
            original = self.directory / "original.sqlite3"
            _populate(f"sqlite:///{original}", self.directory)
            self._embedded_original = original
        copy = directory / "site.sqlite3"
        # Not a file copy: what is still in the write-ahead log belongs to it too.
        source, target = sqlite3.connect(self._embedded_original), sqlite3.connect(copy)
        source.backup(target)
        source.close()
        target.close()
        return copy

    def _copy_scaled(self, postgres: Postgres) -> str:
        if postgres not in self._scaled_originals:
            postgres.create_database("original")
            _populate(postgres.database_url("original"), self.directory)
            self._scaled_originals[postgres] = "original"
        return postgres.create_database(template=self._scaled_originals[postgres])

    def stop(self) -> None:
        for stack in self._made:
            stack.stop()
        for service in (self._postgres, self._valkey):
            if service:
                service.stop()
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def _populate(database_url: str, directory: Path) -> None:
    stack = Stack("embedded", directory, site_environment(DATABASE_URL=database_url))
    stack.migrate()
    stack.manage("demo")
    stack.stop()


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or arguments[0] != "--" or not shutil.which(arguments[1]):
        print(__doc__, file=sys.stderr)
        return 2
    with Postgres() as postgres, Valkey() as valkey:
        env = {"DATABASE_URL": postgres.create_database("usher"), "REDIS_URL": valkey.url}
        with subprocess.Popen(arguments[1:], env=os.environ | env) as command:
            while True:
                try:
                    return command.wait()
                except KeyboardInterrupt:
                    continue  # the command got it as well, and says when it is done


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
