"""Keeps the grant of one connection going: with a fresh ticket before it ends, and again when the server asks.

Pure: no I/O, no clock.
"""

from datetime import datetime
from math import inf
from typing import Final

from ..wire.vocabulary import Error, Reauthenticated, ReauthFailed, Welcome
from .steps import FetchTicket, Send, Step
from .timing import Chance, back_off

# How much of the grant is left when a client comes by itself: a random share, so that not all come at once.
LEAST_LEFT: Final = 1 / 10
MOST_LEFT: Final = 1 / 3

SPACING: Final = 1.0
"""The server spaces attempts a second apart."""


class Reauth:
    def __init__(self, welcome: Welcome, now: float, chance: Chance) -> None:
        self._chance = chance
        self._skew = welcome.server_time.timestamp() - now
        self._end = -inf
        self._under_way = False
        """From the first step of one until it has succeeded, through all its attempts."""
        self._failures = 0
        self._attempts = 0
        self._ref = ""
        self._stopped = False
        self.wake_at = inf
        """When `due` must be called."""
        self._plan(welcome.expires_at, now)

    # --- What is heard ---

    def required(self) -> list[Step]:
        return self._begin()

    def done(self, frame: Reauthenticated, now: float) -> None:
        self._under_way = False
        self._failures = 0
        self.wake_at = inf
        self._plan(frame.expires_at, now)

    def failed(self, frame: ReauthFailed, now: float) -> None:
        if frame.attempts_left > 0:
            self._again(frame.retry_after_ms / 1000, now)
        else:
            self.stop()  # `bye` follows

    def erred(self, frame: Error, now: float) -> None:
        """Ours, if it answers the reauth that was sent."""
        if self._under_way and frame.ref == self._ref:
            self._again(frame.retry_after_ms / 1000 if isinstance(frame.retry_after_ms, int) else SPACING, now)

    # --- How ---

    def due(self, now: float) -> list[Step]:
        if now < self.wake_at or self._stopped:
            return []
        self.wake_at = inf
        return [FetchTicket("reauth")] if self._under_way else self._begin()

    def ticketed(self, ticket: str) -> list[Step]:
        if self._stopped:
            return []
        self._attempts += 1
        self._ref = f"reauth-{self._attempts}"
        return [Send({"type": "reauth", "ticket": ticket, "ref": self._ref})]

    def ticket_failed(self, retry_after: float, now: float) -> None:
        self._again(retry_after, now)

    def stop(self) -> None:
        """It is not tried again on this connection, which lives until the server ends it."""
        self._stopped = True
        self.wake_at = inf

    def _begin(self) -> list[Step]:
        if self._stopped or self._under_way:
            return []
        self._under_way = True
        self.wake_at = inf
        return [FetchTicket("reauth")]

    def _again(self, after: float, now: float) -> None:
        """Until the server's deadline, which ends the connection and with it this."""
        self.wake_at = now + after + back_off(self._failures, self._chance)
        self._failures += 1

    def _plan(self, expires_at: datetime, now: float) -> None:
        end = expires_at.timestamp() - self._skew
        # Where the login session itself ends, a new ticket moves nothing, and shares of ever less time would be asked
        # for ever faster. The server asks when it is over.
        if end <= self._end:
            return
        self._end = end
        share = LEAST_LEFT + self._chance() * (MOST_LEFT - LEAST_LEFT)
        self.wake_at = end - (end - now) * share
