"""How far a long command is, for somebody who watches it: one line on a terminal, and nothing anywhere else."""

import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 30


class Progress:
    """Call it with how many of `total` are done; `end()` leaves the last line standing."""

    def __init__(self, total: int, *, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.done = 0
        self._total = total
        self._out = out
        self._clock = clock
        self._started = clock()
        self._watched = out.isatty()

    def __call__(self, done: int) -> None:
        self.done = done
        if self._watched:
            # To the start of the line, and what stood behind a longer one is wiped.
            self._out.write(f"\r{self._line()}\x1b[K")
            self._out.flush()

    def end(self) -> None:
        if self._watched and self.done:
            self._out.write("\n")
            self._out.flush()

    def _line(self) -> str:
        part = min(1.0, self.done / self._total) if self._total else 1.0
        bar = "█" * int(part * WIDTH)
        rate = self.done / max(self._clock() - self._started, 0.001)
        left = max(0, self._total - self.done) / rate if rate else 0
        place = f"{bar:░<{WIDTH}} {self.done:,} of {self._total:,} ({part:.0%})"
        return f"{place}, {rate:,.0f} a second, {_duration(left)} left"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
