"""What happens to accounts, carried to the login sessions: a changed password, a closed or deleted account.

* The password changed: all sessions end (credentials_changed) but the one that did it; of that one all that was made
  before is void, and its sockets prove themselves anew.
* `is_active` is False: all end (account_disabled).
* The person was deleted: all are gone.

Signals see what Django's models do. What is done by SQL, or by `update()`, is found where a session is looked at, which
the sweep does every few seconds: see `tickets.sessions.why_not`.
"""

from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.signals import post_delete, post_save, pre_save
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
    return end_those(LoginSession.objects.filter(user_id=user_id, created_at__lte=moment), reason, by=by, now=now)


def cut_off(user_id: Any, moment: datetime) -> None:
    """JWTs made elsewhere before that moment, and not shown here before, are refused from now on."""
    cutoff, made = Cutoff.objects.get_or_create(user_id=user_id, defaults={"issued_before": moment})
    if not made and cutoff.issued_before < moment:
        Cutoff.objects.filter(user_id=user_id, issued_before__lt=moment).update(issued_before=moment)


def end_those(
    sessions: QuerySet[LoginSession], reason: EndReason, *, now: datetime, by: int | str | None = None
) -> int:
    """End those of the sessions that stand, some hundreds at a time; return how many this call ended."""
    ended = 0
    standing = sessions.filter(ended_at=None, expires_at__gt=now)
    while batch := list(standing.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        ended += end_sessions(batch, reason=reason, by=by, now=now)
    return ended


# What happened ------------------------------------------------------------------------------------------------------


def connect() -> None:
    """Listen; called once, when all models are known."""
    pre_save.connect(_saving, dispatch_uid="tickets.accounts.saving")
    post_save.connect(_saved, dispatch_uid="tickets.accounts.saved")
    person = get_user_model()
    for model in apps.get_models():
        # Of people only, their proxies too: where anybody listens, Django reads all rows before it deletes them.
        if issubclass(model, person):
            post_delete.connect(_deleted, sender=model, dispatch_uid=f"tickets.accounts.{model._meta.label}")


def _is_watched(instance: Any, raw: bool, update_fields: Any) -> bool:
    if raw or not isinstance(instance, get_user_model()):
        return False
    return update_fields is None or bool(WATCHED & set(update_fields))


def _saving(instance: Any, raw: bool, update_fields: Any, **_: Any) -> None:
    if instance.pk is not None and not instance._state.adding and _is_watched(instance, raw, update_fields):
        people = get_user_model()._default_manager.filter(pk=instance.pk)
        instance._usher_before = people.values_list("password", "is_active").first()


def _saved(instance: Any, created: bool, raw: bool, update_fields: Any, **_: Any) -> None:
    if created or not _is_watched(instance, raw, update_fields):
        return
    before = instance.__dict__.pop("_usher_before", None) or (instance.password, instance.is_active)
    now = timezone.now()
    if not instance.is_active:
        _closed(instance, was_active=before[1], now=now)
    else:
        _password_looked_at(instance, changed=before[0] != instance.password, now=now)


def _closed(person: Any, *, was_active: bool, now: datetime) -> None:
    ended = end_those(LoginSession.objects.filter(user_id=person.pk), EndReason.ACCOUNT_DISABLED, now=now)
    if was_active or ended:
        cut_off(person.pk, now)
        audit.record(audit.ACCOUNT_DISABLED, user=person.pk, ended=ended)


def _password_looked_at(person: Any, *, changed: bool, now: datetime) -> None:
    digest = digest_of(person.password)
    standing = LoginSession.objects.filter(user_id=person.pk, ended_at=None, expires_at__gt=now)
    outdated = standing.exclude(password_digest__in=("", digest))
    if not changed and not outdated.exists():
        return
    kept = current.session_id.get()
    with transaction.atomic():
        # All of them first, in the order in which everybody locks them.
        list(standing.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
        cut_off(person.pk, now)
        spared = outdated.filter(pk=kept).update(password_digest=digest, valid_from=now) if kept else 0
        if spared:
            Ticket.objects.filter(session_id=kept, redeemed_at=None, revoked_at=None).update(revoked_at=now)
            transaction.on_commit(lambda: _tell(plain_id(person.pk), "password"), robust=True)
        ended = end_those(outdated, EndReason.CREDENTIALS_CHANGED, now=now)
        audit.record(audit.PASSWORD_CHANGED, user=person.pk, session=kept if spared else None, ended=ended)


def _deleted(instance: Any, **_: Any) -> None:
    user_id = plain_id(instance.pk)  # which Django forgets when it is done
    transaction.on_commit(lambda: _tell(user_id, "deleted"), robust=True)
    audit.record(audit.ACCOUNT_DELETED, user=user_id)


def _tell(user_id: int | str, change: str) -> None:
    person_changed.send_robust(sender=LoginSession, user_id=user_id, change=change)
