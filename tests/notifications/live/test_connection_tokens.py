"""Tokens: as the first credential, as a fresh one, and in each message."""

from math import inf
from uuid import uuid4

import pytest

from notifications.live.connection import LIFETIME_JITTER, Connection, Limits, Phase
from notifications.live.steps import Check, Load, Mark, Open, Redeem, Verify
from notifications.wire.streams import Opening
from notifications.wire.vocabulary import Ack, Authenticate, Ping, Reauth, State
from tests.notifications.live.life import START, Life
from tickets.grants import SessionState


@pytest.fixture
def life():
    return Life()


def verified(life, **grant):
    """The token under way is good."""
    life.taken(Verify)
    return life.do(life.connection.redeemed(life.grant(**grant), life.now))


def refused(life):
    life.taken(Verify)
    return life.do(life.connection.refused(life.now))


# --- Opening ---


def test_a_token_in_the_handshake_opens(life):
    life.do(life.connection.connected(ticket=None, token="j", since=None, now=life.now))
    verified(life)
    life.taken(Open)
    assert life.open().heard() == ["welcome"]


def test_a_token_as_first_frame_opens(life):
    life.do(life.connection.connected(ticket=None, since=None, now=life.now))
    life.says(Authenticate(token="j"))
    assert life.taken(Verify).token == "j"


def test_the_grant_of_a_token_ends_with_the_token(life):
    life.do(life.connection.connected(ticket=None, token="j", since=None, now=life.now))
    verified(life, seconds=300)
    life.taken(Open)
    life.open().after(299.9)
    assert life.heard() == ["welcome"]
    assert life.after(0.2).heard() == ["reauth_required"]


@pytest.mark.parametrize("answer", ["refused", "undecided"])
def test_a_token_that_is_not_good_opens_nothing(life, answer):
    life.do(life.connection.connected(ticket=None, token="j", since=None, now=life.now))
    life.taken(Verify)
    life.do(getattr(life.connection, answer)(life.now))
    assert life.heard() == [{"refused": "bye 4402", "undecided": "bye 4413"}[answer]]


@pytest.mark.parametrize(
    ("accepted", "command", "heard"),
    [
        ({"ticket"}, Authenticate(token="j"), ["error not_accepted"]),
        ({"token"}, Authenticate(ticket="t"), ["error not_accepted"]),
        (set(), Authenticate(ticket="t"), ["error not_accepted"]),
        ({"ticket"}, Authenticate(ticket="t"), []),
        ({"token"}, Authenticate(token="j"), []),
    ],
)
def test_a_first_frame_brings_what_the_site_accepts(accepted, command, heard):
    life = Life(limits=Limits(frame_credentials=frozenset(accepted)))
    life.do(life.connection.connected(ticket=None, since=None, now=life.now)).says(command)
    assert life.heard() == heard
    assert bool(life.asked) == (not heard)
    assert life.after(5).code == (4408 if heard else 4413), "the deadline goes on"


def test_so_does_a_fresh_one():
    life = Life(limits=Limits(frame_credentials=frozenset({"ticket"}))).connect()
    life.says(Reauth(token="j"))
    assert life.heard() == ["welcome", "error not_accepted"]
    life.says(Reauth(ticket="t"))
    life.taken(Redeem)


def test_a_fresh_token_goes_on(life):
    life.connect().after(900).publish(2)
    life.says(Reauth(token="j", ref="r"))
    verified(life)
    life.taken(Load)
    assert life.heard() == ["welcome", "reauth_required", "reauthenticated"]


def test_a_fresh_token_of_somebody_else_ends_in_4507(life):
    life.connect().after(900).says(Reauth(token="j"))
    assert verified(life, user_id=8).code == 4507


def test_a_refused_token_counts_like_a_ticket(life):
    life.connect().after(900)
    for _ in range(3):
        life.after(1).says(Reauth(token="j"))
        refused(life)
    assert life.heard()[-4:] == ["reauth_failed ticket_refused"] * 3 + ["bye 4402"]


def test_a_token_where_none_is_asked_for_is_an_error(life):
    life.connect().heard()
    assert life.says(Ack(seq=0, token="j")).heard() == ["error invalid"]
    assert life.says(State(state="read", through=1, token="j")).heard() == ["error invalid"]
    assert not life.asked


# --- In each message ---


@pytest.fixture
def proving():
    """Open by a token that ends in 900 s; each message must carry one."""
    life = Life(limits=Limits(authenticate_each_message=True))
    life.do(life.connection.connected(ticket=None, token="a", since=None, now=life.now))
    verified(life)
    life.taken(Open)
    life.open().publish(5).heard()
    return life


def read(token, through=1, ref=None):
    return State(state="read", through=through, token=token, ref=ref)


def test_a_command_with_the_token_that_opened_is_carried_out(proving):
    proving.says(read("a"))
    proving.taken(Mark)
    assert proving.says(Ack(seq=5, token="a")).heard() == []
    assert proving.connection._unacked == 0


