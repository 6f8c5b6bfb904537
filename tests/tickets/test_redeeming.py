import threading
from datetime import timedelta

import pytest
from django.db import connection, models
from django.test import override_settings

from tickets import redeeming
from tickets.counted import TICKETS_REDEEMED, TICKETS_REFUSED
from tickets.grants import Grant, Purpose, Refusal, TicketRefused
from tickets.issuing import issue, revoke
from tickets.minting import digest, mint
from tickets.models import Ticket
from tickets.redeeming import redeem
from tickets.sessions import end_session, open_session

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

HOME, SAME_NETWORK, ELSEWHERE, SIX = "203.0.113.7", "203.0.113.99", "198.51.100.9", "2001:db8::1"


@pytest.fixture
def ticket(user, session_id, now):
    return issue(user=user, session_id=session_id, network=HOME, now=now).ticket


@pytest.fixture
def refusal(now):
    """Redeem and tell why it was refused; None if it was not. Either is counted, once."""

    def redeemed(ticket, *, address=HOME, now=now, **how):
        before = {**TICKETS_REFUSED.values, "": TICKETS_REDEEMED.values[""]}
        why = None
        try:
            redeem(ticket, address=address, now=now, **how)
        except TicketRefused as refused:
            why = refused.refusal
        after = {**TICKETS_REFUSED.values, "": TICKETS_REDEEMED.values[""]}
        assert {word: after[word] - before[word] for word in after if after[word] != before[word]} == {why or "": 1}
        return why

    return redeemed


def spent(ticket):
    return Ticket.objects.get(digest=digest(ticket)).redeemed_at


def test_a_ticket_becomes_a_grant(user, session_id, ticket, now, later, audited):
    grant = redeem(ticket, address=HOME, now=now)
    assert grant == Grant(
        user_id=user.pk,
        username="alice",
        session_id=session_id,
        expires_at=later(seconds=900).timestamp(),
        session_expires_at=later(days=30).timestamp(),
        issued_at=now.timestamp(),
    )
    assert spent(ticket) == now
    (line,) = audited("ticket_redeemed")
    assert (line["ok"], line["user"], line["address"]) == (True, user.pk, HOME)


def test_a_good_ticket_takes_one_statement(ticket, now, django_assert_num_queries):
    with django_assert_num_queries(1):
        redeem(ticket, address=HOME, now=now)


def test_a_grant_ends_with_its_session(user, now, later):
    session_id = open_session(user, method="test", expires_at=later(seconds=100), now=now)
    ticket = issue(user=user, session_id=session_id, now=now).ticket
    assert redeem(ticket, address=None, now=now).expires_at == later(seconds=100).timestamp()


def test_a_ticket_is_good_once(ticket, refusal):
    assert refusal(ticket) is None
    assert refusal(ticket) is Refusal.USED


def test_a_ticket_lives_until_just_before_its_end(ticket, refusal, later):
    assert refusal(ticket, now=later(seconds=30)) is Refusal.EXPIRED
    assert refusal(ticket, now=later(seconds=30) - timedelta(microseconds=1)) is None


def test_a_revoked_ticket(ticket, refusal):
    revoke(ticket_id=Ticket.objects.get().pk)
    assert refusal(ticket) is Refusal.REVOKED
    assert spent(ticket) is None


def test_a_ticket_is_good_for_its_purpose_only(user, session_id, refusal, now):
    def of(purpose):
        return issue(user=user, session_id=session_id, purpose=purpose, now=now).ticket

    connect, reauth, broker = of(Purpose.CONNECT), of(Purpose.REAUTH), of(Purpose.BROKER)
    reauthenticating = frozenset({Purpose.CONNECT, Purpose.REAUTH})
    assert refusal(reauth) is Refusal.PURPOSE
    assert refusal(broker) is Refusal.PURPOSE
    assert refusal(broker, purposes=reauthenticating) is Refusal.PURPOSE
    assert refusal(connect, purposes=frozenset({Purpose.BROKER})) is Refusal.PURPOSE
    assert spent(reauth) is None, "presented for something else, it stays good for its own purpose"
    assert refusal(reauth, purposes=reauthenticating) is None
    assert refusal(connect, purposes=reauthenticating) is None
    assert refusal(broker, purposes=frozenset({Purpose.BROKER})) is None


def test_a_ticket_dies_with_its_session(session_id, ticket, refusal):
    end_session(session_id)
    assert refusal(ticket) is Refusal.SESSION


def test_a_session_that_expired_takes_its_tickets_along(user, refusal, now, later):
    session_id = open_session(user, method="test", expires_at=later(seconds=10), now=now)
    ticket = issue(user=user, session_id=session_id, now=now).ticket
    Ticket.objects.update(expires_at=later(seconds=30))
    assert refusal(ticket, now=later(seconds=10)) is Refusal.SESSION


def test_a_closed_account(user, ticket, refusal):
    user.is_active = False
    user.save()
    assert refusal(ticket) is Refusal.INACTIVE


