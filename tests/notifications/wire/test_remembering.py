import contextlib

from notifications.wire.remembering import remembering


def made_by(calls):
    def make(thing):
        calls.append(thing)
        return [thing]

    return make


def test_the_same_object_is_made_once():
    calls = []
    remembered = remembering(made_by(calls))
    one, two = "one" * 3, "two" * 3
    assert remembered(one) is remembered(one)
    assert remembered(two) == [two]
    assert remembered(one) == [one]
    assert calls == [one, two]


def test_an_equal_object_is_another_one():
    calls = []
    remembered = remembering(made_by(calls))
    assert remembered([1]) == remembered([1])
    assert len(calls) == 2


def test_it_keeps_so_many_and_forgets_the_oldest():
    calls = []
    remembered = remembering(made_by(calls), most=3)
    things = [object() for _ in range(4)]
    for thing in [*things, things[1], things[3], things[0]]:
        remembered(thing)
    assert calls == [*things, things[0]]


def test_what_it_keeps_is_alive_so_that_no_other_object_has_its_id():
    calls = []
    remembered = remembering(made_by(calls), most=8)
    for number in range(1000):
        assert remembered([number]) == [[number]]
    assert len(calls) == 1000


def test_what_fails_is_not_remembered():
    answers = iter([ZeroDivisionError, "made"])

    def make(thing):
        answer = next(answers)
        if isinstance(answer, type):
            raise answer
        return answer

    remembered, thing = remembering(make), object()
    with contextlib.suppress(ZeroDivisionError):
        remembered(thing)
    assert remembered(thing) == "made"
