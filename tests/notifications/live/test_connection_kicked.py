"""Staff disconnects a connection: the pure connection's part."""

import pytest

from notifications.live.connection import Connection, Phase
from notifications.live.steps import Load, Mark, Open, Redeem
from notifications.wire.closing import CloseCode
from notifications.wire.doorbell import Asked, Kicked
from notifications.wire.vocabulary import Bye, Reauth, ReauthRequired, State
from tickets.grants import EndReason

from .life import Life

NAME = "c1"  # as Life calls its connection


def accepted(life):
    life.do(life.connection.connected(ticket=None, since=None, now=life.now))


def redeeming(life):
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    life.taken(Redeem)


def joining(life):
    redeeming(life)
    life.do(life.connection.redeemed(life.grant(), life.now))
    life.taken(Open)


def opened(life):
    life.connect()


def replaying(life):
    life.head = 5
    life.connect(since="e1:2")
    life.taken(Load)


def marking(life):
    life.connect()
    life.says(State(state="read", through=1))
    life.taken(Mark)


def held(life):
    life.connect().after(900)
    assert life.phase is Phase.REAUTH_REQUIRED


def reauthenticating(life):
    held(life)
    life.says(Reauth(ticket="t"))
    life.taken(Redeem)


def checking(life):
    life.connect()
    life.do(life.connection.fenced(1, life.now))
    life.asked.clear()


PHASES = [accepted, redeeming, joining, opened, replaying, marking, held, reauthenticating, checking]


def kick(life, *names):
    return life.do(life.connection.kicked(Kicked("o", "u.1", list(names)), life.now))


@pytest.mark.parametrize("lives", PHASES, ids=lambda lives: lives.__name__)
def test_it_is_told_and_closed_whatever_it_was_doing(lives):
    life = Life()
    lives(life)
    life.heard()
    kick(life, "other", NAME)
    bye = life.last(Bye)
    assert (bye.code, bye.reason, bye.reconnect, bye.need) == (4500, "disconnected_by_staff", False, "login")
    assert life.heard() == ["bye 4500"]
    assert life.code is CloseCode.DISCONNECTED_BY_STAFF
    assert life.connection.wake_at == float("inf")


@pytest.mark.parametrize("lives", PHASES, ids=lambda lives: lives.__name__)
@pytest.mark.parametrize("names", [[], ["other"], [NAME + "0"], ["c"]], ids=str)
def test_others_of_the_same_person_do_not_notice(lives, names):
    life = Life()
    lives(life)
    before = life.phase
    life.heard()
    kick(life, *names)
    assert (life.heard(), life.asked, life.code, life.phase) == ([], [], None, before)


def test_nothing_follows():
    life = Life()
    life.connect()
    kick(life, NAME)
    life.heard()
    life.publish(3).sync()
    kick(life, NAME)
    life.says(State(state="read", through=1))
    assert (life.heard(), life.asked) == ([], [])


def test_an_answer_that_was_under_way_is_dropped():
    life = Life()
    life.head = 5
    life.connect(since="e1:2")
    load = life.taken(Load)
    life.heard()
    kick(life, NAME)
    life.do(life.connection.page(life.page(load), life.now))
    assert life.heard() == ["bye 4500"]


def test_what_was_due_first_is_told_first():
    life = Life()
    life.connect()
    life.heard()
    life.now += 10_000  # the process slept through the grant's end
    kick(life, NAME)
    assert life.heard() == ["reauth_required", "bye 4500"]


def test_the_end_of_the_session_by_staff_is_told_with_the_same_code():
    life = Life()
    life.connect()
    life.session_reason = EndReason.DISCONNECTED_BY_STAFF
    life.do(life.connection.fenced(1, life.now)).answer()
    assert life.code is CloseCode.DISCONNECTED_BY_STAFF


def test_it_is_an_event_like_any_other():
    """As the hub hands it over: `tell(Connection.kicked, names)`."""
    life = Life()
    life.connect()
    assert Connection.kicked(life.connection, Kicked("o", "u.1", ["other"]), life.now) == []


def test_a_place_that_newer_connections_took_is_told_as_that():
    life = Life()
    life.connect()
    said = life.do(life.connection.kicked(Kicked("o", "u.1", [NAME], 4504), life.now))
    assert life.connection.code is CloseCode.TOO_MANY_CONNECTIONS, said


# --- Asked to re-authenticate ---


def ask(life, *names):
    return life.do(life.connection.asked(Asked("o", "u.1", list(names), "2030-01-01"), life.now))


@pytest.mark.parametrize("lives", [opened, replaying, marking, checking], ids=lambda lives: lives.__name__)
def test_who_is_asked_hears_nothing_more_until_it_has_proven_itself(lives):
    life = Life()
    lives(life)
    life.heard()
    ask(life, "other", NAME)
    assert (life.last(ReauthRequired).reason, life.phase) == ("requested", Phase.REAUTH_REQUIRED)
    life.heard()
    life.publish(2)
    assert life.heard() == []
    ask(life, NAME)
    assert life.heard() == [], "it is held already"


def test_what_it_missed_follows():
    life = Life()
    life.connect()
    life.heard()
    ask(life, NAME)
    life.publish(2).reauth().answer()
    assert life.heard() == ["reauth_required", "reauthenticated", "1*", "2*", "caught_up 2"]


def test_who_does_not_answer_is_told_so():
    life = Life()
    life.connect()
    ask(life, NAME)
    life.after(life.connection.limits.grace_seconds)
    assert life.code is CloseCode.SESSION_EXPIRED


@pytest.mark.parametrize("lives", PHASES, ids=lambda lives: lives.__name__)
def test_others_of_the_same_person_are_asked_nothing(lives):
    life = Life()
    lives(life)
    before = life.phase
    life.heard()
    ask(life, "other")
    assert (life.heard(), life.asked, life.code, life.phase) == ([], [], None, before)
