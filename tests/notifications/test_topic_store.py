import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from notifications import api, fanout, topic_store, topics
from notifications.api import IdempotencyConflict, InvalidContent, notify_topic
from notifications.models import Topic, TopicNotification
from notifications.wire.doorbell import Announced

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def open_topics(monkeypatch):
    monkeypatch.setattr(topics, "_rules", [])
    topics.rule("orders.{order_id}")(lambda user, order_id: True)


@pytest.fixture
def told(monkeypatch):
    messages = []
    monkeypatch.setattr(fanout, "_hubs", [messages.append])
    return messages


def said(name="orders.7"):
    return [(row.seq, row.title) for row in TopicNotification.objects.filter(topic=name).order_by("seq")]


# --- Publishing ---


def test_what_is_said_has_its_number_and_is_told(told):
    row = notify_topic("orders.7", title="packed", kind="order", level="success", url="/orders/7/", data={"n": 1})
    assert (row.seq, row.topic) == (1, "orders.7")
    (message,) = told
    assert isinstance(message, Announced)
    (item,) = message.items
    event = item.event
    assert (event.stream, event.seq, event.id) == ("t.orders.7", 1, str(row.pk))
    assert (event.title, event.kind, event.level, event.url, event.data) == (
        *("packed", "order", "success", "/orders/7/"),
        {"n": 1},
    )
    assert not (event.seen or event.read or event.archived)
    assert item.epoch == Topic.objects.get().epoch
    assert notify_topic("orders.7", title="sent").seq == 2
    assert notify_topic("orders.8", title="other").seq == 1


def test_nothing_leaves_before_the_commit_and_nothing_after_a_rollback(told):
    with transaction.atomic():
        row = notify_topic("orders.7", title="x")
        assert row.seq is None and told == []
        assert not Topic.objects.exists(), "the row that others queue for is not even made"
    assert row.seq == 1 and len(told) == 1
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        notify_topic("orders.7", title="y")
        raise ZeroDivisionError
    assert said() == [(1, "x")] and len(told) == 1


def test_several_in_one_transaction_have_the_order_they_were_said_in(told):
    with transaction.atomic():
        rows = [notify_topic("orders.7", title=str(number)) for number in range(5)]
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    assert said() == [(number + 1, str(number)) for number in range(5)]


@pytest.mark.parametrize("name", ["nobody.listens", "orders", "", "orders.7\n", "u.2", "ORDERS.7"])
def test_a_topic_that_nobody_could_hear_is_refused(name):
    with pytest.raises(InvalidContent) as refused:
        notify_topic(name, title="x")
    assert set(refused.value.errors) == {"topic"}
    assert not TopicNotification.objects.exists()


def test_wrong_content_is_refused():
    with pytest.raises(InvalidContent) as refused:
        notify_topic("orders.7", title="", url="javascript:alert(1)")
    assert set(refused.value.errors) == {"title", "url"}


def test_a_key_tells_once_and_belongs_to_its_caller_and_topic(told):
    first = notify_topic("orders.7", title="x", idempotency_key="k", caller="a")
    again = notify_topic("orders.7", title="x", idempotency_key="k", caller="a")
    assert (again.pk, again.seq) == (first.pk, 1) and len(told) == 1
    with pytest.raises(IdempotencyConflict):
        notify_topic("orders.7", title="y", idempotency_key="k", caller="a")
    assert notify_topic("orders.8", title="y", idempotency_key="k", caller="a").seq == 1
    assert notify_topic("orders.7", title="y", idempotency_key="k", caller="b").seq == 2


def test_a_key_is_honoured_for_a_day():
    now = timezone.now()
    what = api.content(title="x")
    first = api.publish_topic("orders.7", what, idempotency_key="k", now=now - timedelta(hours=24))
    assert api.publish_topic("orders.7", what, idempotency_key="k", now=now).pk != first.pk
    assert len(said()) == 2


def test_a_person_and_a_topic_have_keys_of_their_own(ann):
    api.notify(ann, title="x", idempotency_key="k")
    assert notify_topic("orders.7", title="y", idempotency_key="k").seq == 1


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")
def test_an_open_transaction_holds_up_nobody():
    inside, done = threading.Event(), threading.Event()
    notify_topic("orders.7", title="first")

    def slow():
        try:
            with transaction.atomic():
                notify_topic("orders.7", title="slow")
                inside.set()
                done.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        assert inside.wait(10)
        assert notify_topic("orders.7", title="quick").seq == 2
        assert notify_topic("orders.8", title="new topic").seq == 1
    finally:
        done.set()
        thread.join()
    assert said() == [(1, "first"), (2, "quick"), (3, "slow")]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")