@pytest.mark.parametrize(
    ("policy", "address", "why", "noticed"),
    [
        ("prefix", SAME_NETWORK, None, False),
        ("prefix", ELSEWHERE, Refusal.NETWORK, True),
        ("prefix", SIX, None, True),
        ("prefix", None, Refusal.NETWORK, True),
        ("exact", HOME, None, False),
        ("exact", SAME_NETWORK, Refusal.NETWORK, True),
        ("exact", SIX, Refusal.NETWORK, True),
        ("report", ELSEWHERE, None, True),
        ("report", SIX, None, True),
        ("off", ELSEWHERE, None, False),
    ],
)
def test_the_network_by_policy(user, session_id, refusal, now, audited, policy, address, why, noticed):
    with override_settings(TICKETS={"NETWORK_POLICY": policy}):
        ticket = issue(user=user, session_id=session_id, network=HOME, now=now).ticket
        assert refusal(ticket, address=address) is why
        assert refusal(ticket) is Refusal.USED, "whoever presented it from elsewhere has spent it"
    assert [line["ok"] for line in audited("ticket_network_changed")] == ([why is None] if noticed else [])


NOT_SHAPED = ["", "x", "A" * 42, "A" * 44, "A" * 43 + "=", "A" * 42 + "B", "A" * 4096, "\U0001f600" * 43, "\0" * 43]


@pytest.mark.parametrize("text", NOT_SHAPED, ids=range(len(NOT_SHAPED)))
def test_what_is_no_ticket_is_refused_without_a_query(text, refusal, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert refusal(text) is Refusal.MALFORMED


def test_all_refusals_take_the_same_work(user, session_id, refusal, now, later, django_assert_num_queries):
    def fresh(**how):
        return issue(user=user, session_id=session_id, network=HOME, now=now, **how).ticket

    used, revoked, other_purpose, ended_later, elsewhere = (fresh() for _ in range(5))
    reauth = fresh(purpose=Purpose.REAUTH)
    assert refusal(used) is None
    Ticket.objects.filter(digest=digest(revoked)).update(revoked_at=now)
    cases = [
        (mint(), {}, Refusal.UNKNOWN),
        (used, {}, Refusal.USED),
        (revoked, {}, Refusal.REVOKED),
        (other_purpose, {"now": later(minutes=1)}, Refusal.EXPIRED),
        (reauth, {}, Refusal.PURPOSE),
        (elsewhere, {"address": ELSEWHERE}, Refusal.NETWORK),
    ]
    for ticket, how, why in cases:
        with django_assert_num_queries(2):
            assert refusal(ticket, **how) is why
    end_session(session_id)
    with django_assert_num_queries(2):
        assert refusal(ended_later) is Refusal.SESSION


def test_whoever_uses_another_user_model_is_asked_where_its_columns_stand():
    """The columns of a model that extends another one with a table of its own are in both tables."""

    class Account(models.Model):  # noqa: DJ008
        login = models.CharField(max_length=10)

        class Meta:
            app_label = "elsewhere"

    class Member(Account):  # noqa: DJ008
        is_active = models.BooleanField()

        class Meta:
            app_label = "elsewhere"

    login, active = (redeeming._selected(Member._meta.get_field(name), "t") for name in ("login", "is_active"))
    assert [sql.replace('"', "") for sql in (login, active)] == [
        "(SELECT elsewhere_account.login FROM elsewhere_account WHERE elsewhere_account.id = t.user_id)",
        "(SELECT elsewhere_member.is_active FROM elsewhere_member WHERE elsewhere_member.account_ptr_id = t.user_id)",
    ]


def test_every_refusal_is_audited_and_names_no_secret(ticket, refusal, audited, caplog):
    assert refusal(ticket) is None
    refusal(ticket)
    refusal("no ticket")
    assert [line["why"] for line in audited("ticket_redeemed") if not line["ok"]] == ["used", "malformed"]
    assert ticket not in caplog.text
    assert "no ticket" not in caplog.text


def race(contenders):
    """Run all at once; how many did not raise TicketRefused."""
    barrier, won = threading.Barrier(len(contenders)), []

    def run(contender):
        try:
            barrier.wait()
            contender()
            won.append(contender)
        except TicketRefused:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[contender]) for contender in contenders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(won)


@pytest.mark.django_db(transaction=True)
def test_of_many_racers_one_wins(user, session_id, now):
    for _ in range(5):
        ticket = issue(user=user, session_id=session_id, now=now).ticket
        assert race([lambda ticket=ticket: redeem(ticket, address=None, now=now)] * 16) == 1


@pytest.mark.django_db(transaction=True)
def test_the_race_would_catch_a_redemption_that_reads_before_it_writes(user, session_id, now):
    looked = threading.Barrier(2, timeout=10)  # the database threads may have most of the pool's connections

    def naive(ticket):
        row = Ticket.objects.get(digest=digest(ticket))
        looked.wait()
        if row.redeemed_at is not None:
            raise TicketRefused(Refusal.USED)
        Ticket.objects.filter(pk=row.pk).update(redeemed_at=now)

    ticket = issue(user=user, session_id=session_id, now=now).ticket
    assert race([lambda: naive(ticket)] * 2) == 2


@pytest.mark.django_db(transaction=True)
def test_a_ticket_is_either_redeemed_or_revoked(user, session_id, now):
    for _ in range(5):
        ticket = issue(user=user, session_id=session_id, now=now).ticket
        revoked = []
        won = race(
            [lambda ticket=ticket: redeem(ticket, address=None, now=now)] * 4
            + [lambda revoked=revoked: revoked.append(revoke(user_id=user.pk, now=now))] * 2
        )
        row = Ticket.objects.get(digest=digest(ticket))
        assert (row.redeemed_at is None) != (row.revoked_at is None)
        assert won - 2 + sum(revoked) == 1
