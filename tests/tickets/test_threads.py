import asyncio
import contextvars
import threading

import pytest
from django.db import connection

from tickets import threads
from tickets.conf import conf
from tickets.threads import in_thread

# The threads outlive a test, and with them their connections: so every job here touches the database.
pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

name = contextvars.ContextVar("name")


async def test_it_answers_what_the_function_returns_or_raises():
    assert await in_thread(lambda a, b: (a, b), 1, b=2) == (1, 2)
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0)


async def test_the_context_comes_along():
    name.set("alice")
    assert await in_thread(name.get) == "alice"


class Blocker:
    """Occupies database threads until it is told to let go."""

    def __init__(self):
        self.let_go = threading.Event()
        self.running = threading.Semaphore(0)

    def __call__(self):
        self.running.release()
        assert self.let_go.wait(10)
        return threading.current_thread().name

    async def occupy_all(self):
        jobs = [asyncio.create_task(in_thread(self)) for _ in range(conf.DATABASE_THREADS)]
        for _ in jobs:
            await asyncio.to_thread(self.running.acquire, timeout=10)
        return jobs


async def test_jobs_share_a_bounded_number_of_threads():
    blocker = Blocker()
    jobs = await blocker.occupy_all()
    waiting = asyncio.create_task(in_thread(lambda: threading.current_thread().name))
    assert not (await asyncio.wait({waiting}, timeout=0.05))[0]
    blocker.let_go.set()
    used = set(await asyncio.gather(*jobs))
    assert len(used) == conf.DATABASE_THREADS
    assert await waiting in used


async def test_a_job_that_waits_is_cancelled_with_its_awaiter():
    blocker, ran = Blocker(), []
    jobs = await blocker.occupy_all()
    waiting = asyncio.create_task(in_thread(ran.append, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    blocker.let_go.set()
    await asyncio.gather(*jobs)
    await in_thread(lambda: None)
    assert ran == []


async def test_a_broken_connection_is_replaced_for_the_next_job():
    def broken():
        connection.ensure_connection()
        connection.errors_occurred = True
        connection.is_usable = lambda: False  # SQLite's always says yes

    def answer():
        connection.__dict__.pop("is_usable", None)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone(), connection.errors_occurred

    for _ in range(conf.DATABASE_THREADS):
        await in_thread(broken)
    for _ in range(conf.DATABASE_THREADS):
        assert await in_thread(answer) == ((1,), False)


def test_the_size_of_the_pool_is_the_setting():
    assert threads._executor()._max_workers == conf.DATABASE_THREADS