def test_many_at_once_are_numbered_without_a_gap():
    start = threading.Barrier(4)

    def speak(who):
        try:
            start.wait(10)
            for number in range(10):
                notify_topic("orders.7", title=f"{who} {number}")
        finally:
            connection.close()

    threads = [threading.Thread(target=speak, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = said()
    assert [seq for seq, _title in rows] == list(range(1, 41))
    for who in range(4):
        assert [title for _seq, title in rows if title.startswith(f"{who} ")] == [f"{who} {n}" for n in range(10)]


# --- Reading ---


def test_a_page_is_what_was_said_after_a_number():
    for number in range(5):
        notify_topic("orders.7", title=str(number))
    now = timezone.now()
    page = topic_store.page("orders.7", after=1, limit=2, now=now)
    assert ([event.seq for event in page.events], page.through, page.after) == ([2, 3], 3, 1)
    assert (page.position.stream, page.position.head) == ("t.orders.7", 5)
    page = topic_store.page("orders.7", after=3, limit=10, now=now)
    assert ([event.seq for event in page.events], page.through) == ([4, 5], 5)
    page = topic_store.page("orders.7", after=5, limit=10, now=now)
    assert (page.events, page.through) == ((), 5)


def test_what_has_expired_is_passed_over():
    now = timezone.now()
    notify_topic("orders.7", title="old", expires_at=now + timedelta(minutes=1))
    notify_topic("orders.7", title="new")
    page = topic_store.page("orders.7", after=0, limit=10, now=now + timedelta(minutes=2))
    assert [event.title for event in page.events] == ["new"]


def test_positions_of_topics_that_are_there():
    notify_topic("orders.7", title="x")
    assert [(place.stream, place.head) for place in topic_store.positions(["orders.7", "orders.9"])] == [
        ("t.orders.7", 1)
    ]
    assert topic_store.positions([]) == []
    assert topic_store.position("orders.9").head == 0, "and is there from now on"
    assert topic_store.fence("orders.10") == 0


def test_what_a_dead_publisher_left_is_numbered(told):
    TopicNotification.objects.create(topic="orders.7", title="left")
    now = timezone.now()
    api.number_late_topics(written_before=now - timedelta(seconds=1))
    assert said() == [(None, "left")]
    api.number_late_topics(written_before=now + timedelta(seconds=1))
    assert said() == [(1, "left")] and len(told) == 1


def test_what_was_left_on_two_topics_in_the_same_words_is_told_on_each(told):
    left = {"title": "left", "created_at": timezone.now()}
    for topic in ("orders.7", "orders.8"):
        TopicNotification.objects.create(topic=topic, **left)
    api.number_late_topics(written_before=left["created_at"] + timedelta(seconds=1))
    assert [[item.stream for item in message.items] for message in told] == [["t.orders.7"], ["t.orders.8"]]


def test_void_numbers():
    notify_topic("orders.7", title="x")
    before = topic_store.position("orders.7").epoch
    assert topic_store.reset_epoch("orders.7").epoch != before


# --- Retention ---


def test_retention_goes_from_the_front_and_is_remembered():
    now = timezone.now()
    for number in range(6):
        notify_topic("orders.7", title=str(number))
    notify_topic("orders.8", title="kept")
    TopicNotification.objects.filter(topic="orders.7", seq__lte=2).update(created_at=now - timedelta(days=8))
    assert topic_store.prune(older_than=now - timedelta(days=7), keep=100, now=now) == 2
    assert topic_store.position("orders.7").floor == 2
    assert topic_store.prune(older_than=now - timedelta(days=7), keep=1, now=now, batch=2) == 3
    assert said() == [(6, "5")]
    assert topic_store.position("orders.7").floor == 5
    assert notify_topic("orders.7", title="on").seq == 7
    assert said("orders.8") == [(1, "kept")]


def test_topics_that_nobody_spoke_on_are_not_kept_for_ever():
    now = timezone.now()
    for name in ("orders.6", "orders.7", "orders.8", "orders.9"):
        topic_store.ensure(name)
    notify_topic("orders.7", title="kept")
    topic_store.raise_fence("orders.8")
    Topic.objects.exclude(name="orders.9").update(created_at=now - timedelta(days=8))
    assert topic_store.prune(older_than=now - timedelta(days=7), keep=100, now=now) == 1
    assert sorted(Topic.objects.values_list("name", flat=True)) == ["orders.7", "orders.8", "orders.9"]


def test_a_key_that_is_honoured_keeps_its_row_behind_the_floor():
    now = timezone.now()
    notify_topic("orders.7", title="x", idempotency_key="k")
    notify_topic("orders.7", title="y")
    assert topic_store.prune(older_than=now - timedelta(days=7), keep=1, now=now) == 0
    assert notify_topic("orders.7", title="x", idempotency_key="k").seq == 1
    assert topic_store.prune(older_than=now - timedelta(days=7), keep=1, now=now + timedelta(hours=25)) == 0
