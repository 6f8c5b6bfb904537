"""What a process writes of what it counted: when, in how many statements, and never twice."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError

from notifications.dashboard import of_rows
from notifications.live import sampling
from notifications.live.sampling import KEPT, QUIET_SECONDS, Reading, Sampling, purge
from notifications.models import Figures

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

START = datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp()
KEY = ("tickets_issued", "connect")
OPEN = {"connections": {"usher.v1 open": 2.0}}


def reading(seconds, many=0, now=None):
    return Reading(START + seconds, {KEY: many, ("resets", "epoch"): 0}, now or {})


def written():
    return [
        (row.since.timestamp() - START, row.until.timestamp() - START, row.counted.get(KEY[0], {}).get(KEY[1], 0))
        for row in Figures.objects.order_by("until")
    ]


@pytest.fixture
def process():
    return Sampling("host:1:abc", now=START)


def test_what_was_added_is_written_in_one_statement(process, django_assert_num_queries):
    process.write(reading(10, 3))
    with django_assert_num_queries(1):
        process.write(reading(20, 10, OPEN))
    assert written() == [(0, 10, 3), (10, 20, 7)]
    row = Figures.objects.latest("until")
    assert (row.server, row.now) == ("host:1:abc", OPEN)
    assert row.counted == {"tickets_issued": {"connect": 7}}, "nothing of what was not added to"
    assert (row.believed_until - row.until).total_seconds() == 25


def test_nothing_is_written_while_nothing_is_there(process, django_assert_num_queries):
    with django_assert_num_queries(0):
        for seconds in range(10, 60, 10):
            process.write(reading(seconds))
    process.write(reading(60))
    assert written() == [(0, QUIET_SECONDS, 0)]
    row = Figures.objects.get()
    assert (row.believed_until - row.until).total_seconds() == 150


def test_while_there_are_sockets_it_says_so_each_time(process):
    process.write(reading(10, 0, OPEN))
    process.write(reading(20, 0, OPEN))
    assert written() == [(0, 10, 0), (10, 20, 0)]


def test_what_comes_after_quiet_is_not_spread_over_it(process):
    process.write(reading(10))
    process.write(reading(20))
    process.write(reading(30, 5))
    assert written() == [(0, 20, 0), (20, 30, 5)]


def test_what_could_not_be_written_is_part_of_the_next(process, monkeypatch):
    process.write(reading(10, 1))

    def away(*args, **kwargs):
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(type(Figures.objects.all()), "bulk_create", away)
        for seconds in (20, 30, 40):
            with pytest.raises(OperationalError):
                process.write(reading(seconds, 1 + seconds))
    process.write(reading(50, 60))
    assert written() == [(0, 10, 1), (10, 50, 59)]
    now = START + 50
    told = of_rows(list(Figures.objects.order_by("until")), now=now, step=10.0, end=now)
    assert told["series"]["issued"][-5:] == [1, None, None, None, None], "a gap, as nobody knows when"
    assert told["totals"]["tickets_issued"] == {"connect": 60}


def test_the_end_is_said_and_nothing_after_it(process):
    process.write(reading(10, 1))
    process.end(reading(14, 2))
    row = Figures.objects.latest("until")
    assert row.believed_until == row.until
    process.write(reading(20, 9))
    process.end(reading(20, 9))
    assert written() == [(0, 10, 1), (10, 14, 1)]


def test_who_never_wrote_has_nothing_to_take_back(process):
    assert not process.wrote
    process.write(reading(10, 1))
    assert process.wrote


def test_all_processes_read_at_the_same_moments(process):
    assert process.pause(now=START + 3.5) == 6.5
    process.write(reading(10.2, 1))  # the loop was late
    assert written() == [(0, 10, 1)]


def test_a_week_leaves_no_more_than_some_hours(process):
    """Of two processes, one of which is restarted all the time, with everything that can be counted in each row."""
    other = Sampling("host:2:def", now=START)
    everything = sampling.counted()
    for number, seconds in enumerate(range(60, 7 * 86_400, 60)):
        full = Reading(START + seconds, dict.fromkeys(everything, number + 1), OPEN)
        process.write(full)
        if number % 600 == 0:
            other = Sampling(f"host:2:{number}", now=START + seconds)
        if number % 4 == 0:
            other.write(full)
    kept = KEPT.total_seconds() + sampling.PURGE_SECONDS
    assert Figures.objects.count() <= 1.25 * kept / 60 + 2
    assert Figures.objects.order_by("until").first().until.timestamp() > START + 7 * 86_400 - kept - 120


def test_what_a_wrong_clock_has_dated_is_removed(process):
    now = datetime.fromtimestamp(START, UTC)
    for moment in (now - KEPT - timedelta(seconds=1), now, now + KEPT + timedelta(days=1)):
        Figures.objects.create(server="x", since=moment, until=moment, believed_until=moment)
    assert purge(now=now) == 2
    assert Figures.objects.get().until == now


def test_a_clock_that_is_set_back_hides_nobody(process):
    process.write(reading(7_200, 3, OPEN))
    process.write(reading(7_190, 4, OPEN))  # a little: it waits until then
    for number, seconds in enumerate((0, 10, 20)):
        process.write(reading(seconds, 5 + number, OPEN))
    assert sorted(written()) == [(0, 0, 1), (0, 10, 1), (0, 7_200, 3), (10, 20, 1), (7_200, 7_200, 1)]
    now = START + 20
    rows = list(Figures.objects.filter(until__lt=datetime.fromtimestamp(now + 60, UTC)).order_by("until"))
    assert of_rows(rows, now=now, step=10.0, end=now)["present"]["open"] == 2


def test_gauges_are_read_by_their_words(process):
    found = process.read(now=START)
    assert found.at == START
    assert found.counted == sampling.counted()
    assert found.now["database_threads"] == {"": 4.0}
