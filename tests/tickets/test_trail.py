"""Acts on their way to the table: written together, bounded, and never in anybody's way."""

import threading

import pytest
from django.db import DataError, OperationalError

from tickets import trail
from tickets.models import AuditEvent
from tickets.trail import BATCH, MOST, OF_STRANGERS, Trail


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


def test_strangers_fill_no_table(made, caplog):
    for _ in range(2):
        for _ in range(OF_STRANGERS + 2):
            made.add(columns(1), by_stranger=True)
        made.add(columns(2), by_stranger=False)
        assert made.flush()
    assert users() == ([1] * OF_STRANGERS + [2]) * 2
    assert caplog.messages == ["2 audited acts are in the log alone: too many for the table"] * 2


@pytest.mark.django_db(transaction=True)
def test_a_thread_writes_them_by_itself(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(trail, "SECONDS", 0.01)
    made, written = Trail(), threading.Event()
    flush = made.flush

    def flush_and_tell():
        done = flush()
        written.set()
        return done

    monkeypatch.setattr(made, "flush", flush_and_tell)
    monkeypatch.setattr(made, "start", lambda: threading.Thread(target=made._run, daemon=True).start())
    made.add(columns(1), by_stranger=False)
    assert written.wait(5)
    assert users() == [1]
