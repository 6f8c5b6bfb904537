"""What the doctor finds out by asking: the database, its clock, files. Each probe yields what is (text) and what is
wrong (a check message), and raises nothing on whatever it meets."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core import checks
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from tickets.deployment_checks import connections_needed, pool_size

Found = str | checks.CheckMessage

CLOCKS_APART: Final = 1.0
"""Seconds that the clocks of server and database may differ: times are compared by either."""

PROCESSES: Final = 2
"""Server processes that the database should have connections for, at least: as shipped."""

LARGEST_AUDIT_FILE: Final = 1 << 30


def _error(number: int, message: str, hint: str) -> checks.CheckMessage:
    return checks.Error(message, hint=hint, id=f"tickets.E{number:03}")


def _warning(number: int, message: str, hint: str) -> checks.CheckMessage:
    return checks.Warning(message, hint=hint, id=f"tickets.W{number:03}")


def database() -> Iterator[Found]:
    try:
        connection.ensure_connection()
        yield f"database: {connection.display_name} {'.'.join(map(str, connection.get_database_version()))}"
        yield from _migrations()
        if connection.vendor == "postgresql":
            yield from _isolation()
            yield from _connections()
            yield from _clock()
        elif connection.vendor != "sqlite":
            hint = "Use PostgreSQL, or SQLite for one process."
            yield _warning(23, f"{connection.display_name} is a database that nothing was tried on.", hint)
    except Exception as error:  # noqa: BLE001 (what settings say of a database may be anything)
        hint = "Look whether it runs and DATABASE_URL is right: host, port, name, user, password, sslmode."
        yield _error(20, f"The database does not answer: {str(error).strip().partition(chr(10))[0]}.", hint)
    finally:
        connection.close()


def _migrations() -> Iterator[Found]:
    executor = MigrationExecutor(connection)
    if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        yield _error(21, f"{len(plan)} migrations were not applied, the first {plan[0][0]}.", "manage.py migrate")


def _isolation() -> Iterator[Found]:
    with transaction.atomic():  # how they begin is what OPTIONS may change
        level = _ask("SHOW transaction_isolation")
    if level != "read committed":
        hint = "Leave isolation_level out of DATABASES and default_transaction_isolation at read committed."
        yield _warning(18, f"Transactions are {level}.", hint)


def _connections() -> Iterator[Found]:
    room = int(_ask("SHOW max_connections")) - int(_ask("SHOW superuser_reserved_connections"))
    each = pool_size() or connections_needed()
    yield f"database connections: at most {each} a process, {room} in all"
    if PROCESSES * each + 1 > room:
        hint = "Raise max_connections in postgresql.conf, or make DATABASE_THREADS or REQUESTS_AT_ONCE smaller."
        yield _warning(19, f"{PROCESSES} processes may ask for {PROCESSES * each} of its {room} connections.", hint)


def _clock() -> Iterator[Found]:
    before = timezone.now()
    theirs = _ask("SELECT clock_timestamp()")
    after = timezone.now()
    apart = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if apart > CLOCKS_APART:
        hint = "Run chrony or systemd-timesyncd on both machines."
        yield _warning(20, f"The clocks of this machine and of the database are {apart:.1f} s apart.", hint)
    else:
        yield "clocks: this machine's and the database's agree"


def _ask(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def files() -> Iterator[Found]:
    yield from _static()
    for handler in logging.getLogger("tickets.audit").handlers:
        if isinstance(handler, logging.FileHandler):
            yield from _audit_file(Path(handler.baseFilename))


def _static() -> Iterator[Found]:
    if not settings.DEBUG and not staticfiles_storage.exists("usher/client.js"):
        yield _warning(21, "The static files are not where they are served from.", "manage.py collectstatic")


def _audit_file(path: Path) -> Iterator[Found]:
    place = path if path.exists() else path.parent
    if path.is_dir() or not place.exists() or not os.access(place, os.W_OK):
        hint = f"Make {path.parent}, and let the user of the server processes write there; or name another AUDIT_LOG."
        yield _error(22, f"What is audited cannot be written to {path}.", hint)
    elif path.exists() and path.stat().st_size > LARGEST_AUDIT_FILE:
        hint = "Have logrotate move it away each day (no copytruncate: it is opened anew by itself)."
        yield _warning(22, f"{path} is larger than 1 GiB.", hint)
    else:
        yield f"audit: {path}"
