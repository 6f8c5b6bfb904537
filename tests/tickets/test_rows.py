import uuid
from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from tickets import rows
from tickets.models import LoginSession
from tickets.rows import any_of, quoted, reader

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

NAMES = ("id", "user", "method", "created_at", "ended_at")


def raw(*names, model=LoginSession):
    columns = [model._meta.get_field(name) for name in names]
    chosen = ", ".join(quoted(column.column) for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {chosen} FROM {quoted(model._meta.db_table)}")
        return cursor.fetchone(), columns


@pytest.fixture
def session(user, now):
    return LoginSession.objects.create(user=user, method="test", created_at=now, expires_at=now)


def test_a_raw_row_becomes_what_the_orm_returns(session):
    row, columns = raw(*NAMES)
    assert tuple(reader(columns)(row)) == LoginSession.objects.values_list(*NAMES).get()
    id_, _user, _method, created_at, ended_at = reader(columns)(row)
    assert isinstance(id_, uuid.UUID)
    assert (created_at, ended_at) == (datetime(2030, 1, 1, 12, tzinfo=UTC), None)


def test_booleans_are_booleans(user):
    row, columns = raw("is_active", model=get_user_model())
    assert [value is True for value in reader(columns)(row)] == [True]


def test_sqlite_needs_it(session):
    """The negative control: without it the row is not what the ORM returns."""
    row, _columns = raw(*NAMES)
    assert (row == LoginSession.objects.values_list(*NAMES).get()) is (connection.vendor != "sqlite")


@pytest.mark.parametrize("count", [0, 1, 25])
def test_rows_with_any_of_many_values(user, now, monkeypatch, count):
    monkeypatch.setattr(rows, "MOST_AT_ONCE", 10)
    made = [LoginSession(user=user, method="test", created_at=now, expires_at=now) for _ in range(count + 5)]
    LoginSession.objects.bulk_create(made)
    wanted, found, statements = {row.pk for row in made[:count]}, [], 0
    key = LoginSession._meta.pk
    with connection.cursor() as cursor:
        for among, keys in any_of(key, wanted):
            cursor.execute(f"SELECT id FROM {quoted(LoginSession._meta.db_table)} WHERE id {among}", keys)
            found += [reader([key])(row)[0] for row in cursor.fetchall()]
            statements += 1
    assert (len(found), set(found)) == (count, wanted)
    assert statements == (min(count, 1) if connection.vendor == "postgresql" else (count + 9) // 10)
