import tracemalloc
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import api, store
from notifications.models import Notification, Stream
from notifications.wire.doorbell import Announced, AnnouncedToMany, Changed, stream_of

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


def announced(told):
    return [(item.event.title, item.seq) for message in told for item in announcements(message)]


def announcements(message):
    match message:
        case Announced(items=items):
            return items
        case AnnouncedToMany(recipients=recipients):
            return [message.announcement(recipient) for recipient in recipients]
    return []


# --- notify ---


def test_notify_writes_numbers_and_tells(ann, told):
    row = api.notify(ann, title="Build finished", kind="ci.build", level="success", url="/builds/7/", data={"build": 7})
    assert row.seq == 1
    stored = Notification.objects.get()
    assert (stored.seq, stored.title, stored.kind, stored.level, stored.url, stored.data) == (
        1,
        "Build finished",
        "ci.build",
        "success",
        "/builds/7/",
        {"build": 7},
    )
    (message,) = told
    (item,) = message.items
    assert (item.stream, item.seq, item.event.id) == (stream_of(ann.pk), 1, str(row.id))


def test_a_primary_key_will_do(ann):
    assert api.notify(ann.pk, title="x").user_id == ann.pk


def test_somebody_unsaved_cannot_be_told():
    with pytest.raises(ValueError, match="not saved yet"):
        api.notify(get_user_model()(username="nobody"), title="x")


def test_what_breaks_a_rule_is_refused_before_anything_is_written(ann, told):
    with pytest.raises(api.InvalidContent) as refused:
        api.notify(ann, title="", url="javascript:alert(1)", level="loud")
    assert set(refused.value.errors) == {"title", "url", "level"}
    assert not Notification.objects.exists()
    assert told == []


def test_inside_a_transaction_nothing_leaves_before_the_commit(ann, told):
    with transaction.atomic():
        first = api.notify(ann, title="first")
        second = api.notify(ann, title="second")
        assert (first.seq, told) == (None, [])
        assert not Stream.objects.exists(), "no stream is touched while the caller's transaction is open"
    assert (first.seq, second.seq) == (1, 2)
    assert announced(told) == [("first", 1), ("second", 2)]


def test_nothing_leaves_after_a_rollback(ann, told):
    with pytest.raises(RuntimeError), transaction.atomic():
        api.notify(ann, title="never")
        raise RuntimeError
    api.notify(ann, title="said")
    assert announced(told) == [("said", 1)]


def test_a_savepoint_that_is_rolled_back_takes_only_its_own(ann, told):
    with transaction.atomic():
        api.notify(ann, title="kept")
        with pytest.raises(RuntimeError), transaction.atomic():
            api.notify(ann, title="never")
            raise RuntimeError
    assert announced(told) == [("kept", 1)]


