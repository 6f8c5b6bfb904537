"""The last hour as points: sums over processes, gaps that are not zero, totals that leave nothing out."""

from datetime import UTC, datetime, timedelta

import pytest

from notifications.dashboard import ADDED, NOW, last_hour, of_rows, totals
from notifications.models import Figures

START = datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp()
STEP = 10.0
END = START + 3600


def utc(seconds):
    return datetime.fromtimestamp(seconds, UTC)


def row(since, until, counted=None, *, server="a", lease=25.0, **now):
    """A row from so many seconds after the start of the hour."""
    return Figures(
        server=server,
        since=utc(START + since),
        until=utc(START + until),
        believed_until=utc(START + until + lease),
        counted=counted or {},
        now=now,
    )


def hour(*rows, now=END):
    ordered = sorted(rows, key=lambda each: each.until)
    return of_rows(ordered, now=now, step=STEP, end=now - now % STEP)


def connections(**phases):
    return {f"usher.v1 {phase}": many for phase, many in phases.items()}


ISSUED = {"tickets_issued": {"connect": 6, "reauth": 4}}


def test_words_are_added_up():
    told = hour(row(0, 10, ISSUED, connections=connections(open=3, held=1)))
    assert told["series"]["issued"][:2] == [10, None]
    assert told["series"]["open"][0] == 3
    assert told["series"]["held"][0] == 1
    assert told["totals"] == ISSUED


def test_processes_are_added_up():
    told = hour(
        row(0, 10, ISSUED, connections=connections(open=3)),
        row(0, 10, ISSUED, server="b", connections=connections(open=4)),
    )
    assert told["series"]["issued"][0] == 20
    assert told["series"]["open"][0] == 7
    assert told["series"]["processes"][0] == 2
    assert told["totals"]["tickets_issued"] == {"connect": 12, "reauth": 8}


def test_what_happened_in_several_points_is_spread_over_them():
    told = hour(row(5, 25, ISSUED, lease=0))
    assert told["series"]["issued"][:4] == [2.5, 5, 2.5, None]


def test_of_several_rows_in_a_point_one_says_what_is_there():
    told = hour(*(row(second, second + 1, connections=connections(open=second)) for second in range(10)))
    assert told["series"]["open"][0] == 5
    assert told["series"]["processes"][0] == 1
    assert hour(row(5, 20, lease=0))["series"]["processes"][:3] == [1, 1, None]


def test_where_nobody_says_anything_there_is_a_gap():
    told = hour(row(0, 10, ISSUED), row(30, 40))
    assert told["series"]["issued"][:5] == [10, None, None, 0, None]
    assert all(told["series"][name][1] is None for name in (*ADDED, *NOW, "processes"))


def test_who_could_not_write_for_long_says_how_much_and_not_when():
    told = hour(row(0, 10), row(10, 100, ISSUED, lease=0))
    assert told["series"]["issued"][:3] == [0, None, None]
    assert told["totals"] == ISSUED


def test_who_was_quiet_for_a_minute_said_nothing_was_there():
    told = hour(row(0, 60, lease=150.0), row(60, 70, ISSUED, lease=0))
    assert told["series"]["issued"][:8] == [0] * 6 + [10, None]


def test_a_quiet_process_is_taken_at_its_word_until_the_next():
    told = hour(row(3500, 3560, lease=150.0))
    assert told["series"]["issued"][-4:] == [0, 0, 0, 0]
    assert told["processes"] == [{"server": "a", "open": 0, "degraded": False}]


def test_who_writes_all_the_time_is_waited_for():
    """Nobody knows yet what it counted in the last seconds: neither nothing nor a gap."""
    told = hour(row(3570, 3590, ISSUED), row(3560, 3580, server="b"), now=END)
    assert told["first"] + 360 * STEP == START + 3580
    assert told["series"]["processes"][-1] == 2


def test_a_process_that_died_disappears():
    dead, alive = row(3500, 3510, server="dead", connections=connections(open=5)), row(3590, 3600)
    told = hour(dead, alive)
    assert [each["server"] for each in told["processes"]] == ["a"]
    assert told["present"] == {"open": 0, "held": 0, "degraded": 0}


def test_nobody_is_there():
    told = hour()
    assert (told["present"], told["processes"], told["totals"]) == (None, [], {})
    assert set(told["series"]["open"]) == {None}
    assert {len(values) for values in told["series"].values()} == {360}


def test_how_many_are_degraded():
    told = hour(row(3590, 3600, layer_degraded={"": 1.0}), row(3590, 3600, server="b"))
    assert told["present"]["degraded"] == 1
    assert told["series"]["degraded"][-1] == 1
    assert [each["degraded"] for each in told["processes"]] == [True, False]


def test_one_word_of_a_figure():
    told = hour(row(0, 10, {"notifications_sent": {"live": 5, "replayed": 2}, "frames_sent": {"welcome": 1}}))
    assert [told["series"][name][0] for name in ("live", "replayed", "frames")] == [5, 2, 8]


def test_totals_of_nothing():
    assert totals([]) == {}


@pytest.mark.everywhere
@pytest.mark.django_db
def test_of_the_table_the_last_hour_is_read_in_one_query(django_assert_num_queries):
    now = utc(END)
    Figures.objects.bulk_create([row(0, 10, ISSUED), row(-100, -90, ISSUED), row(9_000, 9_010, ISSUED)])
    with django_assert_num_queries(1):
        told = last_hour(now=now)
    assert told["totals"] == ISSUED
    assert Figures.objects.filter(until__gt=now - timedelta(hours=1)).count() == 2
