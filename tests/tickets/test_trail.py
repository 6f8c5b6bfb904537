"""Acts on their way to the table: written together, bounded, and never in anybody's way."""

import threading
from collections import Counter

import pytest
from django.db import DataError, OperationalError

from tests.support.processes import wait_until
from tickets import trail
from tickets.models import AuditEvent
from tickets.trail import BATCH, MOST, OF_STRANGERS, Trail

START = Trail.start
"""As it is: in tests nobody else writes."""


def columns(user=7, **more):
    return {"at": "2030-01-01T12:00:00Z", "act": "thing_done", "ok": True, "event": "e", "level": "INFO"} | {
        "user": user,
        **more,
    }


@pytest.fixture
def made(db):
    return Trail()


def users():
    return [int(user) for user in AuditEvent.objects.order_by("id").values_list("user", flat=True)]


def test_they_are_written_together_and_in_order(made, django_assert_num_queries, django_assert_max_num_queries):
    for user in range(BATCH + 1):
        made.add(columns(user), by_stranger=False)
    with django_assert_max_num_queries(10):  # savepoints among them, and SQLite takes fewer parameters
        assert made.flush()
    assert users() == list(range(BATCH + 1))
    with django_assert_num_queries(0):
        assert made.flush()


def test_while_the_database_is_away_they_wait(made, monkeypatch, caplog):
    made.add(columns(1), by_stranger=False)
    with monkeypatch.context() as away:
        away.setattr(AuditEvent.objects, "bulk_create", fails_with(OperationalError("gone\nby line")))
        assert not made.flush()
    assert caplog.messages == ["1 audited acts wait for the database: gone"]
    made.add(columns(2), by_stranger=False)
    assert made.flush()
    assert users() == [1, 2]


def test_what_can_never_be_written_holds_up_nobody(made, monkeypatch, caplog):
    made.add(columns(1), by_stranger=False)
    with monkeypatch.context() as unfit:
        unfit.setattr(AuditEvent.objects, "bulk_create", fails_with(DataError("no")))
        assert made.flush()
    assert "in the log alone" in caplog.text
    made.add(columns(2), by_stranger=False)
    assert made.flush()
    assert users() == [2]


def fails_with(error):
    def fail(*_args):
        raise error

    return fail


def test_what_waits_is_bounded(made, caplog):
    for user in range(MOST + 3):
        made.add(columns(user), by_stranger=False)
    assert made.flush()
    assert len(users()) == MOST
    assert caplog.messages == ["3 audited acts are in the log alone: too many for the table"]


def test_strangers_fill_no_table_and_hide_nothing(made, caplog, monkeypatch):
    moments = iter([0.0] * (2 * OF_STRANGERS + 14) + [61.0] * 100)
    monkeypatch.setattr(trail.time, "monotonic", lambda: next(moments))
    for level in ("WARNING", "CRITICAL"):  # what matters has an allowance of its own
        for _ in range(OF_STRANGERS + 7):
            made.add(columns(level=level), by_stranger=True)
    made.add(columns(2), by_stranger=False)
    assert made.flush()
    assert Counter(AuditEvent.objects.values_list("level", flat=True)) == {
        "WARNING": OF_STRANGERS,
        "CRITICAL": OF_STRANGERS,
        "INFO": 1,
    }
    assert caplog.messages == ["14 audited acts are in the log alone: too many for the table"]
    made.add(columns(3, level="WARNING"), by_stranger=True)
    assert made.flush()
    assert users()[-1] == 3, "a minute later"


@pytest.mark.django_db(transaction=True)
def test_one_that_cannot_be_written_takes_no_other_with_it(made, caplog):
    for columns_of_one in (columns(act="first"), columns(at="never"), columns(act="third")):
        made.add(columns_of_one, by_stranger=False)
    assert made.flush() is True
    assert list(AuditEvent.objects.order_by("id").values_list("act", flat=True)) == ["first", "third"]
    assert "in the log alone" in caplog.text


def test_whoever_ends_does_not_wait_for_a_write_that_hangs(made, monkeypatch):
    monkeypatch.setattr(trail, "PATIENCE", 0.01)
    made.add(columns(), by_stranger=False)
    with made._writes:
        assert made.flush() is False
    assert made.flush()


@pytest.mark.django_db(transaction=True)
def test_a_thread_writes_them_by_itself_whatever_happens_to_it(monkeypatch, caplog):
    monkeypatch.setattr(trail, "SECONDS", 0.01)
    monkeypatch.setattr(Trail, "start", START)
    made = Trail()
    flushes = []

    def flush():
        flushes.append(threading.current_thread().name)
        if len(flushes) == 1:
            raise ZeroDivisionError("of all things")
        return Trail.flush(made)

    monkeypatch.setattr(made, "flush", flush)
    for user in (1, 2):
        made.add(columns(user), by_stranger=False)
        wait_until(lambda user=user: len(flushes) >= user, timeout=10, what="flush", every=0.01)
    wait_until(lambda: users() == [1, 2], timeout=10, what="rows")
    assert "of all things" in caplog.text
    assert set(flushes) == {"audit trail"}


def test_where_no_thread_can_be_had_they_wait(made, monkeypatch, caplog):
    monkeypatch.setattr(Trail, "start", START)
    monkeypatch.setattr(threading.Thread, "start", fails_with(RuntimeError("can't start new thread")))
    made.add(columns(1), by_stranger=False)
    assert "can't start new thread" in caplog.text
    assert made.flush()
