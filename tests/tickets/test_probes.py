"""What the doctor finds by asking the database and the disk."""

import logging
from datetime import timedelta

import pytest
import time_machine
from django.core import checks
from django.db import OperationalError, connection
from django.test import override_settings

from tickets import probes
from tickets.logs import AuditFile


def wrong(found):
    messages = [each for each in found if isinstance(each, checks.CheckMessage)]
    assert all(message.hint for message in messages)
    return [message.id.removeprefix("tickets.") for message in messages]


@pytest.fixture
def asks(monkeypatch):
    """Answers in place of the database's, by a part of the question."""

    def answer(**answers):
        asked = probes._ask
        monkeypatch.setattr(
            probes, "_ask", lambda sql: next((a for part, a in answers.items() if part in sql), None) or asked(sql)
        )

    return answer


postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has neither")


@pytest.mark.everywhere
@pytest.mark.django_db(transaction=True)
class TestTheDatabase:
    def test_nothing_is_wrong_with_this_one(self):
        found = list(probes.database())
        assert wrong(found) == []
        assert found[0].startswith(f"database: {connection.display_name} ")

    def test_one_that_is_away(self, monkeypatch):
        def fail():
            raise OperationalError("connection refused\nis it running?")

        monkeypatch.setattr(connection, "ensure_connection", fail)
        (only,) = probes.database()
        assert (only.id, only.level) == ("tickets.E020", checks.ERROR)
        assert "refused." in only.msg, "one line"

    def test_migrations_that_were_not_applied(self, monkeypatch):
        monkeypatch.setattr(probes.MigrationExecutor, "migration_plan", lambda *_: [("tickets.0001_initial", False)])
        assert wrong(probes.database()) == ["E021"]

    @postgresql
    @pytest.mark.parametrize(
        ("answers", "number"),
        [({"isolation": "serializable"}, "W018"), ({"SHOW max_connections": "19"}, "W019")],
    )
    def test_what_it_is_set_to(self, asks, answers, number):
        asks(**answers)
        assert wrong(probes.database()) == [number]

    @postgresql
    @pytest.mark.parametrize("hours", [-1, 1])
    def test_clocks_that_differ(self, hours):
        from django.utils import timezone

        with time_machine.travel(timezone.now() + timedelta(hours=hours), tick=True):
            assert wrong(probes.database()) == ["W020"]

    def test_a_kind_that_nothing_was_tried_on(self, monkeypatch):
        monkeypatch.setattr(connection, "vendor", "oracle")
        assert wrong(probes.database()) == ["W023"]


class TestFiles:
    @pytest.fixture
    def audit(self):
        log, made = logging.getLogger("tickets.audit"), []

        def at(path):
            made.append(AuditFile(path, delay=True))
            log.addHandler(made[-1])

        yield at
        for handler in made:
            log.removeHandler(handler)

    def test_static_ones_are_looked_for_where_they_are_served_from(self, tmp_path):
        with override_settings(DEBUG=False, STATIC_ROOT=str(tmp_path)):
            assert wrong(probes.files()) == ["W021"]
            (tmp_path / "usher").mkdir()
            (tmp_path / "usher" / "client.js").touch()
            assert wrong(probes.files()) == []
        with override_settings(DEBUG=True, STATIC_ROOT="/nowhere"):
            assert wrong(probes.files()) == []

    @pytest.mark.parametrize("path", ["later/audit.jsonl", "."])
    def test_an_audit_file_that_cannot_be_written(self, tmp_path, audit, path):
        audit(tmp_path / path)
        with override_settings(DEBUG=True):
            assert wrong(probes.files()) == ["E022"]

    def test_one_that_nobody_moves_away(self, tmp_path, audit):
        path = tmp_path / "audit.jsonl"
        audit(path)
        with override_settings(DEBUG=True):
            assert list(probes.files()) == [f"audit: {path}"]
            with path.open("wb") as file:
                file.truncate(probes.LARGEST_AUDIT_FILE + 1)  # a hole: it takes no room
            assert wrong(probes.files()) == ["W022"]
