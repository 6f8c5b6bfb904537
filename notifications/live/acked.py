"""How far people have acked what they were told, for staff to look at when their sockets are long closed.

Nothing is decided by it. It is written with the list of live connections (`presence`), so it comes some seconds late,
and what a process that dies had not written yet is not in it.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from ..models import Acked

BATCH = 500

_TABLE = Acked._meta.db_table

# Another process may have noted more.
_NOTE = f"""
    INSERT INTO {_TABLE} AS acked (user_id, through, at) VALUES {{rows}}
    ON CONFLICT (user_id) DO UPDATE SET through = excluded.through, at = excluded.at
    WHERE acked.through < excluded.through"""  # noqa: S608 (our own table)


def note(through: Mapping[Any, int]) -> None:
    """By person, the last number that one of their clients has acked: kept where it is the highest so far."""
    people = sorted(through, key=str)  # so that no two processes wait for each other's rows
    for start in range(0, len(people), BATCH):
        batch = people[start : start + BATCH]
        gone = set(map(str, batch)) - known(batch)
        _note({user_id: through[user_id] for user_id in batch if str(user_id) not in gone})


def _note(through: Mapping[Any, int]) -> None:
    if not through:
        return
    key = Acked._meta.get_field("user")
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    rows = [(key.get_db_prep_value(user_id, connection), number, now) for user_id, number in through.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE.format(rows=", ".join(["(%s, %s, %s)"] * len(rows))), [each for row in rows for each in row]
        )


def known(user_ids: Any) -> set[str]:
    """Which of these people are there: who was deleted a moment ago has sockets until the sweep, and no row can refer
    to them."""
    people = get_user_model()._default_manager.filter(pk__in=user_ids)
    return {str(pk) for pk in people.values_list("pk", flat=True)}
