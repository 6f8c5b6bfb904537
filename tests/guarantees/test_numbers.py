"""Per stream the numbers are without a gap, in the order in which they can be read, and the calls of one thread keep
their order; and nobody holds a stream while a caller's transaction is open."""

import asyncio
from itertools import pairwise

import pytest

from tests.faults.sizes import size
from tests.support import crowd
from tests.support.histories import Published, Reader, judge
from tests.support.servers import Server

MODULE = "tests.guarantees.appending"
# (processes, threads in each, appends of each thread)
SIZES = {"scaled": (4, 16, size(200, 500)), "embedded": (2, 4, size(800, 2_000))}
SMALL = (2, 8, 10)


def newcomers(stack, count):
    return crowd.run(stack, MODULE, "add_people", name="newcomer", count=count)[0]


async def write_and_read(stack, *, user, way, many):
    """What the writers were told, what a reader saw meanwhile, and what stands in the database afterwards."""
    processes, threads, each = many
    until = stack.directory / "until"
    reading = crowd.start(stack, MODULE, "read", user=user, until=str(until))
    how = {"processes": processes, "threads": threads, "each": each, "way": way, "user": user}
    written = await asyncio.to_thread(crowd.run, stack, MODULE, "append", timeout=500, **how)
    until.touch()
    (seen,) = await asyncio.to_thread(reading.answers)
    (stands,) = await asyncio.to_thread(crowd.run, stack, MODULE, "look", user=user)
    return [writer for answer in written for writer in answer], seen, stands


def check_numbers(writers, seen, stands, *, many):
    processes, threads, each = many
    total = processes * threads * each
    errors = [error for writer in writers for error in writer["errors"]]
    assert not errors, f"{len(errors)} errors: {errors[:3]}"
    assert sum(writer["undone"] for writer in writers) > total // 10, "too few were rolled back"

    # What stands: 1, 2, 3 … of exactly what was committed.
    assert [seq for seq, _, _ in stands["rows"]] == list(range(1, total + 1)), "the numbers have gaps"
    assert stands["head"] == total
    told = {pk: seq for writer in writers for seq, pk in writer["told"]}
    stand = {pk: seq for seq, pk, _ in stands["rows"]}
    assert stand.keys() == told.keys(), "writers were told of other rows"
    # A writer that found the database locked for too long after its commit is told none: somebody else gave the number.
    unknown = [pk for pk, seq in told.items() if seq is None]
    assert len(unknown) <= total // 1_000, f"{len(unknown)} were told no number"
    assert all(seq is None or stand[pk] == seq for pk, seq in told.items()), "writers were told other numbers"

    # The calls of one thread.
    for writer in writers:
        seqs = [stand[pk] for _, pk in writer["told"]]
        assert all(one < other for one, other in pairwise(seqs)), f"thread {writer['thread']} was reordered: {seqs}"

    # What a reader saw meanwhile: each page goes on where the last one ended, and lacks nothing.
    read = 0
    for page in seen["pages"]:
        assert page["after"] == read
        assert page["seqs"] == list(range(read + 1, page["through"] + 1)), f"a reader saw a gap: {page}"
        read = page["through"]
    assert read == total


@pytest.mark.timeout(600)
async def test_many_writers_one_stream_no_gap(stack):
    many = SIZES[stack.kind]
    with Server("uvicorn", stack) as server:
        alice = server_person(server)
        async with alice.connect() as socket:
            user = (await socket.expect("welcome"))["user"]["id"]
            writers, seen, stands = await write_and_read(stack, user=user, way="notify", many=many)
            check_numbers(writers, seen, stands, many=many)
            assert len(seen["pages"]) > 10, "the reader did not read meanwhile"
            await socket.expect("notification", timeout=60, seq=stands["head"])
            check_socket(socket, user, stands)


def server_person(server):
    from tests.support.client import Person

    return Person(server, "alice")


def check_socket(socket, user, stands):
    stream = f"u.{user}"
    published = [Published(stream, seq, pk) for seq, pk, _ in stands["rows"]]
    verdict = judge(published, [Reader("alice", frozenset({stream}), [socket.history()])])
    assert verdict.clean, str(verdict)
    assert (verdict.resets, verdict.skipped) == (0, 0)


@pytest.mark.parametrize("way", ["number_first", "max_plus_one"])
async def test_naive_numbers_do_not_pass(stack, way):
    (user,) = newcomers(stack, 1)
    found = await write_and_read(stack, user=user, way=way, many=SMALL)
    with pytest.raises(AssertionError, match=r"errors|gap|reordered|told o"):
        check_numbers(*found, many=SMALL)


# Transactions that meet -------------------------------------------------------------------------------------------


def crossed(stack, *, pairs, way="notify"):
    # SQLite has one writer at a time, so there a transaction cannot wait in its middle for the other one.
    interleaved = stack.kind == "scaled"
    how = {"pairs": pairs, "way": way, "interleaved": interleaved}
    return [error for answer in crowd.run(stack, MODULE, "cross", processes=2, **how) for error in answer["errors"]]


def test_opposite_orders_both_commit(stack):
    people = newcomers(stack, 40)
    fresh = list(zip(people[::2], people[1::2], strict=True))  # the first use of their streams
    known = [fresh[0]] * 20
    assert crossed(stack, pairs=fresh + known) == []
    assert numbers_of(stack, fresh[1][0]) == [1, 2]
    assert numbers_of(stack, fresh[0][1]) == list(range(1, 43))


def numbers_of(stack, user):
    (stands,) = crowd.run(stack, MODULE, "look", user=user)
    assert stands["head"] == len(stands["rows"])
    return [seq for seq, _, _ in stands["rows"]]


@pytest.mark.parametrize("stack_kind", ["scaled"], indirect=True)
def test_a_number_given_in_the_callers_transaction_does_not_pass(stack):
    people = newcomers(stack, 2)
    errors = crossed(stack, pairs=[people] * 3, way="naive")
    assert any("deadlock" in error for error in errors), errors


def test_telling_many_in_opposite_orders_commits(stack):
    users = newcomers(stack, 30)
    times = 10
    answers = crowd.run(stack, MODULE, "cross_many", processes=4, users=users, times=times)
    assert [error for answer in answers for error in answer["errors"]] == []
    for user in (users[0], users[-1]):
        assert numbers_of(stack, user) == list(range(1, 4 * times + 1))


# One writer at a time is SQLite's nature: whoever holds a transaction open there holds everybody.
@pytest.mark.parametrize("stack_kind", ["scaled"], indirect=True)
def test_an_open_transaction_holds_no_stream(stack):
    users = newcomers(stack, 5)
    first_use = held_open(stack, users)
    known = held_open(stack, users, mark_through=2)
    check_held_open(first_use, 0)
    check_held_open(known, 2)


def held_open(stack, users, *, way="notify", mark_through=0):
    return crowd.run(stack, MODULE, "hold", processes=2, users=users, way=way, mark_through=mark_through)


def check_held_open(answers, head):
    """Whoever commits first has the lower number: nobody had to wait for the one who began first."""
    held, meanwhile = answers
    assert set(meanwhile) == {head + 1}, "the other did not get its number at once"
    assert set(held) == {head + 2}


@pytest.mark.parametrize("stack_kind", ["scaled"], indirect=True)
def test_an_open_transaction_that_holds_a_stream_does_not_pass(stack):
    # The other's number would come only after the commit that waits for it: the meeting is given up.
    stack.env["CROWD_PATIENCE"] = "3"
    with pytest.raises(AssertionError, match="waits at meeting"):
        check_held_open(held_open(stack, newcomers(stack, 1), way="naive"), 0)
