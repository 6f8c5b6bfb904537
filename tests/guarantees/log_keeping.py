"""A process that brings about what a client may find when it comes back: pruned, expired, archived, numbered anew."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.crowd import Part

LONG_AGO = timedelta(days=30)


def keep(part: Part) -> dict[str, dict[str, Any]]:
    """For each person, made if unknown, carry out what `histories` says: a list of [verb, *arguments], see below.

    Answers, for each, with an access token (signing in by password takes longer than all the rest), the epoch before
    and after, and the ids by number.
    """
    from django.contrib.auth import get_user_model

    from notifications import store
    from notifications.models import Notification
    from tickets import tokens

    found = {}
    for username, history in part.plan["histories"].items():
        user, _ = get_user_model().objects.get_or_create(username=username)
        before = store.ensure_stream(user.pk).epoch
        for verb, *arguments in history:
            VERBS[verb](user.pk, *arguments)
        numbered = Notification.objects.filter(user=user).values_list("seq", "pk")
        found[username] = {
            "access": tokens.sign_in(user).access if part.plan["sign_in"] else None,
            "old_epoch": before,
            "epoch": store.ensure_stream(user.pk).epoch,
            "ids": {seq: str(pk) for seq, pk in numbered},
        }
    return found


def tell(user: int, count: int) -> None:
    """So many notifications more."""
    from notifications.api import notify

    for number in range(count):
        notify(user, title=f"number {number}")


def expire(user: int, seqs: Collection[int]) -> None:
    """These have expired since."""
    from notifications.models import Notification

    Notification.objects.filter(user_id=user, seq__in=seqs).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))


def archive(user: int, seqs: Collection[int]) -> None:
    """These were archived on another device."""
    from notifications.api import mark
    from notifications.models import Notification

    ids = list(Notification.objects.filter(user_id=user, seq__in=seqs).values_list("pk", flat=True))
    mark(user, state="archived", ids=ids)


def prune(user: int, through: int) -> None:
    """Retention has passed over everything up to this number."""
    from notifications import store
    from notifications.models import Notification

    now = datetime.now(UTC)
    Notification.objects.filter(user_id=user, seq__lte=through).update(created_at=now - LONG_AGO)
    store.prune(older_than=now - LONG_AGO / 2, keep=1_000_000, now=now)
    assert store.peek(user).floor == through


def void(user: int) -> None:
    """The numbers can no longer be trusted."""
    from notifications import store

    store.reset_epoch(user)


VERBS = {verb.__name__: verb for verb in (tell, expire, archive, prune, void)}
