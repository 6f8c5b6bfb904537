"""Who somebody at a terminal is. Never from an argument: the list of processes is everybody's to read."""

import getpass
from collections.abc import Mapping
from typing import TextIO

from .account import Credentials
from .errors import Misused


def credentials(
    *, username: str | None, password_stdin: bool, environment: Mapping[str, str], stdin: TextIO
) -> Credentials:
    """By name: USHER_PASSWORD, standard input if asked for, else a prompt. Without one: USHER_TOKEN."""
    username = username or environment.get("USHER_USERNAME")
    if not username:
        token = environment.get("USHER_TOKEN")
        if token is None:
            raise Misused("Who are you? Give --username, or set USHER_USERNAME or USHER_TOKEN.")
        if not (token.isascii() and token.isprintable() and token.strip()):
            raise Misused("USHER_TOKEN holds no token.")
        return Credentials(access=token)
    if password_stdin:
        return Credentials(username, stdin.readline().rstrip("\r\n"))
    if "USHER_PASSWORD" in environment:
        return Credentials(username, environment["USHER_PASSWORD"])
    if stdin.isatty():
        return Credentials(username, getpass.getpass(f"Password of {username}: "))
    raise Misused("No password: set USHER_PASSWORD, or give it on standard input with --password-stdin.")
