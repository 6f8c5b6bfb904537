"""The cursor for what is said at every notification: planned once a connection, where the site allows it."""

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from tickets import prepared

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def asked(request):
    """A statement that nobody else says."""
    return f"SELECT %s + 0 AS {request.node.name}"


@pytest.fixture
def planned(asked, db):
    """How often PostgreSQL keeps it planned for this connection."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's own driver keeps what it planned")

    def count():
        with connection.cursor() as cursor:
            named = f"%{asked.split()[-1]}%"
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", [named])
            return cursor.fetchone()[0]

    return count


def ask(sql, parameter, cursor=prepared.cursor):
    with cursor() as opened:
        opened.execute(sql, [parameter])
        return opened.fetchone()[0]


def test_it_answers_like_any_cursor(asked, db):
    assert [ask(asked, number) for number in range(10)] == list(range(10))


def test_what_is_said_again_is_planned_once(asked, planned):
    for number in range(10):
        ask(asked, number)
    assert planned() == 1


def test_djangos_own_cursor_plans_every_time(asked, planned):
    """Or there would be no need of another one."""
    for number in range(10):
        ask(asked, number, connection.cursor)
    assert planned() == 0


def test_a_site_that_cannot_keep_prepared_statements_keeps_none(asked, planned, monkeypatch):
    connection.ensure_connection()
    monkeypatch.setattr(connection.connection, "prepare_threshold", None)
    for number in range(10):
        ask(asked, number)
    assert planned() == 0


def test_whoever_captures_queries_sees_them(asked, db):
    for number in range(10):
        ask(asked, number)
    with CaptureQueriesContext(connection) as captured:
        ask(asked, 7)
    assert [query["sql"] for query in captured] == [asked % 7]


def test_its_errors_are_djangos(db):
    with pytest.raises(DatabaseError), prepared.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")
