"""For the few statements that are written by hand: rows as Django's ORM would return them."""

from collections.abc import Sequence
from typing import Any

from django.db import connection


def quoted(name: str) -> str:
    """The name of a table or column, as the database wants it written."""
    return connection.ops.quote_name(name)


def as_python(row: Sequence[Any], columns: Sequence[Any]) -> list[Any]:
    """The values of a raw row, which are of these model fields: SQLite knows neither times nor UUIDs nor booleans."""
    return [_value(value, column) for value, column in zip(row, columns, strict=True)]


def _value(value: Any, column: Any) -> Any:
    col = column.get_col(column.model._meta.db_table)
    for convert in (*connection.ops.get_db_converters(col), *col.get_db_converters(connection)):
        value = convert(value, col, connection)
    return value
