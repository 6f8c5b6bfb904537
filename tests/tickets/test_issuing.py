import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import override_settings

from tickets.grants import EndReason, Purpose, RateLimited, SessionEnded
from tickets.issuing import issue, revoke, revoke_many
from tickets.minting import digest, is_shaped
from tickets.models import Ticket
from tickets.sessions import end_session, open_session

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]


@pytest.fixture
def issued(user, session_id, now):
    """Issue a ticket `seconds` after now."""
    return lambda seconds=0, **how: issue(
        **{"user": user, "session_id": session_id, "now": now + timedelta(seconds=seconds), **how}
    )


def test_a_ticket_is_stored_as_a_digest_with_what_it_is_bound_to(user, session_id, issued, now, later):
    made = issued(purpose=Purpose.REAUTH, network="203.0.113.7")
    assert is_shaped(made.ticket)
    assert (made.purpose, made.expires_in) == (Purpose.REAUTH, 30)
    assert (made.expires_at, made.session_expires_at) == (later(seconds=30), later(days=30))
    row = Ticket.objects.get()
    assert (row.digest, row.user_id, row.session_id) == (digest(made.ticket), user.pk, session_id)
    assert (row.purpose, row.network) == ("reauth", "203.0.113.0/24")
    assert (row.created_at, row.expires_at) == (now, later(seconds=30))
    assert made.ticket not in repr(vars(row))


@pytest.mark.parametrize(
    ("policy", "stored"),
    [("off", ""), ("report", "203.0.113.0/24"), ("prefix", "203.0.113.0/24"), ("exact", "203.0.113.7/32")],
)
def test_no_more_of_the_address_is_stored_than_the_policy_needs(issued, policy, stored):
    with override_settings(TICKETS={"NETWORK_POLICY": policy}):
        issued(network="203.0.113.7")
    assert Ticket.objects.get().network == stored


def test_a_ticket_does_not_outlive_its_session(user, issued, now, later):
    session_id = open_session(user, method="test", expires_at=later(seconds=12.9), now=now)
    made = issued(session_id=session_id)
    assert (made.expires_in, made.expires_at) == (12, later(seconds=12.9))


def test_no_ticket_without_a_standing_session(user, other, session_id, issued, now, later, audited):
    with pytest.raises(SessionEnded) as unknown:
        issued(session_id=uuid4())
    assert unknown.value.reason is None
    with pytest.raises(SessionEnded):
        issued(user=other)
    with pytest.raises(SessionEnded) as expired:
        issued(seconds=30 * 86400)
    assert expired.value.reason is EndReason.EXPIRED
    end_session(session_id, reason=EndReason.DISCONNECTED_BY_STAFF)
    with pytest.raises(SessionEnded) as ended:
        issued()
    assert ended.value.reason is EndReason.DISCONNECTED_BY_STAFF
    assert not Ticket.objects.exists()
    whys = ["unknown_session", "unknown_session", "expired", "disconnected_by_staff"]
    assert [line["why"] for line in audited("ticket_issued")] == whys


def test_no_ticket_for_a_closed_account(user, issued):
    user.is_active = False
    user.save()
    with pytest.raises(SessionEnded) as refused:
        issued()
    assert refused.value.reason is EndReason.ACCOUNT_DISABLED


def outstanding():
    return list(Ticket.objects.filter(revoked_at=None).order_by("pk").values_list("digest", flat=True))


def test_the_eleventh_ticket_revokes_the_oldest(issued, later):
    made = [digest(issued(seconds).ticket) for seconds in range(11)]
    assert outstanding() == made[1:]
    assert Ticket.objects.get(digest=made[0]).revoked_at == later(seconds=10)


def test_spent_and_expired_tickets_make_room(issued, now):
    made = [issued() for _ in range(10)]
    Ticket.objects.filter(digest=digest(made[3].ticket)).update(redeemed_at=now)
    issued()
    assert len(outstanding()) == 11
    issued(30)
    assert not Ticket.objects.filter(revoked_at__isnull=False).exists()


