"""The audited acts of sockets and of strangers on their way to the table: written together, off their path.

One thread of each process, started by the first of them, writes what has gathered every `SECONDS`. What it holds is
bounded. The log has every line; what the table could not take is counted there.
"""

import atexit
import logging
import os
import threading
import time
from collections import deque
from itertools import islice
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from tickets.models import AuditEvent

SECONDS: Final = 1.0
"""How late the table may be, while the database answers."""

BATCH: Final = 500
"""Rows a statement."""

MOST: Final = 5_000
"""Rows that wait, while the database is away; more are left to the log."""

OF_STRANGERS: Final = 100
"""Refusals that are taken between two writes: nobody shall fill the database from outside."""

_log = logging.getLogger(__name__)


class Trail:
    def __init__(self) -> None:
        self._rows: deque[dict[str, Any]] = deque()
        self._refusals = 0
        self._left_out = 0
        self._writes = threading.Lock()
        self._some = threading.Event()
        self._thread: threading.Thread | None = None
        self._starts = threading.Lock()

    def add(self, columns: dict[str, Any], *, by_stranger: bool) -> None:
        """A row of the table, by its columns. Asks the database nothing; may be called on an event loop."""
        if len(self._rows) >= MOST or (by_stranger and self._refusals >= OF_STRANGERS):
            self._left_out += 1
            return
        self._refusals += by_stranger
        self._rows.append(columns)
        if not self._some.is_set():
            self._some.set()
            self.start()

    def forget(self) -> None:
        """What has gathered is nobody's business any more: a child process leaves it to its parent."""
        self.__init__()  # type: ignore[misc]

    def flush(self) -> bool:
        """Write what has gathered. False if the database takes nothing now; the rows wait for the next time."""
        with self._writes:
            self._refusals = 0
            while batch := list(islice(self._rows, BATCH)):
                if not self._write(batch):
                    return False
                for _ in batch:
                    self._rows.popleft()
            left_out, self._left_out = self._left_out, 0
            if left_out:
                _log.warning("%d audited acts are in the log alone: too many for the table", left_out)
            return True

    def _write(self, batch: list[dict[str, Any]]) -> bool:
        try:
            AuditEvent.objects.bulk_create([AuditEvent(**columns) for columns in batch])
        except (OperationalError, InterfaceError) as error:
            _log.warning("%d audited acts wait for the database: %s", len(self._rows), _line(error))
            return False
        except DatabaseError as error:
            # Tried again it would fail again, and hold up all that come after.
            _log.error("%d audited acts are in the log alone: %s", len(batch), _line(error))
        return True

    def start(self) -> None:
        with self._starts:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="audit trail", daemon=True)
                self._thread.start()
                atexit.unregister(self.flush)
                atexit.register(self.flush)

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(SECONDS)
            self._some.clear()
            if not self.flush():
                self._some.set()
            connection.close()  # into the pool, where there is one


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]


_trail = Trail()

add = _trail.add
flush = _trail.flush
forget = _trail.forget

os.register_at_fork(after_in_child=forget)
