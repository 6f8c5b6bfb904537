"""What a person does not want to be told: they mute kinds of notifications (the `kind` of `notify()`).

What is written of a muted kind goes straight to their archive, as a mail filter does it: it is numbered like all else,
found by whoever looks for it, counted nowhere and pushed to nobody. It is decided when `notify()` writes; what was told
before stays where it is, and what was archived meanwhile does not come back when the kind is wanted again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Max

from .conf import conf
from .models import Mute, Notification
from .store import user_key
from .wire.content import InvalidContent, kind_problem

MOST_MUTED = 200
"""Kinds that one person can mute: each is a row, and nobody reads a longer list."""

MOST_SHOWN = 200


class MayNotMute(Exception):
    """Everybody is told of this kind: see `NOTIFICATIONS["UNMUTABLE_KINDS"]`."""


class TooManyMuted(Exception):
    """The person has muted as many kinds as there may be."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of notification, as the person may choose about it."""

    kind: str
    name: str
    """What the site calls it (`NOTIFICATIONS["KINDS"]`), else the kind itself."""
    muted: bool
    mutable: bool


def may_mute(kind: str) -> bool:
    """Whether people may choose not to be told of this kind. What has no kind cannot be muted."""
    return bool(kind) and kind not in conf.UNMUTABLE_KINDS


def mute(user: Any, *, kind: str) -> None:
    """
    From now on `user` (or the primary key of one) is not told of this kind. Once more changes nothing.

    Raises:
        InvalidContent: this can be no kind.
        MayNotMute, TooManyMuted: see there.
    """
    _check(kind)
    if not may_mute(kind):
        raise MayNotMute(f"{kind} cannot be muted.")
    muted = Mute.objects.filter(user_id=user_key(user))
    if muted.exclude(kind=kind).count() >= MOST_MUTED:
        raise TooManyMuted(f"{MOST_MUTED} kinds are muted already.")
    Mute.objects.bulk_create([Mute(user_id=user_key(user), kind=kind)], ignore_conflicts=True)


def unmute(user: Any, *, kind: str) -> None:
    """From now on `user` is told of this kind again. Raises InvalidContent if it can be none."""
    _check(kind)
    Mute.objects.filter(user_id=user_key(user), kind=kind).delete()


def kinds(user: Any) -> list[Kind]:
    """What there is to choose about: kinds that the site names, that the person was told lately, or has muted."""
    user_id = user_key(user)
    muted = set(Mute.objects.filter(user_id=user_id).values_list("kind", flat=True))
    told = Notification.objects.filter(user_id=user_id).exclude(kind="").order_by()
    lately = told.values("kind").annotate(last=Max("seq")).order_by("-last").values_list("kind", flat=True)
    found = {*conf.KINDS, *muted, *lately[:MOST_SHOWN]}
    return sorted((_kind(kind, muted) for kind in found), key=lambda each: (each.name.casefold(), each.kind))


def name_of(kind: str) -> str:
    """In the language that is active, if the site's name for it is lazy."""
    return str(conf.KINDS.get(kind, kind))


def _kind(kind: str, muted: Iterable[str]) -> Kind:
    mutable = may_mute(kind)
    return Kind(kind, name_of(kind), mutable and kind in muted, mutable)


def _check(kind: str) -> None:
    problem = kind_problem(kind) or ("must not be empty." if not kind else None)
    if problem:
        raise InvalidContent({"kind": problem})
