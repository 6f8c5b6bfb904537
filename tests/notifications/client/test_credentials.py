import getpass
import io

import pytest

from notifications.client.credentials import credentials
from notifications.client.errors import Misused


def asked(username=None, password_stdin=False, stdin="", **environment):
    return credentials(
        username=username, password_stdin=password_stdin, environment=environment, stdin=io.StringIO(stdin)
    )


def test_by_name():
    who = asked("demo", USHER_PASSWORD="s3cret", USHER_TOKEN="unused")
    assert (who.username, who.password, who.access) == ("demo", "s3cret", None)
    assert "s3cret" not in repr(who)
    assert asked(USHER_USERNAME="alice", USHER_PASSWORD="").password == ""


def test_by_standard_input_and_only_its_first_line():
    stdin = io.StringIO(" s3cret \r\nthe body")
    who = credentials(username="demo", password_stdin=True, environment={"USHER_PASSWORD": "another"}, stdin=stdin)
    assert (who.password, stdin.read()) == (" s3cret ", "the body")


def test_by_a_prompt(monkeypatch):
    monkeypatch.setattr(getpass, "getpass", lambda prompt: f"typed at {prompt}")
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    who = credentials(username="demo", password_stdin=False, environment={}, stdin=terminal)
    assert who.password == "typed at Password of demo: "


def test_by_token():
    who = asked(USHER_TOKEN="a.b.c")
    assert (who.access, who.password) == ("a.b.c", None)
    assert "a.b.c" not in repr(who)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({}, "Who are you"),
        ({"username": "demo"}, "No password"),
        ({"USHER_TOKEN": ""}, "no token"),
        ({"USHER_TOKEN": "a\r\nCookie: b"}, "no token"),
    ],
)
def test_what_cannot_be(how, told):
    with pytest.raises(Misused, match=told):
        asked(**how)
