"""What commands share that operators look and act with."""

import io
import json
import os
import pwd
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.core.management import CommandError

from tickets import operators

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
COLUMNS = (("name", 6), ("at", 19), ("id", 2))


def written(rows, **how):
    out = io.StringIO()
    count = operators.write_list(out, COLUMNS, rows, **how)
    return count, out.getvalue()


def test_a_list_has_a_head_and_its_columns_stand_below_each_other():
    count, said = written([("ann", NOW, 1), ("somebody", None, 22)], as_json=False)
    assert count == 2
    assert said.splitlines() == [
        "name    at                   id",
        "ann     2030-01-31 12:00:00  1",
        "somebody                       22",
    ]
    assert written([], as_json=False) == (0, "")


def test_as_json_a_row_is_an_object_a_line():
    key = UUID(int=7)
    _count, said = written([("ann\n", NOW, key), ("é", None, 2)], as_json=True)
    assert [json.loads(line) for line in said.splitlines()] == [
        {"name": "ann\n", "at": NOW.isoformat(), "id": str(key)},
        {"name": "é", "at": None, "id": 2},
    ]


def test_a_row_is_written_before_the_next_one_is_read():
    out = io.StringIO()
    seen = []

    def rows():
        for number in range(3):
            seen.append(len(out.getvalue().splitlines()))
            yield (str(number), None, number)

    operators.write_list(out, COLUMNS, rows(), as_json=True)
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("name", ["\x1b[2J\x1b]0;title\x07", "a\nb", "a\rb", "\u202etxt", "\u200b"])
def test_names_do_nothing_to_a_terminal(name):
    _count, said = written([(name, None, 1)], as_json=False)
    assert len(said.splitlines()) == 2
    assert all(character.isprintable() or character == "\n" for character in said)


@pytest.mark.parametrize(("text", "ago"), [("90s", 90), ("15m", 900), ("2h", 7200), ("3d", 259_200)])
def test_a_span_is_so_long_ago(text, ago):
    assert operators.moment(text, now=NOW) == NOW - timedelta(seconds=ago)


def test_a_moment_says_where():
    assert operators.moment("2030-01-31T13:00+01:00", now=NOW) == NOW
    assert operators.moment("2030-01-31T12:00Z", now=NOW) == NOW
    for wrong in ("2030-01-31T12:00", "yesterday", "", "5", "5w", "-5m", "1" * 30 + "d"):
        with pytest.raises(CommandError, match="ISO 8601"):
            operators.moment(wrong, now=NOW)


def answering(monkeypatch, answer, *, tty=True):
    stdin = SimpleNamespace(isatty=lambda: tty, readline=lambda: answer)
    monkeypatch.setattr(operators.sys, "stdin", stdin)
    return io.StringIO()


@pytest.mark.parametrize("answer", ["y\n", "YES\n", " y \n"])
def test_yes_goes_on(monkeypatch, answer):
    out = answering(monkeypatch, answer)
    operators.confirm("Sure?", yes=False, out=out)
    assert out.getvalue() == "Sure? [y/N] "


@pytest.mark.parametrize("answer", ["\n", "", "n\n", "yup\n"])
def test_anything_else_does_not(monkeypatch, answer):
    with pytest.raises(CommandError, match="Nothing was done"):
        operators.confirm("Sure?", yes=False, out=answering(monkeypatch, answer))


def test_where_nobody_sits_it_has_to_be_said(monkeypatch):
    out = answering(monkeypatch, "y\n", tty=False)
    with pytest.raises(CommandError, match="--yes"):
        operators.confirm("Sure?", yes=False, out=out)
    operators.confirm("Sure?", yes=True, out=out)


def test_an_operator_is_who_the_operating_system_says(monkeypatch):
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert operators.operator() == f"os:{pwd.getpwuid(os.getuid()).pw_name}"
    monkeypatch.setattr(operators.os, "getuid", lambda: 987_654)
    assert operators.operator() == "os:987654", "and a number where it has no name"


@pytest.mark.django_db
def test_somebody_by_name(user):
    assert operators.named_user("alice") == user.pk
    with pytest.raises(CommandError, match="no user 'nobody'"):
        operators.named_user("nobody")
