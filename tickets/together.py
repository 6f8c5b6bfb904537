"""Tickets that are presented at the same time are redeemed together, in one job on a database thread.

A job costs more CPU than its queries: handing it to a thread, waking the loop up again, and meanwhile the threads take
the interpreter from each other. When a thousand clients come back at once, that is most of what letting them in costs.

Rules of this file:

* Nobody waits for company: a ticket that comes alone goes alone. While `JOBS` jobs are under way the next ones gather.
* A job waits for no row that somebody else holds. A ticket that it could not take is asked about again, in a job of its
  own: there it is refused as any other, or waits as long as it must.
* Each waits for at most `TICKETS["REDEEM_TIMEOUT"]`, whatever happens to the others.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from django.db import Error as DatabaseError

from tickets import tracing
from tickets.conf import conf
from tickets.counted import REDEEM_SECONDS
from tickets.grants import Grant, Purpose, Refusal, TicketRefused, Unavailable
from tickets.redeeming import digest_of, redeem_digest, redeem_together
from tickets.threads import in_thread
from tickets.tokens import admit_token

R = TypeVar("R")

JOBS: Final = 2
"""Of the process's database threads (four unless configured otherwise)."""

MOST: Final = 100
"""Tickets in a job: some milliseconds of one thread."""


@dataclass(frozen=True, slots=True, eq=False)
class _Presented(Generic[R]):
    digest: str
    purposes: frozenset[Purpose]
    address: str | None
    answer: "asyncio.Future[tuple[Grant, R] | Refusal | None]"


class Redeemer(Generic[R]):
    """
    Redeems tickets, and reads what their owners want to know next. One per event loop.

    `then` is called on the database thread, in no transaction, with the grants of a job, and answers as many things in
    their order. Its time counts too.
    """

    def __init__(self, then: Callable[[Sequence[Grant]], Sequence[R]]) -> None:
        self._then = then
        self._waiting: deque[_Presented[R]] = deque()
        self._jobs: set[asyncio.Task[None]] = set()
        self._begins = False

    async def redeem(self, ticket: str, *, purposes: frozenset[Purpose], address: str | None) -> tuple[Grant, R]:
        """`tickets.api.redeem()`, and what `then` says of the grant. Raises `TicketRefused`, or `Unavailable` if there
        is no answer in time; the ticket may be spent all the same by a job that was under way."""
        began = time.monotonic()
        result = "other"  # its client went away
        try:
            answer = await self._redeem(ticket, purposes, address)
            result = "redeemed"
            return answer
        except (TicketRefused, Unavailable) as error:
            result = "refused" if isinstance(error, TicketRefused) else "unavailable"
            raise
        finally:
            REDEEM_SECONDS.observe(time.monotonic() - began, result)

    async def _redeem(self, ticket: str, purposes: frozenset[Purpose], address: str | None) -> tuple[Grant, R]:
        loop = asyncio.get_running_loop()
        presented: _Presented[R] = _Presented(digest_of(ticket, address), purposes, address, loop.create_future())
        self._waiting.append(presented)
        self._begin(loop)
        try:
            async with asyncio.timeout(conf.REDEEM_TIMEOUT):
                answer = await presented.answer
                return answer if isinstance(answer, tuple) else await in_thread(self._alone, presented, answer)
        except TimeoutError as error:
            raise Unavailable("redeem: no answer in time") from error
        except DatabaseError as error:
            raise Unavailable(f"redeem: {type(error).__name__}") from error
        finally:
            if presented.answer.cancelled() and presented in self._waiting:  # gave up before its turn came
                self._waiting.remove(presented)

    async def verify(self, token: str, *, opens: bool, address: str | None) -> tuple[Grant, R]:
        """The same for an access token, which is good until its own end and any number of times; `opens` a socket, or
        is to go on with one. Raises `TokenRefused`, `SessionEnded` or `Unavailable`."""
        try:
            async with asyncio.timeout(conf.REDEEM_TIMEOUT):
                return await in_thread(self._verify, token, opens, address)
        except TimeoutError as error:
            raise Unavailable("verify: no answer in time") from error
        except DatabaseError as error:
            raise Unavailable(f"verify: {type(error).__name__}") from error

    def _verify(self, token: str, opens: bool, address: str | None) -> tuple[Grant, R]:
        grant = admit_token(token, opens=opens, address=address)
        return grant, self._then([grant])[0]

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        # On the loop's next turn: what arrived in this one goes together.
        if not self._begins and len(self._jobs) < JOBS:
            self._begins = True
            loop.call_soon(self._next_job, loop)

    def _next_job(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begins = False
        batch = self._take()
        if batch:
            job = loop.create_task(self._run(batch), context=tracing.unbound())
            self._jobs.add(job)
            job.add_done_callback(self._ended)
            if self._waiting:  # for other purposes, or more than go together
                self._begin(loop)

    def _ended(self, job: "asyncio.Task[None]") -> None:
        self._jobs.discard(job)
        if self._waiting:
            self._begin(job.get_loop())

    def _take(self) -> list[_Presented[R]]:
        """The next that go together: those that are for the same purposes."""
        batch: list[_Presented[R]] = []
        while self._waiting and len(batch) < MOST and self._waiting[0].purposes == (batch or self._waiting)[0].purposes:
            batch.append(self._waiting.popleft())
        return batch

    async def _run(self, batch: list[_Presented[R]]) -> None:
        try:
            answers = await in_thread(self._work, batch)
        except Exception as error:  # noqa: BLE001 (handed to everybody who waits for it)
            for presented in batch:
                if not presented.answer.done():
                    presented.answer.set_exception(error)
        else:
            for presented, answer in zip(batch, answers, strict=True):
                if not presented.answer.done():
                    presented.answer.set_result(answer)

    def _work(self, batch: list[_Presented[R]]) -> list[tuple[Grant, R] | Refusal | None]:
        decided = redeem_together([(each.digest, each.address) for each in batch], purposes=batch[0].purposes)
        read = iter(self._then([grant for grant in decided if isinstance(grant, Grant)]))
        return [(grant, next(read)) if isinstance(grant, Grant) else grant for grant in decided]

    def _alone(self, presented: _Presented[R], refusal: Refusal | None) -> tuple[Grant, R]:
        grant = redeem_digest(presented.digest, purposes=presented.purposes, address=presented.address, refusal=refusal)
        return grant, self._then([grant])[0]
