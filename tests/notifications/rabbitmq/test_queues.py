import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from notifications.models import BrokerQueue
from notifications.rabbitmq import queues
from notifications.rabbitmq.queues import AGAIN, ONCE, is_theirs, prune

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

NAME = "stomp-subscription-EjBc1RpTV3WFQVvujHhLLQ"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_queue_is_theirs_who_declared_it_first():
    assert not is_theirs(7, NAME, declared=False, now=NOW), "nobody has declared it"
    assert is_theirs(7, NAME, declared=True, now=NOW)
    assert is_theirs(7, NAME, declared=False, now=NOW) and is_theirs(7, NAME, declared=True, now=NOW)
    for other in (8, 77, "7"):
        assert not is_theirs(other, NAME, declared=False, now=NOW)
        assert not is_theirs(other, NAME, declared=True, now=NOW)
    assert is_theirs(7, NAME, declared=False, now=NOW)


def test_of_many_at_once_one_has_it(transactional_db):
    start, answers = threading.Barrier(6), {}

    def declare(person):
        start.wait()
        try:
            answers[person] = is_theirs(person, NAME, declared=True)
        finally:
            connection.close()

    threads = [threading.Thread(target=declare, args=[person]) for person in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers.values()) == [False] * 5 + [True]


def kept_until():
    return BrokerQueue.objects.get().kept_until


def test_what_is_declared_again_is_kept_for_longer(django_assert_num_queries):
    is_theirs(7, NAME, declared=True, now=NOW)
    is_theirs(7, NAME, declared=False, now=NOW + DAY)
    assert kept_until() == NOW + ONCE
    is_theirs(7, NAME, declared=True, now=NOW + DAY)
    assert kept_until() == NOW + DAY + AGAIN
    with django_assert_num_queries(1):
        is_theirs(7, NAME, declared=True, now=NOW + DAY + timedelta(hours=1))
    is_theirs(8, NAME, declared=True, now=NOW + 9 * DAY)
    assert kept_until() == NOW + DAY + AGAIN


def test_what_is_long_ago_goes():
    for number in range(3):
        is_theirs(7, f"{NAME}-{number}", declared=True, now=NOW)
    is_theirs(7, f"{NAME}-2", declared=True, now=NOW + DAY)
    assert prune(now=NOW + ONCE, batch_size=1) == ("broker's queues", 0)
    assert prune(now=NOW + ONCE + DAY, batch_size=1) == ("broker's queues", 2)
    assert [queue.pk for queue in BrokerQueue.objects.all()] == [f"{NAME}-2"]


def test_the_names_of_rabbitmq_fit():
    assert BrokerQueue._meta.get_field("name").max_length >= len("stomp-subscription-") + 64
    assert queues.rules.is_made_up("stomp-subscription-" + "a" * 64)
    assert not queues.rules.is_made_up("stomp-subscription-" + "a" * 65)
