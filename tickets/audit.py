"""The audit log: one JSON object a line on the logger `tickets.audit`, for every act that grants or takes access.

Nothing that a stranger sends can forge or break a line: JSON escapes line ends, and all but ASCII is escaped too.
A ticket, token or password is never passed here; what identifies a ticket is its row's number.
"""

import logging
from typing import Any

from rest_framework.utils import json

_log = logging.getLogger("tickets.audit")

# Longer values are cut: a log is no place to store what a stranger sends.
LONGEST_VALUE = 200


def record(event: str, *, ok: bool = True, **details: Any) -> None:
    """Log that `event` happened (`ok`) or was refused (not `ok`, as a warning), with plain values as details."""
    line = {"event": event, "ok": ok} | {name: _plain(value) for name, value in details.items() if value is not None}
    _log.log(logging.INFO if ok else logging.WARNING, "%s", json.dumps(line, ensure_ascii=True))


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    return str(value)[:LONGEST_VALUE]
