"""What the commands of both rooms share that operators look and act with: lists of any length, a question before an
act, and who it was."""

import os
import pwd
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TextIO, cast

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.utils import timezone
from rest_framework.utils import json

CHUNK: Final = 2_000
"""Rows that are in memory at once."""

_SPAN: Final = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Column = tuple[str, int]
"""A name, and the least width in characters: a list that is written while it is read knows none of its values."""


def write_list(out: TextIO, columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, as_json: bool) -> int:
    """A line for each row, written as it is read; returns how many. `as_json`: each is an object of JSON."""
    names = [name for name, _width in columns]
    count = 0
    for row in rows:
        if not count and not as_json:
            out.write(_line(columns, names))
        count += 1
        out.write(json_line(dict(zip(names, row, strict=True))) if as_json else _line(columns, row))
    return count


def bare(wrapper: Any) -> TextIO:
    """What is behind a command's `stdout`, which would end every text with a line break."""
    return cast("TextIO", wrapper._out)


def json_line(what: dict[str, Any]) -> str:
    return str(json.dumps(what, default=_plain, ensure_ascii=True)) + "\n"


def _line(columns: Sequence[Column], values: Sequence[Any]) -> str:
    cells = [f"{printable(value):<{width}}" for value, (_name, width) in zip(values, columns, strict=True)]
    return "  ".join(cells).rstrip() + "\n"


def printable(value: Any) -> str:
    """As a terminal may show it: what people call themselves could move its cursor, or more."""
    if isinstance(value, datetime):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
    text = "" if value is None else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def confirm(question: str, *, yes: bool, out: TextIO) -> None:
    """Go on if `yes`, or if whoever sits there says so. Raises `CommandError` if not, and where nobody sits."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody is here to say: --yes does.")
    out.write(f"{question} [y/N] ")
    out.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was done.")


def operator() -> str:
    """Who runs this, for the audit log: the operating system's word for it, not the environment's."""
    number = os.getuid()
    try:
        return f"os:{pwd.getpwuid(number).pw_name}"
    except KeyError:  # in a container, mostly
        return f"os:{number}"


def named_user(name: str) -> Any:
    """The primary key of somebody by their username."""
    model = get_user_model()
    key = model._default_manager.filter(**{model.USERNAME_FIELD: name}).values_list("pk", flat=True).first()
    if key is None:
        raise CommandError(f"There is no user {name!r}.")
    return key


def moment(text: str, *, now: datetime) -> datetime:
    """What an option says: ISO 8601 with a time zone, or so long ago: 90s, 15m, 2h, 3d."""
    if span := _SPAN.fullmatch(text):
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or timezone.is_naive(found):
        forms = "ISO 8601 with a time zone (2030-01-31T12:00Z) nor a span (15m, 2h, 3d)"
        raise CommandError(f"{text!r} is neither {forms}.")
    return found
