"""Publishing twice with one key is publishing once: for one caller and recipient, and for 24 hours."""

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.support import crowd
from tests.support.client import Person
from tests.support.servers import Server

MODULE = "tests.guarantees.repeating"
CROWD = {"processes": 4, "threads": 5}
AT_ONCE = 20
DAY = 24 * 3600


@pytest.fixture
def people(stack):
    return crowd.run(stack, "tests.guarantees.appending", "add_people", name="told", count=3)[0]


def repeat(stack, *, user, keys, way="publish", bodies="same", **plan):
    """What became of each key in each thread, and what stands afterwards."""
    how = {"user": user, "keys": keys, "way": way, "bodies": bodies, "now": datetime.now(UTC).isoformat()}
    answers = crowd.run(stack, MODULE, "repeat", **CROWD, **how, **plan)
    threads = [became for answer in answers for became in answer]
    return list(zip(*threads, strict=True)), look(stack)


def look(stack):
    return [tuple(row) for row in crowd.run(stack, MODULE, "look")[0]]


def say(stack, *said):
    (became,) = crowd.run(stack, MODULE, "say_in_turn", said=list(said))
    return [tuple(each) if isinstance(each, list) else each for each in became]


def keys(count):
    return [f"key-{number}" for number in range(count)]


def check_published_once(became, stands, *, count):
    assert len(became) == count
    errors = Counter(each for tries in became for each in tries if isinstance(each, str))
    assert not errors, errors
    answers = [{(pk, seq) for pk, seq in tries} for tries in became]
    assert all(len(tries) == AT_ONCE for tries in became)
    assert all(len(answer) == 1 for answer in answers), f"one key, several answers: {answers}"
    assert len(stands) == count, f"{len(stands)} rows for {count} keys"
    assert {answer for (answer,) in answers} == {(pk, seq) for pk, _, seq, _ in stands}
    assert [seq for _, _, seq, _ in stands] == list(range(1, count + 1))


@pytest.mark.timeout(300)
def test_a_hundred_keys_twenty_at_once(stack, people):
    check_published_once(*repeat(stack, user=people[0], keys=keys(100)), count=100)


def test_look_then_publish_does_not_pass(stack, people):
    found = repeat(stack, user=people[0], keys=keys(10), way="look_then_publish")
    with pytest.raises(AssertionError, match=r"several answers|rows for 10 keys"):
        check_published_once(*found, count=10)


def test_another_body_under_the_same_key_is_a_conflict(stack, people):
    became, stands = repeat(stack, user=people[0], keys=keys(20), bodies="own")
    for tries in became:
        assert Counter(each for each in tries if isinstance(each, str)) == {"IdempotencyConflict": AT_ONCE - 1}
    assert {tuple(each) for tries in became for each in tries if isinstance(each, list)} == {
        (pk, seq) for pk, _, seq, _ in stands
    }
    assert len(stands) == 20


def test_keys_used_a_day_before_are_published_once_more(stack, people):
    became, stands = repeat(stack, user=people[0], keys=keys(20), used_before=DAY)
    errors = Counter(each for tries in became for each in tries if isinstance(each, str))
    assert not errors, errors
    assert all(len({tuple(each) for each in tries}) == 1 for tries in became)
    assert len(stands) == 40
    assert [seq for _, _, seq, _ in stands] == list(range(1, 41))


def test_a_key_is_of_one_caller_and_one_recipient_and_for_a_day(stack, people):
    one, other, _ = people
    said = {"user": one, "title": "said", "key": "key"}
    first, again, caller, recipient, other_body, just_within, forgotten, from_then = say(
        stack,
        said | {"ago": DAY},
        said | {"ago": DAY},
        said | {"ago": DAY, "caller": "rest:1"},
        said | {"ago": DAY, "user": other},
        said | {"ago": DAY, "title": "something else"},
        said | {"ago": 0.001},
        said,
        said | {"title": "something else"},
    )
    assert first == again == just_within
    assert other_body == from_then == "IdempotencyConflict"
    assert len({first, caller, recipient, forgotten}) == 4
    assert [(user, seq) for _, user, seq, _ in look(stack)] == [(one, 1), (one, 2), (one, 3), (other, 1)]


def test_a_first_use_that_is_rolled_back_frees_the_key(stack, people):
    undone, stands = crowd.run(stack, MODULE, "undo_first_use", processes=2, user=people[0], keys=keys(10))
    ids = [pk for pk, _ in stands]
    assert len({pk for pk, _ in undone} | set(ids)) == 20
    found = look(stack)
    assert [pk for pk, _, _, _ in found] == ids
    assert [(seq, title) for _, _, seq, title in found] == [(number, "stands") for number in range(1, 11)]


# Over REST --------------------------------------------------------------------------------------------------------


async def post(person, title, key, user="alice"):
    answer = await person.post("/api/notifications/", {"user": user, "title": title}, headers={"Idempotency-Key": key})
    body = answer.json()
    return answer.status_code, (body["id"], body["seq"]) if answer.status_code == 201 else body["code"]


@pytest.mark.timeout(300)
async def test_over_rest_too(stack):
    stack.add_people("second", permissions=["notifications.add_notification"])
    with Server("uvicorn", stack) as one, Server("uvicorn", stack) as two:
        service, second = Person(one, "service"), Person(one, "second")
        await service.token()
        doors = [service, service.at(two)]

        ids = []
        for key in keys(10):
            answers = await asyncio.gather(*(post(doors[number % 2], "said", key) for number in range(AT_ONCE)))
            assert len(set(answers)) == 1, f"one key, several answers: {Counter(answers)}"
            assert answers[0][0] == 201, answers[0]
            ids.append(answers[0][1][0])
        assert len(set(ids)) == 10

        answers = await asyncio.gather(*(post(doors[number % 2], f"said {number}", "other") for number in range(20)))
        assert Counter(status for status, _ in answers) == {201: 1, 409: 19}
        assert {what for status, what in answers if status == 409} == {"idempotency_conflict"}

        assert await post(service, "something else", "key-0") == (409, "idempotency_conflict")
        for status, (pk, _) in (await post(service, "said", "key-0", user="demo"), await post(second, "said", "key-0")):
            assert status == 201
            assert pk not in ids

        assert not one.complaints() and not two.complaints()
    assert Counter(title for _, _, _, title in look(stack))["said"] == 12
