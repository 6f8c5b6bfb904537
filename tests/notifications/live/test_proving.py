import pytest

from notifications.live.proving import WAITING, Proof, Prover
from notifications.wire.vocabulary import Ack


def ack(seq, token):
    return Ack(seq=seq, token=token)


@pytest.fixture
def prover():
    prover = Prover()
    prover.believe("a", until=100)
    return prover


def test_a_token_that_was_verified_is_good_until_its_end(prover):
    assert prover.believes(ack(1, "a"), now=99.9)
    assert not prover.believes(ack(1, "a"), now=100)
    assert prover.judge(ack(1, "a"), now=100) is Proof.NONE
    assert prover.asked is None


def test_no_token_proves_nothing(prover):
    assert prover.judge(ack(1, None), now=0) is Proof.NONE
    assert Prover().judge(ack(1, None), now=0) is Proof.NONE


def test_another_token_is_verified_first_and_the_command_waits(prover):
    command = ack(1, "b")
    assert prover.judge(command, now=0) is Proof.UNKNOWN
    assert prover.asked == "b"
    prover.believe("b", until=200)
    assert prover.settle(now=0) == [(command, True)]
    assert prover.asked is None
    assert prover.believes(ack(2, "b"), now=199)
    assert not prover.believes(ack(2, "a"), now=0), "only the last one"


def test_what_arrives_meanwhile_waits_behind_it_even_with_a_good_token(prover):
    commands = [ack(1, "b"), ack(2, "b"), ack(3, "a")]
    assert [prover.judge(each, now=0) for each in commands] == [Proof.UNKNOWN, Proof.WAITS, Proof.WAITS]
    prover.believe("b", until=200)
    # The token before is verified again: it is no longer the one that is believed.
    assert prover.settle(now=0) == [(commands[0], True), (commands[1], True)]
    assert prover.asked == "a"
    prover.believe("a", until=100)
    assert prover.settle(now=0) == [(commands[2], True)]


def test_while_one_is_verified_none_is_believed_and_all_wait_in_their_order(prover):
    prover.judge(ack(1, "b"), now=0)
    assert not prover.believes(ack(2, "a"), now=0)


@pytest.mark.parametrize("token", [None, ""])
def test_what_was_forgotten_is_not_believed_and_neither_is_nothing(prover, token):
    prover.forget()
    assert not prover.believes(ack(1, "a"), now=0)
    assert not prover.believes(ack(1, token), now=0)
    assert prover.judge(ack(1, token), now=0) is Proof.NONE


def test_one_that_was_good_and_forgotten_is_verified_again(prover):
    command = ack(1, "b")
    prover.judge(command, now=0)
    assert prover.settle(now=0, was_good=True) == []
    assert prover.asked == "b"


def test_a_refused_token_refuses_all_that_carry_it_and_no_other(prover):
    commands = [ack(1, "bad"), ack(2, "bad"), ack(3, "a"), ack(4, "bad")]
    for each in commands:
        prover.judge(each, now=0)
    assert prover.settle(now=0) == [
        (commands[0], False), (commands[1], False), (commands[2], True), (commands[3], False)
    ]  # fmt: skip
    assert prover.asked is None


def test_a_token_that_ends_while_it_is_verified_is_not_good(prover):
    command = ack(1, "b")
    prover.judge(command, now=0)
    prover.believe("b", until=5)
    assert prover.settle(now=5) == [(command, False)]


def test_only_so_many_wait(prover):
    judged = [prover.judge(ack(seq, "b"), now=0) for seq in range(WAITING + 2)]
    assert judged == [Proof.UNKNOWN, *[Proof.WAITS] * (WAITING - 1), *[Proof.TOO_MANY] * 2]
    prover.believe("b", until=10)
    assert len(prover.settle(now=0)) == WAITING
