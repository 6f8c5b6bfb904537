import threading

import pytest
from django.db import connection
from django.test import override_settings

from tickets.brokers import (
    BrokerPerson,
    broker_person,
    forget_broker_logins,
    log_in_to_broker,
    over_broker_logins,
)
from tickets.grants import EndReason, Purpose
from tickets.issuing import issue
from tickets.minting import mint
from tickets.models import BrokerLogin, Ticket
from tickets.pruning import prune
from tickets.sessions import end_session, keep_out, open_session
from tickets.tokens import sign_in

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

HOME, NEIGHBOUR, ELSEWHERE = "203.0.113.7", "203.0.113.99", "198.51.100.9"


@pytest.fixture
def ticket(user, session_id, now):
    return issue(user=user, session_id=session_id, network=HOME, purpose=Purpose.BROKER, now=now).ticket


def test_a_ticket_lets_its_person_in(user, ticket, now, audited):
    person = log_in_to_broker("alice", ticket, "/", now=now)
    assert person == broker_person("alice", now=now) == BrokerPerson(user.pk, frozenset({("/", "203.0.113.0/24")}))
    (line,) = audited("broker_login")
    assert (line["ok"], line["vhost"]) == (True, "/")
    assert ticket not in str(line)


def test_for_five_seconds_the_same_name_and_vhost_may_ask_again(ticket, now, later):
    person = log_in_to_broker("alice", ticket, "/", now=now)
    assert log_in_to_broker("alice", ticket, "/other", now=later(seconds=1)) is None
    assert log_in_to_broker("bob", ticket, "/", now=later(seconds=1)) is None
    assert log_in_to_broker("alice", ticket, "/", now=later(seconds=5)) == person
    assert log_in_to_broker("alice", ticket, "/", now=later(seconds=5.1)) is None
    assert broker_person("alice", now=later(seconds=6)) == person, "who is in stays in"


@pytest.mark.parametrize("purpose", [Purpose.CONNECT, Purpose.REAUTH])
def test_a_ticket_for_something_else_is_refused_and_not_spent(user, session_id, now, purpose):
    ticket = issue(user=user, session_id=session_id, network=HOME, purpose=purpose, now=now).ticket
    assert log_in_to_broker("alice", ticket, "/", now=now) is None
    assert Ticket.objects.get().redeemed_at is None


@pytest.mark.parametrize("username", ["bob", "", "Alice", "alice ", "аlice"])
def test_whose_ticket_it_is_not_is_refused(ticket, other, now, username, audited):
    assert log_in_to_broker(username, ticket, "/", now=now) is None
    assert broker_person(username, now=now) is None
    assert BrokerLogin.objects.count() == 0
    assert audited("broker_login")[-1]["why"] == "name"


@pytest.mark.parametrize("password", ["", "x", "alice", "\0", "A" * 43, "ü" * 43, "a.b.c"])
def test_what_is_no_credential_is_refused(user, now, password):
    assert log_in_to_broker("alice", password, "/", tokens=True, now=now) is None


def test_an_expired_ticket_is_refused(ticket, later):
    assert log_in_to_broker("alice", ticket, "/", now=later(seconds=31)) is None


def test_of_many_at_once_one_is_let_in_and_all_are_told_so(transactional_db, user, session_id, now):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time: none is early")
    ticket = issue(user=user, session_id=session_id, network=HOME, purpose=Purpose.BROKER, now=now).ticket
    start, answers = threading.Barrier(8), []

    def ask():
        start.wait()
        try:
            answers.append(log_in_to_broker("alice", ticket, "/", now=now))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8 and None not in answers
    assert BrokerLogin.objects.count() == 1


def test_a_token_lets_in_where_it_may(user, now):
    pair = sign_in(user, now=now)
    assert log_in_to_broker("alice", pair.access, "/", now=now) is None
    person = log_in_to_broker("alice", pair.access, "/", tokens=True, now=now)
    assert person == BrokerPerson(user.pk, frozenset({("/", "")}))
    assert log_in_to_broker("alice", pair.access, "/", tokens=True, now=now) == person, "and again"
    assert log_in_to_broker("bob", pair.access, "/", tokens=True, now=now) is None
    assert log_in_to_broker("alice", pair.refresh, "/", tokens=True, now=now) is None


