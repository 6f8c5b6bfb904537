"""What was measured, and what is said of it: medians, ratios, tables. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Sample:
    """One repetition on one side."""

    cpu: float
    """Seconds of CPU of the server process."""
    units: int
    """What it is divided by: delivered frames, handshakes."""
    acks: int = 0
    wall: float = 0.0

    @property
    def micros(self) -> float:
        """µs of CPU a unit."""
        return self.cpu / self.units * 1e6


@dataclass(frozen=True)
class Side:
    """All repetitions of one side in one comparison."""

    name: str
    samples: Sequence[Sample]

    @property
    def micros(self) -> float:
        return median(sample.micros for sample in self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        each = [sample.micros for sample in self.samples]
        return min(each), max(each)

    @property
    def acks(self) -> float:
        """Ack frames a delivered frame."""
        return sum(sample.acks for sample in self.samples) / sum(sample.units for sample in self.samples)


def ratio(greater: float, smaller: float) -> float:
    """How many times `smaller` goes into `greater`."""
    return greater / smaller if smaller else float("inf")


def number(value: float) -> str:
    """With as many digits as are worth reading: 3 significant ones, none behind the point from 100 on."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is also readable as it stands; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = cells
        aligned = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        return f"| {' | '.join(aligned)} |"

    ruler = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    return "\n".join([line(head), f"|{ruler}|", *map(line, rows)])
