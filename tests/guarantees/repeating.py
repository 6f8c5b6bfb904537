"""Processes that publish with idempotency keys, rightly and naively."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.support.crowd import Part

Published = tuple[str, int | None] | str
"""The id and the number, or the name of the error."""


# Ways of publishing once ------------------------------------------------------------------------------------------


def publish() -> Callable[..., Published]:
    """As the product does it."""
    from notifications import api

    def say(user: int, title: str, *, key: str, caller: str = "", now: datetime | None = None) -> Published:
        try:
            row = api.publish(user, api.content(title=title), idempotency_key=key, caller=caller, now=now)
        except Exception as error:
            return type(error).__name__
        return str(row.pk), row.seq

    return say


def look_then_publish() -> Callable[..., Published]:
    """Naive: looks whether the key was used, and publishes if it was not."""
    from notifications import api
    from notifications.models import Notification

    def say(user: int, title: str, *, key: str, caller: str = "", now: datetime | None = None) -> Published:
        row = Notification.objects.filter(user_id=user, kind=key).first() or api.notify(user, title=title, kind=key)
        return str(row.pk), row.seq

    return say


WAYS = {way.__name__: way for way in (publish, look_then_publish)}


# Tasks ------------------------------------------------------------------------------------------------------------


def repeat(part: Part) -> list[list[Published]]:
    """All threads publish with the same key at the same moment, one key after the other.

    `bodies`: `same`, or `own` for another body in each thread. `used_before`: so many seconds before `now`, each key
    was used already. Answers, for each thread, with what each publication became.
    """
    say, user, now = WAYS[part.plan["way"]](), part.plan["user"], datetime.fromisoformat(part.plan["now"])
    before = part.plan.get("used_before")

    def body(thread: int) -> str:
        return "said" if part.plan["bodies"] == "same" else f"said by {thread}"

    if before and part.number == 0:
        for key in part.plan["keys"]:
            say(user, "said", key=key, now=now - timedelta(seconds=before))

    def attempt(thread: int) -> list[Published]:
        became = []
        for key in part.plan["keys"]:
            part.meet_all()
            became.append(say(user, body(thread), key=key, now=now))
        return became

    part.meet()
    return part.in_threads(attempt)


def say_in_turn(part: Part) -> list[Published]:
    """Publish each of `said`, one after the other: keywords of `say`, and `ago` in seconds."""
    from django.utils import timezone

    say, now = publish(), timezone.now()
    return [
        say(said["user"], said["title"], key=said["key"], caller=said.get("caller", ""), now=now - _seconds(said))
        for said in part.plan["said"]
    ]


def _seconds(said: dict[str, Any]) -> timedelta:
    return timedelta(seconds=said.get("ago", 0))


def undo_first_use(part: Part) -> list[Published]:
    """Process 0 uses each key in a transaction that it rolls back once process 1 waits for it with the same key.

    Where a transaction is the only writer (SQLite) nobody can be seen to wait: there process 1 is only about to.
    """
    from django.db import connection, transaction

    say, user = publish(), part.plan["user"]
    became: list[Published] = []
    for key in part.plan["keys"]:
        if part.number == 0:
            with transaction.atomic():
                became.append(say(user, "undone", key=key))
                part.meet()
                if connection.vendor == "postgresql":
                    _wait_for_a_waiter()
                transaction.set_rollback(True)
        else:
            part.meet()
            became.append(say(user, "stands", key=key))
        part.meet()
    return became


def _wait_for_a_waiter() -> None:
    from django.db import connection

    from tests.support.processes import wait_until

    def somebody_waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
                "WHERE NOT granted AND datname = current_database()"
            )
            return bool(cursor.fetchone()[0])

    wait_until(somebody_waits, timeout=30, what="process waiting for the key", every=0.005)


def look(part: Part) -> list[tuple[str, int, int, str]]:
    """All notifications: (id, user, number, title) in order of user and number."""
    from notifications.models import Notification

    rows = Notification.objects.order_by("user", "seq").values_list("pk", "user_id", "seq", "title")
    return [(str(pk), user, seq, title) for pk, user, seq, title in rows]
