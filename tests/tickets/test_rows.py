import uuid
from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from tickets.models import LoginSession
from tickets.rows import as_python, quoted

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
    assert tuple(as_python(row, columns)) == LoginSession.objects.values_list(*NAMES).get()
    id_, _user, _method, created_at, ended_at = as_python(row, columns)
    assert isinstance(id_, uuid.UUID)
    assert (created_at, ended_at) == (datetime(2030, 1, 1, 12, tzinfo=UTC), None)


def test_booleans_are_booleans(user):
    assert as_python(*raw("is_active", model=get_user_model())) == [True]


def test_sqlite_needs_it(session):
    """The negative control: without it the row is not what the ORM returns."""
    row, _columns = raw(*NAMES)
    assert (row == LoginSession.objects.values_list(*NAMES).get()) is (connection.vendor != "sqlite")


def test_a_row_of_another_width_is_an_error(session):
    row, columns = raw(*NAMES)
    with pytest.raises(ValueError):
        as_python(row, columns[:-1])
