"""A token bucket that is told the time."""


class Bucket:
    """Lets `rate` a second through, and `burst` at once after a silence."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def left(self, now: float) -> int:
        """How often `take` would let through now."""
        return int(min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate) + 0.001)

    def take(self, now: float) -> float:
        """0.0 and a token is spent, or the seconds until there will be one."""
        # A clock that steps back neither fills nor empties the bucket.
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens > 0.999:  # who comes back exactly when told must not fail by a rounding of the clock
            self._tokens = max(0.0, self._tokens - 1)
            return 0.0
        return (1 - self._tokens) / self._rate
