"""What was audited, on its way to the table: after its commit, together, and in nobody's way.

One thread of each process, started by the first of them, writes what has gathered every `SECONDS`. Nothing waits for
it, and what it holds is bounded. The log has every line; what the table could not take is counted there.
"""

import atexit
import logging
import os
import threading
import time
from collections import deque
from itertools import islice
from typing import Any, Final

from django.db import InterfaceError, OperationalError, connection

from tickets.counted import AUDIT_BACKLOG, AUDIT_LEFT_OUT
from tickets.models import AuditEvent

SECONDS: Final = 1.0
"""How late the table may be, while the database answers."""

BATCH: Final = 500
"""Rows a statement."""

MOST: Final = 20_000
"""Rows that wait, while the database is away or ten thousand sessions are ended: some 20 MB. The log has the rest."""

OF_STRANGERS: Final = 60
"""Refusals that are taken a minute, and as many that are critical: nobody fills a disk from outside, or hides what
matters behind what does not."""

PATIENCE: Final = 4.0
"""Seconds that a process which ends waits for the write that is under way."""

_log = logging.getLogger(__name__)


class Trail:
    def __init__(self) -> None:
        self._rows: deque[dict[str, Any]] = deque()
        self._refusals = _Allowances()
        self._left_out = 0
        self._writes = threading.Lock()
        self._some = threading.Event()
        self._thread: threading.Thread | None = None
        self._starts = threading.Lock()

    def add(self, columns: dict[str, Any], *, by_stranger: bool) -> None:
        """A row of the table, by its columns. Asks the database nothing, waits for nobody and raises nothing."""
        if len(self._rows) >= MOST or (by_stranger and not self._refusals.take(columns["level"])):
            self._left_out += 1
            AUDIT_LEFT_OUT.add()
            return
        self._rows.append(columns)
        self._some.set()
        if self._thread is None or not self._thread.is_alive():
            self.start()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._rows)

    def forget(self) -> None:
        """What has gathered is nobody's business any more: a child process leaves it to its parent."""
        self.__init__()  # type: ignore[misc]

    def flush(self) -> bool:
        """Write what has gathered. False if the database takes nothing now; the rows wait for the next time."""
        if not self._writes.acquire(timeout=PATIENCE):
            return False
        try:
            while batch := list(islice(self._rows, BATCH)):
                if not self._write(batch):
                    return False
                for _ in batch:
                    self._rows.popleft()
            left_out, self._left_out = self._left_out, 0
            if left_out:
                _log.warning("%d audited acts are in the log alone: too many for the table", left_out)
            return True
        finally:
            self._writes.release()

    def _write(self, batch: list[dict[str, Any]]) -> bool:
        try:
            AuditEvent.objects.bulk_create([AuditEvent(**columns) for columns in batch])
        except (OperationalError, InterfaceError) as error:
            _log.warning("%d audited acts wait for the database: %s", len(self._rows), _line(error))
            return False
        except Exception as error:  # noqa: BLE001 (whatever is wrong with a row)
            if len(batch) > 1:  # one of them is why
                return all(self._write([columns]) for columns in batch)
            # Tried again it would fail again, and hold up all that come after.
            _log.error("an audited act is in the log alone: %s", _line(error))
        return True

    def start(self) -> None:
        with self._starts:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="audit trail", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError as error:  # no more threads, or the process ends: the next one tries again
                    _log.warning("audited acts wait: %s", error)
                    return
                atexit.unregister(self.flush)
                atexit.register(self.flush)

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(SECONDS)
            self._some.clear()
            try:
                if not self.flush():
                    self._some.set()
                connection.close()  # into the pool, where there is one
            except Exception:  # noqa: BLE001 (whatever it was, the next ones are to be written)
                _log.exception("audited acts were not written")


class _Allowances:
    """So many refusals a minute, of either kind."""

    def __init__(self) -> None:
        self._since = float("-inf")
        self._taken: dict[bool, int] = {}

    def take(self, level: str) -> bool:
        now = time.monotonic()
        if now - self._since >= 60:
            self._since, self._taken = now, {}
        kind = level == "CRITICAL"
        self._taken[kind] = self._taken.get(kind, 0) + 1
        return self._taken[kind] <= OF_STRANGERS


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]


_trail = Trail()

add = _trail.add
flush = _trail.flush
forget = _trail.forget
AUDIT_BACKLOG.read = _trail.__len__

os.register_at_fork(after_in_child=forget)
