"""Closing live connections by their rows: which are marked, and who is told."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from notifications.live.kicking import ask, disconnect, live, make_place, unheard
from notifications.models import Connection
from notifications.wire.doorbell import stream_of
from tickets import api as tickets
from tickets.models import Ticket
from tickets.tokens import grant_for_token, rotate, sign_in

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def listed(user, name, *, age=0, server="one", lease=60, session_id=None, **fields):
    """A connection that opened so many seconds ago."""
    return Connection.objects.create(
        name=name,
        user=user,
        session_id=session_id or uuid4(),
        server=server,
        protocol="usher.v1",
        opened_at=NOW - timedelta(seconds=age),
        leased_until=NOW + timedelta(seconds=lease),
        **fields,
    )


def marked():
    return dict(Connection.objects.exclude(kicked_at=None).values_list("name", "kicked_code"))


def kicks(told):
    return [(item.stream, item.names, item.code) for item in told]


# --- By staff ---


def test_asking_marks_and_tells_those_that_stay(people, told):
    ann, ben, _cleo = people
    for user, name in ((ann, "a1"), (ann, "a2"), (ben, "b1")):
        listed(user, name)
    listed(ann, "going", kicked_at=NOW, kicked_code=4500)
    listed(ann, "gone", lease=-1)
    assert ask(["a1", "b1", "going", "gone", "unknown"], now=NOW) == [("a1", ann.pk), ("b1", ben.pk)]
    at = NOW.isoformat()
    assert [(item.stream, item.names, item.at) for item in told] == [
        (stream_of(ann.pk), ["a1"], at),
        (stream_of(ben.pk), ["b1"], at),
    ]
    assert set(Connection.objects.filter(asked_at=NOW).values_list("name", flat=True)) == {"a1", "b1"}
    assert dict(unheard("one")) == {"a1": NOW, "b1": NOW, "going": 4500}
    later = NOW + timedelta(seconds=5)
    assert ask(["a1"], now=later) == [("a1", ann.pk)], "as often as they like"
    assert dict(unheard("one"))["a1"] == later


def test_disconnecting_marks_and_tells(people, told):
    ann, ben, _cleo = people
    for user, name in ((ann, "a1"), (ann, "a2"), (ann, "a3"), (ben, "b1")):
        listed(user, name)
    assert disconnect(["a1", "a2", "b1", "unknown"], now=NOW) == [("a1", ann.pk), ("a2", ann.pk), ("b1", ben.pk)]
    assert kicks(told) == [(stream_of(ann.pk), ["a1", "a2"], 4500), (stream_of(ben.pk), ["b1"], 4500)]
    assert marked() == {"a1": 4500, "a2": 4500, "b1": 4500}
    assert disconnect(["a1"], now=NOW) == [], "once"


def test_what_its_session_had_before_opens_no_other(ann, told):
    """A ticket that was fetched in advance, a token that is good for a while."""
    pair = sign_in(ann)
    session = ann.login_sessions.get()
    ticket = tickets.issue(user=ann, session_id=session.pk).ticket
    listed(ann, "c1", session_id=session.pk)
    listed(ann, "c2", session_id=tickets.open_session(ann, method="test"))
    disconnect(["c1"], now=timezone.now())
    with pytest.raises(tickets.TicketRefused):
        tickets.redeem(ticket, address=None)
    with pytest.raises(tickets.TokenRefused) as refused:
        grant_for_token(pair.access)
    assert refused.value.code == "token_expired", "the refresh token brings another"
    assert grant_for_token(rotate(pair.refresh).access).session_id == session.pk
    assert tickets.redeem(tickets.issue(user=ann, session_id=session.pk).ticket, address=None)


def test_what_is_still_connected_by_the_session_goes_on_with_what_it_has(ann, told):
    pair = sign_in(ann)
    session = ann.login_sessions.get()
    reauth = tickets.issue(user=ann, session_id=session.pk, purpose=tickets.Purpose.REAUTH).ticket
    listed(ann, "c1", session_id=session.pk)
    disconnect(["c1"], now=timezone.now())
    assert grant_for_token(pair.access, opens=False).session_id == session.pk
    purposes = frozenset({tickets.Purpose.CONNECT, tickets.Purpose.REAUTH})
    assert tickets.redeem(reauth, address=None, purposes=purposes).session_id == session.pk


def test_a_ticket_that_was_being_made_meanwhile_opens_nothing_either(ann, told):
    session = tickets.open_session(ann, method="test")
    late = tickets.issue(user=ann, session_id=session).ticket
    listed(ann, "c1", session_id=session)
    disconnect(["c1"], now=timezone.now())
    Ticket.objects.update(revoked_at=None)  # as one that was committed a moment after
    with pytest.raises(tickets.TicketRefused):
        tickets.redeem(late, address=None)


def test_what_is_not_live_is_not_disconnected(ann, told):
    listed(ann, "c1", lease=-1)
    assert not live(now=NOW).exists()
    assert disconnect(["c1"], now=NOW) == []
    assert (told, marked()) == ([], {})


# --- Too many ---


@pytest.fixture(autouse=True)
def three(settings):
    settings.NOTIFICATIONS = {"SOCKETS_PER_USER": 3}


def test_the_oldest_beyond_the_limit_go_wherever_they_are(ann, told):
    for age in range(5):
        listed(ann, f"c{age}", age=age, server=f"server {age % 2}")
    assert sorted(make_place([ann.pk], now=NOW)) == [("c3", ann.pk), ("c4", ann.pk)]
    assert kicks(told) == [(stream_of(ann.pk), ["c3", "c4"], 4504)]
    assert marked() == {"c3": 4504, "c4": 4504}
    assert make_place([ann.pk], now=NOW) == [], "once"


def test_as_many_as_somebody_may_have_stay(people, told, django_assert_num_queries):
    for person in people:
        for age in range(3):
            listed(person, f"{person.username}{age}", age=age)
    with django_assert_num_queries(1):
        assert make_place([person.pk for person in people], now=NOW) == []
    assert told == []


def test_people_are_counted_by_themselves_and_only_those_asked_for(people, told):
    ann, ben, cleo = people
    for person in people:
        for age in range(4):
            listed(person, f"{person.username}{age}", age=age)
    assert sorted(make_place([ann.pk, cleo.pk], now=NOW)) == [("ann3", ann.pk), ("cleo3", cleo.pk)]
    assert make_place([ben.pk], now=NOW) == [("ben3", ben.pk)]


def test_what_a_dead_process_left_behind_does_not_count(ann, told):
    for age in range(3):
        listed(ann, f"dead{age}", age=age, server="dead", lease=0)
    for age in range(3):
        listed(ann, f"alive{age}", age=100 + age)
    assert make_place([ann.pk], now=NOW) == []


def test_what_is_disconnected_already_does_not_count(ann, told):
    for age in range(3):
        listed(ann, f"going{age}", age=age, kicked_at=NOW, kicked_code=4500)
    for age in range(3):
        listed(ann, f"stays{age}", age=100 + age)
    assert make_place([ann.pk], now=NOW) == []


def test_of_the_same_moment_every_process_sees_the_same_order(ann, told):
    for name in "dbca":
        listed(ann, name)
    assert make_place([ann.pk], now=NOW) == [("a", ann.pk)]


def test_a_clock_that_is_ahead_costs_another_connection_never_more_of_them(ann, told):
    for age in range(3):
        listed(ann, f"ahead{age}", age=age - 600, server="ahead")
    listed(ann, "newest")
    assert make_place([ann.pk], now=NOW) == [("newest", ann.pk)]


# --- Unheard ---


def test_a_process_finds_its_own(ann):
    listed(ann, "mine", server="one", kicked_at=NOW, kicked_code=4504)
    listed(ann, "by staff", server="one", kicked_at=NOW, kicked_code=4500)
    listed(ann, "theirs", server="other", kicked_at=NOW, kicked_code=4504)
    listed(ann, "stays", server="one")
    assert sorted(unheard("one")) == [("by staff", 4500), ("mine", 4504)]
