import sys
import threading

import pytest

from tickets import figures
from tickets.figures import OTHER, Counter, Gauge, Histogram


@pytest.fixture(autouse=True)
def _figures_of_their_own(monkeypatch):
    monkeypatch.setattr(figures, "_all", {})


def test_a_counter_without_a_label():
    drops = Counter("drops", "Drops.")
    drops.add()
    drops.add(many=2)
    assert drops.values == {"": 3}


def test_a_counter_by_words():
    refused = Counter("refused", "Refusals.", by="reason", of=["used", "expired"])
    refused.add("used")
    refused.add("expired", 2)
    assert refused.values == {"used": 1, "expired": 2, OTHER: 0}


def test_whatever_else_is_counted_makes_no_new_series():
    refused = Counter("refused", "Refusals.", by="reason", of=["used"])
    for word in ("a", "b", "{}", "used\n", ""):
        refused.add(word)
    assert refused.values == {"used": 0, OTHER: 5}
    took = Histogram("took", "Time.", bounds=[1.0], by="way", of=["near"])
    took.observe(0.5, "far")
    assert set(took.counts) == {"near", OTHER}
    assert took.counts[OTHER] == [1, 0]


def test_threads_lose_nothing_to_each_other():
    many = Counter("many", "Many.", by="word", of=["a"])
    old, _ = sys.getswitchinterval(), sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [many.add("a") for _ in range(20_000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(old)
    assert many.values["a"] == 80_000


def test_a_gauge_is_read_when_asked():
    gauge = Gauge("here", "How many.")
    assert gauge.now() == {}, "nobody knows"
    seen = []
    gauge.read = lambda: len(seen)
    seen.append(1)
    assert gauge.now() == {(): 1.0}


def test_a_gauge_by_two_words_folds_what_it_does_not_know():
    gauge = Gauge("here", "How many.", by=("protocol", "phase"), of=(["usher.v1"], ["open"]))
    gauge.read = lambda: {("usher.v1", "open"): 2, ("x", "open"): 3, ("y", "open"): 4, ("y", "z"): 5}
    assert gauge.now() == {("usher.v1", "open"): 2, (OTHER, "open"): 7, (OTHER, OTHER): 5}
    gauge.read = dict
    assert gauge.now() == {("usher.v1", "open"): 0}, "nothing is a number, too"


def test_a_histogram_counts_into_the_first_bound_that_holds():
    took = Histogram("took", "Time.", bounds=[0.1, 1.0])
    for seconds in (0.1, 0.100001, 1.0, 7.0, -3.0):
        took.observe(seconds)
    assert took.counts[""] == [2, 2, 1], "below zero, of another machine's clock, is zero"
    took.observe(0.5, many=10)
    assert took.counts[""] == [2, 12, 1]
    assert took.sums[""] == pytest.approx(0.1 + 0.100001 + 1.0 + 7.0 + 5.0)


def test_no_two_figures_have_one_name():
    Counter("drops", "Drops.")
    with pytest.raises(ValueError, match="drops"):
        Gauge("drops", "Drops.")


def test_every_figure_and_every_counter():
    drops, here = Counter("drops", "Drops.", by="why", of=["a"]), Gauge("here", "Here.")
    drops.add("a")
    assert figures.every() == [drops, here]
    assert figures.counted() == {("drops", "a"): 1, ("drops", OTHER): 0}
