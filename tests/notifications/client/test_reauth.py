from math import inf

import pytest

from notifications.client.reauth import Reauth
from notifications.client.steps import FetchTicket, Send
from notifications.wire.vocabulary import Error, Reauthenticated, ReauthFailed

from . import said

ASK = [FetchTicket("reauth")]


def reauth(chance=0.0, **fields):
    return Reauth(said.welcome(100.0, **fields), 100.0, lambda: chance)


def done(until):
    return Reauthenticated(expires_at=said.when(until), held=0, state_version=0)


@pytest.mark.parametrize(("chance", "left"), [(0.0, 90), (0.5, 195), (0.9999, 300)])
def test_by_itself_when_a_tenth_to_a_third_of_the_grant_is_left(chance, left):
    """By the server's clock, whatever ours says."""
    assert reauth(chance).wake_at == pytest.approx(1000 - left, abs=0.1)


def test_with_a_fresh_ticket_and_again_before_the_next_end():
    one = reauth()
    assert one.due(909.9) == []
    assert one.due(910.0) == ASK
    assert one.wake_at == inf
    assert one.due(911.0) == []
    assert one.ticketed("t") == [Send({"type": "reauth", "ticket": "t", "ref": "reauth-1"})]
    one.done(done(1900.0), 1000.0)
    assert one.wake_at == pytest.approx(1810.0)


def test_when_the_server_asks_and_only_once():
    one = reauth()
    assert one.required() == ASK
    assert one.required() == []
    assert one.wake_at == inf


def test_the_end_of_the_login_session_is_not_asked_for_ever_faster():
    one = reauth()
    one.due(910.0)
    one.done(done(1000.0), 910.0)
    assert one.wake_at == inf
    assert one.required() == ASK


def test_failures_are_spaced_as_the_server_says_and_backed_off():
    one = reauth(0.5)
    one.required()
    one.ticket_failed(3.0, 200.0)
    assert one.wake_at == 203.25
    assert one.due(203.25) == ASK
    one.ticketed("t")
    one.failed(ReauthFailed(code="too_soon", attempts_left=3, retry_after_ms=400), 204.0)
    assert one.wake_at == pytest.approx(204.9)
    one.due(205.0)
    one.ticketed("t")
    one.erred(Error(code="busy", detail="", ref="another"), 206.0)
    assert one.wake_at == inf
    one.erred(Error(code="reauth_pending", detail="", ref="reauth-2"), 206.0)
    assert one.wake_at == 208.0


def test_the_last_refusal_ends_it():
    one = reauth()
    one.required()
    one.failed(ReauthFailed(code="ticket_refused", attempts_left=0, retry_after_ms=0), 200.0)
    assert (one.wake_at, one.due(9999.0), one.required(), one.ticketed("late")) == (inf, [], [], [])