def test_a_login_is_for_a_vhost_and_a_network(ticket, now):
    person = log_in_to_broker("alice", ticket, "/", now=now)
    for policy, admitted in {"prefix": [HOME, NEIGHBOUR], "exact": [], "report": [HOME, ELSEWHERE]}.items():
        with override_settings(TICKETS={"NETWORK_POLICY": policy}):
            assert all(person.may_come("/", address) for address in admitted)
            assert person.may_come("/", ELSEWHERE) == (policy == "report")
    assert person.may_come("/", f"::ffff:{NEIGHBOUR}")
    assert person.may_come("/", None), "nobody knows from where"
    assert not person.may_come("/other", HOME)
    assert not person.may_come("/", "nonsense")


def test_two_logins_from_two_networks_each_count(user, session_id, ticket, now):
    elsewhere = issue(user=user, session_id=session_id, network=ELSEWHERE, purpose=Purpose.BROKER, now=now).ticket
    log_in_to_broker("alice", ticket, "/", now=now)
    log_in_to_broker("alice", elsewhere, "/", now=now)
    person = broker_person("alice", now=now)
    assert person.may_come("/", HOME) and person.may_come("/", ELSEWHERE)
    assert not person.may_come("/", "192.0.2.1")


def test_logins_of_one_place_are_not_kept_for_ever(user, session_id, later):
    for minute in range(5):
        moment = later(minutes=minute)
        how = {"network": HOME, "purpose": Purpose.BROKER, "now": moment}
        log_in_to_broker("alice", issue(user=user, session_id=session_id, **how).ticket, "/", now=moment)
    assert BrokerLogin.objects.count() == 1


# --- What ends it ---


def ended(session_id, user, moment):
    end_session(session_id, reason=EndReason.LOGGED_OUT)


def kept_out(session_id, user, moment):
    keep_out([session_id], now=moment)


def disabled(session_id, user, moment):
    type(user).objects.filter(pk=user.pk).update(is_active=False)


def new_password(session_id, user, moment):
    type(user).objects.filter(pk=user.pk).update(password="another")


def renamed(session_id, user, moment):
    type(user).objects.filter(pk=user.pk).update(username="alicia")


@pytest.mark.parametrize("end", [ended, kept_out, disabled, new_password, renamed])
def test_a_login_counts_as_long_as_its_session_does(user, session_id, ticket, now, later, end):
    log_in_to_broker("alice", ticket, "/", now=now)
    (login,) = BrokerLogin.objects.all()
    assert over_broker_logins(thorough=True, now=now) == []
    end(session_id, user, later(seconds=1))
    now = later(seconds=2)
    assert broker_person("alice", now=now) is None
    assert log_in_to_broker("alice", ticket, "/", now=now) is None, "nor may it be asked again"
    (over,) = over_broker_logins(thorough=True, now=now)
    assert (over.pk, over.username) == (login.pk, "alice"), "as the broker knows them"
    if end is not new_password:
        assert over_broker_logins(now=now) == [over]
    forget_broker_logins([over.pk])
    assert over_broker_logins(thorough=True, now=now) == []


def test_a_session_that_runs_out_ends_it(user, now, later):
    session_id = open_session(user, method="test", expires_at=later(minutes=1), now=now)
    ticket = issue(user=user, session_id=session_id, network=HOME, purpose=Purpose.BROKER, now=now).ticket
    log_in_to_broker("alice", ticket, "/", now=now)
    assert over_broker_logins(now=later(seconds=59)) == []
    assert [login.username for login in over_broker_logins(now=later(seconds=61))] == ["alice"]
    assert broker_person("alice", now=later(seconds=61)) is None


def test_another_session_of_the_person_goes_on(user, session_id, ticket, now):
    log_in_to_broker("alice", ticket, "/", now=now)
    other = open_session(user, method="test", now=now)
    how = {"network": ELSEWHERE, "purpose": Purpose.BROKER, "now": now}
    log_in_to_broker("alice", issue(user=user, session_id=other, **how).ticket, "/", now=now)
    end_session(session_id)
    assert broker_person("alice", now=now).logins == {("/", "198.51.100.0/24")}
    assert len(over_broker_logins(now=now)) == 1


