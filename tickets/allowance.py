"""Exact limits on how often something may be done, across all processes: the generic cell rate algorithm.

Each key has one number, the "theoretical arrival time" (ITU-T I.371, annex A): when the next act would be due if all
came evenly. An act is allowed while that time is at most `burst - 1` intervals ahead, and moves it on by one interval.
One conditional UPDATE decides and counts at once, so no two processes can both take the last place. A get-modify-set
(as in the throttles of Django REST framework) would let bursts through.
"""

from datetime import datetime

from django.db import connection

from tickets.grants import RateLimited
from tickets.models import Allowance

MICRO = 1_000_000

TRIES = 5
"""Two do, unless whoever calls is in a transaction that does not see what others commit."""

# By hand, since every ticket asks it: the ORM takes longer to say it than the database to do it.
_ADVANCE = f"""
    UPDATE {Allowance._meta.db_table} SET tat = CASE WHEN tat > %s THEN tat ELSE %s END + %s
    WHERE key = %s AND tat <= %s"""  # noqa: S608 (our own table)


def spend(key: str, *, per_minute: int, burst: int, now: datetime) -> None:
    """Do it once more under `key`, or raise `RateLimited`.

    Inside a transaction the key's row stays locked to its end: callers with one key then pass one after another.
    """
    clock = _microseconds(now)
    interval = 60 * MICRO // per_minute
    latest = clock + (burst - 1) * interval
    for _ in range(TRIES):
        if _advance(key, clock, latest, interval):
            return
        tat = Allowance.objects.filter(key=key).values_list("tat", flat=True).first()
        if tat is None:  # the first time; whoever else is here for the first time makes the same row
            Allowance.objects.bulk_create([Allowance(key=key, tat=0)], ignore_conflicts=True)
        elif tat > latest:
            # Never more than for one: another process may have spent by a clock that is a moment ahead of this one.
            raise RateLimited(min(tat - latest, interval) / MICRO)
        # Else somebody made the row between the two questions: ask again.
    raise RateLimited(interval / MICRO)


def _advance(key: str, clock: int, latest: int, interval: int) -> bool:
    # Columns of this row alone: PostgreSQL checks them again after waiting for the row's lock.
    with connection.cursor() as cursor:
        cursor.execute(_ADVANCE, [clock, clock, interval, key, latest])
        return bool(cursor.rowcount)


def _microseconds(moment: datetime) -> int:
    # Not int(timestamp() * 10**6): the float would round.
    return int(moment.timestamp()) * MICRO + moment.microsecond
