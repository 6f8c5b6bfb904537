import asyncio
import contextvars
import threading
import time
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import OperationalError, connection

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


async def on_each_thread(fn):
    """What `fn` says on every one of the threads."""
    together = threading.Barrier(conf.DATABASE_THREADS)

    def run():
        together.wait(20)
        return fn()

    return await asyncio.gather(*[in_thread(run) for _ in range(conf.DATABASE_THREADS)])


async def test_a_connection_that_broke_under_a_job_is_replaced_for_the_next_one():
    def broken():
        connection.ensure_connection()
        connection.errors_occurred = True
        connection.is_usable = lambda: False  # SQLite's always says yes

    def answer():
        del connection.is_usable
        return ask(), connection.errors_occurred

    await on_each_thread(broken)
    assert await on_each_thread(answer) == [(1, False)] * conf.DATABASE_THREADS


def ask(sql="SELECT 1"):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


# What follows is about connections that a pool or a server could take away --------------------------------------------

only_postgresql = pytest.mark.skipif(
    not settings.DATABASES["default"]["ENGINE"].endswith("postgresql"),
    reason="SQLite's connections are kept for ever (they hold nothing that others wait for)",
)


def backend():
    return ask("SELECT pg_backend_pid()")


def pool():
    return connection.pool.get_stats()


@pytest.fixture
def clock(monkeypatch):
    """Time as the threads see it: `clock.now += 10`."""
    told = SimpleNamespace(now=time.monotonic())
    monkeypatch.setattr(threads, "time", SimpleNamespace(monotonic=lambda: told.now))
    return told


async def kept():
    """The connections of busy threads, told by their backends."""
    await on_each_thread(ask)  # whoever rested gives the first one back
    return await on_each_thread(backend)


@only_postgresql
async def test_a_busy_thread_keeps_its_connection_and_asks_the_pool_for_none(clock):
    before = sorted(await kept())
    asked = (await in_thread(pool))["requests_num"]
    for _ in range(3):
        assert sorted(await on_each_thread(backend)) == before
    assert (await in_thread(pool))["requests_num"] == asked


@only_postgresql
async def test_a_thread_at_rest_gives_its_connection_back(clock):
    await on_each_thread(backend)
    clock.now += threads.BUSY_SECONDS
    await on_each_thread(backend)
    assert connection.connection is None, "the test itself holds none"
    stats = connection.pool.get_stats()
    assert stats["pool_available"] == stats["pool_size"]


@only_postgresql
async def test_no_connection_is_kept_for_ever(clock):
    await on_each_thread(backend)
    asked = (await in_thread(pool))["requests_num"]
    rounds = int(threads.KEPT_SECONDS / (threads.BUSY_SECONDS / 2)) + 2
    for _ in range(rounds):
        clock.now += threads.BUSY_SECONDS / 2
        await on_each_thread(ask)
    assert (await in_thread(pool))["requests_num"] >= asked + conf.DATABASE_THREADS


@only_postgresql
async def test_connections_that_the_server_ended_meanwhile_are_replaced_before_anybody_notices():
    ended = await kept()
    for pid in ended:
        await asyncio.to_thread(ask_and_close, f"SELECT pg_terminate_backend({pid}, 5000)")
    assert not set(ended) & set(await on_each_thread(backend))


@only_postgresql
async def test_without_looking_somebody_would_notice(monkeypatch):
    """The negative control."""
    monkeypatch.setattr(threads, "_drop_if_broken", lambda connection: None)
    ended = await kept()
    for pid in ended:
        await asyncio.to_thread(ask_and_close, f"SELECT pg_terminate_backend({pid}, 5000)")
    with pytest.raises(OperationalError):
        await on_each_thread(backend)
    monkeypatch.undo()
    await on_each_thread(backend)


@only_postgresql
async def test_a_server_that_says_something_else_keeps_its_connections(clock):
    before = await kept()

    def notify():  # to itself: the notice lies in the socket when the job is over
        ask_none("LISTEN told")

    await on_each_thread(notify)
    await asyncio.to_thread(ask_and_close, "SELECT pg_notify('told', 'x')")
    assert sorted(await on_each_thread(backend)) == sorted(before)
    await on_each_thread(lambda: ask_none("UNLISTEN told"))


def ask_none(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def ask_and_close(sql):
    try:
        return ask(sql)
    finally:
        connection.close()


def test_the_size_of_the_pool_is_the_setting():
    assert threads._executor()._max_workers == conf.DATABASE_THREADS
