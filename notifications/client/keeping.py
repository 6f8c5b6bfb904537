"""A position in a file, which is always a whole one: the old until the new is."""

import os
import tempfile
from pathlib import Path

from .errors import Misused
from .position import Position


class Kept:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: Position | None = None

    def read(self) -> Position | None:
        """None if there is no file yet. Raises Misused if it holds something else, which is not ours to overwrite."""
        try:
            text = self._path.read_text(errors="replace")
        except FileNotFoundError:
            return None
        try:
            self._last = Position.parse(text)
        except Misused as error:
            raise Misused(f"{self._path} holds no position: {error}") from None
        return self._last

    def write(self, position: Position | None) -> None:
        """If it is another than the last. Whatever kills the process, the file holds one of the two."""
        if position is None or position == self._last:
            return
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(f"{position}\n")
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._last = position
