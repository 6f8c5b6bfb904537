"""STOMP's clients, as they come from npm and PyPI, against real servers."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Site
from tests.js.conftest import node as node
from tests.js.conftest import packages as packages
from tests.support.processes import ROOT

HERE = Path(__file__).parent


class Remote:
    """A client in a process of its own, by remote control (driver.mjs); remembers all it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[tuple[str, Any]] = []
        self._looked_at = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, *command: str) -> AsyncIterator["Remote"]:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def tell(self, command: str, **argument: object) -> None:
        self.process.stdin.write(json.dumps([command, argument]).encode() + b"\n")
        await self.process.stdin.drain()

    async def expect(self, event: str, timeout: float = 20, **fields: object) -> Any:
        """The next event of this name and with these fields."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    while self._looked_at < len(self.events):
                        said, detail = self.events[self._looked_at]
                        self._looked_at += 1
                        if said == event and all(detail.get(name) == value for name, value in fields.items()):
                            return detail
                    if not (line := await self.process.stdout.readline()):
                        break
                    self.events.append((*json.loads(line), {})[:2])
        raise AssertionError(f"no {event} {fields}; it said {self.events}")

    def of_name(self, event: str) -> list[Any]:
        return [detail for said, detail in self.events if said == event]


@pytest.fixture
def remote(node, packages):
    """`async with remote("stompjs.mjs") as client:`"""
    for name in ("@stomp/stompjs", "webstomp-client"):
        assert (ROOT / "node_modules" / name).is_dir(), f"no {name}: `npm ci`"

    def start(script: str, *arguments: str):
        interpreter = sys.executable if script.endswith(".py") else node
        return Remote.start(interpreter, str(HERE / script), *arguments)

    return start


@pytest.fixture(scope="module")
def topical_site(stacks, stack_kind, server_kind) -> Iterator[Site]:
    """A site with the topics of topic_rules.py."""
    site = Site(
        stacks.make(
            stack_kind,
            DJANGO_SETTINGS_MODULE="tests.clients.settings",
            TICKETS_ISSUE_PER_MINUTE="6000",
            TICKETS_ISSUE_BURST="3000",
        ),
        server_kind,
    )
    site.add_server()
    yield site
    complaints = site.server.complaints()
    site.stop()
    site.stack.stop()
    assert not complaints
