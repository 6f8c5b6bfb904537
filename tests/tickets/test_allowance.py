import threading
from datetime import timedelta

import pytest
from django.db import connection

from tickets import allowance
from tickets.allowance import spend
from tickets.grants import RateLimited
from tickets.models import Allowance

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]


def tries(count, *, now, per_minute=60, burst=30):
    """How many of `count` at one moment were allowed."""
    allowed = 0
    for _ in range(count):
        try:
            spend("k", per_minute=per_minute, burst=burst, now=now)
        except RateLimited:
            continue
        allowed += 1
    return allowed


def test_after_a_rest_exactly_the_burst_is_allowed(now):
    assert tries(100, now=now) == 30


def test_then_one_each_interval(now):
    tries(100, now=now)
    assert tries(5, now=now + timedelta(seconds=0.999999)) == 0
    assert tries(5, now=now + timedelta(seconds=1)) == 1
    assert tries(5, now=now + timedelta(seconds=4)) == 3
    assert tries(100, now=now + timedelta(hours=1)) == 30


def test_an_interval_that_is_no_whole_number_of_seconds_is_exact_too(now):
    tenths = [now + timedelta(seconds=step / 10) for step in range(601)]
    assert sum(tries(2, now=moment, per_minute=70, burst=7) for moment in tenths) == 7 + 70


def test_it_says_when_to_come_back(now):
    tries(30, now=now)
    with pytest.raises(RateLimited) as refused:
        spend("k", per_minute=60, burst=30, now=now)
    assert refused.value.retry_after == 1.0
    spend("k", per_minute=60, burst=30, now=now + timedelta(seconds=refused.value.retry_after))


def test_keys_do_not_know_each_other(now):
    assert tries(100, now=now) == 30
    spend("other", per_minute=60, burst=30, now=now)


def test_a_clock_that_lags_behind_gives_nothing_away(now):
    assert tries(100, now=now) == 30
    assert tries(100, now=now - timedelta(seconds=5)) == 0


def test_nobody_is_asked_to_wait_longer_than_one_takes_because_clocks_differ(now):
    tries(30, now=now)
    with pytest.raises(RateLimited) as refused:
        spend("k", per_minute=60, burst=30, now=now - timedelta(seconds=0.03))
    assert refused.value.retry_after == 1


def test_one_statement_once_the_row_is_there(now, django_assert_num_queries):
    spend("k", per_minute=60, burst=30, now=now)
    with django_assert_num_queries(1):
        spend("k", per_minute=60, burst=30, now=now)


@pytest.mark.parametrize("moment", [1, 2], ids=["before it is looked for", "before it is made"])
def test_a_row_that_somebody_else_makes_meanwhile_keeps_nobody_out(now, monkeypatch, moment):
    advance, calls = allowance._advance, []

    def advance_and_be_overtaken(key, *rest):
        done = advance(key, *rest)
        calls.append(key)
        if len(calls) == moment:
            Allowance.objects.bulk_create([Allowance(key=key, tat=0)], ignore_conflicts=True)
        return done

    monkeypatch.setattr(allowance, "_advance", advance_and_be_overtaken)
    spend("k", per_minute=60, burst=30, now=now)
    assert len(calls) == 2


def test_who_never_sees_the_row_is_refused_in_the_end(now, monkeypatch):
    monkeypatch.setattr(allowance, "_advance", lambda *_: False)
    with pytest.raises(RateLimited) as refused:
        spend("k", per_minute=60, burst=30, now=now)
    assert refused.value.retry_after == 1


@pytest.mark.django_db(transaction=True)
def test_threads_at_once_get_the_burst_and_not_one_more(now):
    allowed = []

    def worker():
        allowed.append(tries(6, now=now))
        connection.close()

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) == 30
    assert Allowance.objects.count() == 1
