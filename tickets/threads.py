"""The one bridge from the event loop to the database: a bounded pool of threads, each with its own connection.

`sync_to_async` would put every query of the process on one shared thread, so that one slow query stalls every socket.
Here the number of threads is the number of database connections that sockets may take (`TICKETS["DATABASE_THREADS"]`).
"""

import asyncio
import contextvars
import functools
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from django.db import connections

from tickets.conf import conf
from tickets.counted import DATABASE_SECONDS, DATABASE_WAIT, THREADS, THREADS_BUSY

P = ParamSpec("P")
R = TypeVar("R")

BUSY_SECONDS = 1.0
"""A thread whose last job ended this short a time ago keeps its connection: taking one from PostgreSQL's pool, asking
whether it is alive and giving it back costs more than a query. A thread at rest keeps none from others."""

KEPT_SECONDS = 60.0
"""How long a busy thread keeps one connection, so that the pool gets to replace old ones."""


class _Thread(threading.local):
    """When the last job of this thread ended."""

    rested_at = float("-inf")


_thread = _Thread()


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=conf.DATABASE_THREADS, thread_name_prefix="usher-database")


async def in_thread(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `fn` on a database thread and return what it returns or raises.

    Cancelling the awaiter takes a job that still waits for a thread out of the queue. A job that runs already runs to
    its end, unheard: a query cannot be interrupted, so `fn` must be right whether or not anybody hears its answer.
    """
    work = functools.partial(fn, *args, **kwargs)
    context = contextvars.copy_context()
    asked = time.monotonic()
    return await asyncio.get_running_loop().run_in_executor(_executor(), context.run, _measured, work, asked)


_busy: set[int] = set()
"""Threads that are at work, by their identity."""

THREADS.read = lambda: conf.DATABASE_THREADS
THREADS_BUSY.read = lambda: len(_busy)


def _measured(work: Callable[[], R], asked: float) -> R:
    began = time.monotonic()
    DATABASE_WAIT.observe(began - asked)
    _busy.add(threading.get_ident())
    try:
        return _with_connections(work)
    finally:
        _busy.discard(threading.get_ident())
        DATABASE_SECONDS.observe(time.monotonic() - began)


def _with_connections(work: Callable[[], R]) -> R:
    for connection in connections.all(initialized_only=True):
        _drop_if_broken(connection)
    try:
        return work()
    finally:
        now = time.monotonic()
        busy = now - _thread.rested_at < BUSY_SECONDS
        _thread.rested_at = now
        for connection in connections.all(initialized_only=True):
            if not (busy and _is_worth_keeping(connection, now)):
                connection.close_if_unusable_or_obsolete()


def _drop_if_broken(connection: Any) -> None:
    """A connection that is kept cannot be asked each time whether it is alive; but a server says nothing unasked, save
    that it ends. So one look at the socket, without a word on the wire, tells whether there is anything to ask."""
    raw = connection.connection
    if raw is None or connection.vendor != "postgresql":
        return
    if raw.closed or (_has_something_to_say(raw.fileno()) and not connection.is_usable()):
        connection.close()


def _has_something_to_say(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _is_worth_keeping(connection: Any, now: float) -> bool:
    # Where connections are not persistent (CONN_MAX_AGE=0, as it must be beside a pool) Django has them end as soon as
    # they begin; so that is when this one was taken. None: it is kept for ever anyway.
    taken_at = connection.close_at
    whole = connection.connection is not None and not connection.errors_occurred and not connection.in_atomic_block
    return whole and taken_at is not None and now < taken_at + KEPT_SECONDS
