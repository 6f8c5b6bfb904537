import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tickets import accounts
from tickets.grants import EndReason, SignedInFrom
from tickets.models import LoginSession
from tickets.own import SEEN_SPACING, OwnSession, end_other_sessions, end_own_session, own_sessions, seen
from tickets.sessions import end_session, open_session

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

announced = pytest.mark.django_db(transaction=True)


@pytest.fixture
def opened(now):
    """Opens a login session; `seen` is how long after `now` it was seen."""

    def open_one(user, *, seen=timedelta(0), **how):
        session_id = open_session(user, **{"method": "test", "now": now, **how})
        LoginSession.objects.filter(pk=session_id).update(seen_at=now + seen)
        return session_id

    return open_one


def ids(user, now):
    return [session.id for session in own_sessions(user.pk, now=now)]


def standing():
    return set(LoginSession.objects.filter(ended_at=None).values_list("pk", flat=True))


def last_seen(session_id):
    return LoginSession.objects.get(pk=session_id).seen_at


# --- Which there are ---


def test_a_person_is_told_what_they_can_know_a_session_by(user, now, later):
    origin = SignedInFrom(device="Firefox", network="203.0.113.0/24")
    session_id = open_session(user, method="token", expires_at=later(hours=2), origin=origin, now=now)
    LoginSession.objects.update(seen_at=later(minutes=5))
    assert own_sessions(user.pk, now=later(minutes=9)) == [
        OwnSession(
            id=session_id,
            method="token",
            device="Firefox",
            network="203.0.113.0/24",
            since=now,
            last_seen=later(minutes=5),
            expires_at=later(hours=2),
        )
    ]


def test_who_has_none_is_told_of_none(user, other, session_id, now):
    assert own_sessions(other.pk, now=now) == []


def test_the_one_seen_last_comes_first(user, opened, now):
    old, newest, middle = (opened(user, seen=timedelta(minutes=minutes)) for minutes in (1, 9, 5))
    assert ids(user, now) == [newest, middle, old]


def test_only_ones_own_that_stand_are_listed(user, other, opened, now, later):
    mine, over, short = opened(user), opened(user), opened(user, expires_at=later(hours=1))
    opened(other)
    end_session(over, now=now)
    assert set(ids(user, later(hours=1) - timedelta(microseconds=1))) == {mine, short}
    assert ids(user, later(hours=1)) == [mine], "it expires at its very end"


def test_however_many_there_are_they_are_one_query(user, opened, now, django_assert_num_queries):
    for _ in range(30):
        opened(user)
    with django_assert_num_queries(1):
        assert len(own_sessions(user.pk, now=now)) == 30


# --- Ending one ---


@announced
def test_ending_ones_own_is_announced_and_audited_as_done_by_oneself(user, opened, later, heard, audited):
    ends, stays = opened(user), opened(user)
    assert end_own_session(user.pk, ends, now=later(hours=1)) is True
    assert heard == [(user.pk, [ends], EndReason.LOGGED_OUT)]
    row = LoginSession.objects.get(pk=ends)
    assert (row.ended_at, row.end_reason) == (later(hours=1), "logged_out")
    (line,) = audited("session_ended")
    assert (line["user"], line["session"], line["reason"], line["by"]) == (user.pk, str(ends), "logged_out", user.pk)
    assert standing() == {stays}


@announced
@pytest.mark.parametrize("whose", ["another's", "nobody's"])
def test_what_is_not_ones_own_is_not_there(user, other, opened, heard, audited, whose):
    session_id = opened(other) if whose == "another's" else uuid4()
    before = standing()
    assert end_own_session(user.pk, session_id) is False
    assert standing() == before
    assert (heard, audited("session_ended")) == ([], [])


@announced
def test_ending_again_is_right_and_changes_nothing(user, opened, now, later, heard, audited):
    session_id = opened(user)
    end_session(session_id, reason=EndReason.DISCONNECTED_BY_STAFF, now=now)
    heard.clear()
    assert end_own_session(user.pk, session_id, now=later(hours=1)) is True
    row = LoginSession.objects.get(pk=session_id)
    assert (row.ended_at, row.end_reason) == (now, "disconnected_by_staff")
    assert (heard, len(audited("session_ended"))) == ([], 1)


