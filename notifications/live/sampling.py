"""
What this process counted, written down for the dashboard: every process adds its rows, and whoever looks adds them up.

Promises:

* One statement each `FIGURES_SECONDS` while there are sockets or anything was counted, whatever the number of either;
  else one in `QUIET_SECONDS`, so that quiet can be told from gone.
* A row says what was added between two moments. Nothing is told twice or left out: what could not be written is part
  of the next row, whose length then shows that nobody knows when in it that was.
* A process is believed for `LEASES` of its intervals after its last row; one that ends says so.
* The table is bounded: rows are kept for `KEPT`, and each says no more than the figures there are.
"""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q

from tickets.figures import Gauge, counted, every

from ..conf import conf
from ..models import Figures

QUIET_SECONDS = 60.0

LEASES = 2.5

KEPT = timedelta(hours=2)
"""The dashboard shows one."""

PURGE_SECONDS = 300.0

Words = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Reading:
    """All figures at a moment, in POSIX seconds."""

    at: float
    counted: dict[tuple[str, str], int] = field(repr=False)
    now: Words


class Sampling:
    """One per process. `read` belongs to the event loop, as gauges do; `write` and `end` to a database thread."""

    def __init__(self, server: str, *, now: float) -> None:
        self._server = server
        self._told: dict[tuple[str, str], int] = {}  # what the rows that were written add up to
        self._told_until = now
        self._quiet_until = now  # nothing was counted between the two
        self._purge_at = now
        self._ended = False
        self._lock = threading.Lock()

    @property
    def wrote(self) -> bool:
        """Whether there is a row of this process, whose lease would outlive it."""
        return bool(self._told)

    def pause(self, *, now: float) -> float:
        """Seconds until the next reading: all processes read at the same moments, so that their rows can be added."""
        step = conf.FIGURES_SECONDS
        return step - now % step

    def read(self, *, now: float) -> Reading:
        """Everything, as it stands."""
        gauges = {gauge.name: _worded(gauge) for gauge in every() if isinstance(gauge, Gauge)}
        return Reading(now, counted(), {name: words for name, words in gauges.items() if words})

    def write(self, reading: Reading) -> list[Any]:
        """Write what is new, if there is anything to say."""
        with self._lock:
            if not self._ended:
                self._write(reading, lease=None)
        return []

    def end(self, reading: Reading) -> None:
        """The same for the last time."""
        with self._lock:
            if not self._ended:
                self._write(reading, lease=0.0)
            self._ended = True

    def _write(self, reading: Reading, *, lease: float | None) -> None:
        # In the moment of the grid that this reading was made for: a loop is woken a little late.
        step = conf.FIGURES_SECONDS
        if (
            reading.at < self._told_until - QUIET_SECONDS
        ):  # the clock was set back: it would be long until anybody saw it
            self._told_until = self._quiet_until = self._purge_at = reading.at
        at = max(reading.at - reading.at % step if lease is None else reading.at, self._told_until)
        news = _difference(reading.counted, self._told)
        busy = bool(news) or bool(reading.now.get("connections"))
        if not busy and lease is None and at - self._told_until < QUIET_SECONDS:
            self._quiet_until = at
            return
        if lease is None:
            lease = LEASES * (step if busy else max(step, QUIET_SECONDS))
        rows = []
        began = self._told_until
        if news and began < self._quiet_until < at:
            rows.append(self._row(began, self._quiet_until, {}, {}, lease))
            began = self._quiet_until
        rows.append(self._row(began, at, news, reading.now, lease))
        Figures.objects.bulk_create(rows)
        self._told, self._told_until, self._quiet_until = reading.counted, at, at
        if at >= self._purge_at:
            self._purge_at = at + PURGE_SECONDS
            purge(now=_utc(at))

    def _row(self, since: float, until: float, news: Words, now: Words, lease: float) -> Figures:
        return Figures(
            server=self._server,
            since=_utc(since),
            until=_utc(until),
            believed_until=_utc(until + lease),
            counted=news,
            now=now,
        )


def purge(*, now: datetime) -> int:
    """Remove what is not shown any more, and what a clock that was wrong has dated into the future."""
    return Figures.objects.filter(Q(until__lt=now - KEPT) | Q(until__gt=now + KEPT)).delete()[0]


def _worded(gauge: Gauge) -> dict[str, float]:
    """What there is some of, with the words of several labels in one."""
    return {" ".join(words): value for words, value in gauge.now().items() if value}


def _difference(now: dict[tuple[str, str], int], before: dict[tuple[str, str], int]) -> Words:
    news: Words = {}
    for (name, word), value in now.items():
        if added := value - before.get((name, word), 0):
            news.setdefault(name, {})[str(word)] = added
    return news


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
