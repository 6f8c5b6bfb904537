import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.translation import gettext_lazy

from notifications import api, preferences, store
from notifications.api import InvalidContent, MayNotMute, TooManyMuted, mute, notify, notify_many, unmute
from notifications.models import Mute, Notification
from notifications.preferences import Kind, kinds

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


def states():
    """Of everybody's, by number: (title, seen, archived)."""
    rows = Notification.objects.order_by("user", "seq")
    return [(row.title, row.seen_at is not None, row.archived_at is not None) for row in rows]


def test_what_is_muted_goes_to_the_archive_and_is_counted_nowhere(ann, told):
    mute(ann, kind="ci.build")
    row = notify(ann, title="Build finished", kind="ci.build")
    notify(ann, title="Deployed", kind="ci.deploy")
    assert states() == [("Build finished", True, True), ("Deployed", False, False)]
    assert row.seq == 1
    assert row.archived_at == row.seen_at == row.created_at  # as it was written: saving it again takes nothing back
    assert api.counts(ann) == (1, 1)
    first, second = (message.items[0].event for message in told)
    assert (first.seen, first.archived, second.seen, second.archived) == (True, True, False, False)


def test_of_many_only_who_muted_it_is_left_alone(people, told):
    ann, ben, cid = people
    mute(ben, kind="ci.build")
    notify_many([ann, ben, cid], title="Build finished", kind="ci.build")
    assert states() == [
        ("Build finished", False, False),
        ("Build finished", True, True),
        ("Build finished", False, False),
    ]
    said = {}
    for message in told:
        for recipient in getattr(message, "recipients", []):
            said[recipient.stream] = message.announcement(recipient).event.archived
        for item in getattr(message, "items", []):
            said[item.stream] = item.event.archived
    assert said == {f"u.{ann.pk}": False, f"u.{ben.pk}": True, f"u.{cid.pk}": False}


def test_muting_is_from_now_on_and_so_is_unmuting(ann):
    notify(ann, title="before", kind="ci.build")
    mute(ann, kind="ci.build")
    mute(ann, kind="ci.build")
    notify(ann, title="meanwhile", kind="ci.build")
    unmute(ann, kind="ci.build")
    unmute(ann, kind="ci.build")
    notify(ann, title="after", kind="ci.build")
    assert states() == [("before", False, False), ("meanwhile", True, True), ("after", False, False)]


def test_a_key_that_was_used_is_used_whoever_mutes_meanwhile(ann):
    first = notify(ann, title="Build finished", kind="ci.build", idempotency_key="7")
    mute(ann, kind="ci.build")
    again = notify(ann, title="Build finished", kind="ci.build", idempotency_key="7")
    assert again.pk == first.pk
    assert states() == [("Build finished", False, False)]


def test_a_page_of_the_log_passes_over_it(ann):
    mute(ann, kind="ci.build")
    for title, kind in (("1", ""), ("2", "ci.build"), ("3", "")):
        row = notify(ann, title=title, kind=kind)
    page = store.page(ann.pk, after=0, limit=10, now=row.created_at)
    assert [event.seq for event in page.events] == [1, 3]
    assert page.through == 3


def test_what_has_no_kind_costs_nothing_more(ann):
    notify(ann, title="the stream is made")
    with CaptureQueriesContext(connection) as queries:
        notify(ann, title="x")
    assert not [query for query in queries if Mute._meta.db_table in query["sql"]]


@pytest.mark.parametrize("kind", ["", "Builds", "a b", "x" * 81, "\0", 5])
def test_what_is_no_kind_is_refused(ann, kind):
    for act in (mute, unmute):
        with pytest.raises(InvalidContent, match="kind"):
            act(ann, kind=kind)


def test_what_everybody_is_told_cannot_be_muted(ann, settings):
    mute(ann, kind="account.safety")
    settings.NOTIFICATIONS = {"UNMUTABLE_KINDS": ["account.safety"]}
    with pytest.raises(MayNotMute, match=r"account\.safety"):
        mute(ann, kind="account.safety")
    notify(ann, title="Password changed", kind="account.safety")
    assert states() == [("Password changed", False, False)]
    assert kinds(ann) == [Kind("account.safety", "account.safety", muted=False, mutable=False)]


def test_there_is_an_end_to_muting(ann, monkeypatch):
    monkeypatch.setattr(preferences, "MOST_MUTED", 2)
    mute(ann, kind="a")
    mute(ann, kind="b")
    mute(ann, kind="b")
    with pytest.raises(TooManyMuted, match="2 kinds"):
        mute(ann, kind="c")
    unmute(ann, kind="a")
    mute(ann, kind="c")


def test_what_there_is_to_choose_about(people, settings):
    ann, ben, _ = people
    settings.NOTIFICATIONS = {"KINDS": {"ci.build": gettext_lazy("Yesterday"), "ci.deploy": "Deployments"}}
    mute(ann, kind="old")
    notify(ann, title="x", kind="ci.build")
    notify(ann, title="x", kind="chat")
    notify(ann, title="x")
    notify(ben, title="x", kind="somebody.elses")
    assert kinds(ann) == [
        Kind("chat", "chat", muted=False, mutable=True),
        Kind("ci.deploy", "Deployments", muted=False, mutable=True),
        Kind("old", "old", muted=True, mutable=True),
        Kind("ci.build", "Yesterday", muted=False, mutable=True),
    ]


def test_of_many_kinds_the_latest_are_shown(ann, monkeypatch):
    monkeypatch.setattr(preferences, "MOST_SHOWN", 2)
    for kind in ("a", "b", "c", "a"):
        notify(ann, title="x", kind=kind)
    assert [each.kind for each in kinds(ann)] == ["a", "c"]
