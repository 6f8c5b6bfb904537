"""A cursor for the few statements that are said at every handshake and at every notification.

PostgreSQL takes longer to read and plan them than to do them. Where the site allows prepared statements (the option
`prepare_threshold` of its database, see Django's `OPTIONS`), each is planned once a connection; this was seen to more
than halve what a notification costs. Without the option, behind a pooler that cannot keep them, and on SQLite it is
Django's own cursor.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections


@contextmanager
def cursor() -> Iterator[Any]:
    """Like `connection.cursor()`, with its error classes."""
    database = connections[DEFAULT_DB_ALIAS]
    with database.cursor() as wrapper:
        keeps = getattr(database.connection, "prepare_threshold", None) is not None
        # Django's cursor alone knows what it said to PostgreSQL, for somebody who captures that.
        if keeps and not database.force_debug_cursor:
            wrapper.cursor = _binding_by_server(database.connection)
        yield wrapper


def _binding_by_server(connection: Any) -> Any:
    """Django's psycopg cursor writes parameters into the text, so that no two statements are the same."""
    import psycopg

    return psycopg.Cursor(connection)
