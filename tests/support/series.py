"""What a process tells Prometheus, held against the figures that its code names: these series and no others."""

from collections import Counter as Multiset
from collections.abc import Iterator, Mapping
from itertools import product

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.utils import floatToGoString

import notifications.figures
import tickets.counted  # noqa: F401 - names the figures of its room, as the other does
from notifications.figures import RELAY_LAG
from tickets.figures import Counter, Figure, Gauge, Histogram, every

PREFIX = "usher_"

Series = tuple[str, frozenset[tuple[str, str]]]
"""A name and its labels."""

assert notifications.figures.OPENED in every()


def _series(name: str, labels: Mapping[str, str]) -> Series:
    return PREFIX + name, frozenset(labels.items())


def _of(figure: Figure) -> Iterator[Series]:
    match figure:
        case Counter():
            for word in figure.values:
                yield _series(f"{figure.name}_total", dict.fromkeys(figure.by, word))
        case Gauge():
            for words in product(*figure.of):
                yield _series(figure.name, dict(zip(figure.by, words, strict=True)))
        case Histogram():
            for word in figure.counts:
                labels = dict.fromkeys(figure.by, word)
                for bound in figure.bounds:
                    yield _series(f"{figure.name}_bucket", labels | {"le": floatToGoString(bound)})
                yield _series(f"{figure.name}_sum", labels)
                yield _series(f"{figure.name}_count", labels)


def declared() -> set[Series]:
    """All that a server process may tell of us, however long it lives."""
    return {series for figure in every() if figure is not RELAY_LAG for series in _of(figure)}


def check_series(scrape: str) -> None:
    """Each series that is declared is told once, and nothing else is."""
    told = Multiset(
        (sample.name, frozenset(sample.labels.items()))
        for family in text_string_to_metric_families(scrape)
        for sample in family.samples
        if sample.name.startswith(PREFIX)
    )
    expected = declared()
    assert not told.keys() - expected, f"nobody declared {sorted(map(str, told.keys() - expected))[:5]}"
    assert not expected - told.keys(), f"not told: {sorted(map(str, expected - told.keys()))[:5]}"
    assert told.total() == len(expected), f"told twice: {[each for each, many in told.items() if many > 1][:5]}"
