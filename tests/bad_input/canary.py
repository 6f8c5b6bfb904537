"""People who remember every secret that passed through their hands, so that it can be looked for in the logs."""

import secrets
from pathlib import Path
from typing import Any

import httpx

from tests.support.client import Person
from tests.support.servers import Server

_known: set[str] = set()
_logs: set[Path] = set()


def watch(server: Server) -> None:
    """From now on this server's log is one of those that are searched."""
    _logs.add(server.log_path)


def secret() -> str:
    """Something shaped like a ticket that was never issued; it must not be found either."""
    return remembered(secrets.token_urlsafe(31) + "A=")[:43]


def remembered(text: str) -> str:
    """`text` is a secret, and so is its beginning: half a ticket in a log is too much as well."""
    _known.add(text[:24])
    return text


def spilled() -> list[str]:
    """Every secret that stands in a log, with a piece of the line."""
    found = []
    for path in sorted(_logs):
        for line in path.read_text(errors="replace").splitlines():
            found += [f"{path}: {each!r} in {line[:300]}" for each in _known if each in line]
    return found


class Canary(Person):
    """Signed in once and then kept: tests ask for the same few people, and signing in is limited by address."""

    def __init__(self, server: Server, username: str) -> None:
        super().__init__(server, username)
        watch(server)
        if len(self.password) >= 10:  # a demo person's password is their name, which says nothing
            remembered(self.password)

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = await super().request(method, path, **options)
        if answer.headers.get("content-type") == "application/json" and isinstance(answer.json(), dict):
            for name in ("ticket", "access", "refresh"):
                if value := answer.json().get(name):
                    # A token's head says only how it is signed: all of them begin alike.
                    remembered(value if name == "ticket" else value.partition(".")[2])
        return answer
