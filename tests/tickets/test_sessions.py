import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test import override_settings

from tickets.grants import EndReason
from tickets.issuing import issue
from tickets.models import LoginSession, Ticket
from tickets.sessions import (
    check_sessions,
    end_session,
    end_sessions,
    keep_out,
    open_once,
    open_session,
    plain_id,
    prolong,
)

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]


def test_a_session_lasts_as_long_as_it_may(user, now, later):
    session = LoginSession.objects.get(pk=open_session(user, method="test", now=now))
    assert (session.user, session.method, session.created_at) == (user, "test", now)
    assert session.expires_at == later(days=30)


@pytest.mark.parametrize(("asked", "given"), [({"hours": 2}, {"hours": 2}), ({"days": 90}, {"days": 30})])
def test_a_session_ends_when_asked_and_never_later_than_allowed(user, now, later, asked, given):
    session_id = open_session(user, method="test", expires_at=later(**asked), now=now)
    assert LoginSession.objects.get(pk=session_id).expires_at == later(**given)


@override_settings(TICKETS={"SESSION_DAYS": 1})
def test_the_longest_life_is_a_setting(user, now, later):
    assert check_sessions([open_session(user, method="test", now=now)], now=later(days=1)).popitem()[1].alive is False


@pytest.mark.django_db(transaction=True)
def test_ending_is_announced_before_it_returns(user, session_id, heard, audited, later):
    assert end_session(session_id, reason=EndReason.DISCONNECTED_BY_STAFF, now=later(hours=1)) is True
    assert heard == [(user.pk, [session_id], EndReason.DISCONNECTED_BY_STAFF)]
    session = LoginSession.objects.get(pk=session_id)
    assert (session.ended_at, session.end_reason) == (later(hours=1), "disconnected_by_staff")
    assert audited("session_ended")[0]["session"] == str(session_id)


@pytest.mark.django_db(transaction=True)
def test_a_session_ends_once(session_id, heard):
    end_session(session_id, reason=EndReason.CREDENTIALS_CHANGED)
    assert end_session(session_id, reason=EndReason.LOGGED_OUT) is False
    assert end_session(uuid4()) is False
    assert len(heard) == 1
    assert LoginSession.objects.get(pk=session_id).end_reason == "credentials_changed"


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_it_is_announced_after_commit(session_id, heard):
    with transaction.atomic():
        end_session(session_id)
        assert heard == []
    assert len(heard) == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_announced(session_id, heard):
    with transaction.atomic():
        end_session(session_id)
        transaction.set_rollback(True)
    assert heard == []
    assert check_sessions([session_id])[session_id].alive


@pytest.mark.django_db(transaction=True)
def test_a_listener_that_fails_does_not_undo_the_end(session_id, caplog):
    from tickets.signals import session_ended

    def fail(**_):
        raise ZeroDivisionError

    session_ended.connect(fail)
    try:
        assert end_session(session_id) is True
    finally:
        session_ended.disconnect(fail)
    assert not check_sessions([session_id])[session_id].alive
    assert "Error calling" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_many_end_together_and_each_person_is_told_of_once(user, other, session_id, now, later, heard, audited):
    second = open_session(user, method="test", now=now)
    theirs = open_session(other, method="test", now=now)
    over, stays = open_session(other, method="test", now=now), open_session(other, method="test", now=now)
    end_session(over, now=now)
    heard.clear()
    wanted = [session_id, second, theirs, over, uuid4()]
    how = {"reason": EndReason.DISCONNECTED_BY_STAFF, "by": 7, "now": later(hours=1)}
    assert end_sessions(wanted, **how) == 3
    assert {(who, frozenset(which), why) for who, which, why in heard} == {
        (user.pk, frozenset({session_id, second}), EndReason.DISCONNECTED_BY_STAFF),
        (other.pk, frozenset({theirs}), EndReason.DISCONNECTED_BY_STAFF),
    }
    ended = LoginSession.objects.filter(ended_at=later(hours=1), end_reason="disconnected_by_staff")
    assert set(ended.values_list("pk", flat=True)) == {session_id, second, theirs}
    assert LoginSession.objects.get(pk=over).end_reason == "logged_out"
    assert LoginSession.objects.get(pk=stays).ended_at is None
    lines = [line for line in audited("session_ended") if "by" in line]
    assert {(line["user"], line["session"], line["by"]) for line in lines} == {
        (user.pk, str(session_id), 7),
        (user.pk, str(second), 7),
        (other.pk, str(theirs), 7),
    }
    assert end_sessions(wanted, **how) == 0
    assert len(heard) == 2


