"""For the few statements that are written by hand: rows as Django's ORM would return them."""

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from django.db import connection


def quoted(name: str) -> str:
    """The name of a table or column, as the database wants it written."""
    return connection.ops.quote_name(name)


MOST_AT_ONCE = 10_000
"""Values that one statement compares with on SQLite, which since 3.32 takes at most 32,766 of them."""


def any_of(column: Any, values: Collection[Any]) -> Iterator[tuple[str, list[Any]]]:
    """What to write behind a model field, and the parameters, to find rows that have any of many values.

    Once on PostgreSQL, however many they are: there they are one parameter. Several times on SQLite if need be. Not at
    all for no values.
    """
    keys = [column.get_db_prep_value(value, connection) for value in values]
    if keys and connection.vendor == "postgresql":
        yield "= ANY(%s)", [keys]
        return
    for start in range(0, len(keys), MOST_AT_ONCE):
        chunk = keys[start : start + MOST_AT_ONCE]
        yield f"IN ({', '.join(['%s'] * len(chunk))})", chunk


def reader(columns: Sequence[Any]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """What turns a raw row of these model fields into what the ORM would return: SQLite knows neither times nor UUIDs
    nor booleans. For rows of this thread's connection."""
    if _is_plain(connection.vendor, tuple(columns)):
        return lambda row: row
    converters = [_converter(column) for column in columns]
    return lambda row: [convert(value) if convert else value for convert, value in zip(converters, row, strict=True)]


@functools.cache
def _is_plain(vendor: str, columns: tuple[Any, ...]) -> bool:
    """Whether the driver of this database returns such rows as the ORM would: PostgreSQL's does."""
    return not any(_converter(column) for column in columns)


def _converter(column: Any) -> Callable[[Any], Any] | None:
    col = column.get_col(column.model._meta.db_table)
    steps = [*connection.ops.get_db_converters(col), *col.get_db_converters(connection)]
    if not steps:
        return None
    return lambda value: functools.reduce(lambda so_far, step: step(so_far, col, connection), steps, value)