def test_ping_needs_none(proving):
    assert proving.says(Ping()).heard() == ["pong"]


def test_a_command_without_a_token_is_not_carried_out_and_a_fresh_one_is_asked_for(proving):
    proving.says(read(None, ref="r"))
    assert proving.last(type(proving.said[0])).reason == "requested"
    assert proving.heard() == ["reauth_required", "error reauth_required"]
    assert not proving.asked
    assert proving.publish(2).heard() == [], "held"
    proving.says(Reauth(token="b"))
    verified(proving)
    proving.answer()
    assert proving.heard() == ["reauthenticated", "6*", "7*", "caught_up 7"]
    proving.says(read("b"))
    proving.taken(Mark)


def test_an_ack_without_a_token_releases_nothing(proving):
    proving.says(Ack(seq=5))
    assert proving.connection._unacked == 5
    assert proving.heard() == ["reauth_required", "error reauth_required"]


def test_whoever_ignores_that_is_closed(proving):
    proving.says(read(None)).after(60)
    assert proving.code == 4401


def test_a_token_that_is_over_is_not_verified_again(proving):
    proving.after(900)
    assert proving.heard() == ["reauth_required"], "its grant ended with it"
    assert proving.says(read("a")).heard() == ["error reauth_required"]
    assert not proving.asked


def test_a_later_token_of_the_same_person_prolongs(proving):
    proving.after(890).says(read("b"))
    verified(proving, seconds=500)
    proving.taken(Mark)
    proving.after(400)
    assert proving.phase is Phase.OPEN
    assert proving.after(100).heard() == ["reauth_required"]


def test_an_earlier_end_takes_nothing_away(proving):
    proving.says(read("b"))
    verified(proving, seconds=10)
    proving.taken(Mark)
    proving.after(100)
    assert proving.phase is Phase.OPEN


def test_a_token_of_somebody_else_ends_in_4507_and_nothing_is_carried_out(proving):
    proving.says(read("b"))
    verified(proving, user_id=8)
    assert (proving.code, proving.asked) == (4507, [])


def test_a_refused_token_is_answered_and_costs_no_attempt(proving):
    proving.says(read("bad", ref="r")).says(read("bad"))
    refused(proving)
    assert proving.heard() == ["reauth_required", "error reauth_required", "error reauth_required"]
    assert not proving.asked
    proving.after(1).says(Reauth(token="bad"))
    refused(proving)
    assert proving.said[-1].attempts_left == 2


def test_a_token_that_nobody_can_verify_now_is_answered_and_holds_nothing(proving):
    proving.says(read("b"))
    proving.taken(Verify)
    proving.do(proving.connection.undecided(proving.now))
    assert proving.heard() == ["error unavailable"]
    assert proving.publish().heard() == ["6"]


def test_commands_are_carried_out_in_order_while_a_token_is_verified(proving):
    proving.says(read("b", through=1)).says(read("b", through=2)).says(Ack(seq=5, token="b"))
    assert [type(step) for step in proving.asked] == [Verify], "one token is verified once"
    verified(proving)
    assert proving.taken(Mark).command.through == 1
    assert proving.connection._unacked == 0
    proving.do(proving.connection.marked(proving.change(1), proving.now))
    assert proving.taken(Mark).command.through == 2


def test_a_second_token_is_verified_after_the_first(proving):
    proving.says(read("b", through=1)).says(read("c", through=2))
    verified(proving)
    mark, verify = proving.asked
    assert (mark.command.through, verify.token) == (1, "c")
    proving.asked.pop(0)
    refused(proving)
    assert proving.heard() == ["reauth_required", "error reauth_required"]


def test_a_reauth_under_way_goes_first(proving):
    proving.says(Reauth(token="b")).says(read("c"))
    assert proving.asked[0].token == "b"
    verified(proving)
    assert proving.heard() == ["reauthenticated"]
    assert proving.taken(Verify).token == "c"
    proving.do(proving.connection.redeemed(proving.grant(), proving.now))
    proving.taken(Mark)


def test_what_waited_when_the_grant_ended_is_not_carried_out(proving):
    proving.after(899).says(read("b")).after(1)
    verified(proving)
    assert proving.heard() == ["reauth_required", "error reauth_required"]
    assert not proving.asked


def test_a_token_of_another_session_moves_the_connection_if_it_lasts_longer(proving):
    other = uuid4()
    proving.fence = 3
    proving.says(read("b"))
    verified(proving, session=other, seconds=1000)
    proving.taken(Mark)
    assert proving.connection.grant.session_id == other
    proving.announce(6, fence=3)
    assert [type(step) for step in proving.asked] == [Check], "the session it lives by now is read under a newer fence"
    assert proving.asked[0].session_id == other


def test_nobody_floods_the_database_with_acks(proving):
    verifications = 0
    for number in range(500):
        proving.says(Ack(seq=0, token=f"t{number % 2}"))
        while proving.asked and not proving.code:
            verifications += 1
            verified(proving)
    assert verifications < 70, "the burst of commands"
    assert proving.code == 4429


