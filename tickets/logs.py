"""What LOGGING may name: where what is audited is appended to (`"class": "tickets.logs.AuditFile"`), and lines that are
JSON (`"()": "tickets.logs.json_lines"`)."""

import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from typing import Any, Final

from structlog.contextvars import merge_contextvars
from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict


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


FIELD: Final = re.compile(r" (\w+)=%\(\1\)[-+ 0#]*\d*(?:\.\d+)?[a-z]")
"""How lines of this site say what they are about: `log.info("open connection=%(connection)s", {"connection": name})`.
Any formatter makes a readable line of that, and this one fields."""


def json_lines() -> ProcessorFormatter:
    """
    A formatter: one JSON object a line, whoever logged it: `time`, `level`, `logger`, `event`, the ids of
    `tickets.tracing`, and what the line is about. An exception is one more string, `exception`.

    Nothing breaks or forges a line: JSON escapes line ends, and all but ASCII is escaped too. What a library hangs on
    its records besides (Django: the request) is left out, since it may hold an address with its query.
    """
    return ProcessorFormatter(
        foreign_pre_chain=[_take_fields],
        processors=[merge_contextvars, format_exc_info, _in_order, JSONRenderer(default=str)],
        pass_foreign_args=True,
    )


def _take_fields(_logger: Any, _method: str, event: EventDict) -> EventDict:
    record, given = event["_record"], event.pop("positional_args")
    if (audited := getattr(record, "audited", None)) is not None:
        return {**event, "event": audited["event"], "audit": audited}
    if not isinstance(given, Mapping) or not isinstance(record.msg, str):
        return event
    event["event"] = FIELD.sub("", record.msg) % given
    return {**event, **{name: given[name] for name in FIELD.findall(record.msg)}}


def _in_order(_logger: Any, _method: str, event: EventDict) -> EventDict:
    record = event.pop("_record")
    del event["_from_structlog"]
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    head = {"time": at, "level": record.levelname, "logger": record.name, "event": event.pop("event", "")}
    return head | {name: value for name, value in event.items() if name not in head}