def test_a_lowered_limit_revokes_all_that_are_too_many(issued):
    for seconds in range(6):
        issued(seconds)
    with override_settings(TICKETS={"OUTSTANDING": 1}):
        last = issued(7)
    assert outstanding() == [digest(last.ticket)]


def test_the_limits_are_each_persons_own(issued, other, now):
    for _ in range(30):
        issued()
    issued(user=other, session_id=open_session(other, method="test", now=now))
    with pytest.raises(RateLimited):
        issued()


def test_asking_too_often_is_refused_with_a_time_and_audited(issued, audited):
    for _ in range(30):
        issued()
    with pytest.raises(RateLimited) as refused:
        issued()
    assert refused.value.retry_after == 1.0
    assert audited("ticket_issued")[-1] | {"user": 0, "session": 0} == {
        "act": "ticket_issued",
        "ok": False,
        "user": 0,
        "session": 0,
        "why": "rate_limited",
        "address": "",
    }
    issued(1)


def test_the_secret_is_in_no_audit_line(issued, audited, caplog):
    caplog.set_level("INFO")
    ticket = issued().ticket
    assert "ticket_issued" in caplog.text
    assert ticket not in caplog.text
    assert digest(ticket) not in caplog.text


def test_revoking_takes_back_what_is_named_and_unspent(user, other, session_id, issued, now):
    def of(owner, session):
        return digest(issued(user=owner, session_id=session).ticket)

    second = open_session(user, method="test", now=now)
    foreign = open_session(other, method="test", now=now)
    a, b, c, d, e = (
        of(user, session_id),
        of(user, session_id),
        of(user, session_id),
        of(user, second),
        of(other, foreign),
    )
    Ticket.objects.filter(digest=b).update(redeemed_at=now)

    assert revoke(ticket_id=Ticket.objects.get(digest=a).pk, now=now) == 1
    assert revoke(ticket_id=Ticket.objects.get(digest=a).pk) == 0
    assert outstanding() == [b, c, d, e]
    assert revoke(session_id=session_id) == 1
    assert outstanding() == [b, d, e]
    assert revoke(user_id=user.pk, session_id=foreign) == 0
    assert revoke(user_id=user.pk) == 1
    assert outstanding() == [b, e]


def test_revoking_nothing_in_particular_is_a_mistake():
    with pytest.raises(ValueError, match="needs a ticket_id, a user_id or a session_id"):
        revoke()


def test_revoking_many_is_audited_one_by_one_with_who_asked(user, session_id, issued, now, later, audited):
    for _ in range(4):
        issued()
    first, second, third, fourth = Ticket.objects.order_by("pk").values_list("pk", flat=True)
    Ticket.objects.filter(pk=second).update(redeemed_at=now)
    Ticket.objects.filter(pk=third).update(revoked_at=now)
    assert revoke_many([first, second, third, 10**12], by=7, now=later(seconds=1)) == 1
    assert Ticket.objects.get(pk=first).revoked_at == later(seconds=1)
    assert Ticket.objects.get(pk=second).revoked_at is None
    assert Ticket.objects.get(pk=third).revoked_at == now
    assert Ticket.objects.get(pk=fourth).revoked_at is None
    assert audited("ticket_revoked") == [
        {"act": "ticket_revoked", "ok": True, "ticket": first, "user": user.pk, "session": str(session_id), "by": 7}
    ]
    assert revoke_many([]) == 0


@pytest.mark.django_db(transaction=True)
def test_limits_hold_when_threads_issue_at_once(user, session_id, now):
    made, refused = [], []

    def worker():
        for _ in range(6):
            try:
                made.append(issue(user=user, session_id=session_id, now=now))
            except RateLimited:
                refused.append(1)
        connection.close()

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (30, 18)
    assert len(outstanding()) == 10
