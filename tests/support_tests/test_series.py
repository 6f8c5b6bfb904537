"""The checker of scrapes sees a series that nobody declared, one that is missing and one that is told twice."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from notifications import figures
from notifications.rest.metrics import Figures
from tests.support.series import check_series, declared
from tickets.figures import Gauge, every


@pytest.fixture
def scrape(monkeypatch):
    """As of a server that knows all of its gauges."""
    for figure in every():
        if isinstance(figure, Gauge) and figure is not figures.RELAY_LAG:
            monkeypatch.setattr(figure, "read", lambda by=figure.by: {} if by else 0)

    def told():
        registry = CollectorRegistry()
        registry.register(Figures())
        return generate_latest(registry).decode()

    return told


def test_what_is_declared_is_what_is_told(scrape):
    check_series(scrape())
    assert len(declared()) < 500, "which Prometheus does not feel"


def test_one_more_that_a_stranger_named(scrape):
    told = scrape() + 'usher_bad_frames_total{code="whatever"} 1.0\n'
    with pytest.raises(AssertionError, match="whatever"):
        check_series(told)


def test_a_gauge_that_is_told_of_a_word_it_does_not_know(scrape, monkeypatch):
    monkeypatch.setattr(figures.CONNECTIONS, "read", lambda: {("stomp", "open"): 1})
    with pytest.raises(AssertionError, match="other"):
        check_series(scrape())


def test_one_that_is_missing_or_told_twice(scrape):
    lines = scrape().splitlines(keepends=True)
    (line,) = [each for each in lines if each.startswith("usher_tickets_redeemed_total ")]
    with pytest.raises(AssertionError, match="not told"):
        check_series("".join(each for each in lines if each != line))
    with pytest.raises(AssertionError, match="told twice"):
        check_series("".join(each * (1 + (each == line)) for each in lines))
