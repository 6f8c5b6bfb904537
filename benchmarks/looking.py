"""What staff looks at: rows in both lists, and pages of the admin as a browser asks for them, in this process."""

import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.utils import timezone

from notifications.models import Connection, Stream
from tickets.models import LoginSession, Ticket

User = get_user_model()

ADDRESS = "127.0.0.1"
ADMINS = {"usher": "/admin/", "plain": "/plain-admin/"}
LISTS = {"tickets": "tickets/ticket/", "connections": "notifications/connection/"}
PAGES: dict[str, dict[str, dict[str, dict[str, str]]]] = {
    "tickets": {
        "first": {"usher": {}, "plain": {}},
        "searched": {
            "usher": {"q": "person-1", "state": "redeemed"},
            "plain": {"q": "person-1", "redeemed_at__isnull": "False"},
        },
    },
    "connections": {
        "first": {"usher": {}, "plain": {}},
        "searched": {
            "usher": {"q": "person-1", "protocol": "usher.v1"},
            "plain": {"q": "person-1", "protocol": "usher.v1"},
        },
    },
}
"""By list and page: what is asked for."""

_clients: list[Client] = []


def fill(*, user_ids: list[int], tickets: int, connections: int) -> None:
    """So many rows in both lists, of these people in turn; those that there are stay."""
    now = timezone.now()
    later = now + timedelta(days=1)
    Stream.objects.bulk_create([Stream(user_id=pk, head=9) for pk in user_ids], ignore_conflicts=True)
    facts = {"method": "token", "created_at": now, "expires_at": later}
    sessions = LoginSession.objects.bulk_create(LoginSession(user_id=pk, **facts) for pk in user_ids)
    Ticket.objects.bulk_create(
        (_ticket(number, sessions[number % len(sessions)], now) for number in range(Ticket.objects.count(), tickets)),
        batch_size=1000,
    )
    Connection.objects.bulk_create(
        (
            _connection(number, sessions[number % len(sessions)], now)
            for number in range(Connection.objects.count(), connections)
        ),
        batch_size=1000,
    )


def _ticket(number: int, session: LoginSession, now: Any) -> Ticket:
    spent = now if number % 2 else None
    times = {"created_at": now, "expires_at": now + timedelta(hours=number % 72), "redeemed_at": spent}
    whose = {"user_id": session.user_id, "session": session}
    return Ticket(digest=f"{number:064}", purpose="connect", network="192.0.2.0/24", **whose, **times)


def _connection(number: int, session: LoginSession, now: Any) -> Connection:
    whose = {"user_id": session.user_id, "session_id": session.pk}
    place = {"cursor": number % 10, "acked": number % 5, "network": "192.0.2.0/24"}
    times = {"opened_at": now - timedelta(seconds=number), "leased_until": now + timedelta(days=1)}
    where = {"server": f"host:{number % 4}:a", "protocol": "usher.v1"}
    return Connection(name=uuid4().hex[:16], **whose, **place, **times, **where)


def look(*, side: str, of: str, page: str) -> dict[str, float]:
    """One page: seconds, CPU seconds of this process, and queries."""
    client = _signed_in()
    asked = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return execute(*arguments)

    with connection.execute_wrapper(count):
        wall, cpu = time.monotonic(), time.process_time()
        answer = client.get(ADMINS[side] + LISTS[of], PAGES[of][page][side])
        spent = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}
    if answer.status_code != 200 or b"<tbody>" not in answer.content:
        raise RuntimeError(f"{side}, {of}, {page}: {answer.status_code}, without rows")
    return spent | {"queries": asked}


def _signed_in() -> Client:
    if not _clients:
        client = Client(SERVER_NAME=ADDRESS)
        client.force_login(User.objects.create_superuser("root"))
        _clients.append(client)
    return _clients[0]
