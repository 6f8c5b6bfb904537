"""
The list of live connections: what this process writes into it, and what it reads there.

Promises:

* A connect or a close costs no query: it is noted here, and written with all others every few seconds. Who came and
  went in between is never written. While nothing happens there is one renewal every `PRESENCE_SECONDS`; with it the
  positions of those are written that were told something. How far a person has acked is written then, and when their
  sockets close (`acked`).
* A row is believed until its lease is over, three renewals after the last one that succeeded. So the list is true
  again soon after a process was killed, and a process that slept or lost its database puts itself back on it.
* The list lets nobody in. If it cannot be written, sockets stay.
* Who has more than `SOCKETS_PER_USER` in all processes together loses the oldest (`kicking`). That is looked at in the
  pass after the one that wrote the arrival: whoever reloads a page has left the list by then, wherever the page before
  was connected, and is not taken for two. One process alone sees to it at once (`hub`).
* A connection that was marked by staff, or as one too many, is closed at once where the announcement arrives, else
  within `SWEEP_SECONDS`.
"""

import asyncio
import atexit
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection
from django.utils import timezone

from tickets.api import in_thread, kept_network, seen

from ..conf import conf
from ..models import Connection
from ..wire.doorbell import Asked, Kicked
from . import acked, kicking

T = TypeVar("T")

PASS_SECONDS = 2.0
"""How often news is written: soon enough for somebody who reloads a page, rare enough for a storm of reconnects."""

LEASES = 3
"""Renewals that may fail before a row is not believed any more: a restarting database must not empty the list."""

NOTE_SECONDS = 60.0
"""How often it is noted, with a renewal, that the login sessions of all these sockets are in use."""

BATCH = 500


Place = tuple[int, int]
"""The last number that a connection was told, and the last one that was acked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A live socket as the list tells it."""

    name: str
    user_id: Any
    session_id: UUID
    address: str | None
    protocol: str
    opened_at: datetime
    place: Callable[[], Place | None] = lambda: None
    """Where it is by now."""


class Presence:
    """This process's part of the list. All methods belong to the event loop; only `write` and `stop` query."""

    def __init__(self) -> None:
        # The random end: in containers the host's name and the process id may both come again.
        self.server = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(3)}"
        self._live: dict[str, Present] = {}
        self._news: set[str] = set()  # names that came, changed or left since they were written
        self._listed: set[str] = set()  # names that should be in the table
        self._arrived: set[Any] = set()  # people whose connections are counted after the next pass
        self._asked: dict[str, str] = {}  # when each was asked last to re-authenticate
        self._places: dict[str, Place] = {}  # as they were looked at last
        self._acked: dict[Any, int] = {}  # how far people have acked, where that rose since it was written
        # False when the table may differ from `_listed`: a write failed, or somebody purged rows of ours.
        self._sure = True
        self._renew_at = inf
        self._look_at = inf
        self._note_at = -inf
        self._writing = asyncio.Lock()
        self._stopped = False
        self._at_exit = False

    def here(self, present: Present) -> None:
        """The socket was welcomed, or lives by another session now."""
        self._live[present.name] = present
        self._news.add(present.name)
        if present.name not in self._places and (place := present.place()):
            self._places[present.name] = place

    def gone(self, name: str) -> None:
        """The socket is closed or about to be."""
        self._asked.pop(name, None)
        if present := self._live.pop(name, None):
            self._look_where(present)
            self._news.add(name)
        self._places.pop(name, None)

    def asked(self, names: list[str], at: str) -> list[str]:
        """Which of these are here and have not heard yet that this was asked of them."""
        fresh = [name for name in names if name in self._live and self._asked.get(name) != at]
        self._asked.update(dict.fromkeys(fresh, at))
        return fresh

    async def write(self) -> list[Kicked | Asked]:
        """Bring the table up to date if anything is due, and find which of its rows were marked unheard."""
        async with self._writing:
            if self._stopped:
                return []
            now = time.monotonic()
            arrived, self._arrived = self._arrived, set()
            if self._news:
                await self._write_news()
            if not self._sure:
                await self._write_all()
            elif now >= self._renew_at:
                notes = now >= self._note_at
                self._note_at = now + NOTE_SECONDS if notes else self._note_at
                moved = self._moved()
                renewed = await self._note(_renew, self.server, notes, moved)
                self._sure = renewed == len(self._listed)
                self._renew_at = now + conf.PRESENCE_SECONDS
            if arrived:
                await self._in_thread(_make_place, list(arrived))
            self._set_dates(now)
            if now < self._look_at:
                return []
            self._look_at = now + conf.SWEEP_SECONDS
            return self._unheard(await self._in_thread(kicking.unheard, self.server))

    async def stop(self) -> None:
        """Take this process off the list; nothing is written afterwards."""
        async with self._writing:
            self._stopped = True
            atexit.unregister(self._leave)
            for present in self._live.values():
                self._look_where(present)
            if self._at_exit:  # something was written, or may have been
                await in_thread(_remove_server, self.server, self._take_acked())

    async def _write_news(self) -> None:
        news, self._news = self._news, set()
        came = [self._live[name] for name in news if name in self._live]
        left = [name for name in news if name in self._listed and name not in self._live]
        if not (came or left or self._acked):
            return
        if not self._at_exit:
            self._at_exit = True
            atexit.register(self._leave)
        await self._note(_write, self.server, came, left)
        self._arrived.update(present.user_id for present in came)
        self._listed.update(present.name for present in came)
        self._listed.difference_update(left)

    async def _write_all(self) -> None:
        live = list(self._live.values())
        await self._note(_rewrite, self.server, live)
        self._listed = {present.name for present in live}
        self._arrived = {present.user_id for present in live}
        self._sure = True

    def _moved(self) -> dict[str, Place]:
        """Where those are that are elsewhere than was written."""
        looked = ((name, self._look_where(self._live[name])) for name in self._listed if name in self._live)
        return {name: place for name, place in looked if place is not None}

    def _look_where(self, present: Present) -> Place | None:
        """Where it is, if that is not where it was when it was looked at last."""
        place, before = present.place(), self._places.get(present.name)
        if place is None or place == before:
            return None
        self._places[present.name] = place
        if before is None or place[1] > before[1]:
            self._acked[present.user_id] = max(place[1], self._acked.get(present.user_id, 0))
        return place

    def _take_acked(self) -> dict[Any, int]:
        rose, self._acked = self._acked, {}
        return rose

    def _set_dates(self, now: float) -> None:
        if not self._listed:
            self._renew_at = self._look_at = inf
        elif self._renew_at == inf:
            self._renew_at = now + conf.PRESENCE_SECONDS
            self._look_at = now + conf.SWEEP_SECONDS

    async def _in_thread(self, fn: Callable[..., T], *args: Any) -> T:
        sure, self._sure = self._sure, False  # until it is known that it went through
        answer = await in_thread(fn, *args)
        self._sure = sure
        return answer

    async def _note(self, fn: Callable[..., T], *args: Any) -> T:
        """With how far people have acked: what could not be written is written later, and they may be gone by then."""
        rose = self._take_acked()
        try:
            return await self._in_thread(fn, *args, rose)
        except BaseException:
            self._acked = rose | self._acked  # what rose since is higher
            raise

    def _unheard(self, marked: list[tuple[str, kicking.KickCode | datetime]]) -> list[Kicked | Asked]:
        here = [(name, self._live[name].user_id, what) for name, what in marked if name in self._live]
        kicks = kicking.kicks((name, user, what) for name, user, what in here if not isinstance(what, datetime))
        asks = kicking.asks((name, user, what) for name, user, what in here if isinstance(what, datetime))
        return [*kicks, *asks]

    def _leave(self) -> None:
        """When the interpreter ends without `stop`, as under servers that tell their application nothing of it."""
        with contextlib.suppress(Exception):  # the leases end by themselves, and there is nobody left to tell
            _remove_server(self.server, self._take_acked())


