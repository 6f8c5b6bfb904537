import contextlib
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tickets import trail
from tickets.grants import Purpose, Refusal, TicketRefused
from tickets.issuing import issue, revoke
from tickets.models import AuditEvent, LoginSession, Ticket
from tickets.redeeming import redeem
from tickets.sessions import end_session, open_session
from tickets.shown import networks, refused_for, session_states, standing, ticket_states, with_state, with_unspent

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

HERE, ELSEWHERE = "192.0.2.7", "198.51.100.7"


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def present(user, now):
    """A ticket of a new login session; and what happens to it when it is presented."""

    def make(address=HERE, *, end=False, purpose=Purpose.CONNECT, times=1):
        session_id = open_session(user, method="test")
        issued = issue(user=user, session_id=session_id, purpose=purpose, network=HERE, now=now)
        if end:
            end_session(session_id)
        for _ in range(times):
            with contextlib.suppress(TicketRefused):
                redeem(issued.ticket, address=address, now=now + timedelta(seconds=1))
        return Ticket.objects.get(session=session_id)

    return make


def shown(now):
    trail.flush()
    return {row.pk: (row.state, row.refused) for row in with_state(Ticket.objects.all(), now=now)}


def test_what_became_of_tickets_that_were_really_presented(present, user, session_id, now):
    granted, twice = present(), present(times=2)
    elsewhere, ended, wrong = present(ELSEWHERE), present(end=True), present(purpose=Purpose.REAUTH)
    again = present(ELSEWHERE, times=2)
    assert shown(now) == {
        granted.pk: ("redeemed", None),
        twice.pk: ("redeemed", "used"),
        elsewhere.pk: ("refused", "network"),
        ended.pk: ("refused", "session"),
        wrong.pk: ("issued", "purpose"),
        again.pk: ("refused", "used"),
    }
    meanings = ticket_states(now)
    found = {
        name: set(Ticket.objects.filter(meaning).values_list("pk", flat=True)) for name, meaning in meanings.items()
    }
    assert found["refused"] == {elsewhere.pk, ended.pk, again.pk}
    assert sorted(pk for pks in found.values() for pk in pks) == sorted(Ticket.objects.values_list("pk", flat=True))
    used = Ticket.objects.filter(refused_for((Refusal.USED,)))
    assert set(used.values_list("pk", flat=True)) == {twice.pk, again.pk}


def test_what_is_audited_of_a_ticket_is_found_by_its_index_however_much_that_is(now):
    columns = {"at": now, "act": "ticket_redeemed", "ok": False, "why": "used"}
    AuditEvent.objects.bulk_create(AuditEvent(**columns, ticket=str(number)) for number in range(2_000))
    if connection.vendor == "postgresql":  # which would rather read all of what it thinks is little
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tickets_auditevent")
    plan = with_state(Ticket.objects.all(), now=now).order_by("-id")[:100].explain()
    assert plan.count("tickets_audit_ticket") >= 3, plan
    assert "tickets_audit_act" not in plan and "Seq Scan on tickets_audit" not in plan


def test_one_that_is_over_or_taken_back_and_presented_then(user, now):
    session_id = open_session(user, method="test")
    over, taken = (issue(user=user, session_id=session_id, now=now) for _ in range(2))
    first, second = Ticket.objects.order_by("pk")
    revoke(ticket_id=second.pk)
    for ticket, then in ((over, timedelta(hours=1)), (taken, timedelta(seconds=1))):
        with pytest.raises(TicketRefused):
            redeem(ticket.ticket, address=None, now=now + then)
    assert shown(now + timedelta(hours=1)) == {first.pk: ("expired", "expired"), second.pk: ("revoked", "revoked")}


def test_sessions_with_something_to_revoke(present, now):
    with_one, without = present(purpose=Purpose.REAUTH), present()
    sessions = LoginSession.objects.all()
    assert [row.pk for row in with_unspent(sessions, now=now)] == [with_one.session_id]
    assert list(with_unspent(sessions, now=now + timedelta(hours=1))) == []
    assert without.session_id in set(sessions.filter(standing(now)).values_list("pk", flat=True))


def test_every_session_is_in_one_state(user, now):
    open_session(user, method="test"), open_session(user, method="test", expires_at=now)
    end_session(open_session(user, method="test"))
    found = {name: LoginSession.objects.filter(meaning).count() for name, meaning in session_states(now).items()}
    assert {name: many for name, many in found.items() if many} == {"standing": 1, "expired": 1, "logged_out": 1}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("192.0.2.7", ["192.0.2.0/24", "192.0.2.7/32"]),
        ("2001:db8::1", ["2001:db8::/56", "2001:db8::1/128"]),
        ("192.0.2.0/24", ["192.0.2.0/24"]),
        ("alice", []),
        ("", []),
    ],
)
def test_what_a_network_is_called(text, names):
    assert networks(text) == names
