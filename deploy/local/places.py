"""Where something listens, or could: ports and unix sockets of this machine."""

import http.client
import socket
from collections.abc import Callable
from pathlib import Path

ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - told apart, not listened on


class Failed(Exception):
    """It cannot go on, and why."""


def must_be_free(host: str, port: int) -> None:
    """Raises Failed, with the cure, if nothing could listen there."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Failed(f"HOST={host} PORT={port} is no address of this machine: {error}") from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except (OSError, OverflowError) as error:
            raise Failed(f"Port {port} of {host} cannot be had: {error}. Another one: PORT=…") from error


def at(host: str, port: int) -> Callable[[], socket.socket]:
    """What connects to the server that listens on this host and port."""
    host = ALL_ADDRESSES.get(host, host).strip("[]")
    return lambda: socket.create_connection((host, port), timeout=5)


def at_socket(path: Path) -> Callable[[], socket.socket]:
    return lambda: _unix_connection(path)


def _unix_connection(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def answers(connect: Callable[[], socket.socket]) -> bool:
    """Whether the site speaks there: 400 is what it says to who calls it by a name that is not its own."""
    talk = http.client.HTTPConnection("localhost")
    try:
        talk.sock = connect()
        talk.request("GET", "/healthz")
        return talk.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        talk.close()
