"""Positions in a file, which is always a whole one: the old until the new is.

The person's own stands on the first line, those of topics behind it, each after the topic's name.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from .errors import Misused
from .position import Position
from .topics import checked


class Kept:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.topics: dict[str, Position] = {}
        """As they were read and written last; those of topics that nobody listens to now are kept."""
        self._last: list[str] = []

    def read(self) -> Position | None:
        """None if there is no file yet. Raises Misused if it holds something else, which is not ours to overwrite."""
        try:
            text = self._path.read_text(errors="replace")
        except FileNotFoundError:
            return None
        first, *others = text.splitlines() or [""]
        try:
            own = Position.parse(first)
            for name, _, position in (other.partition(" ") for other in others):
                self.topics[checked(name)] = Position.parse(position)
        except Misused as error:
            raise Misused(f"{self._path} holds no position: {error}") from None
        self._last = self._lines(own)
        return own

    def write(self, position: Position | None, topics: Mapping[str, Position] = MappingProxyType({})) -> None:
        """If one is another than the last. Whatever kills the process, the file holds the old or the new."""
        self.topics |= topics
        lines = self._lines(position) if position else self._last
        if lines == self._last:
            return
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(handle, "w") as file:
                file.writelines(f"{line}\n" for line in lines)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._last = lines

    def _lines(self, own: Position) -> list[str]:
        return [str(own), *(f"{name} {position}" for name, position in sorted(self.topics.items()))]
