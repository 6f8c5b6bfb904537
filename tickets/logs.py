"""Where what is audited may be written to, for LOGGING: `"class": "tickets.logs.AuditFile"`."""

import logging
import sys
from logging.handlers import WatchedFileHandler


class AuditFile(WatchedFileHandler):
    """Appends lines to a file, opened anew when it was moved away. Where that cannot be, a line goes to standard error:
    whoever signs out need not care about a full disk."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError as error:
            self._say(record, error.strerror or str(error))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        self._say(record, "not written")

    def _say(self, record: logging.LogRecord, why: str) -> None:
        sys.stderr.write(f"{self.baseFilename}: {why}: {self.format(record)}\n")
