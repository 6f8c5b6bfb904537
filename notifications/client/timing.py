"""How long a client waits. The source of chance is handed in, so that tests need none."""

from collections.abc import Callable

Chance = Callable[[], float]
"""From 0 to, but without, 1."""

FIRST_DELAY = 0.5
LONGEST_DELAY = 20.0


def back_off(failures: int, chance: Chance) -> float:
    """Seconds to wait after so many failures: anything from nothing to a limit that doubles with each ("full jitter"),
    so that those who lost the same server do not come back as one."""
    return chance() * min(LONGEST_DELAY, FIRST_DELAY * float(2 ** min(failures, 16)))
