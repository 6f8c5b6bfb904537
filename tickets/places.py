"""A bounded number of places, and a line in front of them: first come, first served. Of the standard library only.

Everything is called on one event loop and none of it blocks.
"""

import asyncio


class Full(Exception):
    """No place, and no use in waiting for one."""


class Place:
    """One of the places while somebody has it."""

    def __init__(self, taken_at: float) -> None:
        self.taken_at = taken_at
        self.timer: asyncio.TimerHandle | None = None


class Places:
    """At most `at_once` are inside, at most `line` wait, none of them longer than `patience` seconds.

    Who has been inside for `stuck_after` seconds is stuck. While all of them are, nobody waits: whoever has waited is
    refused, and so is whoever comes. As soon as one leaves, others may enter.
    """

    def __init__(self, *, at_once: int, line: int, patience: float, stuck_after: float) -> None:
        self.at_once = at_once
        self._line = line
        self._patience = patience
        self._stuck_after = stuck_after
        self._inside: set[Place] = set()
        self._waiting: dict[asyncio.Future[Place], None] = {}  # in the order they came

    @property
    def inside(self) -> int:
        return len(self._inside)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def try_enter(self) -> Place | None:
        """A place, if there is one and nobody waits for it."""
        if self._waiting or self.inside >= self.at_once:
            return None
        return self._take()

    async def enter(self) -> Place:
        """A place, or `Full`. Whoever is cancelled while waiting leaves the line."""
        if place := self.try_enter():
            return place
        if self.waiting >= self._line or self._is_stuck():
            raise Full
        turn: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            await asyncio.wait([turn], timeout=self._patience)  # unlike `timeout` it leaves the turn as it is
        except asyncio.CancelledError:
            self._give_up(turn)
            raise
        if not turn.done():
            self._give_up(turn)
            raise Full
        return turn.result()

    def leave(self, place: Place) -> None:
        """Give the place to whoever waits the longest. Leaving twice is leaving once."""
        if place not in self._inside:
            return
        self._inside.remove(place)
        if place.timer:
            place.timer.cancel()
        while self._waiting and self.inside < self.at_once:
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            turn.set_result(self._take())

    def _give_up(self, turn: asyncio.Future[Place]) -> None:
        self._waiting.pop(turn, None)
        if turn.done() and turn.exception() is None:  # it was given a place at the very moment it gave up
            self.leave(turn.result())

    def _take(self) -> Place:
        loop = asyncio.get_running_loop()
        place = Place(loop.time())
        place.timer = loop.call_later(self._stuck_after, self._refuse_if_stuck)
        self._inside.add(place)
        return place

    def _is_stuck(self) -> bool:
        # Timers may be early by the resolution of the clock.
        latest = asyncio.get_running_loop().time() - self._stuck_after + 0.01
        return all(place.taken_at <= latest for place in self._inside)

    def _refuse_if_stuck(self) -> None:
        if self._is_stuck():
            waiting, self._waiting = self._waiting, {}
            for turn in waiting:
                turn.set_exception(Full())
