"""What was made of a thing a moment ago, and need not be made again for the next socket that is told the same."""

from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST: Final = 64
"""As many as a window has: sockets that fell behind are told a page of the log one after the other."""


def remembering(make: Callable[[T], R], *, most: int = MOST) -> Callable[[T], R]:
    """`make`, which for the same object (not: an equal one) answers what it made last. It keeps the last `most` things
    it was asked about, and what it made of them; for one thread."""
    made: dict[int, tuple[T, R]] = {}

    def remembered(thing: T) -> R:
        known = made.get(id(thing))
        # Whatever is kept here is alive, so that no other object can have its id.
        if known is not None:
            return known[1]
        result = make(thing)
        if len(made) >= most:
            del made[next(iter(made))]
        made[id(thing)] = (thing, result)
        return result

    return remembered
