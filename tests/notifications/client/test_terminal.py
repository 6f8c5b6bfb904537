"""What can be asked for, and how it ends."""

import io

import pytest

from notifications.client import (
    ConnectionEnded,
    Position,
    Refused,
    SignInRequired,
    Unreachable,
    commands,
    terminal,
)
from notifications.client.commands import Exit
from notifications.client.errors import Misused

ENVIRONMENT = {"USHER_URL": "http://127.0.0.1:8000", "USHER_USERNAME": "demo", "USHER_PASSWORD": "demo"}


@pytest.fixture
def asked(monkeypatch):
    """What a command was asked for; `ends` is what it does."""

    class Asked:
        options = None
        client = None
        ends: int | BaseException = Exit.DONE

    async def command(connect, options, _):
        Asked.options, Asked.client = options, connect
        if isinstance(Asked.ends, BaseException):
            raise Asked.ends
        return Asked.ends

    monkeypatch.setattr(terminal, "_COMMANDS", dict.fromkeys(terminal._COMMANDS, command))
    return Asked


def main(*arguments, stdin="", **environment):
    return terminal.main(arguments, environment=ENVIRONMENT | environment, stdin=io.StringIO(stdin))


def test_tail(asked):
    assert main("tail", "--json", "--resume", "f", "--since", "e1:7", "--count", "3", "--timeout", "1.5", "-v") == 0
    options = asked.options
    assert (options.json, str(options.resume), options.since) == (True, "f", Position("e1", 7))
    assert (options.count, options.timeout, options.verbose) == (3, 1.5, True)
    assert asked.client.args == ("http://127.0.0.1:8000",)
    assert asked.client.keywords == {"username": "demo", "password": "demo", "access": None}
    assert asked.options.topic == []
    main("tail", "--topic", "orders.7", "--topic", "a")
    assert asked.options.topic == ["orders.7", "a"]
    main("tail", "--since", "0", "--url", "http://[::1]:8000", "--username", "alice")
    assert asked.options.since == 0
    assert (asked.client.args, asked.client.keywords["username"]) == (("http://[::1]:8000",), "alice")


def test_send(asked):
    words = ["--title", "t", "--level", "error", "--kind", "k", "--link", "/l/", "--data", '{"a": [1]}']
    assert main("send", "alice", *words, "--body", "-", "--password-stdin", stdin="demo\nA\n\nB\n") == 0
    assert (asked.options.user, asked.options.body, asked.options.data) == ("alice", "A\n\nB", {"a": [1]})
    assert asked.client.keywords["password"] == "demo"


def test_sessions(asked):
    assert main("sessions", "--end", "{0B6E1D2C-0000-4000-8000-000000000000}") == 0
    assert asked.options.end == "0b6e1d2c-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["follow"],
        ["tail", "--count", "0"],
        ["tail", "--count", "x"],
        ["tail", "--topic", "Orders 7"],
        ["tail", "--timeout", "-1"],
        ["tail", "--timeout", "nan"],
        ["tail", "--since", "e1:"],
        ["tail", "-q", "-v"],
        ["tail", "--password", "demo"],
        ["send", "demo"],
        ["send", "demo", "--title", "t", "--level", "loud"],
        ["send", "demo", "--title", "t", "--data", "[]"],
        ["send", "demo", "--title", "t", "--data", "{"],
        ["sessions", "--end", "mine"],
        ["sessions", "--end", "0b6e1d2c-0000-4000-8000-000000000000", "--end-others"],
    ],
    ids=" ".join,
)
def test_what_is_not_understood(asked, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(*arguments)
    assert caught.value.code == Exit.USAGE
    assert "usage:" in capsys.readouterr().err
    assert asked.options is None


@pytest.mark.parametrize(
    ("environment", "told"),
    [({"USHER_URL": ""}, "Which site?"), ({"USHER_USERNAME": ""}, "Who are you?")],
    ids=["no site", "nobody"],
)
def test_what_is_missing(asked, capsys, environment, told):
    assert main("tail", **environment) == Exit.USAGE
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        (Exit.TOO_FEW, 5, ""),
        (SignInRequired("Sign\x1bin."), 3, "Sign\\x1bin.\n"),
        (Unreachable("Nobody is there."), 4, "Nobody is there.\n"),
        (Refused("See errors.", errors={"title": ["Too\nlong."], "x": "y"}), 1, None),
        (ConnectionEnded("Too many.", close_code=4504, reason="x"), 1, "Too many.\n"),
        (Misused("No position."), 2, "No position.\n"),
        (PermissionError(13, "Permission denied"), 2, "[Errno 13] Permission denied\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_how_it_ends(asked, capsys, end, code, told):
    asked.ends = end
    assert main("tail") == code
    assert capsys.readouterr().err == (told if told is not None else "See errors.\n  title: Too\nlong.\n  x: y\n")


def test_the_help_tells_every_code(capsys):
    for arguments in (["--help"], ["tail", "--help"], ["send", "--help"], ["sessions", "--help"]):
        with pytest.raises(SystemExit):
            main(*arguments)
        said = capsys.readouterr().out
        assert all(f"  {code.value:<5}" in said for code in commands.Exit)
    assert terminal._COMMANDS.keys() == {"tail", "send", "sessions"}
