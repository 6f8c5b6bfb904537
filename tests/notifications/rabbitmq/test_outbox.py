import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from notifications import store, topic_store, topics
from notifications.api import mute, notify, notify_many, notify_topic
from notifications.models import Notification, Outbox, Relayed, TopicNotification
from notifications.rabbitmq import outbox
from tests.support.processes import wait_until

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


class Broker:
    """Takes what it is given; away for a while, if told so."""

    def __init__(self):
        self.had = []
        self.away = 0

    def __call__(self, parcels):
        if self.away:
            self.away -= 1
            self.had += parcels[: len(parcels) // 2]  # it had confirmed those
            raise OSError("gone")
        self.had += parcels

    def relay(self, **how):
        return outbox.relay(self, **how)

    @property
    def titles(self):
        return [parcel.event.title for parcel in self.had]

    def numbers(self, stream):
        return [parcel.event.seq for parcel in self.had if parcel.event.stream == stream]


@pytest.fixture
def broker(settings, monkeypatch):
    settings.NOTIFICATIONS = {"RABBITMQ_URL": "amqp://127.0.0.1/"}
    monkeypatch.setattr(topics, "_rules", [])
    topics.rule("orders.{order_id}")(lambda user, order_id: True)
    return Broker()


def test_what_is_told_waits_for_the_broker_and_is_told_it_once(ann, broker):
    assert broker.relay() == -1
    notify(ann, title="one")
    notify(ann, title="two")
    notify_topic("orders.7", title="packed")
    assert broker.relay() == 3
    assert broker.titles == ["one", "two", "packed"]
    (first, *_rest) = broker.had
    assert (first.event.stream, first.event.seq, first.epoch) == (f"u.{ann.pk}", 1, store.peek(ann.pk).epoch)
    assert (broker.had[2].event.stream, broker.had[2].epoch) == ("t.orders.7", topic_store.position("orders.7").epoch)
    assert broker.relay() == -1
    assert not Outbox.objects.exists()


def test_without_a_broker_nothing_is_noted(ann, broker, settings):
    settings.NOTIFICATIONS = {}
    notify(ann, title="x")
    notify_topic("orders.7", title="x")
    assert not Outbox.objects.exists()


def test_it_begins_where_there_was_a_broker_first(ann, broker, settings):
    urls, settings.NOTIFICATIONS = settings.NOTIFICATIONS, {}
    notify(ann, title="before")
    notify_topic("orders.7", title="before")
    settings.NOTIFICATIONS = urls
    for title in ("one", "two"):
        notify(ann, title=title)
        notify_topic("orders.7", title=title)
    broker.relay()
    assert broker.numbers(f"u.{ann.pk}") == broker.numbers("t.orders.7") == [2, 3]


def test_many_people_at_once(people, broker, django_assert_max_num_queries):
    for number in range(3):
        notify_many(people, title=f"number {number}")
    with django_assert_max_num_queries(14):
        assert broker.relay() == 9
    assert all(broker.numbers(f"u.{person.pk}") == [1, 2, 3] for person in people)


def test_nothing_leaves_before_the_commit_and_nothing_after_a_rollback(ann, broker):
    with transaction.atomic():
        notify(ann, title="yes")
        assert broker.relay() == -1
    with pytest.raises(RuntimeError), transaction.atomic():
        notify(ann, title="no")
        raise RuntimeError
    broker.relay()
    assert broker.titles == ["yes"]


def test_what_was_not_confirmed_is_said_again_in_order(ann, broker):
    for number in range(4):
        notify(ann, title=str(number))
    broker.away = 2
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            broker.relay()
    assert Outbox.objects.count() == 4
    notify(ann, title="4")
    broker.relay()
    assert broker.titles == [*"01", *"01", *"01234"]


def test_more_than_fits_is_taken_in_turns(people, broker, monkeypatch):
    monkeypatch.setattr(outbox, "AT_ONCE", 5)
    for number in range(7):
        notify_many(people, title=str(number))
        notify_topic("orders.7", title=str(number))
    turns = 0
    while (moved := broker.relay()) >= 0:
        turns += 1
        assert moved <= 5 and turns < 30
    for stream in [*(f"u.{person.pk}" for person in people), "t.orders.7"]:
        assert broker.numbers(stream) == list(range(1, 8))


def test_nobody_waits_for_who_is_far_behind(people, broker, monkeypatch):
    monkeypatch.setattr(outbox, "AT_ONCE", 10)
    far, *others = people[:3]
    for number in range(30):
        notify(far, title=str(number))
    Outbox.objects.exclude(pk=Outbox.objects.earliest("pk").pk).delete()  # as if one call had said them all
    notify_many(others, title="hello")
    broker.relay()
    assert [broker.numbers(f"u.{person.pk}") for person in others] == [[1], [1]]
    assert broker.numbers(f"u.{far.pk}") == [1, 2, 3]
    assert Outbox.objects.count() == 1, "those that are whole are forgotten"
    while broker.relay() >= 0:
        pass
    assert broker.numbers(f"u.{far.pk}") == list(range(1, 31))


def test_a_full_turn_for_many(people, broker, django_assert_max_num_queries):
    """As many as are taken at once. SQLite, which has a limit of parameters, is told some of it in parts."""
    crowd = [type(people[0])(username=f"crowd-{number}") for number in range(outbox.AT_ONCE)]
    type(people[0]).objects.bulk_create(crowd)
    notify_many(crowd, title="to all")
    with django_assert_max_num_queries(20):
        assert broker.relay() == outbox.AT_ONCE
    assert broker.relay() == -1


def test_it_is_started_long_after(ann, broker):
    """What retention has removed meanwhile cannot be told; what it has left is."""
    for number in range(6):
        notify(ann, title=str(number))
        notify_topic("orders.7", title=str(number))
    now = timezone.now()
    store.prune(older_than=now - timedelta(days=7), keep=2, now=now)
    topic_store.prune(older_than=now - timedelta(days=7), keep=3, now=now)
    broker.relay()
    assert (broker.numbers(f"u.{ann.pk}"), broker.numbers("t.orders.7")) == ([5, 6], [4, 5, 6])
    assert broker.relay() == -1


def test_what_nobody_should_be_told_any_more_is_passed_over(ann, broker):
    now = timezone.now()
    mute(ann, kind="ci.build")
    notify(ann, title="muted", kind="ci.build")
    notify(ann, title="expires", expires_at=now + timedelta(seconds=30))
    notify(ann, title="stays")
    broker.relay(now=now + timedelta(seconds=31))
    assert broker.titles == ["stays"]
    notify(ann, title="next")
    broker.relay()
    assert broker.numbers(f"u.{ann.pk}") == [3, 4]


def test_a_new_epoch_begins_anew(ann, broker):
    for number in range(3):
        notify(ann, title=str(number))
    broker.relay()
    before = broker.had[0].epoch
    store.reset_epoch(ann.pk)
    notify(ann, title="after")
    broker.relay()
    again = broker.had[3:]
    assert [parcel.event.seq for parcel in again] == [1, 2, 3, 4]
    assert {parcel.epoch for parcel in again} == {store.peek(ann.pk).epoch} != {before}


def test_who_is_gone_is_forgotten(ann, broker):
    notify(ann, title="x")
    ann.delete()
    while broker.relay() >= 0:
        pass
    assert broker.had == [] and not Outbox.objects.exists()


def test_two_relays_take_different_streams(people, broker):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no locks of rows: one relay is enough there")
    first, second = people[:2]
    notify(first, title="first")
    taken, done = threading.Event(), threading.Event()
    other = Broker()

    def slowly(parcels):
        broker(parcels)
        taken.set()
        assert done.wait(10)

    def run():
        try:
            outbox.relay(slowly)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert taken.wait(10)
    notify(first, title="first again")
    notify(second, title="second")
    other.relay()
    assert other.titles == ["second"], "the other stream is in somebody's hands"
    done.set()
    thread.join()
    other.relay()
    assert broker.titles == ["first"] and other.titles == ["second", "first again"]
    assert Relayed.objects.get(stream=f"u.{first.pk}").seq == 2


def test_streams_do_not_stay_with_a_relay_that_does_nothing(ann, broker, monkeypatch):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no locks of rows: nothing is held there")
    monkeypatch.setattr(outbox, "HELD_SECONDS", 1)
    notify(ann, title="x")
    taken, done, failed = threading.Event(), threading.Event(), []

    def freeze(parcels):
        taken.set()
        assert done.wait(20)

    def run():
        try:
            outbox.relay(freeze)
        except DatabaseError as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert taken.wait(10)
    wait_until(lambda: broker.relay() == 1, timeout=15, what="streams that are free again", every=0.1)
    done.set()
    thread.join()
    assert broker.titles == ["x"] and failed, "what the other did is void"


def test_what_a_dead_publisher_left_is_numbered(ann, broker):
    """Where only the broker listens, nobody else may."""
    notify(ann, title="numbered")
    notify_topic("orders.7", title="numbered")
    broker.relay()
    moment = timezone.now() - timedelta(seconds=2)
    said = {"kind": "", "level": "info", "title": "late", "created_at": moment}
    Notification.objects.create(user=ann, **said)
    TopicNotification.objects.create(topic="orders.7", **said)
    assert broker.relay() == -1
    outbox.number_late(now=moment + timedelta(seconds=0.5))
    assert broker.relay() == -1, "its publisher may be at it"
    outbox.number_late()
    assert broker.relay() == 2
    assert (broker.numbers(f"u.{ann.pk}"), broker.numbers("t.orders.7")) == ([1, 2], [1, 2])


def test_how_long_it_has_waited(ann, broker):
    assert outbox.oldest() is None
    before = timezone.now() - timedelta(seconds=2)
    notify(ann, title="x")
    assert before < outbox.oldest() < timezone.now() + timedelta(seconds=2)