@pytest.mark.parametrize("mode", ["held", "not used here"])
def test_acks_that_cost_an_answer_are_commands(life, mode):
    if mode == "held":
        life = Life(limits=Limits(authenticate_each_message=True))
    life.connect().after(900 if mode == "held" else 0)
    for _ in range(500):
        if not life.code:
            life.says(Ack(seq=0, token="x"))
    assert life.code == 4429


def test_what_was_believed_is_verified_again_after_a_newer_fence(proving):
    proving.fence = 1
    proving.do(proving.connection.fenced(1, proving.now))
    proving.answer()
    proving.says(read("a"))
    verified(proving)
    proving.taken(Mark)


def test_nothing_is_believed_any_more_after_a_fresh_ticket(proving):
    proving.after(900).says(Reauth(ticket="t"))
    proving.taken(Redeem)
    proving.do(proving.connection.redeemed(proving.grant(), proving.now))
    proving.asked.clear()
    proving.says(read("a"))
    refused(proving)
    assert proving.heard()[-2:] == ["reauth_required", "error reauth_required"]


def test_a_fence_met_while_a_token_was_verified_has_it_verified_again(proving):
    proving.says(read("b"))
    proving.taken(Verify)
    proving.fence = 1
    proving.do(proving.connection.fenced(1, proving.now))
    proving.taken(Check)
    proving.do(proving.connection.check_answered(proving.session_state(), proving.now))
    proving.do(proving.connection.redeemed(proving.grant(seconds=2000), proving.now))
    kinds = [type(step) for step in proving.asked]
    assert Mark not in kinds and Verify in kinds
    proving.asked.clear()
    proving.do(proving.connection.check_answered(proving.session_state(), proving.now))
    proving.do(proving.connection.redeemed(proving.grant(seconds=2000), proving.now))
    proving.taken(Mark)


def test_nothing_is_said_after_the_close_however_many_wait(proving):
    for _ in range(50):
        proving.says(Ack(seq=10**6, token="b"))
    for _ in range(160):
        proving.says(State(state="read", through=1, token="b"))
    if not proving.code:
        verified(proving)
    assert proving.heard()[-1] == "bye 4429"


# --- The greatest lifetime ---


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_a_connection_is_asked_to_come_back_at_a_great_age(jitter):
    life = Life(limits=Limits(lifetime_seconds=1000, on_expiry="ignore"), grant_seconds=5000)
    life.connection = Connection(name="c", limits=life.limits, now=START, jitter=jitter)
    life.connect().heard()
    age = 1000 * (1 - LIFETIME_JITTER * jitter)
    assert life.after(age - 0.01).heard() == []
    assert life.after(0.02).heard() == ["bye 4400"]


def test_also_while_it_is_held():
    life = Life(limits=Limits(lifetime_seconds=910)).connect().after(900)
    assert life.after(10).heard() == ["welcome", "reauth_required", "bye 4400"]


def test_without_one_it_may_grow_as_old_as_it_likes():
    life = Life(limits=Limits(lifetime_seconds=inf, on_expiry="ignore")).connect()
    assert life.after(10**9).phase is Phase.OPEN


# --- A password that this very session changed ---


def outdated(life, *, at=None):
    return SessionState(life.session, True, None, START + 30 * 86_400, life.now if at is None else at)


@pytest.mark.parametrize("policy", ["reauth", "ignore"])
def test_what_was_granted_before_is_to_be_proven_anew(policy):
    life = Life(limits=Limits(on_expiry=policy)).connect().after(10).publish(2)
    life.do(life.connection.fenced(1, life.now))
    life.taken(Check)
    life.do(life.connection.check_answered(outdated(life), life.now))
    required = life.said[-1]
    assert (required.reason, required.deadline.timestamp()) == ("credentials_changed", life.now + 60)
    assert life.publish().heard() == ["welcome", "1", "2", "reauth_required"]
    life.reauth().answer()
    assert life.heard()[0] == "reauthenticated"


def test_a_site_that_closes_on_expiry_closes():
    life = Life(limits=Limits(on_expiry="close")).connect().after(10)
    assert life.do(life.connection.checked(outdated(life), life.now)).code == 4401


def test_a_credential_made_afterwards_is_good(life):
    life.connect().after(10)
    life.do(life.connection.checked(outdated(life, at=START), life.now))
    assert life.heard() == ["welcome"]


def test_changed_while_the_socket_was_opening(life):
    life.do(life.connection.connected(ticket="t", since=None, now=life.now))
    life.taken(Redeem)
    life.do(life.connection.redeemed(life.grant(), life.now))
    life.taken(Open)
    opening = Opening(life.position(), unread=0, unseen=0)
    life.do(life.connection.opened(opening, outdated(life, at=life.now + 1), life.now))
    assert life.heard() == ["welcome", "reauth_required"]
