import asyncio
import threading

import pytest

from notifications import api, store, topics
from notifications.live import reading as module
from notifications.live.reading import READERS, Reading, answer
from tickets.api import in_thread


class Gate:
    """Stands where a query would run: counts who is inside and lets them out when told."""

    def __init__(self, fn=lambda *args, **kwargs: "page"):
        self.calls = []
        self.inside = self.most_inside = 0
        self.open = threading.Event()
        self._fn = fn
        self._lock = threading.Lock()

    def __call__(self, *args, **kwargs):
        with self._lock:
            self.calls.append((args, kwargs))
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.open.wait(10)
        with self._lock:
            self.inside -= 1
        return self._fn(*args, **kwargs)

    async def entered(self, count):
        async with asyncio.timeout(5):
            while len(self.calls) < count:
                await asyncio.sleep(0.005)


@pytest.fixture
async def reading():
    return Reading()


async def test_many_who_ask_the_same_cost_one_read(ann, reading, monkeypatch):
    for number in range(3):
        await api.anotify(ann, title=f"number {number}")
    calls, page = [], store.page

    def counted(*args, **kwargs):
        calls.append(kwargs["after"])
        return page(*args, **kwargs)

    monkeypatch.setattr(store, "page", counted)
    asked = [reading.page(ann.pk, after=after, limit=10) for after in [0] * 20 + [1] * 5]
    pages = await asyncio.gather(*asked)
    assert sorted(calls) == [0, 1]
    assert [len(page.events) for page in pages] == [3] * 20 + [2] * 5


async def test_a_read_that_has_begun_is_not_shared(ann, reading, monkeypatch):
    gate = Gate()
    monkeypatch.setattr(store, "page", gate)
    first = asyncio.create_task(reading.page(ann.pk, after=0, limit=10))
    await gate.entered(1)
    second = asyncio.create_task(reading.page(ann.pk, after=0, limit=10))
    await gate.entered(2)
    gate.open.set()
    assert await asyncio.gather(first, second) == ["page", "page"]


async def test_few_read_at_once_and_leave_threads_for_others(ann, reading, monkeypatch):
    gate = Gate()
    monkeypatch.setattr(store, "page", gate)
    reads = [asyncio.create_task(reading.page(ann.pk, after=after, limit=10)) for after in range(10)]
    await gate.entered(READERS)
    assert await in_thread(lambda: "other work") == "other work"
    assert len(gate.calls) == READERS
    gate.open.set()
    await asyncio.gather(*reads)
    assert gate.most_inside == READERS


async def test_who_goes_away_takes_nothing_from_the_others(ann, reading, monkeypatch):
    gate = Gate()
    monkeypatch.setattr(store, "page", gate)
    reads = [asyncio.create_task(reading.page(ann.pk, after=0, limit=10)) for _ in range(3)]
    await gate.entered(1)
    reads[0].cancel()
    gate.open.set()
    assert await asyncio.gather(*reads[1:]) == ["page", "page"]
    assert reading._asked == {}
    assert reading._readers._value == READERS


async def test_a_database_that_does_not_answer_is_given_up_and_gives_its_place_back(ann, reading, monkeypatch):
    monkeypatch.setattr(module, "DATABASE_SECONDS", 0.05)
    gate = Gate()
    monkeypatch.setattr(store, "page", gate)
    assert await reading.page(ann.pk, after=0, limit=10) is None
    assert reading._readers._value == READERS
    gate.open.set()


async def test_a_database_that_fails_says_nothing(transactional_db):
    from django.db import OperationalError

    def away():
        raise OperationalError

    assert await answer(away) is None
    with pytest.raises(ZeroDivisionError):
        await answer(lambda: 1 / 0)


@pytest.fixture
def rules(monkeypatch):
    """Three: one that answers, and two that do not, of which the sync one holds its thread."""
    monkeypatch.setattr(topics, "_rules", [])
    gate = Gate(lambda user: True)

    @topics.rule("hangs")
    def hangs(user):
        return gate(user)

    @topics.rule("waits")
    async def waits(user):
        await asyncio.Event().wait()

    topics.rule("answers")(lambda user: True)
    yield gate
    gate.open.set()


async def test_a_rule_that_hangs_takes_one_thread_and_nobody_elses_answer(ann, reading, rules, monkeypatch):
    monkeypatch.setattr(module, "DATABASE_SECONDS", 0.1)
    async with asyncio.timeout(5):
        assert await asyncio.gather(*[reading.decide(ann.pk, "hangs") for _ in range(8)]) == [None] * 8
        assert len(rules.calls) == 1
        assert (await reading.decide(ann.pk, "answers")).allowed
        assert await in_thread(lambda: "other work") == "other work"
        rules.open.set()
        while not (decision := await reading.decide(ann.pk, "hangs")):
            await asyncio.sleep(0.01)
    assert decision.allowed
    assert reading._rule_threads._value == module.RULE_THREADS


async def test_rules_that_are_slow_hold_up_nobodys_pages_and_no_other_rule(ann, reading, rules):
    slow = [asyncio.create_task(reading.decide(ann.pk, name)) for name in ["waits", "hangs"] * 5]
    await rules.entered(1)
    async with asyncio.timeout(5):
        assert (await reading.page(ann.pk, after=0, limit=10)).events == ()
        assert (await reading.decide(ann.pk, "answers")).allowed
    for task in slow:
        task.cancel()
