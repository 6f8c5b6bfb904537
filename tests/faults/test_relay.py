"""Everything that is numbered arrives at the broker, whatever dies on the way: the relay, the broker, the database."""

import json
from collections import defaultdict
from urllib.parse import quote

import pytest

from tests.faults.publishing import Publisher
from tests.faults.sizes import show, size
from tests.support import rabbitmq
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitMQ

CALLS = size(1_500, 6_000)
QUEUE = f"/queues/{quote('/', safe='')}/all"


@pytest.fixture
def broker():
    rabbitmq.needed()
    with RabbitMQ() as broker:
        family = [*broker.running.family(), *broker._epmd.family()]
        yield broker
    assert not any(process.is_running() for process in family)


def bind_all(broker):
    """A durable queue that hears everything. The exchange is the relay's to make; as it makes it, here."""
    root = quote("/", safe="")
    broker.manage("PUT", f"/exchanges/{root}/usher.notifications", {"type": "topic", "durable": True})
    broker.manage("PUT", QUEUE, {"durable": True})
    broker.manage("POST", f"/bindings/{root}/e/usher.notifications/q/all", {"routing_key": "#"})


def heard(broker):
    """All that is in the queue: [(stream, epoch, seq, title)], in order."""
    found = []
    ask = {"count": 2_000, "ackmode": "ack_requeue_false", "encoding": "auto"}
    while messages := broker.manage("POST", f"{QUEUE}/get", ask):
        for message in messages:
            said, headers = json.loads(message["payload"]), message["properties"]["headers"]
            assert (headers["x-stream"], int(headers["x-seq"])) == (said["stream"], said["seq"])
            assert message["routing_key"] == f"user.{said['stream'][2:]}"
            assert message["properties"]["delivery_mode"] == 2
            found.append((said["stream"], headers["x-epoch"], said["seq"], said["title"]))
    return found


@pytest.mark.timeout(600)
def test_everything_arrives_in_order_whatever_dies(own_ground, broker):
    ground = own_ground(RABBITMQ_URL=broker.amqp_url)
    bind_all(broker)
    people = ground.people(20)
    relays = [ground.stack.script("manage", "relay") for _ in range(2)]
    publisher = Publisher(ground.stack, people, rate=size(60, 150))

    def told(share):
        wait_until(lambda: publisher.said >= CALLS * share, timeout=300, what="publisher that goes on", every=0.1)

    def kill_a_relay(number):
        relays[number].kill()
        relays[number] = ground.stack.script("manage", "relay")

    def restart(service):
        service.kill()
        told_before = publisher.said
        if service is broker:
            wait_until(lambda: publisher.said > told_before + 20, timeout=60, what="publishers that do not care")
        service.start()

    faults = [
        lambda: kill_a_relay(0),
        lambda: restart(broker),
        lambda: restart(ground.postgres),
        lambda: kill_a_relay(1),
        lambda: restart(broker),
        lambda: restart(ground.postgres),
    ]
    for number, fault in enumerate(faults, 1):
        told(number / (len(faults) + 1))
        fault()
    told(1)
    publisher.stop()
    waiting = "SELECT (SELECT count(*) FROM notifications_outbox) + (SELECT count(*) FROM notifications_notification n "
    waiting += "WHERE seq IS NULL)"
    with ground.serve():  # numbers what a publisher left without a number when the database died
        wait_until(lambda: ground.ask(waiting) == [(0,)], timeout=60, what="empty outbox", every=0.2)
    for relay in relays:
        assert relay.stop(timeout=5) == 0, "it ends by itself"

    messages, wanted = heard(broker), defaultdict(list)
    for published, title in ground.committed():
        wanted[published.stream].append((published.seq, title))
    first = defaultdict(dict)
    for stream, _epoch, seq, title in messages:
        first[stream].setdefault(seq, title)
    assert {stream: list(numbers.items()) for stream, numbers in first.items()} == {
        stream: sorted(rows) for stream, rows in wanted.items()
    }, "what arrived first, in that order, is what stands"
    assert len({epoch for _stream, epoch, _seq, _title in messages}) == len(wanted), "one epoch each"
    total = sum(map(len, wanted.values()))
    assert total >= CALLS
    show("relayed through six deaths", notifications=total, messages=len(messages), twice=len(messages) - total)
