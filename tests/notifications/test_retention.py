import io
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from notifications import api, retention, store
from notifications.models import Connection, Notification, Stream
from tickets.signals import pruning

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


def tell(user, *ages):
    """One notification for each age, in days, oldest first."""
    now = timezone.now()
    for age in ages:
        api.publish(user, api.content(title=f"{age} days"), now=now - timedelta(days=age))


def prune(**options):
    out = io.StringIO()
    call_command("prune", stdout=out, **options)
    return next(line for line in out.getvalue().splitlines() if line.startswith("notifications:"))


def kept(user):
    return list(Notification.objects.filter(user=user).order_by("seq").values_list("seq", flat=True))


def test_what_is_older_than_a_week_goes(people):
    ann, ben, _cleo = people
    tell(ann, 30, 8, 6, 0)
    tell(ben, 1)
    assert prune() == "notifications: 2 deleted"
    assert (kept(ann), kept(ben)) == ([3, 4], [1])
    assert dict(Stream.objects.values_list("user", "floor")) == {ann.pk: 2, ben.pk: 0}
    assert prune() == "notifications: 0 deleted"


@override_settings(NOTIFICATIONS={"RETENTION_DAYS": 0.5})
def test_how_long_is_a_setting(ann):
    tell(ann, 1, 0)
    assert prune() == "notifications: 1 deleted"
    assert kept(ann) == [2]


@override_settings(NOTIFICATIONS={"RETENTION_COUNT": 2})
def test_how_many_is_a_setting_and_counts_for_each_person(people):
    ann, ben, _cleo = people
    tell(ann, 0, 0, 0, 0, 0)
    tell(ben, 0, 0)
    assert prune() == "notifications: 3 deleted"
    assert (kept(ann), kept(ben)) == ([4, 5], [1, 2])


def test_a_large_batch_and_small_ones_remove_the_same(ann):
    tell(ann, *[30] * 7, 0)
    assert prune(batch_size=2) == "notifications: 7 deleted"
    assert kept(ann) == [8]


def test_the_answer_names_what_it_counts(ann):
    tell(ann, 30)
    assert retention.prune(now=timezone.now(), batch_size=10, signal=pruning, sender=None) == ("notifications", 1)


def test_numbers_go_on_after_everything_was_removed(ann):
    tell(ann, 30, 30)
    prune()
    assert api.notify(ann, title="x").seq == 3


def test_the_edge_is_the_moment_asked_for(ann):
    tell(ann, 1)
    written = Notification.objects.get().created_at
    at = {"now": written + timedelta(days=7), "batch_size": 10}
    assert retention.prune(**at)[1] == 0, "exactly a week is within a week"
    assert retention.prune(**at | {"now": at["now"] + timedelta(microseconds=1)})[1] == 1


def test_connecting_twice_prunes_once(monkeypatch):
    asked = []
    monkeypatch.setattr(store, "prune", lambda **how: asked.append(how) or 0)
    retention.connect()
    prune()
    assert len(asked) == 1


def test_connections_whose_lease_is_over_go(ann):
    now = timezone.now()
    facts = {"user": ann, "session_id": uuid4(), "server": "s", "protocol": "usher.v1", "opened_at": now}
    Connection.objects.create(name="dead", leased_until=now, **facts)
    Connection.objects.create(name="alive", leased_until=now + timedelta(seconds=45), **facts)
    out = io.StringIO()
    call_command("prune", stdout=out)
    assert "connections: 1 deleted" in out.getvalue()
    assert Connection.objects.get().name == "alive"