@pytest.mark.django_db(transaction=True)
def test_many_in_a_transaction_that_is_rolled_back_stand(session_id, heard):
    with transaction.atomic():
        end_sessions([session_id], reason=EndReason.LOGGED_OUT)
        transaction.set_rollback(True)
    assert heard == []
    assert check_sessions([session_id])[session_id].alive


def test_sessions_are_looked_at_together_in_one_query(user, other, session_id, now, later, django_assert_num_queries):
    ended = open_session(user, method="test", now=now)
    end_session(ended, reason=EndReason.LOGGED_OUT)
    short = open_session(user, method="test", expires_at=later(hours=1), now=now)
    closed = open_session(other, method="test", now=now)
    other.is_active = False
    other.save()
    unknown = uuid4()
    with django_assert_num_queries(1):
        states = check_sessions({session_id, ended, short, closed, unknown}, now=later(hours=1))
    assert {pk: (state.alive, state.reason) for pk, state in states.items()} == {
        session_id: (True, None),
        ended: (False, EndReason.LOGGED_OUT),
        short: (False, EndReason.EXPIRED),
        closed: (False, EndReason.ACCOUNT_DISABLED),
        unknown: (False, EndReason.ACCOUNT_DISABLED),
    }
    assert states[session_id].expires_at == later(days=30).timestamp()


def test_a_session_expires_at_its_very_end(user, now, later):
    session_id = open_session(user, method="test", expires_at=later(hours=1), now=now)
    assert check_sessions([session_id], now=later(hours=1) - timedelta(microseconds=1))[session_id].alive
    assert not check_sessions([session_id], now=later(hours=1))[session_id].alive


def test_sessions_go_with_their_person(user, session_id):
    user.delete()
    assert check_sessions([session_id])[session_id].reason is EndReason.ACCOUNT_DISABLED


def test_opening_once_opens_once_and_does_not_reopen(user, now, later, audited):
    session_id = uuid4()
    for _ in range(2):
        open_once(session_id, user, method="test", expires_at=later(hours=1), now=now)
    assert len(audited("session_opened")) == 1
    end_session(session_id)
    open_once(session_id, user, method="test", expires_at=later(hours=1), now=now)
    assert not check_sessions([session_id], now=now)[session_id].alive


def test_only_a_standing_session_of_ones_own_is_prolonged(user, other, now, later):
    session_id = open_session(user, method="test", expires_at=later(hours=1), now=now)
    assert prolong(session_id, other, expires_at=later(hours=3), now=now) is False
    assert prolong(session_id, user, expires_at=later(hours=2), now=now) is True
    assert check_sessions([session_id], now=later(minutes=90))[session_id].alive
    assert prolong(session_id, user, expires_at=later(hours=9), now=later(hours=2)) is False
    end_session(session_id, now=now)
    assert prolong(session_id, user, expires_at=later(hours=9), now=now) is False


def test_keys_that_are_no_integers_are_spelled_out():
    key = uuid4()
    assert (plain_id(7), plain_id(key)) == (7, str(key))


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time: nobody holds a row")
@pytest.mark.django_db(transaction=True)
def test_keeping_somebody_out_waits_for_no_ticket_that_waits_for_it(user):
    """Whoever is being given a ticket has locked older ones, and at its commit wants the session to be there."""
    session_id = open_session(user, method="test")
    for _ in range(3):
        issue(user=user, session_id=session_id)
    failed = []

    def kick():
        try:
            keep_out([session_id])
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    with transaction.atomic():
        Ticket.objects.filter(user=user).update(purpose="connect")  # as making room for one more does
        other = threading.Thread(target=kick)
        other.start()
        other.join(0.5)
        assert other.is_alive(), "it waits"
        issue(user=user, session_id=session_id)
    other.join(10)
    assert (failed, other.is_alive()) == ([], False)