# --- Ending the others ---


@announced
def test_the_others_end_and_the_one_to_keep_stands(user, other, opened, now, later, heard, audited):
    keep, *ends = (opened(user) for _ in range(3))
    theirs, over, expired = opened(other), opened(user), opened(user, expires_at=later(minutes=1))
    end_session(over, now=now)
    heard.clear()
    assert end_other_sessions(user.pk, keep, now=later(hours=1)) == 2
    assert standing() == {keep, theirs, expired}, "what has expired needs no end"
    ((who, which, why),) = heard
    assert (who, set(which), why) == (user.pk, set(ends), EndReason.LOGGED_OUT)
    lines = [line for line in audited("session_ended") if "by" in line]
    assert {(line["session"], line["reason"], line["by"]) for line in lines} == {
        (str(session_id), "logged_out", user.pk) for session_id in ends
    }
    assert end_other_sessions(user.pk, keep, now=later(hours=1)) == 0
    assert len(heard) == 1


def test_without_one_to_keep_all_end(user, other, opened, now):
    for _ in range(3):
        opened(user)
    theirs = opened(other)
    assert end_other_sessions(user.pk, None, now=now) == 3
    assert standing() == {theirs}


def test_another_persons_session_is_kept_by_nobody(user, other, opened, now):
    mine, theirs = opened(user), opened(other)
    assert end_other_sessions(user.pk, theirs, now=now) == 1
    assert mine not in standing() and theirs in standing()


@announced
def test_more_than_one_batch_all_end_and_are_announced(user, opened, now, heard, monkeypatch):
    monkeypatch.setattr(accounts, "BATCH", 3)
    keep, *ends = (opened(user) for _ in range(8))
    assert end_other_sessions(user.pk, keep, now=now) == 7
    assert standing() == {keep}
    assert [len(which) for _who, which, _why in heard] == [3, 3, 1]
    assert {session_id for _who, which, _why in heard for session_id in which} == set(ends)


# --- Being seen ---


def test_who_was_seen_a_moment_ago_is_not_written_again(user, opened, now):
    session_id = opened(user)
    seen([session_id], now=now + SEEN_SPACING)
    assert last_seen(session_id) == now
    late = now + SEEN_SPACING + timedelta(microseconds=1)
    seen([session_id], now=late)
    assert last_seen(session_id) == late


def test_a_clock_that_is_behind_moves_nothing_back(user, opened, now, later):
    session_id = opened(user, seen=timedelta(hours=1))
    seen([session_id], now=now)
    assert last_seen(session_id) == later(hours=1)


def test_only_those_that_are_named_were_seen_and_unknown_ones_harm_nobody(user, other, opened, now, later):
    mine, theirs, silent = opened(user), opened(other), opened(user)
    seen({mine, theirs, uuid4()}, now=later(hours=1))
    assert [last_seen(each) for each in (mine, theirs, silent)] == [later(hours=1), later(hours=1), now]


@pytest.mark.parametrize("count", [1, 7])
def test_it_is_one_statement_however_many(user, opened, later, count):
    session_ids = [opened(user) for _ in range(count)]
    with CaptureQueriesContext(connection) as captured:
        seen(session_ids, now=later(hours=1))
    said = [query["sql"].split()[0] for query in captured]
    assert [word for word in said if word not in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")] == ["UPDATE"]
    assert LoginSession.objects.filter(seen_at=later(hours=1)).count() == count


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time: nobody holds a row")
def test_a_row_that_somebody_holds_is_left_to_them(user, opened, later):
    held, free = opened(user), opened(user)
    holding, done = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic():
                LoginSession.objects.select_for_update().get(pk=held)
                holding.set()
                assert done.wait(10)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert holding.wait(5)
    seen([held, free], now=later(hours=1))
    done.set()
    holder.join()
    seen_then = set(LoginSession.objects.filter(seen_at=later(hours=1)).values_list("pk", flat=True))
    assert seen_then == {free}