def test_who_took_the_name_of_somebody_else_is_not_them(user, session_id, ticket, other, now):
    log_in_to_broker("alice", ticket, "/", now=now)
    renamed(session_id, user, now)
    type(other).objects.filter(pk=other.pk).update(username="alice")
    assert broker_person("alice", now=now) is None


def test_nobody_has_what_is_open_under_the_name_of_somebody_else(user, session_id, ticket, other, now, later, audited):
    log_in_to_broker("alice", ticket, "/", now=now)
    renamed(session_id, user, now)
    type(other).objects.filter(pk=other.pk).update(username="alice")
    theirs = open_session(other, method="test", now=now)

    def come(moment):
        how = {"user": other, "session_id": theirs, "purpose": Purpose.BROKER, "now": moment}
        return log_in_to_broker("alice", issue(**how).ticket, "/", now=moment)

    assert come(now) is broker_person("alice", now=now) is None, "her connections may be open still"
    assert audited("broker_login")[-1]["why"] == "name_in_use"
    (over,) = over_broker_logins(now=now)
    forget_broker_logins([over.pk])
    assert come(later(seconds=9)).user_id == other.pk


def test_a_new_name_hides_nothing_of_the_old_one(user, session_id, ticket, now, later):
    log_in_to_broker("alice", ticket, "/", now=now)
    renamed(session_id, user, now)
    moment = later(minutes=1)
    how = {"network": HOME, "purpose": Purpose.BROKER, "now": moment}
    assert log_in_to_broker("alicia", issue(user=user, session_id=session_id, **how).ticket, "/", now=moment)
    assert [over.username for over in over_broker_logins(now=moment)] == ["alice"]


def test_of_somebody_who_is_deleted_what_is_open_is_known(user, ticket, now):
    log_in_to_broker("alice", ticket, "/", now=now)
    user.delete()
    assert broker_person("alice", now=now) is None
    (over,) = over_broker_logins(now=now)
    assert over.username == "alice"
    again = type(user).objects.create_user("alice")
    how = {"user": again, "session_id": open_session(again, method="test", now=now), "now": now}
    assert log_in_to_broker("alice", issue(purpose=Purpose.BROKER, **how).ticket, "/", now=now) is None
    forget_broker_logins([over.pk])
    assert log_in_to_broker("alice", issue(purpose=Purpose.BROKER, **how).ticket, "/", now=now).user_id == again.pk


def test_logins_go_when_they_are_long_over(user, session_id, ticket, other, now, later):
    log_in_to_broker("alice", ticket, "/", now=now)
    theirs = issue(user=other, session_id=open_session(other, method="test", now=now), purpose=Purpose.BROKER, now=now)
    log_in_to_broker("bob", theirs.ticket, "/", now=now)
    other.delete()
    for days, kept in ((30.9, 2), (31.1, 0)):
        dict(prune(now=later(days=days)))
        assert BrokerLogin.objects.count() == kept


@pytest.mark.parametrize("again", [0, 9])
def test_why_somebody_is_refused_is_audited(user, session_id, ticket, now, later, audited, again):
    log_in_to_broker("alice", ticket, "/", now=now)
    log_in_to_broker("alice", ticket, "/" if again else "/other", now=later(seconds=again))
    line = audited("broker_login")[-1]
    assert (line["ok"], line["why"], line["name"]) == (False, "used", "alice")
    assert ticket not in str(audited())


def test_who_is_in_is_found_by_one_query(ticket, now, django_assert_num_queries):
    log_in_to_broker("alice", ticket, "/", now=now)
    with django_assert_num_queries(1):
        broker_person("alice", now=now)


def test_a_refusal_costs_the_same_whatever_the_reason(ticket, now, later, django_assert_num_queries):
    log_in_to_broker("alice", ticket, "/", now=now)
    for password in (ticket, mint()):
        with django_assert_num_queries(6):  # two of them the transaction
            assert log_in_to_broker("alice", password, "/", now=later(seconds=9)) is None
