"""Processes that append to streams, rightly and naively, and one that reads all the while."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.crowd import Part

PAUSE = 0.005
"""Between two looks of the reader: it looks while numbers are given, and leaves the processor to the writers."""

Told = tuple[int | None, str]
"""What a publisher is told: the number and the id."""


class Undone(Exception):
    """Rolls a transaction back."""


# Ways of giving numbers -------------------------------------------------------------------------------------------


def notify() -> Callable[[int, str], Told]:
    """As the product does it."""
    from notifications import api

    def say(user: int, title: str) -> Told:
        row = api.notify(user, title=title)
        return row.seq, str(row.pk)

    return say


def number_first() -> Callable[[int, str], Told]:
    """Naive: a number is taken before the row that has it is committed."""
    from django.db.models import F

    from notifications.models import Notification, Stream

    def say(user: int, title: str) -> Told:
        Stream.objects.get_or_create(user_id=user)
        Stream.objects.filter(user_id=user).update(head=F("head") + 1)
        seq = Stream.objects.get(user_id=user).head
        row = Notification.objects.create(user_id=user, title=title, seq=seq)
        return row.seq, str(row.pk)

    return say


def max_plus_one() -> Callable[[int, str], Told]:
    """Naive: a number is the greatest that can be seen, and one."""
    from django.db.models import Max

    from notifications.models import Notification, Stream

    def say(user: int, title: str) -> Told:
        Stream.objects.get_or_create(user_id=user)
        seq = (Notification.objects.filter(user_id=user).aggregate(seq=Max("seq"))["seq"] or 0) + 1
        row = Notification.objects.create(user_id=user, title=title, seq=seq)
        Stream.objects.filter(user_id=user, head__lt=seq).update(head=seq)
        return row.seq, str(row.pk)

    return say


WAYS = {way.__name__: way for way in (notify, number_first, max_plus_one)}


# Tasks ------------------------------------------------------------------------------------------------------------


def append(part: Part) -> list[dict[str, Any]]:
    """Each thread appends `each` notifications to the stream of `user`; of ten transactions one is rolled back.

    Answers, for each thread, with what it was told, in order, and with the errors it met.
    """
    from django.db import transaction

    user, each, say = part.plan["user"], part.plan["each"], WAYS[part.plan["way"]]()

    def undo() -> None:
        try:
            with transaction.atomic():
                say(user, "undone")
                raise Undone
        except Undone:
            pass

    def write(thread: int) -> dict[str, Any]:
        told: list[Told] = []
        errors: list[str] = []
        undone = 0
        for number in range(each):
            try:
                if number % 9 == 4:
                    undo()
                    undone += 1
                told.append(say(user, f"{thread}:{number}"))
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}"[:200])
        return {"thread": thread, "told": told, "errors": errors, "undone": undone}

    return part.in_threads(write)


def read(part: Part) -> dict[str, Any]:
    """Read the stream of `user` page by page until there is no more and the file `until` exists.

    Answers with the pages that said anything: where each began, the numbers in it, and up to where it said it went.
    """
    from django.utils import timezone

    from notifications import store

    until = Path(part.plan["until"])
    cursor, polls, pages = 0, 0, []
    while True:
        over = until.exists()
        page = store.page(part.plan["user"], after=cursor, limit=200, now=timezone.now())
        polls += 1
        if page.through == cursor:
            if over:
                return {"pages": pages, "polls": polls}
        else:
            pages.append({"after": cursor, "seqs": [event.seq for event in page.events], "through": page.through})
            cursor = page.through
        time.sleep(PAUSE)


def look(part: Part) -> dict[str, Any]:
    """What the database says of `user`: (seq, id, title) in order of seq, and the head."""
    from notifications.models import Notification, Stream

    rows = Notification.objects.filter(user_id=part.plan["user"]).order_by("seq", "id")
    return {
        "rows": [(seq, str(pk), title) for seq, pk, title in rows.values_list("seq", "pk", "title")],
        "head": Stream.objects.get(user_id=part.plan["user"]).head,
    }


def add_people(part: Part) -> list[int]:
    """So many new people, who have no stream yet; their keys."""
    from django.contrib.auth import get_user_model

    model = get_user_model()
    return [model.objects.create(username=f"{part.plan['name']}-{number}").pk for number in range(part.plan["count"])]


def cross(part: Part) -> dict[str, Any]:
    """Two processes: in each transaction one notifies a pair of people, the other the same two in opposite order.

    With `interleaved`, neither notifies its second before both have notified their first. Answers with the errors.
    """
    from django.db import transaction

    from notifications.models import Stream

    def naive(user: int, title: str) -> None:
        # The number is given under the stream's lock, in the caller's transaction.
        Stream.objects.get_or_create(user_id=user)
        stream = Stream.objects.select_for_update().get(user_id=user)
        stream.head += 1
        stream.save()

    say = notify() if part.plan["way"] == "notify" else naive
    errors = []
    for pair in part.plan["pairs"]:
        first, second = pair if part.number == 0 else reversed(pair)
        part.meet()
        try:
            with transaction.atomic():
                say(first, "to the first")
                if part.plan["interleaved"]:
                    part.meet()
                say(second, "to the second")
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}"[:200])
    return {"errors": errors}


def cross_many(part: Part) -> dict[str, Any]:
    """Every process tells all `users` with one `notify_many`, `times` times; half of them in the opposite order."""
    from notifications.api import notify_many

    users = part.plan["users"] if part.number % 2 else part.plan["users"][::-1]
    errors = []
    for _ in range(part.plan["times"]):
        part.meet()
        try:
            notify_many(users, title="to all")
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}"[:200])
    return {"errors": errors}


def hold(part: Part) -> list[Any]:
    """Process 0 notifies each of `users` in a transaction that it keeps open until process 1 has notified them too.

    Answers with the numbers: process 0's after its commit, process 1's as it was told them.
    """
    from django.db import transaction

    from notifications import api
    from notifications.models import Notification

    seqs = []
    for user in part.plan["users"]:
        if part.number == 0:
            with transaction.atomic():
                row = api.notify(user, title="held")
                # Marking touches the stream too, and must not hold it either.
                api.mark(user, state="read", through=part.plan["mark_through"])
                if part.plan["way"] == "naive":
                    from notifications import store

                    store.sequence([user])
                part.meet()
                part.meet()
            seqs.append(Notification.objects.get(pk=row.pk).seq)
        else:
            part.meet()
            try:
                seqs.append(api.notify(user, title="meanwhile").seq)
            finally:
                part.meet()
    return seqs
