"""What servers log of their peers, kept to a line: a stranger shall not be able to write tracebacks into the log."""

import logging
import sys
from logging.handlers import WatchedFileHandler

# uvicorn answers these with the right close code and then logs them as if they were its own fault.
_OF_PEERS = ("Invalid UTF-8 sequence received from client.",)


class WithoutTracebacksOfPeers(logging.Filter):
    """Keeps the line, drops the traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg in _OF_PEERS:
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


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
