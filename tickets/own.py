"""What a person may know of their own login sessions, and may do about them (OWASP ASVS 5.0, 7.5.2)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from tickets.accounts import cut_off, end_those
from tickets.grants import EndReason
from tickets.models import LoginSession
from tickets.sessions import end_sessions

SEEN_SPACING: Final = timedelta(seconds=60)
"""Who was seen this short a time ago is not noted again: a row that is written at every reload helps nobody."""


@dataclass(frozen=True, slots=True)
class OwnSession:
    """A standing login session, as its person sees it. `network` is as much of the address as the site keeps."""

    id: UUID
    method: str
    device: str
    network: str
    since: datetime
    last_seen: datetime
    expires_at: datetime


def own_sessions(user_id: Any, *, now: datetime | None = None) -> list[OwnSession]:
    """The person's standing login sessions, the one seen last first."""
    now = now or timezone.now()
    rows = LoginSession.objects.filter(user_id=user_id, ended_at=None, expires_at__gt=now)
    found = [
        OwnSession(row.pk, row.method, row.device, row.network, row.created_at, row.seen_at, row.expires_at)
        for row in rows
    ]
    return sorted(found, key=lambda session: session.last_seen, reverse=True)


def end_own_session(user_id: Any, session_id: UUID, *, now: datetime | None = None) -> bool:
    """End a login session of the person, if it has not ended before. False if the person has no such session."""
    if not LoginSession.objects.filter(pk=session_id, user_id=user_id).exists():
        return False
    end_sessions([session_id], reason=EndReason.LOGGED_OUT, by=user_id, now=now)
    return True


def end_other_sessions(user_id: Any, keep: UUID | None, *, now: datetime | None = None) -> int:
    """End all login sessions of the person but one. Returns how many this call ended. No JWT made elsewhere before now
    opens another one."""
    now = now or timezone.now()
    cut_off(user_id, now)
    others = LoginSession.objects.filter(user_id=user_id)
    if keep is not None:
        others = others.exclude(pk=keep)
    return end_those(others, EndReason.LOGGED_OUT, by=user_id, now=now)


def seen(session_ids: Collection[UUID] | QuerySet[Any, Any], *, now: datetime | None = None) -> None:
    """Note that these sessions are in use now: by one statement, and only those that were not seen a moment ago.

    Who is being noted by another process at this moment is left to it: two that waited for each other's rows would end
    in a deadlock, over nothing.
    """
    now = now or timezone.now()
    stale = LoginSession.objects.filter(pk__in=session_ids, seen_at__lt=now - SEEN_SPACING)
    with transaction.atomic():
        free = stale.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
        LoginSession.objects.filter(pk__in=free.values("pk")).update(seen_at=now)
