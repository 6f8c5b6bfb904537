"""Programs of Node that say what they hear, one JSON array a line, and are told what to do in the same way."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.support.processes import ROOT


class Program:
    """One that runs; remembers all it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[tuple[str, Any]] = []
        self._untaken: list[tuple[str, Any]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def run(cls, node: str, *arguments: str) -> AsyncIterator["Program"]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(node, *arguments, cwd=ROOT, stdin=pipe, stdout=pipe)
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def expect(self, word: str, timeout: float = 30, **fields: object) -> dict[str, Any]:
        """The first thing of this name and with these fields that no `expect` has taken yet; in what order it said
        them is in `said`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    for name, detail in self._untaken:
                        if name == word and all(detail.get(field) == value for field, value in fields.items()):
                            self._untaken.remove((name, detail))
                            return detail
                    if not await self._hear():
                        break
        raise AssertionError(f"no {word} {fields}; it said {self.said}")

    async def _hear(self) -> bool:
        """One thing more; False if there will be none."""
        line = await self.process.stdout.readline()
        if line:
            name, *details = json.loads(line)
            self.said.append((name, details[0] if details else {}))
            self._untaken.append(self.said[-1])
        return bool(line)

    async def tell(self, command: str, argument: object = None) -> None:
        self.process.stdin.write(json.dumps([command, argument]).encode() + b"\n")
        await self.process.stdin.drain()

    def of(self, word: str) -> list[dict[str, Any]]:
        return [said for name, said in self.said if name == word]
