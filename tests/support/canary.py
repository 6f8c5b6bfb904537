"""Credentials that passed through the hands of tests, and the places where none of them may be found afterwards.

    ticket = canary.remembered(ticket)      # people, desks and stacks do it by themselves
    …
    assert not canary.present.spilled()     # once, when everything has ended: see tests/conftest.py

What is looked through: the logs and the SQLite files of every stack, the rows that a PostgreSQL had when it was stopped
and every command that the Redis of a stack was sent, the logs of both, and what people and staff were answered: errors,
where they were sent on to, the admin. Not the jobs of `crowd`: tests hand tickets to their workers there.
"""

import itertools
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import httpx

KNOWN_BY = 24
"""A secret is known by its first characters: half a ticket in a log is too much as well."""

HANDED_OUT = re.compile(r'"(?:ticket|access|refresh)": ?"([^"]+)"')
# As a JSON string by itself: in what crowds are told and answer.
HANDED_ROUND = r'"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"'

# What betrays itself by its shape, or by what stands before it, and need not have been in anybody's hands here: the
# browsers of tests have tickets and tokens of their own.
SHAPES = (
    r"eyJ[A-Za-z0-9_-]{8,}\.eyJ",
    r"(usher\.ticket|anycable-token)\.[A-Za-z0-9_-]{24}",
    r"(Bearer|Ticket) [A-Za-z0-9_-]{24}",
    # With what stands around a string in JSON, and in JSON that is a string of JSON: a line of the log.
    r"\b(ticket|access|refresh|jid)[\\]*['\"]?[=:] ?[\\]*['\"]?[A-Za-z0-9_-]{42}",
)


class Canary:
    """What is known, and where it is looked for."""

    def __init__(self) -> None:
        self.directory: Path | None = None
        """For what would not last until the search; without one nothing is kept for it."""
        self._stacks: set[Path] = set()
        self._secrets: set[str] = set()
        self._cookies: set[str] = set()
        self._numbers = itertools.count(1)

    def remember(self, text: str) -> None:
        # All tokens of a kind begin alike; their signatures differ.
        known = (text.rpartition(".")[2] if text.startswith("eyJ") else text)[:KNOWN_BY]
        if len(known) >= 10 and len(set(known)) >= 6:  # "alice" and "aaaa…" say nothing
            self._secrets.add(known)

    # Places -------------------------------------------------------------------------------------------------------

    def watch(self, directory: Path) -> None:
        """A stack's directory."""
        self._stacks.add(directory)

    def place(self, name: str) -> Path | None:
        """A new file to write down what will be looked through, or None if nobody will look."""
        if self.directory is None:
            return None
        return self.directory / f"{next(self._numbers)}-{name}"

    def keep(self, path: Path) -> None:
        """A file that is about to be removed."""
        if path.exists() and (place := self.place(path.parent.name)):
            shutil.copy(path, place)

    def answered(self, answer: httpx.Response) -> None:
        """Learns what was handed out, and keeps the pages that must not tell it."""
        for cookie, value in answer.cookies.items() if "set-cookie" in answer.headers else ():
            if cookie.endswith("sessionid"):
                self._cookies.add(value[:KNOWN_BY])
        for given in HANDED_OUT.findall(answer.text) if answer.is_success else ():
            self.remember(given)
        sent_on = answer.headers.get("location", "")
        if answer.is_error or sent_on or answer.url.path.startswith(("/admin/", "/readyz", "/metrics")):
            self.page(f"{answer.status_code} {answer.url.path} {sent_on}\n{answer.text}")

    def page(self, text: str) -> None:
        if self.directory:
            with (self.directory / "pages").open("a", errors="backslashreplace") as pages:
                pages.write(f"{text}\n")

    # The search ---------------------------------------------------------------------------------------------------

    def spilled(self) -> list[str]:
        """Where a credential stands that should not, with a piece of what is around it, and all credentials cut."""
        jobs, stores, said = self._files()
        handed_round = {text.strip(b'"\n').decode() for _, _, text in _found(jobs, HANDED_ROUND)}
        known = self._secrets | {ticket[:KNOWN_BY] for ticket in handed_round}
        return [
            *_shown(_found([*stores, *said], known)),
            *_shown(_found(said, self._cookies)),  # Django keeps sessions by their cookies in the database
            *_shown(_found([*stores, *said], "|".join(SHAPES))),
        ]

    def _files(self) -> tuple[list[Path], list[Path], list[Path]]:
        """Jobs, databases, and all else."""
        jobs, stores, said = [], [], []
        kept = [self.directory] if self.directory else []
        for path in sorted({path for directory in (*self._stacks, *kept) for path in directory.rglob("*")}):
            if not path.is_file():  # a pipe to a crowd would be waited for
                continue
            if path.name.startswith("job-"):
                jobs.append(path)
            elif ".sqlite3" in path.name or path.name.endswith(".rows"):
                stores.append(path)
            elif path.suffix == ".log" or self.directory in path.parents:
                said.append(path)
        return jobs, stores, said


present = Canary()
"""That of this test run."""


def remembered(text: str) -> str:
    """`text` is a secret."""
    present.remember(text)
    return text


def secret() -> str:
    """Something shaped like a ticket that was never issued; it must not be found either."""
    return remembered(secrets.token_urlsafe(31) + "A=")[:43]


async def hear(answer: httpx.Response) -> None:
    """As the `response` hook of an httpx client."""
    await answer.aread()
    present.answered(answer)


def _found(files: Collection[Path], what: str | Collection[str]) -> Iterator[tuple[Path, int, bytes]]:
    """A few of the places where one of these strings stands, or a match of an expression: file, offset, text. By grep:
    thousands of strings in hundreds of megabytes are its trade."""
    if not files or not what:
        return
    how, patterns = ("-E", what) if isinstance(what, str) else ("-F", "\n".join(what))
    done = subprocess.run(
        ["grep", how, "--text", "-obHZ", "--max-count=3", "--file=-", "--", *files],
        input=patterns.encode(),
        env=os.environ | {"LC_ALL": "C"},
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    for line in done.stdout.splitlines():
        path, _, match = line.partition(b"\0")
        offset, _, text = match.partition(b":")
        yield Path(os.fsdecode(path)), int(offset), text


def _shown(found: Iterable[tuple[Path, int, bytes]]) -> Iterator[str]:
    for path, offset, text in found:
        with path.open("rb") as file:
            file.seek(max(0, offset - 100))
            around = file.read(min(offset, 100) + len(text) + 60)
        cut = re.sub(rb"([\w-]{6})[\w-]{4}[\w-]*", rb"\1~", around[-300:])
        yield f"{path}, byte {offset}: {cut!r}"
