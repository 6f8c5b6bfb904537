import pytest

from notifications.rabbitmq.rules import listens_to, may_use, routing_key
from notifications.wire.doorbell import stream_of

EVERYTHING = ("configure", "write", "read")


@pytest.mark.parametrize(
    "name",
    [
        "usher.user.7.phone",
        "usher.user.7.a.b",
        "stomp-subscription-aB3_x-9",
        "mqtt-subscription-usher.7.phoneqos0",
        "mqtt-subscription-usher.7.qos1qos1",
    ],
)
def test_own_queues(name):
    assert all(may_use(7, "queue", name, permission) for permission in EVERYTHING)


@pytest.mark.parametrize(
    "name",
    [
        *("usher.user.7", "usher.user.77.phone", "usher.user.1.phone", "usher.user.٧.phone", "Usher.user.7.phone"),
        *("usher.user.", "usher.user..7.x", " usher.user.7.x", "other", "amq.gen-x", "stomp-subscription-"),
        *("stomp-subscription-a b", "stomp-subscription-a.b", "xstomp-subscription-a", "stomp-subscription-a\n"),
        *("mqtt-subscription-usher.77.aqos1", "mqtt-subscription-usher.1.7.aqos1", "mqtt-subscription-phoneqos1"),
        *("mqtt-subscription-usher.7.phoneqos2", "mqtt-subscription-usher.7.phone", "mqtt-subscription-qos1"),
    ],
)
def test_queues_of_others(name):
    assert not any(may_use(7, "queue", name, permission) for permission in EVERYTHING)


def test_the_exchange_is_read_and_no_other():
    assert may_use(7, "exchange", "usher.notifications", "read")
    for permission in ("configure", "write", "", "READ", "administer"):
        assert not may_use(7, "exchange", "usher.notifications", permission)
    for name in ("amq.topic", "", "usher.notifications2", "amq.default"):
        assert not any(may_use(7, "exchange", name, permission) for permission in EVERYTHING)
    assert not may_use(7, "binding", "usher.user.7.x", "read")
    assert not may_use(7, "queue", "usher.user.7.x", "delete")


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("user.7", True),
        ("topic.orders.7", "orders.7"),
        ("topic.", ""),
        *(
            (key, False)
            for key in ("user.77", "user.1", "user.*", "user.#", "#", "*.7", "user", "user.7.x", "user.٧", "")
        ),
    ],
)
def test_routing_keys(key, answer):
    assert listens_to(7, "topic", "usher.notifications", "read", key) == answer
    assert listens_to(7, "topic", "usher.notifications", "write", key) is False
    assert listens_to(7, "topic", "amq.topic", "read", key) is False
    assert listens_to(7, "queue", "usher.notifications", "read", key) is False


def test_of_ids_that_are_no_integers_names_have_a_digest():
    user_id = "5f3b1c1e-0000-4000-8000-000000000007"
    key = routing_key(stream_of(user_id))
    assert may_use(user_id, "queue", f"usher.{key}.phone", "read")
    assert listens_to(user_id, "topic", "usher.notifications", "read", key) is True
    assert listens_to(user_id, "topic", "usher.notifications", "read", f"user.{user_id}") is False


def test_what_is_published_with():
    assert routing_key("u.7") == "user.7"
    assert routing_key("t.orders.7") == "topic.orders.7"
