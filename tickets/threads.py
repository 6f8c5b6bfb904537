"""The one bridge from the event loop to the database: a bounded pool of threads, each with its own connection.

`sync_to_async` would put every query of the process on one shared thread, so that one slow query stalls every socket.
Here the number of threads is the number of database connections that sockets may take (`TICKETS["DATABASE_THREADS"]`).
"""

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

from tickets.conf import conf

P = ParamSpec("P")
R = TypeVar("R")


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
    return await asyncio.get_running_loop().run_in_executor(_executor(), context.run, _with_fresh_connections, work)


def _with_fresh_connections(work: Callable[[], R]) -> R:
    # What Django does around each request: before, drop connections that broke or aged while the thread was idle;
    # after, give the connection back (PostgreSQL's pool) or keep it (SQLite, whose CONN_MAX_AGE is None).
    close_old_connections()
    try:
        return work()
    finally:
        close_old_connections()
