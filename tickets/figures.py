"""What this process counts of itself, for operators. Of the standard library only: both rooms count, and pure code too.

Rules of this file:

* Counting is an addition to a number in a dict: nothing is locked, nothing waits, nothing fails. CPython changes
  threads at calls and at jumps back, of which such an addition has none: so threads lose nothing to each other.
* What a figure is counted by (its label) is one of a closed set of words, known at import. Anything else is counted as
  `other`: whatever strangers send, there are never more series than were named here.
* Nobody is told anything by this file. Who wants to know reads `every()`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from math import inf
from typing import Final

OTHER: Final = "other"

NOTHING: Final = ""
"""The label of a figure that is counted by nothing."""

Key = str | tuple[str, ...]

_all: "dict[str, Figure]" = {}


class Figure:
    """`name` is without prefix and suffix, as code says it; `about` a sentence for whoever reads it."""

    __slots__ = ("about", "by", "name")

    def __init__(self, name: str, about: str, by: tuple[str, ...]) -> None:
        if name in _all:
            raise ValueError(f"{name} is counted already")
        self.name = name
        self.about = about
        self.by = by
        _all[name] = self


class Counter(Figure):
    """A number that only rises, or one for each word of a closed set (`of`), told apart by the label `by`."""

    __slots__ = ("values",)

    def __init__(self, name: str, about: str, *, by: str = "", of: Iterable[str] = ()) -> None:
        super().__init__(name, about, (by,) if by else ())
        self.values: dict[str, int] = dict.fromkeys([*of, OTHER] if by else [NOTHING], 0)

    def add(self, what: str = NOTHING, many: int = 1) -> None:
        """It happened once more, or `many` times."""
        values = self.values
        values[what if what in values else OTHER] += many


class Gauge(Figure):
    """How much there is now: `read` is called when somebody asks, on the event loop, and must neither wait nor query.

    It answers a number, or numbers by words out of `of` (one closed set for each label); what is not in it is added
    to `other`, what is missing is 0. A gauge without `read` is not told.
    """

    __slots__ = ("of", "read")

    def __init__(self, name: str, about: str, *, by: tuple[str, ...] = (), of: tuple[Iterable[str], ...] = ()) -> None:
        super().__init__(name, about, by)
        self.of = tuple(tuple(words) for words in of)
        self.read: Callable[[], float | Mapping[Key, float]] | None = None

    def now(self) -> dict[tuple[str, ...], float]:
        """By words in the order of the labels; empty if nobody knows."""
        if self.read is None:
            return {}
        read = self.read()
        if not isinstance(read, Mapping):
            return {(): float(read)}
        found = dict.fromkeys(product(*self.of), 0.0)
        for key, value in read.items():
            words = (key,) if isinstance(key, str) else key
            known = tuple(word if word in of else OTHER for word, of in zip(words, self.of, strict=True))
            found[known] = found.get(known, 0.0) + value
        return found


class Histogram(Figure):
    """How long things took, in seconds: how many took at most so long, for each of some bounds, and all together."""

    __slots__ = ("bounds", "counts", "sums")

    def __init__(self, name: str, about: str, *, bounds: Iterable[float], by: str = "", of: Iterable[str] = ()) -> None:
        super().__init__(name, about, (by,) if by else ())
        self.bounds = (*sorted(bounds), inf)
        words = [*of, OTHER] if by else [NOTHING]
        self.counts: dict[str, list[int]] = {word: [0] * len(self.bounds) for word in words}
        self.sums: dict[str, float] = dict.fromkeys(words, 0.0)

    def observe(self, seconds: float, what: str = NOTHING, many: int = 1) -> None:
        """It took so long, once or `many` times. Clocks of two machines may differ: below zero counts as zero."""
        seconds = max(0.0, seconds)
        word = what if what in self.counts else OTHER
        self.counts[word][bisect_left(self.bounds, seconds)] += many
        self.sums[word] += seconds * many


def every() -> list[Figure]:
    """All that is counted, in the order it was named."""
    return list(_all.values())


def counted() -> dict[tuple[str, str], int]:
    """Every counter as it stands, by its name and word."""
    return {
        (figure.name, word): value
        for figure in every()
        if isinstance(figure, Counter)
        for word, value in figure.values.items()
    }
