"""Something that is needed is away: how long to wait, and what to say of it."""

import logging
from typing import Final

logger = logging.getLogger("notifications.relay")

FIRST_WAIT: Final = 0.2
LONGEST_WAIT: Final = 5.0


class Outage:
    """The broker or the database is away: what that means is said once, and when it is over."""

    def __init__(self, meaning: str) -> None:
        self._meaning = meaning
        self._failures = 0

    @property
    def wait(self) -> float:
        return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures, 10))

    def goes_on(self, error: BaseException) -> None:
        self._failures += 1
        if self._failures == 1:
            logger.warning("%s: %s: %s", self._meaning, type(error).__name__, error)

    def over(self) -> None:
        if self._failures:
            logger.warning("that is over, after %d attempts: %s", self._failures, self._meaning)
        self._failures = 0
