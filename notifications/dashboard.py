"""The last hour of all processes together, as the dashboard draws it: made of the rows that each of them wrote.

A row says what was added between two moments, so it is spread over the points in between. Where nobody said anything,
or only what was added in a while too long to draw, a point is None: a gap, which is not the same as zero. Totals have
everything.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import floor
from typing import Any, Final

from .conf import conf
from .live.sampling import LEASES, QUIET_SECONDS
from .models import Figures

HOUR: Final = 3600
LEAST_STEP: Final = 10.0
"""Seconds a point: finer than this is not drawn, however often processes write."""

ADDED: Final[Mapping[str, Mapping[str, str | None]]] = {
    "live": {"notifications_sent": "live"},
    "replayed": {"notifications_sent": "replayed"},
    "frames": {"notifications_sent": None, "frames_sent": None},
    "issued": {"tickets_issued": None},
    "redeemed": {"tickets_redeemed": None},
    "refused": {"tickets_refused": None, "tickets_denied": None},
    "replays": {"replays": None},
    "resets": {"resets": None},
    "opened": {"connections_opened": None},
    "closed": {"connections_closed": None},
    "lost": {"announcements": "lost"},
}
"""By series, what is added up for it: all words of a figure, or one."""

NOW: Final[Mapping[str, tuple[str, str]]] = {
    "open": ("connections", "open"),
    "held": ("connections", "held"),
    "degraded": ("layer_degraded", ""),
}
"""The same for what there is: the last word of a gauge. Of `degraded` it is told how many processes are."""


@dataclass(slots=True)
class Points:
    """The points of an hour, by series; `seen` is how much of each point some process told of."""

    first: float
    step: float
    many: int
    seen: list[float] = field(init=False)
    series: dict[str, list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.seen = [0.0] * self.many
        self.series = {name: [0.0] * self.many for name in (*ADDED, *NOW, "processes")}

    def overlaps(self, since: float, until: float) -> Iterator[tuple[int, float]]:
        """The points that a stretch of time touches, each with how many seconds of it are in there."""
        begin = max(0, floor((since - self.first) / self.step))
        for point in range(begin, self.many):
            left = self.first + point * self.step
            if left >= until:
                return
            yield point, min(until, left + self.step) - max(since, left)

    def add(self, since: float, until: float, added: Mapping[str, float], now: Mapping[str, float]) -> None:
        """A stretch of time of one process. What was added is spread over its points, what is there stands in those
        whose middle it has."""
        if until <= since:
            return
        for point, seconds in self.overlaps(since, until):
            self.seen[point] = self.seen[point] + seconds
            for name, value in added.items():
                self.series[name][point] += value * seconds / (until - since)
            middle = self.first + (point + 0.5) * self.step
            if since <= middle < until:
                for name, value in (*now.items(), ("processes", 1.0)):
                    self.series[name][point] += value

    def told(self) -> dict[str, list[float | None]]:
        """By series, with None where nobody told of half a point."""
        known = [seconds >= self.step / 2 for seconds in self.seen]
        return {
            name: [_plain(value) if there else None for value, there in zip(values, known, strict=True)]
            for name, values in self.series.items()
        }


def last_hour(*, now: datetime) -> dict[str, Any]:
    """Everything that the page shows, as plain data."""
    step = max(LEAST_STEP, conf.FIGURES_SECONDS)
    end = now.timestamp() - now.timestamp() % step
    rows = Figures.objects.filter(until__gt=now - timedelta(seconds=HOUR), until__lte=now + timedelta(seconds=60))
    return of_rows(list(rows.order_by("until")), now=now.timestamp(), step=step, end=end)


def of_rows(rows: Sequence[Figures], *, now: float, step: float, end: float) -> dict[str, Any]:
    """The same, of these rows in the order of their ends."""
    latest = {row.server: row for row in rows}  # the last of each
    alive = {name: row for name, row in latest.items() if row.believed_until.timestamp() > now}
    # Where a process that writes all the time has not written yet, nobody knows: not a gap, and not drawn.
    waited_for = [row.until.timestamp() for row in alive.values() if not _is_quiet(row)]
    end = min([end, *(until - until % step for until in waited_for)])
    points = Points(end - HOUR, step, round(HOUR / step))
    for row in rows:
        since, until = row.since.timestamp(), row.until.timestamp()
        if not _is_too_long(row):
            points.add(since, until, _added(row.counted), _there(row.now))
    for row in alive.values():
        if _is_quiet(row):  # it would have said, had there been anything
            points.add(row.until.timestamp(), end, {}, _there(row.now))
    there = {name: sum(_there(row.now)[name] for row in alive.values()) for name in NOW}
    return {
        "now": now,
        "first": points.first,
        "step": step,
        "series": points.told(),
        "totals": totals(row.counted for row in rows),
        "present": there if alive else None,
        "processes": [
            {"server": name, "open": _there(row.now)["open"], "degraded": bool(_there(row.now)["degraded"])}
            for name, row in sorted(alive.items())
        ],
    }


def totals(counted: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """By figure and word, what was counted altogether."""
    found: dict[str, dict[str, int]] = {}
    for figures in counted:
        for name, words in figures.items():
            sums = found.setdefault(name, {})
            for word, value in words.items():
                sums[word] = sums.get(word, 0) + value
    return found


def _added(counted: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {
        name: sum(
            value
            for figure, wanted in parts.items()
            for word, value in counted.get(figure, {}).items()
            if wanted in (None, word)
        )
        for name, parts in ADDED.items()
    }


def _there(now: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {
        name: sum(value for words, value in now.get(figure, {}).items() if words.rpartition(" ")[2] == word)
        for name, (figure, word) in NOW.items()
    }


def _length(row: Figures) -> float:
    return float((row.until - row.since).total_seconds())


def _is_quiet(row: Figures) -> bool:
    """Whether its process says something only when there is something to say, or once in a minute."""
    lease = (row.believed_until - row.until).total_seconds()
    return bool(lease > LEASES * (QUIET_SECONDS + conf.FIGURES_SECONDS) / 2)


def _is_too_long(row: Figures) -> bool:
    """Whether it tells so long a while that nobody knows when in it things happened."""
    longest = QUIET_SECONDS + conf.FIGURES_SECONDS if not row.counted else LEASES * conf.FIGURES_SECONDS
    return _length(row) > longest + 1


def _plain(value: float) -> float:
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded
