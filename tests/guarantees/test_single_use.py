"""A ticket redeems at most once, however many try at the same moment in however many processes; and never once it is
revoked."""

from collections import Counter

import pytest

from tests.support import crowd

MODULE = "tests.guarantees.redeeming"
CROWD = {"processes": 3, "threads": 32}
RACERS = 3 * 32
TICKETS = {"scaled": 200, "embedded": 50}
FEW = 10


@pytest.fixture
def stack(stacks, stack_kind):
    # A person's allowance and a ticket's thirty seconds are not what is tested here.
    made = stacks.make(stack_kind, TICKETS_ISSUE_BURST="100", TICKETS_TICKET_SECONDS="600")
    yield made
    made.stop()


def race(stack, *, tickets, task="race", way="redeem", revoking=False):
    """What became of each ticket at the hands of each thread, and how the tickets stand afterwards."""
    (issued,) = crowd.run(stack, MODULE, "issue", count=tickets)
    answers = crowd.run(stack, MODULE, task, **CROWD, issued=issued, way=way, revoking=revoking)
    (stands,) = crowd.run(stack, MODULE, "look")
    threads = [became for answer in answers for became in answer]
    return list(zip(*threads, strict=True)), Counter(stands)


def check_redeemed_once(became, stands, *, tickets):
    assert len(became) == tickets
    assert all(len(tries) == RACERS for tries in became)
    granted = [tries.count("granted") for tries in became]
    assert granted == [1] * tickets, f"granted {sum(granted)} times for {tickets} tickets: {granted}"
    assert Counter(each for tries in became for each in tries) == {"granted": tickets, "used": (RACERS - 1) * tickets}
    assert stands == {"redeemed": tickets}


def check_redeemed_or_revoked(became, stands, *, tickets):
    for tries in became:
        granted, revoked = tries.count("granted"), tries.count("revoke 1")
        assert granted + revoked == 1, f"granted {granted} times and revoked {revoked} times: {Counter(tries)}"
        assert set(tries) == ({"granted", "used", "revoke 0"} if granted else {"revoke 1", "revoke 0", "revoked"})
    redeemed = sum("granted" in tries for tries in became)
    assert stands == {"redeemed": redeemed, "revoked": tickets - redeemed}
    assert 0 < redeemed < tickets, "only one of the two ever won: this was no race"


@pytest.mark.timeout(300)
def test_a_ticket_is_redeemed_once(stack):
    tickets = TICKETS[stack.kind]
    check_redeemed_once(*race(stack, tickets=tickets), tickets=tickets)


@pytest.mark.timeout(300)
def test_a_ticket_is_redeemed_once_among_others(stack):
    tickets = TICKETS[stack.kind] // 2
    check_redeemed_once(*race(stack, tickets=tickets, task="race_together"), tickets=tickets)


@pytest.mark.timeout(300)
def test_a_ticket_is_redeemed_or_revoked(stack):
    tickets = TICKETS[stack.kind] // 2
    check_redeemed_or_revoked(*race(stack, tickets=tickets, revoking=True), tickets=tickets)


def test_read_then_write_does_not_pass(stack):
    found = race(stack, tickets=FEW, way="read_then_write")
    with pytest.raises(AssertionError, match=r"granted \d+ times"):
        check_redeemed_once(*found, tickets=FEW)


def test_read_then_write_does_not_pass_beside_revocation(stack):
    found = race(stack, tickets=FEW, way="read_then_write", revoking=True)
    with pytest.raises(AssertionError, match=r"granted \d+ times"):
        check_redeemed_or_revoked(*found, tickets=FEW)
