"""How much of everything: short, or at full length (`SOAK=1`, as `make soak` sets it)."""

import os
from typing import TypeVar

T = TypeVar("T")

SOAK = os.environ.get("SOAK") == "1"

GENEROUS = 1.0 if SOAK else 10.0
"""What a time that is promised is multiplied by before a test fails for it: a shared machine is no laboratory."""


def size(short: T, long: T) -> T:
    return long if SOAK else short


def show(what: str, **figures: object) -> None:
    """The figures as they were measured; pytest shows them with -s, and for what failed."""
    told = (f"{name} {round(value, 3) if isinstance(value, float) else value}" for name, value in figures.items())
    print(f"\n{what}: {', '.join(told)}")
