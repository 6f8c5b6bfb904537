"""
Closing live connections by their rows in the list: those that staff disconnects, and the oldest of somebody who has
more than `SOCKETS_PER_USER` in all processes together.

A row is marked with the moment and the close code, and the processes are told. One that does not hear it finds its rows
marked at its next look, within `SWEEP_SECONDS`.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from tickets.api import keep_out

from .. import fanout
from ..conf import conf
from ..models import Connection
from ..wire.closing import CloseCode
from ..wire.doorbell import Kicked, stream_of

KickCode = Literal[4500, 4504]

Named = tuple[str, Any]
"""A connection's name and the primary key of its user."""


def live(*, now: datetime) -> QuerySet[Connection]:
    """The rows that are believed."""
    return Connection.objects.filter(leased_until__gt=now)


def disconnect(names: Collection[str], *, now: datetime | None = None) -> list[Named]:
    """
    Close just these connections, some hundreds at once, with 4500; their login sessions live on, but open no socket
    with a ticket or a token that they had before.

    Returns those that were on the list and not disconnected before.
    """
    now = now or timezone.now()
    found = live(now=now).filter(pk__in=names)
    keep_out(list(found.filter(kicked_at=None).values_list("session_id", flat=True)), now=now)
    return _kick(found, 4500, now)


def make_place(user_ids: Collection[Any], *, now: datetime | None = None) -> list[Named]:
    """
    Close, with 4504, the oldest connections of these people, some hundreds at once, that have more than they may.

    Returns which. Old is what opened first by the clock of the server that has it, at one moment whose name is less:
    every process sees the same order. Where servers' clocks differ another one of the person's connections may go than
    the oldest, but never more than are too many. What is disconnected already does not count, nor what a dead process
    left behind.
    """
    now = now or timezone.now()
    newest_first = Window(RowNumber(), partition_by=F("user_id"), order_by=[F("opened_at").desc(), F("name").desc()])
    stays = live(now=now).filter(user_id__in=user_ids, kicked_at=None).annotate(place=newest_first)
    too_many = list(stays.filter(place__gt=conf.SOCKETS_PER_USER).values_list("pk", flat=True))
    return _kick(Connection.objects.filter(pk__in=too_many), 4504, now) if too_many else []


def unheard(server: str) -> list[tuple[str, KickCode]]:
    """Which rows of this process are marked, and with what."""
    found = Connection.objects.filter(server=server, kicked_at__isnull=False).values_list("name", "kicked_code")
    # A process of the release before this one leaves no code: it only ever marks for staff.
    return [(name, 4504 if code == CloseCode.TOO_MANY_CONNECTIONS else 4500) for name, code in found]


def kicks(marked: Iterable[tuple[str, Any, KickCode]]) -> list[Kicked]:
    """(name, user id, code) of connections as messages to their hubs."""
    together: dict[tuple[str, KickCode], list[str]] = {}
    for name, user_id, code in marked:
        together.setdefault((stream_of(user_id), code), []).append(name)
    return [Kicked(fanout.ORIGIN, stream, names, code) for (stream, code), names in together.items()]


def _kick(found: QuerySet[Connection], code: KickCode, now: datetime) -> list[Named]:
    with transaction.atomic():
        unmarked = found.filter(kicked_at=None).select_for_update().order_by("pk")
        rows = list(unmarked.values_list("name", "user_id"))
        marked = Connection.objects.filter(pk__in=[name for name, _user in rows])
        marked.update(kicked_at=now, kicked_code=code)
    for kicked in kicks((name, user_id, code) for name, user_id in rows):
        fanout.kick(kicked.stream, kicked.names, code=code)
    return rows
