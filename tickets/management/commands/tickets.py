from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils import timezone

from tickets.issuing import revoke_many
from tickets.models import Ticket
from tickets.operators import CHUNK, bare, confirm, json_line, moment, named_user, operator, write_list
from tickets.shown import networks, ticket_states, unspent, with_state
from tickets.staff import batches

COLUMNS = (
    *(("ticket", 10), ("user", 20), ("state", 8), ("refused", 8), ("purpose", 7), ("network", 18)),
    *(("created", 19), ("expires", 19), ("redeemed", 19), ("revoked", 19), ("session", 36)),
)


class Command(BaseCommand):
    help = (
        "Lists tickets, newest first, or takes unspent ones back. None is shown that could be spent: it is not known."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        listing = acts.add_parser("list", help="tickets as they stand; those of yesterday were pruned")
        listing.add_argument("--state", choices=list(ticket_states(timezone.now())))
        listing.add_argument("--network", help="an address, or a network in CIDR notation as it is shown")
        listing.add_argument("--since", help="created since then: ISO 8601 with a time zone, or 90s, 15m, 2h, 3d")
        revoking = acts.add_parser("revoke", help="take back unspent tickets: all that is named must fit")
        revoking.add_argument("ticket", nargs="*", type=int, help="its number in the list")
        revoking.add_argument("--before", help="created before then: ISO 8601 with a time zone, or 90s, 15m, 2h, 3d")
        revoking.add_argument("--reason", default="", help="for the audit log")
        revoking.add_argument("--yes", action="store_true", help="do not ask")
        for each in (listing, revoking):
            each.add_argument("--user", help="a username")
            each.add_argument("--session", type=UUID, help="the id of a login session")
            each.add_argument("--json", action="store_true", help="an object of JSON a line")

    def handle(self, *, act: str, **options: Any) -> None:
        (self._list if act == "list" else self._revoke)(**options)

    def _list(self, *, state: str | None, network: str | None, since: str | None, json: bool, **who: Any) -> None:
        now = timezone.now()
        found = _of(**who)
        if state:
            found = found.filter(ticket_states(now)[state])
        if network:
            found = found.filter(network__in=networks(network))
        if since:
            found = found.filter(created_at__gte=moment(since, now=now))
        count = write_list(bare(self.stdout), COLUMNS, _rows(with_state(found, now=now)), as_json=json)
        if not json:
            self.stderr.write(f"{count:,} tickets")

    def _revoke(self, *, ticket: list[int], before: str | None, reason: str, yes: bool, json: bool, **who: Any) -> None:
        if not (ticket or before or who["user"] or who["session"]):
            raise CommandError("Name tickets, --user, --session or --before.")
        now = timezone.now()
        found = _of(**who).filter(unspent(now))
        if ticket:
            found = found.filter(pk__in=ticket)
        if before:
            found = found.filter(created_at__lt=moment(before, now=now))
        if count := found.count():
            question = f"Revoke {count:,} unspent tickets? Their clients will ask for others."
            confirm(question, yes=yes, out=bare(self.stderr))
        revoked = sum(revoke_many(keys, by=operator(), why=reason, now=now) for keys in batches(found))
        self.stdout.write(json_line({"revoked": revoked}) if json else f"{revoked:,} tickets revoked\n", ending="")


def _of(*, user: str | None, session: UUID | None, **_: Any) -> QuerySet[Ticket]:
    found = Ticket.objects.all()
    if user:
        found = found.filter(user_id=named_user(user))
    return found.filter(session_id=session) if session else found


def _rows(found: QuerySet[Ticket, Any]) -> Iterator[list[Any]]:
    name = f"user__{get_user_model().USERNAME_FIELD}"
    times = ("created_at", "expires_at", "redeemed_at", "revoked_at")
    columns = found.order_by("-id").values_list(
        "id", name, "state", "refused", "purpose", "network", *times, "session_id"
    )
    return map(list, columns.iterator(chunk_size=CHUNK))
