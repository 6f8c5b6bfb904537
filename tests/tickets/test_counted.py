"""What is counted where a ticket, a sign-in or a token is decided on. Refusals of tickets: see test_redeeming."""

import contextlib
from uuid import uuid4

import pytest
from django.test import override_settings

from tickets import counted, trail
from tickets.backends import sign_in_by_password
from tickets.grants import EndReason, RateLimited, RefreshRaced, SessionEnded, TokenRefused
from tickets.issuing import issue, revoke, revoke_many
from tickets.models import Ticket
from tickets.sessions import end_session
from tickets.tokens import admit_token, rotate, sign_in

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]


@pytest.fixture
def rises():
    """`with rises(counter) as words:` afterwards `words` has what was added to it."""

    @contextlib.contextmanager
    def watched(counter):
        before, words = dict(counter.values), {}
        yield words
        words.update({word: now - before[word] for word, now in counter.values.items() if now != before[word]})

    return watched


def test_tickets_that_are_issued_and_those_that_are_not(user, session_id, now, rises):
    with rises(counted.TICKETS_ISSUED) as issued, rises(counted.TICKETS_DENIED) as denied:
        issue(user=user, session_id=session_id, now=now)
        with pytest.raises(SessionEnded):
            issue(user=user, session_id=uuid4(), now=now)
        with override_settings(TICKETS={"ISSUE_BURST": 1}), pytest.raises(RateLimited):
            for _ in range(3):
                issue(user=user, session_id=session_id, now=now)
        end_session(session_id, reason=EndReason.LOGGED_OUT, now=now)
        with pytest.raises(SessionEnded):
            issue(user=user, session_id=session_id, now=now)
    assert denied == {"unknown_session": 1, "rate_limited": 1, "logged_out": 1}
    assert issued == {"connect": Ticket.objects.count()}


def test_tickets_that_are_taken_back(user, session_id, now, rises):
    for _ in range(3):
        issue(user=user, session_id=session_id, now=now)
    with rises(counted.TICKETS_REVOKED) as revoked:
        revoke_many(list(Ticket.objects.values_list("pk", flat=True)[:2]), now=now)
        revoke(user_id=user.pk, now=now)
        revoke(user_id=user.pk, now=now)
    assert revoked == {"": 3}


def test_sign_ins(user, rf, rises):
    user.set_password("right")
    user.save()
    with rises(counted.SIGN_INS) as tried:
        sign_in_by_password(rf.post("/"), "alice", "right")
        sign_in_by_password(rf.post("/"), "alice", "wrong")
        with override_settings(TICKETS={"SIGN_IN_PER_MINUTE_NAME": 1}), pytest.raises(RateLimited):
            for _ in range(2):
                sign_in_by_password(rf.post("/"), "nobody", "wrong")
    assert tried == {"accepted": 1, "refused": 2, "limited": 1}


def test_tokens(user, now, later, rises):
    first = sign_in(user, now=now)
    with rises(counted.TOKEN_REFRESHES) as refreshed, rises(counted.TOKENS_SHOWN) as shown:
        second = rotate(first.refresh, now=now)
        with pytest.raises(RefreshRaced):
            rotate(first.refresh, now=later(seconds=1))
        admit_token(second.access, address=None, now=now)
        with pytest.raises(TokenRefused):
            rotate(first.refresh, now=later(seconds=60))
        for bad in ("garbage", second.access):
            with pytest.raises((TokenRefused, SessionEnded)):
                admit_token(bad, address=None, now=now)
    assert refreshed == {"refreshed": 1, "raced": 1, "reused": 1}
    assert shown == {"accepted": 1, "refused": 2}


def test_what_the_trail_holds_and_leaves_out(rises, monkeypatch):
    columns = {"level": "WARNING"}
    trail.add(columns, by_stranger=False)
    assert counted.AUDIT_BACKLOG.now() == {(): 1.0}
    monkeypatch.setattr(trail, "MOST", 1)
    with rises(counted.AUDIT_LEFT_OUT) as left_out:
        trail.add(columns, by_stranger=False)
    assert left_out == {"": 1}
