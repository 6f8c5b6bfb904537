from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils import timezone

from notifications.admin import DISCONNECTED
from notifications.live import kicking
from notifications.live.positions import with_position
from notifications.models import Connection
from tickets.api import audit
from tickets.operators import CHUNK, bare, confirm, json_line, named_user, operator, write_list
from tickets.staff import batches

COLUMNS = (
    *(("connection", 16), ("user", 20), ("since", 19), ("position", 8), ("behind", 6), ("unacked", 7)),
    *(("network", 18), ("protocol", 8), ("server", 30), ("session", 36), ("state", 5)),
)


class Command(BaseCommand):
    help = (
        "Lists the live connections of all processes, oldest first, as they reported them some seconds ago; or closes "
        "them. Their login sessions live on, but let nobody in by a ticket or a token from before."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("connection", nargs="*", help="as the client was told it in welcome")
        parser.add_argument("--user", help="a username")
        parser.add_argument("--server", help="a process as it is shown, or how that begins: a host")
        parser.add_argument("--session", type=UUID, help="the id of a login session")
        parser.add_argument("--json", action="store_true", help="an object of JSON a line")
        parser.add_argument("--disconnect", action="store_true", help="close them, with 4500; --all for everybody's")
        parser.add_argument("--all", action="store_true", help="of everybody, where something is done")
        parser.add_argument("--reason", default="", help="for the audit log")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *, connection: list[str], disconnect: bool, json: bool, **options: Any) -> None:
        now = timezone.now()
        found = _named(kicking.live(now=now), connection, **options)
        if not disconnect:
            count = write_list(bare(self.stdout), COLUMNS, _rows(found), as_json=json)
            if not json:
                self.stderr.write(f"{count:,} connections")
            return
        named = connection or options["user"] or options["server"] or options["session"]
        if bool(named) == options["all"]:
            raise CommandError("Name connections, --user, --server or --session; or say --all.")
        closed = self._disconnect(found.filter(kicked_at=None), now, options)
        self.stdout.write(
            json_line({"disconnected": closed}) if json else f"{closed:,} connections disconnected\n", ending=""
        )

    def _disconnect(self, found: QuerySet[Connection], now: datetime, options: dict[str, Any]) -> int:
        if count := found.count():
            confirm(f"Disconnect {count:,} connections?", yes=options["yes"], out=bare(self.stderr))
        closed = 0
        for names in batches(found):
            for name, user_id in kicking.disconnect(names, now=now):
                whose = {"connection": name, "user": user_id, "by": operator()}
                audit(DISCONNECTED, **whose, why=options["reason"] or None)
                closed += 1
        return closed


def _named(
    found: QuerySet[Connection],
    names: list[str],
    *,
    user: str | None,
    server: str | None,
    session: UUID | None,
    **_: Any,
) -> QuerySet[Connection]:
    if names:
        found = found.filter(pk__in=names)
    if user:
        found = found.filter(user_id=named_user(user))
    if server:
        found = found.filter(server__startswith=server)
    return found.filter(session_id=session) if session else found


def _rows(found: QuerySet[Connection]) -> Iterator[list[Any]]:
    name = f"user__{get_user_model().USERNAME_FIELD}"
    place = ("cursor", "behind", "unacked")
    columns = (
        with_position(found)
        .order_by("opened_at", "name")
        .values_list("name", name, "opened_at", *place, "network", "protocol", "server", "session_id", "kicked_at")
    )
    for *shown, kicked_at in columns.iterator(chunk_size=CHUNK):
        yield [*shown, "live" if kicked_at is None else "going"]
