"""
What is done with live connections by their rows in the list: staff disconnects them or has them re-authenticate, and
the oldest go of somebody who has more than `SOCKETS_PER_USER` in all processes together.

A row is marked with the moment and, to close it, the code, and the processes are told. One that does not hear it finds
its rows marked at its next look, within `SWEEP_SECONDS`.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from tickets.api import keep_out

from .. import fanout
from ..conf import conf
from ..models import Connection
from ..wire.closing import CloseCode
from ..wire.doorbell import Asked, Kicked, stream_of

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


def ask(names: Collection[str], *, now: datetime | None = None) -> list[Named]:
    """
    Have just these connections, some hundreds at once, prove anew who they are: nothing private reaches them until
    then, and what they miss meanwhile follows. Returns those that were on the list and are not being disconnected.
    """
    now = now or timezone.now()
    with transaction.atomic():
        found = live(now=now).filter(pk__in=names, kicked_at=None).select_for_update().order_by("pk")
        rows = list(found.values_list("name", "user_id"))
        Connection.objects.filter(pk__in=[name for name, _user in rows]).update(asked_at=now)
    for asked in asks((name, user_id, now) for name, user_id in rows):
        fanout.ask(asked.stream, asked.names, at=asked.at)
    return rows


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


def unheard(server: str) -> list[tuple[str, KickCode | datetime]]:
    """Which rows of this process are marked, and with what: a close code, or when re-authentication was asked for."""
    marked = Q(kicked_at__isnull=False) | Q(asked_at__isnull=False)
    found = Connection.objects.filter(marked, server=server).values_list("name", "kicked_at", "kicked_code", "asked_at")
    return [(name, _mark(kicked_at, code, asked_at)) for name, kicked_at, code, asked_at in found]


def _mark(kicked_at: datetime | None, code: int | None, asked_at: datetime | None) -> KickCode | datetime:
    if kicked_at is None and asked_at is not None:
        return asked_at
    # A process of the release before this one leaves no code: it only ever marks for staff.
    return 4504 if code == CloseCode.TOO_MANY_CONNECTIONS else 4500


def kicks(marked: Iterable[tuple[str, Any, KickCode]]) -> list[Kicked]:
    """(name, user id, code) of connections as messages to their hubs."""
    together: dict[tuple[str, KickCode], list[str]] = {}
    for name, user_id, code in marked:
        together.setdefault((stream_of(user_id), code), []).append(name)
    return [Kicked(fanout.ORIGIN, stream, names, code) for (stream, code), names in together.items()]


def asks(marked: Iterable[tuple[str, Any, datetime]]) -> list[Asked]:
    """(name, user id, moment) of connections as messages to their hubs."""
    together: dict[tuple[str, str], list[str]] = {}
    for name, user_id, at in marked:
        together.setdefault((stream_of(user_id), at.isoformat()), []).append(name)
    return [Asked(fanout.ORIGIN, stream, names, at) for (stream, at), names in together.items()]


def _kick(found: QuerySet[Connection], code: KickCode, now: datetime) -> list[Named]:
    with transaction.atomic():
        unmarked = found.filter(kicked_at=None).select_for_update().order_by("pk")
        rows = list(unmarked.values_list("name", "user_id"))
        marked = Connection.objects.filter(pk__in=[name for name, _user in rows])
        marked.update(kicked_at=now, kicked_code=code)
    for kicked in kicks((name, user_id, code) for name, user_id in rows):
        fanout.kick(kicked.stream, kicked.names, code=code)
    return rows
