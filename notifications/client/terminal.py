"""`python -m notifications.client`: what is asked for, and how it ends."""

import asyncio
import os
import sys
import uuid
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

from ..wire.content import Level
from . import commands, printing
from .client import Client
from .commands import Exit, Terminal
from .credentials import credentials
from .errors import ClientError, ConnectionEnded, Misused, Refused, SignInRequired, Unreachable
from .position import Position
from .spelling import read_body
from .topics import checked

DESCRIPTION: Final = """\
Hear and send an Usher site's notifications.

Who you are: --username (or USHER_USERNAME) with the password from USHER_PASSWORD, from standard input
(--password-stdin) or from a prompt; or USHER_TOKEN, an access token. A password is never an argument: others see those.
"""

EXITS: Final = """\
It ends with
  0    done; also when nobody reads the output any more
  1    the site refused it, or closed the connection for good
  2    the command was not understood
  3    you must sign in (again)
  4    the site cannot be reached
  5    tail: --timeout came before --count notifications
  130  interrupted by Ctrl-C
"""

_COMMANDS: Final = {"tail": commands.tail, "send": commands.send, "sessions": commands.sessions}
_EXITS: Final[dict[type[Exception], Exit]] = {
    Misused: Exit.USAGE,
    SignInRequired: Exit.SIGN_IN,
    Unreachable: Exit.UNREACHABLE,
    Refused: Exit.REFUSED,
    ConnectionEnded: Exit.REFUSED,
}


def main(
    arguments: Sequence[str] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    stdin: TextIO | None = None,
) -> int:
    stdin = sys.stdin if stdin is None else stdin
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    options = parser(environment).parse_args(arguments)
    try:
        return _carried_out(options, environment, stdin)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more; and nothing may be left that the interpreter would write as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE


def _carried_out(options: Namespace, environment: Mapping[str, str], stdin: TextIO) -> int:
    terminal = Terminal(
        sys.stdout, sys.stderr, quiet=getattr(options, "quiet", False), verbose=getattr(options, "verbose", False)
    )
    try:
        connect = _connect(options, environment, stdin)
        return asyncio.run(_COMMANDS[options.command](connect, options, terminal))
    except ClientError as error:
        return _failed(_told(error), _EXITS[type(error)])
    except BrokenPipeError:
        raise
    except OSError as error:
        return _failed(str(error), Exit.USAGE)


def _connect(options: Namespace, environment: Mapping[str, str], stdin: TextIO) -> partial[Client]:
    if not options.url:
        raise Misused("Which site? Give --url, or set USHER_URL.")
    who = credentials(
        username=options.username, password_stdin=options.password_stdin, environment=environment, stdin=stdin
    )
    if getattr(options, "body", None) == "-":
        if stdin.isatty():
            sys.stderr.write("The body, ended by Ctrl-D:\n")
        options.body = stdin.read().removesuffix("\n")
    return partial(Client, options.url, username=who.username, password=who.password, access=who.access)


def _told(error: ClientError) -> str:
    fields = error.errors if isinstance(error, Refused) and isinstance(error.errors, dict) else {}
    return "\n".join([str(error), *(f"  {name}: {_sentences(said)}" for name, said in fields.items())])


def _sentences(said: object) -> str:
    return " ".join(map(str, said)) if isinstance(said, list) else str(said)


def _failed(why: str, code: Exit) -> int:
    sys.stderr.write("".join(f"{printing.plain(each)}\n" for each in why.split("\n")))
    return code


# What can be asked for ------------------------------------------------------------------------------------------------


def parser(environment: Mapping[str, str]) -> ArgumentParser:
    top = ArgumentParser(
        prog="python -m notifications.client",
        description=DESCRIPTION,
        epilog=EXITS,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whom = ArgumentParser(add_help=False)
    whom.add_argument("--url", default=environment.get("USHER_URL"), help="the site (default: USHER_URL)")
    whom.add_argument("--username", metavar="NAME", help="who you are there (default: USHER_USERNAME)")
    whom.add_argument("--password-stdin", action="store_true", help="the first line of standard input is the password")
    verbs = top.add_subparsers(dest="command", required=True, metavar="tail | send | sessions")
    common: dict[str, Any] = {"parents": [whom], "epilog": EXITS, "allow_abbrev": False}
    common["formatter_class"] = RawDescriptionHelpFormatter
    _tail(verbs.add_parser("tail", help="print notifications as they come", **common))
    _send(verbs.add_parser("send", help="tell somebody something", **common))
    _sessions(verbs.add_parser("sessions", help="list your login sessions, or end some", **common))
    return top


def _tail(verb: ArgumentParser) -> None:
    verb.description = "Print notifications as they come. The connection is kept; what it is doing stands on stderr."
    verb.add_argument("--json", action="store_true", help="one JSON object a line (also a `reset`: fetch the list)")
    verb.add_argument(
        "--resume",
        metavar="FILE",
        type=Path,
        help="begin after the position in this file, if there is one, and keep it there after each notification",
    )
    verb.add_argument(
        "--since",
        metavar="POSITION",
        type=_since,
        help="begin after this position, <epoch>:<number> or a number (0: all that is kept), if --resume has none",
    )
    verb.add_argument(
        "--topic",
        metavar="NAME",
        type=_topic,
        action="append",
        default=[],
        help="print what is said on this topic as well, from now on or from where --resume has it; may be repeated",
    )
    verb.add_argument("--count", metavar="N", type=_at_least_one, help="end after so many notifications")
    verb.add_argument("--timeout", metavar="SECONDS", type=_seconds, help="end after so long")
    how_much = verb.add_mutually_exclusive_group()
    how_much.add_argument("-q", "--quiet", action="store_true", help="no word about the connection")
    how_much.add_argument("-v", "--verbose", action="store_true", help="every word about the connection")


def _send(verb: ArgumentParser) -> None:
    verb.description = (
        "Tell somebody something; prints its id. Needs the permission notifications.add_notification.\n"
        "What was not answered is sent again, under the same key: once told is once told."
    )
    verb.add_argument("user", help="their username")
    verb.add_argument("--title", required=True)
    verb.add_argument("--body", default="", help="- reads it from standard input")
    verb.add_argument("--level", default=Level.INFO, choices=[str(level) for level in Level])
    verb.add_argument("--kind", default="", help="for programs, as ci.build")
    verb.add_argument("--link", default="", metavar="URL", help="what it is about: http(s)://… or /path")
    verb.add_argument("--data", type=_data, metavar="JSON", help="an object, for programs")
    verb.add_argument("--idempotency-key", metavar="KEY", help="with it the same command again tells nothing twice")


def _sessions(verb: ArgumentParser) -> None:
    verb.description = (
        "List your login sessions and what is connected by each. A session that this command opens, it ends."
    )
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--end", metavar="ID", type=_id, help="end this one: its sockets are closed, its tokens refused")
    which.add_argument("--end-others", action="store_true", help="end all but the one this command uses")


def _since(text: str) -> Position | int:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return Position.parse(text)
    except Misused as error:
        raise ArgumentTypeError(str(error)) from None


def _topic(text: str) -> str:
    try:
        return checked(text)
    except Misused as error:
        raise ArgumentTypeError(str(error)) from None


def _at_least_one(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ArgumentTypeError("a number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e9:
        raise ArgumentTypeError("a number of seconds")
    return seconds


def _data(text: str) -> dict[str, Any]:
    data = read_body(text.encode(errors="surrogateescape"))
    if not isinstance(data, dict):
        raise ArgumentTypeError("a JSON object")
    return data


def _id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ArgumentTypeError("an id as `sessions` lists it") from None