def purge(*, now: datetime) -> int:
    """Remove the rows of processes that died; returns how many."""
    return Connection.objects.filter(leased_until__lte=now).delete()[0]


# --- On a database thread ---


def lease_seconds() -> timedelta:
    """How long a row is believed after its process was heard of."""
    return timedelta(seconds=LEASES * conf.PRESENCE_SECONDS)


def _lease() -> datetime:
    return timezone.now() + lease_seconds()


def _write(server: str, came: list[Present], left: list[str], rose: dict[Any, int]) -> None:
    _insert(server, came, _lease())
    acked.note(rose)
    for start in range(0, len(left), BATCH):
        Connection.objects.filter(pk__in=left[start : start + BATCH]).delete()


def _renew(server: str, notes: bool, moved: dict[str, Place], rose: dict[Any, int]) -> int:
    purge(now=timezone.now())
    ours = Connection.objects.filter(server=server)
    _write_places([(name, *place) for name, place in moved.items()])
    acked.note(rose)
    if notes:
        seen(ours.values("session_id"))
    return ours.update(leased_until=_lease())


# `bulk_update` takes a fifth of a core for ten thousand connections that are told something all the time.
_PLACES = f"""
    UPDATE {Connection._meta.db_table} SET "cursor" = CAST(column2 AS bigint), acked = CAST(column3 AS bigint)
    FROM (VALUES {{rows}}) AS moved WHERE name = column1"""  # noqa: S608 (our own table)


def _write_places(rows: list[tuple[str, int, int]]) -> None:
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        with connection.cursor() as cursor:
            cursor.execute(
                _PLACES.format(rows=", ".join(["(%s, %s, %s)"] * len(batch))), [each for row in batch for each in row]
            )


def _rewrite(server: str, present: list[Present], rose: dict[Any, int]) -> None:
    lease = _lease()
    _insert(server, present, lease)
    acked.note(rose)
    # What has another lease now is not live any more: a write that was given up and went through after all.
    Connection.objects.filter(server=server).exclude(leased_until=lease).delete()


def _insert(server: str, came: list[Present], lease: datetime) -> None:
    for start in range(0, len(came), BATCH):
        batch = came[start : start + BATCH]
        known = acked.known({present.user_id for present in batch})
        Connection.objects.bulk_create(
            [_row(present, server, lease) for present in batch if str(present.user_id) in known],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["session_id", "leased_until", "cursor", "acked"],
        )


def _row(present: Present, server: str, lease: datetime) -> Connection:
    cursor, acked = present.place() or (None, None)
    return Connection(
        name=present.name,
        cursor=cursor,
        acked=acked,
        user_id=present.user_id,
        session_id=present.session_id,
        server=server,
        network=kept_network(present.address),  # worked out for those who stay, and no address is kept
        protocol=present.protocol,
        opened_at=present.opened_at,
        leased_until=lease,
    )


def _make_place(user_ids: list[Any]) -> None:
    for start in range(0, len(user_ids), BATCH):
        kicking.make_place(user_ids[start : start + BATCH])


def _remove_server(server: str, rose: dict[Any, int]) -> None:
    acked.note(rose)
    Connection.objects.filter(server=server).delete()
