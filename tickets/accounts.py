"""What happens to accounts, carried to the login sessions: a changed password, a closed or deleted account.

* The password changed: all sessions end (credentials_changed) but the one that did it; of that one all that was made
  before is void, and its sockets prove themselves anew.
* `is_active` is False: all end (account_disabled).
* The person was deleted: all are gone.

Signals see what Django's models do. What is done by SQL, or by `update()`, is found where a session is looked at, which
the sweep does every few seconds: see `tickets.sessions.why_not`.
"""

import functools
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.utils import timezone

from tickets import audit, current
from tickets.grants import EndReason
from tickets.models import Cutoff, LoginSession, Ticket
from tickets.sessions import digest_of, end_sessions, plain_id
from tickets.signals import person_changed

BATCH = 500

WATCHED = frozenset({"is_active", "password"})


def end_all(
    user_id: Any,
    *,
    reason: EndReason,
    issued_before: datetime | None = None,
    by: int | str | None = None,
    now: datetime | None = None,
) -> int:
    """End every login session of the person that began before a moment (now, if left out); return how many this call
    ended. No JWT made elsewhere before that moment opens another one."""
    now = now or timezone.now()
    moment = issued_before or now
    cut_off(user_id, moment)
    return _end(LoginSession.objects.filter(user_id=user_id, created_at__lte=moment), reason, by=by, now=now)


def cut_off(user_id: Any, moment: datetime) -> None:
    """JWTs made elsewhere before that moment, and not shown here before, are refused from now on."""
    cutoff, made = Cutoff.objects.get_or_create(user_id=user_id, defaults={"issued_before": moment})
    if not made and cutoff.issued_before < moment:
        Cutoff.objects.filter(user_id=user_id, issued_before__lt=moment).update(issued_before=moment)


def _end(sessions: QuerySet[LoginSession], reason: EndReason, *, now: datetime, by: int | str | None = None) -> int:
    ended = 0
    standing = sessions.filter(ended_at=None, expires_at__gt=now)
    while batch := list(standing.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        ended += end_sessions(batch, reason=reason, by=by, now=now)
    return ended


def _is_person(instance: Any) -> bool:
    return isinstance(instance, get_user_model())


@receiver(post_save)
def _saved(instance: Any, created: bool, raw: bool, update_fields: Any, **_: Any) -> None:
    if created or raw or not _is_person(instance):
        return
    if update_fields is not None and not WATCHED & set(update_fields):
        return
    now = timezone.now()
    sessions = LoginSession.objects.filter(user_id=instance.pk)
    if not instance.is_active:
        if _end(sessions, EndReason.ACCOUNT_DISABLED, now=now):
            cut_off(instance.pk, now)
        return
    digest = digest_of(instance.password)
    outdated = sessions.filter(ended_at=None, expires_at__gt=now).exclude(password_digest__in=("", digest))
    if outdated.exists():
        _password_changed(instance, outdated, digest, now)


def _password_changed(person: Any, outdated: QuerySet[LoginSession], digest: str, now: datetime) -> None:
    cut_off(person.pk, now)
    kept = current.session_id.get()
    spared = outdated.filter(pk=kept).update(password_digest=digest, valid_from=now) if kept else 0
    if spared:
        Ticket.objects.filter(session_id=kept, redeemed_at=None, revoked_at=None).update(revoked_at=now)
    ended = _end(outdated, EndReason.CREDENTIALS_CHANGED, now=now)
    audit.record("password_changed", user=person.pk, session=kept if spared else None, ended=ended)
    if spared:
        transaction.on_commit(functools.partial(_tell, plain_id(person.pk), "password"), robust=True)


# Of people only: where anybody listens, Django reads all rows of a model before it deletes them.
@receiver(post_delete, sender=settings.AUTH_USER_MODEL)
def _deleted(instance: Any, **_: Any) -> None:
    audit.record("account_deleted", user=instance.pk)
    transaction.on_commit(functools.partial(_tell, plain_id(instance.pk), "deleted"), robust=True)


def _tell(user_id: int | str, change: str) -> None:
    person_changed.send_robust(sender=LoginSession, user_id=user_id, change=change)
