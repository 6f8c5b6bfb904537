"""Callers of every kind, and servers that listen where these call: on IPv4, on IPv6, on both at once, on a unix socket.

server = Listening("daphne", stack, dual=True, path=directory / "daphne.sock", TRUSTED_PROXIES=PROXY)
server.wait_ready()
server.request("POST", proxied("203.0.113.7, 10.1.0.1"), "/api/tickets/", ("Authorization", f"Bearer {token}"))
with server.shake(direct("127.0.0.2"), ticket=ticket) as socket: ...
"""

import http.client
import json
import os
import socket
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.processes import Process, free_port
from tests.support.servers import OPTIONS, Server

PROXY = "127.0.0.1"
"""The peer to trust. 127.0.0.2, 127.0.1.5 … are as much of this machine, and strangers."""
UNIX = "unix"
HOST = "usher.example:8000"
"""What callers call the site, unless told."""


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = _has_ipv6()


def need_ipv6() -> None:
    """Without it a test is left out, loudly; with CI=true that is a failure."""
    if not IPV6:
        message = "LEFT OUT, the loopback interface has no IPv6: sysctl net.ipv6.conf.lo.disable_ipv6=0"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


# Who calls --------------------------------------------------------------------------------------------------------

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Caller:
    """The near end of a connection, as the server's machine sees it, and what the request claims of itself."""

    source: str
    headers: Headers = ()
    mapped: bool = False
    """By IPv4 to where the server listens on `::`: it sees `::ffff:127.0.0.1`."""


def forwarded(*lines: str) -> Headers:
    return tuple(("X-Forwarded-For", line) for line in lines)


def direct(source: str, *lines: str) -> Caller:
    return Caller(source, forwarded(*lines))


def proxied(*lines: str) -> Caller:
    return Caller(PROXY, forwarded(*lines))


def unix(*lines: str) -> Caller:
    return Caller(UNIX, forwarded(*lines))


class Answer(NamedTuple):
    status_code: int
    body: bytes


# Where they call --------------------------------------------------------------------------------------------------


class Listening(Server):
    """A server that listens elsewhere than on 127.0.0.1, too. Construction does not wait, so that several may start
    side by side."""

    def __init__(self, kind, stack, *, path: Path | None = None, dual: bool = False, **env: str) -> None:
        self.path = path
        self.dual_port = free_port() if dual and IPV6 else None
        super().__init__(kind, stack, env=env)

    def start(self) -> None:
        options, listener = [], None
        if self.kind == "daphne":  # listens wherever it is told
            options += [f"--unix-socket={self.path}"] if self.path else []
            options += [rf"--endpoint=tcp6:port={self.dual_port}:interface=\:\:"] if self.dual_port else []
        elif self.path:
            options = [f"--uds={self.path}"]
        elif self.dual_port:
            # At `--host=::` a single uvicorn does not hear IPv4. It does on a socket that it is given, as systemd can.
            options = ["--fd=0"]
            listener = socket.create_server(("::", self.dual_port), family=socket.AF_INET6, dualstack_ipv6=True)
            self.port = self.dual_port
        command = [sys.executable, "-m", self.kind, f"--port={self.port}", *OPTIONS[self.kind], *options]
        with listener or ExitStack():
            stdin = {"stdin": listener.fileno()} if listener else {}
            self.process = Process([*command, self.application], log_path=self.log_path, env=self.env, **stdin)
        self.running.add(self)

    def _get(self, path: str) -> Answer:
        return self.request("GET", unix() if self.path else direct(PROXY), path)

    def dial(self, caller: Caller) -> socket.socket:
        if caller.source == UNIX:
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(10)
            try:
                made.connect(str(self.path))
            except OSError:
                made.close()
                raise
            return made
        ipv6 = ":" in caller.source
        if ipv6 or caller.mapped:
            need_ipv6()
        place = ("::1" if ipv6 else "127.0.0.1", self.dual_port if ipv6 or caller.mapped else self.port)
        return socket.create_connection(place, timeout=10, source_address=(caller.source, 0))

    # What callers do --------------------------------------------------------------------------------------------

    def request(
        self, method: str, caller: Caller, path: str, *more: tuple[str, str], body: object = None, host: str = HOST
    ) -> Answer:
        """Any request. Header lines go as they are, each on its own."""
        connection = http.client.HTTPConnection(host)
        connection.sock = self.dial(caller)
        with closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            content = b"" if body is None else json.dumps(body).encode()
            proper = ("Host", host), ("Content-Type", "application/json"), ("Content-Length", str(len(content)))
            for name, value in (*proper, *caller.headers, *more):
                connection.putheader(name, value)
            connection.endheaders(content)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())

    def shake(
        self, caller: Caller, *more: tuple[str, str], ticket: str | None = None, host: str = HOST
    ) -> ClientConnection:
        """An open socket, or InvalidStatus."""
        return connect(
            f"ws://{host}/ws/",
            sock=self.dial(caller),
            subprotocols=["usher.v1", *([f"usher.ticket.{ticket}"] if ticket else [])],
            additional_headers=[*caller.headers, *more],
            compression=None,
            proxy=None,
            ping_interval=None,
            close_timeout=5,
        )

    def audited(self, act: str, since: int) -> list[dict[str, Any]]:
        """What the audit log says of such acts since the log had this size."""
        lines = [line for line in self.log_since(since).splitlines() if " tickets.audit {" in line]
        return [json.loads(line[line.index("{") :]) for line in lines if f'"{act}"' in line]