def test_a_publisher_that_died_after_its_commit_is_finished_by_somebody_else(ann, told, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(api, "_number", lambda *what: None)  # what a kill between commit and number leaves behind
        lost = api.notify(ann, title="first")
    assert lost.seq is None
    # The next call of the same thread does not overtake it.
    later = api.notify(ann, title="second")
    assert later.seq == 2
    assert announced(told) == [("first", 1), ("second", 2)]


def test_the_sync_numbers_what_nobody_else_does(ann, told, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(api, "_number", lambda *what: None)
        api.notify(ann, title="first")
    now = timezone.now()
    _positions, late = api.store.look([], unnumbered_before=now - timedelta(seconds=1))
    assert late == [], "it may still be about to be numbered"
    _positions, late = api.store.look([], unnumbered_before=now + timedelta(seconds=1))
    api.number_waiting(late)
    assert announced(told) == [("first", 1)]


def test_a_hub_that_fails_does_not_fail_the_caller(ann, monkeypatch):
    monkeypatch.setattr(api.fanout, "announce", lambda announcements: 1 / 0)
    assert api.notify(ann, title="x").seq == 1


async def test_anotify(ann, told):
    row = await api.anotify(ann, title="from a coroutine")
    assert row.seq == 1
    assert announced(told) == [("from a coroutine", 1)]


# --- Idempotency ---


def test_one_key_is_one_notification(ann, told):
    first = api.notify(ann, title="x", idempotency_key="k")
    again = api.notify(ann, title="x", idempotency_key="k")
    assert (first.pk, first.seq) == (again.pk, again.seq)
    assert announced(told) == [("x", 1)]


def test_a_key_with_other_content_is_a_mistake(ann):
    api.notify(ann, title="x", idempotency_key="k")
    with pytest.raises(api.IdempotencyConflict):
        api.notify(ann, title="y", idempotency_key="k")
    assert Notification.objects.count() == 1


def test_keys_are_the_callers_and_the_recipients_own(people):
    ann, ben, _cleo = people
    rows = [
        api.notify(ann, title="x", idempotency_key="k"),
        api.notify(ben, title="x", idempotency_key="k"),
        api.notify(ann, title="x", idempotency_key="k", caller="service"),
    ]
    assert len({row.pk for row in rows}) == 3


def test_a_key_is_honoured_for_a_day(ann):
    said = api.content(title="x")
    now = timezone.now()
    first = api.publish(ann, said, idempotency_key="k", now=now - timedelta(hours=25))
    second = api.publish(ann, said, idempotency_key="k", now=now)
    third = api.publish(ann, said, idempotency_key="k", now=now + timedelta(hours=23))
    assert first.pk != second.pk == third.pk


def test_a_key_within_an_open_transaction(ann, told):
    with transaction.atomic():
        first = api.notify(ann, title="x", idempotency_key="k")
        again = api.notify(ann, title="x", idempotency_key="k")
        assert first.pk == again.pk
    assert announced(told) == [("x", 1)]


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_that_is_none(ann, key):
    with pytest.raises(api.InvalidContent, match="idempotency_key"):
        api.notify(ann, title="x", idempotency_key=key)


# --- notify_many ---


def test_notify_many_tells_a_queryset_in_batches(people, told, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(api, "BATCH", 2)
    model = get_user_model()
    assert api.notify_many(model.objects.exclude(username="ben"), title="x") == 2
    assert api.notify_many(model.objects.all(), title="y") == 3
    assert list(Notification.objects.order_by("seq", "user").values_list("user__username", "seq", "title")) == [
        ("ann", 1, "x"),
        ("ben", 1, "y"),
        ("cleo", 1, "x"),
        ("ann", 2, "y"),
        ("cleo", 2, "y"),
    ]
    assert sorted(announced(told)) == [("x", 1), ("x", 1), ("y", 1), ("y", 2), ("y", 2)]


def test_notify_many_to_an_iterable_tells_nobody_twice(people):
    ann, ben, _cleo = people
    assert api.notify_many(iter([ann, ben.pk, ann.pk, ann]), title="x") == 2


def test_notify_many_repeated_with_its_key_tells_exactly_the_rest(people, told):
    ann, ben, cleo = people
    api.notify_many([ann], title="x", idempotency_key="k")
    api.notify_many([ann, ben, cleo], title="x", idempotency_key="k")
    assert Notification.objects.count() == 3
    assert announced(told) == [("x", 1)] * 3


def test_notify_many_says_how_many_it_told(people):
    ann, ben, cleo = people
    assert api.notify_many([ann], title="x", idempotency_key="k") == 1
    assert api.notify_many([ann, ben, cleo], title="x", idempotency_key="k") == 2


def test_notify_many_with_a_key_that_was_used_for_something_else_tells_nobody(people, told):
    ann, ben, cleo = people
    api.notify(ben, title="something else", idempotency_key="k")
    told.clear()
    with pytest.raises(api.IdempotencyConflict):
        api.notify_many([ann, ben, cleo], title="x", idempotency_key="k")
    assert told == []
    assert Notification.objects.count() == 1


def test_notify_many_with_a_key_whose_day_is_over(ann):
    api.publish(ann, api.content(title="x"), idempotency_key="k", now=timezone.now() - timedelta(hours=25))
    assert api.notify_many([ann], title="x", idempotency_key="k") == 1
    assert Notification.objects.filter(user=ann).count() == 2


def test_notify_many_in_a_transaction(people, told):
    with transaction.atomic():
        api.notify_many(get_user_model().objects.all(), title="x")
        assert told == []
    assert len(announced(told)) == 3


def test_a_slice_cannot_be_walked():
    with pytest.raises(TypeError, match="unsliced"):
        api.notify_many(get_user_model().objects.all()[:2], title="x")


@pytest.mark.parametrize(("how", "each"), [({}, 3), ({"idempotency_key": "k"}, 5)], ids=["plain", "with a key"])
def test_notify_many_takes_as_many_statements_for_each_batch(transactional_db, told, how, each):
    """Who is next, their rows, their numbers; with a key, which may turn out to be used, a transaction around the rows.
    SQLite needs two statements and a transaction to number."""
    add_people(1_200)
    each += 3 if connection.vendor == "sqlite" else 0
    with CaptureQueriesContext(connection) as captured:
        assert api.notify_many(get_user_model().objects.all(), title="x", **how) == 1_200
    assert len(captured) == 3 * each + 1, "and one to see that nobody is left"
    assert Notification.objects.filter(seq=1).count() == 1_200
    assert [len(message.recipients) for message in told] == [500, 500, 200], "one message with one body for each"


def test_notify_many_says_how_far_it_is(people, monkeypatch):
    monkeypatch.setattr(api, "BATCH", 2)
    gone_through = []
    api.notify_many(people[:1], title="x", idempotency_key="k")
    assert api.notify_many(people, title="x", idempotency_key="k", progress=gone_through.append) == 2
    assert gone_through == [2, 3]


def test_notify_many_in_an_open_transaction_tells_of_each_batch_what_its_rows_say(transactional_db, told):
    add_people(700)
    with transaction.atomic():
        assert api.notify_many(get_user_model().objects.all(), title="x", data={"a": [1]}) == 700
        assert told == []
    assert [(len(message.recipients), message.title, message.data) for message in told] == [
        (500, "x", {"a": [1]}),
        (200, "x", {"a": [1]}),
    ]


def add_people(count):
    model = get_user_model()
    model.objects.bulk_create([model(username=f"p{number}") for number in range(count)], batch_size=500)


def in_one_go(users, **what):
    """Naive: all rows at once."""
    said = api.content(**what)
    rows = [Notification(user_id=key, title=said.title, body=said.body) for key in users.values_list("pk", flat=True)]
    Notification.objects.bulk_create(rows, batch_size=500)
    api._number_people([row.user_id for row in rows[:500]])


def memory(tell, people):
    """The most bytes that it held at once beyond those it began with."""
    tracemalloc.start()
    try:
        tell(people, title="x", body="y" * 1_000)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def check_bounded(tell, *, bytes_a_person):
    """As much memory for 20,000 as for 1,000, but for so many bytes for each person more."""
    add_people(20_000)
    users = get_user_model().objects.filter(username__startswith="p")
    few = users.filter(pk__in=users.order_by("pk").values_list("pk", flat=True)[:1_000])
    tell(few, title="warm")
    fewer, more = memory(tell, few), memory(tell, users)
    assert more < 1.5 * fewer + 19_000 * bytes_a_person, f"{more:,} bytes for 20,000, {fewer:,} for 1,000"


def in_a_transaction(users, **what):
    with transaction.atomic():
        api.notify_many(users, **what)


def test_notify_many_takes_no_more_memory_for_more_people(transactional_db):
    check_bounded(api.notify_many, bytes_a_person=0)


def test_notify_many_in_a_transaction_remembers_nothing_but_keys(transactional_db):
    check_bounded(in_a_transaction, bytes_a_person=60)


def test_all_rows_at_once_do_not_pass(transactional_db):
    with pytest.raises(AssertionError, match="bytes for 20,000"):
        check_bounded(in_one_go, bytes_a_person=60)


# --- mark ---


def test_marking_tells_the_persons_devices(ann, told):
    for title in "abc":
        api.notify(ann, title=title)
    told.clear()
    marked = api.mark(ann, state="read", through=2)
    assert (marked.meant, marked.changed) == (2, 2)
    (message,) = told
    assert isinstance(message, Changed)
    event = message.change.event
    assert (event.state, event.through, event.state_version, event.unread, event.unseen) == ("read", 2, 1, 1, 1)


def test_marking_nothing_tells_nobody(ann, told):
    api.notify(ann, title="x")
    told.clear()
    api.mark(ann, state="read", through=1)
    told.clear()
    marked = api.mark(ann, state="read", through=1)
    assert (marked.meant, marked.changed, marked.change.event.state_version) == (1, 0, 1)
    assert api.mark(ann, state="read", ids=[uuid4()]).meant == 0
    assert told == []


def test_marking_in_a_transaction_tells_after_the_commit(ann, told):
    api.notify(ann, title="x")
    told.clear()
    with transaction.atomic():
        marked = api.mark(ann, state="archived", through=1)
        assert (marked.changed, told) == (1, [])
        assert Stream.objects.get(user=ann).state_version == 0, "the stream is not locked meanwhile"
    assert told[0].change.event.state_version == 1


def test_marking_in_a_transaction_makes_no_stream(ann):
    with transaction.atomic():
        assert api.mark(ann, state="read", through=1).changed == 0
        assert not Stream.objects.exists()


def test_mark_takes_ids_or_through(ann):
    with pytest.raises(TypeError, match="exactly one"):
        api.mark(ann, state="read")


def test_counts(ann):
    api.notify(ann, title="x")
    assert api.counts(ann) == (1, 1)
    store.mark(ann.pk, state="seen", ids=None, through=1, now=timezone.now())
    assert api.counts(ann) == (1, 0)


def test_text_of_a_template_is_told(ann, told):
    from django.utils.safestring import mark_safe

    api.notify(ann, title=mark_safe("<b>x</b>"))
    assert announced(told) == [("<b>x</b>", 1)]
    assert type(told[0].items[0].event.title) is str


def test_a_key_given_as_text_is_the_same_person(ann, told):
    api.notify(str(ann.pk), title="x")
    assert told[0].items[0].stream == stream_of(ann.pk)


def test_a_union_cannot_be_walked():
    users = get_user_model().objects
    with pytest.raises(TypeError, match="no union"):
        api.notify_many(users.filter(pk=1).union(users.filter(pk=2)), title="x")


def test_a_join_tells_nobody_twice(people):
    from django.contrib.auth.models import Group

    ann, ben, _cleo = people
    groups = [Group.objects.create(name=name) for name in "abc"]
    ann.groups.set(groups)
    ben.groups.set(groups[:1])
    assert api.notify_many(get_user_model().objects.filter(groups__in=groups), title="x") == 2
    assert Notification.objects.count() == 2
