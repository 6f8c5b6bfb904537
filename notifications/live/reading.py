"""
What the sockets of one process read from the database: few at a time, and once for all who ask the same.

Promises:

* At most `READERS` of these reads run at once, so that a thousand returning clients leave database threads for the
  tickets of the next thousand, for marks and for the sync. The others wait, in the order they came.
* Who asks for a page that somebody else has asked for, and that is not being read yet, gets the same answer: the many
  connections of one person cost one read. One that is being read already is not shared: what the asker knows of might
  be newer than what it will find.
* Rules of topics are asked beside that, at most `RULE_THREADS` of them on threads, and of each sync one at a time: who
  waits for a rule that is slow waits for that rule. One that hangs keeps its thread, and gets no second one: until it
  ends, nobody can tell what it says.
* No answer takes longer than `DATABASE_SECONDS`, counted from when the read began; None is what a database that does
  not answer says.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from django.db import Error as DatabaseError

from tickets.api import in_thread, tracing

from .. import store, topic_store, topics
from ..wire.streams import Page

T = TypeVar("T")

READERS = 2
"""Of the process's database threads (four unless configured otherwise)."""

RULE_THREADS = 2
"""Of the same, however long a rule keeps one."""

ASYNC_AT_ONCE = 50
"""How often an async rule is being asked at any moment. It has no thread, but perhaps a service that it asks."""

DATABASE_SECONDS = 10.0
"""How long a question to the database waits for its answer before it is given up."""


_Asked = tuple[Callable[..., Page], Any, int, int]


class _Asking:
    """One rule, and who asks it."""

    def __init__(self, rule: topics.Rule) -> None:
        self.turns = asyncio.Semaphore(ASYNC_AT_ONCE if rule.is_async else 1)
        self.is_async = rule.is_async
        self.on_threads = 0

    @property
    def hangs(self) -> bool:
        """Seen by whoever has the next turn."""
        return self.on_threads > 0 and not self.is_async


class Reading:
    """One per process; belongs to the event loop."""

    def __init__(self) -> None:
        self._rule_threads = asyncio.Semaphore(RULE_THREADS)
        self._asking: dict[topics.Rule, _Asking] = {}
        self._readers = asyncio.Semaphore(READERS)
        self._asked: dict[_Asked, asyncio.Task[Page | None]] = {}  # and not being read yet

    async def page(self, user_id: Any, *, after: int, limit: int) -> Page | None:
        """At most `limit` notifications of the person's stream after a number."""
        return await self._shared((store.page, user_id, after, limit))

    async def topic_page(self, topic: str, *, after: int, limit: int) -> Page | None:
        """The same of a topic's; whether anybody may read it is not asked."""
        return await self._shared((topic_store.page, topic, after, limit))

    async def _shared(self, key: "_Asked") -> Page | None:
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(self._page(key), context=tracing.unbound())
        # Whoever goes away meanwhile takes nothing from the others who wait for it.
        return await asyncio.shield(task)

    async def _page(self, key: "_Asked") -> Page | None:
        read, whose, after, limit = key
        try:
            await self._readers.acquire()
        finally:
            del self._asked[key]
        try:
            return await answer(read, whose, after=after, limit=limit, now=datetime.now(UTC))
        finally:
            self._readers.release()

    async def decide(self, user_id: Any, topic: str) -> topics.Decision | None:
        """Whether the person may listen to the topic; None if the database or the rule does not answer."""
        found = topics.find(topic)
        if found is None:
            return await topics.decide(user_id, topic)
        asking = self._asking.get(found[0])
        if asking is None:
            asking = self._asking[found[0]] = _Asking(found[0])
        try:
            async with asking.turns, asyncio.timeout(DATABASE_SECONDS):
                return None if asking.hangs else await topics.decide(user_id, topic, partial(self._on_thread, asking))
        except (DatabaseError, TimeoutError):
            return None

    async def _on_thread(self, asking: _Asking, fn: Callable[..., T], *args: Any) -> T:
        """The thread counts as taken until the rule ends, whoever has given up waiting for it."""
        await self._rule_threads.acquire()
        asking.on_threads += 1

        def ended(job: asyncio.Task[T]) -> None:
            asking.on_threads -= 1
            self._rule_threads.release()
            if not job.cancelled():
                job.exception()  # heard below, or by nobody any more

        job = asyncio.create_task(in_thread(fn, *args))
        job.add_done_callback(ended)
        return await asyncio.shield(job)


async def answer(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
    """What `fn` says on a database thread; None if the database does not answer."""
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            return await in_thread(fn, *args, **kwargs)
    except (DatabaseError, TimeoutError):
        return None
