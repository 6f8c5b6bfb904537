"""Everything that is numbered arrives at the broker, whatever dies on the way: the relay, the broker, the database."""

import asyncio
import json
from collections import defaultdict
from urllib.parse import quote

import aio_pika
import psutil
import pytest

from tests.faults.publishing import Publisher
from tests.faults.sizes import GENEROUS, show, size
from tests.support import rabbitmq
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitMQ

CALLS = size(500, 1_600)
AT_LEAST = 4 * CALLS
"""Notifications: one call in ten tells a whole crowd."""

ROOT = quote("/", safe="")
SITE = {"DJANGO_SETTINGS_MODULE": "tests.clients.settings"}  # it has topics


@pytest.fixture(scope="module")
def node():
    rabbitmq.needed()
    with RabbitMQ() as node:
        family = [*node.running.family(), *node._epmd.family()]
        yield node
    assert not psutil.wait_procs(family, timeout=10)[1]


@pytest.fixture
def broker(node):
    """With nothing in it but a durable queue that hears everything. The exchange is the relay's to make; as it does."""
    for kind in ("queues", "exchanges"):
        for each in node.manage("GET", f"/{kind}/{ROOT}?columns=name"):
            if each["name"] and not each["name"].startswith("amq."):
                node.manage("DELETE", f"/{kind}/{ROOT}/{each['name']}")
    node.manage("PUT", f"/exchanges/{ROOT}/usher.notifications", {"type": "topic", "durable": True})
    add_queue(node, "all", "#")
    return node


def add_queue(broker, name, key, **arguments):
    broker.manage("PUT", f"/queues/{ROOT}/{name}", {"durable": True, "arguments": arguments})
    broker.manage("POST", f"/bindings/{ROOT}/e/usher.notifications/q/{name}", {"routing_key": key})


def heard(broker, queue="all"):
    """All that is in the queue: [(stream, epoch, seq, title)], in order."""
    found = []
    ask = {"count": 2_000, "ackmode": "ack_requeue_false", "encoding": "auto"}
    while messages := broker.manage("POST", f"/queues/{ROOT}/{queue}/get", ask):
        for message in messages:
            said, headers = json.loads(message["payload"]), message["properties"]["headers"]
            assert (headers["x-stream"], int(headers["x-seq"])) == (said["stream"], said["seq"])
            assert message["routing_key"] == said["stream"].replace("u.", "user.", 1).replace("t.", "topic.", 1)
            assert message["properties"]["delivery_mode"] == 2
            found.append((said["stream"], headers["x-epoch"], said["seq"], said["title"]))
    return found


def titles(broker, queue="all"):
    return [title for _stream, _epoch, _seq, title in heard(broker, queue)]


def start_relay(ground, **env):
    return ground.stack.script("manage", "relay", env=env)


def waiting(ground):
    return ground.ask("SELECT count(*) FROM notifications_outbox")[0][0]


def at_work(ground):
    """Whether a relay has streams in its hands."""
    held = "SELECT 1 FROM pg_locks JOIN pg_class ON pg_class.oid = relation WHERE relname = %s AND mode = %s"
    return ground.ask(held, "notifications_relayed", "RowShareLock")


def kill_at_work(ground, relays):
    """All of them, in the midst of what they are saying; others come, and say it again."""
    wait_until(lambda: at_work(ground), timeout=60, what="relay at work", every=0)
    for relay in relays:
        relay.kill()
    relays[:] = [start_relay(ground) for _ in relays]


def wait_relayed(ground, timeout=60):
    wait_until(lambda: not waiting(ground), timeout=timeout, what="empty outbox", every=0.1)


@pytest.mark.timeout(600)
def test_everything_arrives_in_order_whatever_dies(own_ground, broker):
    ground = own_ground(RABBITMQ_URL=broker.amqp_url, **SITE)
    people = ground.people(160)
    relays = [start_relay(ground) for _ in range(2)]
    publisher = Publisher(ground.stack, people, rate=size(40, 75), topic="desk.everybody")

    def told(share):
        wait_until(lambda: publisher.said >= CALLS * share, timeout=300, what="publisher that goes on", every=0.1)

    def kill_a_relay(number):
        relays[number].kill()
        relays[number] = start_relay(ground)

    def restart_broker():
        broker.kill()
        before = publisher.said
        wait_until(lambda: publisher.said > before + 20, timeout=60, what="publishers that do not care")
        broker.start()

    def restart_broker_and_a_relay():
        broker.kill()
        kill_a_relay(1)  # it finds no broker when it starts
        broker.start()

    def restart_database():
        ground.postgres.kill()
        ground.postgres.start()

    faults = [
        lambda: kill_at_work(ground, relays),
        restart_broker,
        restart_database,
        restart_broker_and_a_relay,
        restart_database,
        lambda: kill_at_work(ground, relays),
    ]
    for number, fault in enumerate(faults, 1):
        told(number / (len(faults) + 1))
        fault()
    told(1)
    publisher.stop()
    late = "SELECT (SELECT count(*) FROM notifications_notification WHERE seq IS NULL) + "
    late += "(SELECT count(*) FROM notifications_topicnotification WHERE seq IS NULL)"
    # What a publisher left without a number when the database died has one, too, though there is no server.
    wait_until(lambda: ground.ask(late) == [(0,)], timeout=60, what="numbers for all", every=0.2)
    wait_relayed(ground)
    for relay in relays:
        assert relay.stop(timeout=5) == 0, "it ends by itself"
        assert "Traceback" not in relay.log()

    messages, wanted = heard(broker), defaultdict(list)
    for published, title in ground.committed():
        wanted[published.stream].append((published.seq, title))
    first = defaultdict(dict)
    for stream, _epoch, seq, title in messages:
        first[stream].setdefault(seq, title)
    assert {stream: list(numbers.items()) for stream, numbers in first.items()} == {
        stream: sorted(rows) for stream, rows in wanted.items()
    }, "what arrived first, in that order, is what stands"
    assert len({(stream, epoch) for stream, epoch, _seq, _title in messages}) == len(wanted), "one epoch each"
    total = sum(map(len, wanted.values()))
    assert total >= AT_LEAST and len(wanted["t.desk.everybody"]) > CALLS / 20
    show("relayed through six deaths", notifications=total, messages=len(messages), twice=len(messages) - total)


def tell(ground, *lines):
    said = ["from notifications.api import notify", *lines]
    ground.stack.manage("shell", "--no-imports", "--command", "\n".join(said))


def test_a_queue_that_refuses_stops_nobody_else(ground, broker):
    """People make queues of their own, with arguments of their own."""
    ground = ground(RABBITMQ_URL=broker.amqp_url, **SITE)
    (ann, ben) = ground.people(2)
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    add_queue(broker, "full", f"user.{ann.user_id}", **full)
    relay = start_relay(ground)
    tell(
        ground,
        f"for n in range(5): notify({ann.user_id}, title=f'ann {{n}}'); notify({ben.user_id}, title=f'ben {{n}}')",
    )
    wait_relayed(ground, timeout=20)
    assert titles(broker, "full") == ["ann 0"]
    arrived = titles(broker)
    assert list(dict.fromkeys(title for title in arrived if "ann" in title)) == [f"ann {n}" for n in range(5)]
    assert [title for title in arrived if "ben" in title] == [f"ben {n}" for n in range(5)]
    assert "refused" in relay.log() and "nothing is relayed" not in relay.log()


def test_what_expires_in_a_thousand_years_stops_nobody(ground, broker):
    ground = ground(RABBITMQ_URL=broker.amqp_url, **SITE)
    (ann,) = ground.people(1)
    start_relay(ground)
    tell(
        ground,
        "from datetime import UTC, datetime",
        f"notify({ann.user_id}, title='one', expires_at=datetime(9999, 12, 31, tzinfo=UTC))",
        f"notify({ann.user_id}, title='two')",
    )
    wait_relayed(ground, timeout=20)
    assert titles(broker) == ["one", "two"]


def test_it_ends_while_the_broker_hangs_and_says_it_again(ground, broker):
    ground = ground(RABBITMQ_URL=broker.amqp_url, **SITE)
    (ann,) = ground.people(1)
    relay = start_relay(ground)
    tell(ground, f"notify({ann.user_id}, title='one')")
    wait_relayed(ground, timeout=20)
    broker.pause()
    try:
        tell(ground, f"notify({ann.user_id}, title='two')")
        held = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'idle in transaction'"
        wait_until(lambda: ground.ask(held, ground.database) == [(1,)], timeout=10, what="relay that waits")
        assert relay.stop(timeout=5) == 0
    finally:
        broker.resume()
    assert waiting(ground) == 1
    start_relay(ground)
    wait_relayed(ground, timeout=20)
    assert list(dict.fromkeys(titles(broker))) == ["one", "two"]


LOG_IN = """
from django.contrib.auth.models import User
from tickets.api import Purpose, issue, log_in_to_broker, open_session
ann = User.objects.get(pk={user_id})
session_id = open_session(ann, method="test")
assert log_in_to_broker(ann.username, issue(user=ann, session_id=session_id, purpose=Purpose.BROKER).ticket, "/")
print(session_id)
"""


async def test_a_logout_is_carried_out_as_soon_as_the_api_answers(ground, broker):
    """The broker has accounts of its own here, so that it needs no site; the login is one of the site's."""
    ground = ground(RABBITMQ_URL=broker.amqp_url, RABBITMQ_MANAGEMENT_URL=broker.management_url, **SITE)
    (ann,) = ground.people(1)
    broker.manage("PUT", f"/users/{ann.username}", {"password": "of-the-broker", "tags": ""})
    broker.manage("PUT", f"/permissions/{ROOT}/{ann.username}", {"configure": "", "write": "", "read": ""})
    relay = start_relay(ground)
    session_id = ground.stack.manage("shell", "--no-imports", "--command", LOG_IN.format(user_id=ann.user_id)).split()[
        -1
    ]
    url = f"amqp://{ann.username}:of-the-broker@127.0.0.1:{broker.ports['amqp']}/"
    async with await aio_pika.connect(url) as connection:
        closed = asyncio.get_running_loop().create_future()
        connection.close_callbacks.add(lambda _connection, error: closed.done() or closed.set_result(error))
        broker.pause()
        try:
            ended = f"from tickets.api import end_session; end_session('{session_id}')"
            await asyncio.to_thread(ground.stack.manage, "shell", "--no-imports", "--command", ended)
            said = "connections stay open at the broker"
            await asyncio.to_thread(wait_until, lambda: said in relay.log(), timeout=20, what="word of it", every=0.1)
        finally:
            broker.resume()
        async with asyncio.timeout(5 * GENEROUS):
            assert "The login session has ended" in str(await closed)
    rows = "SELECT count(*) FROM tickets_brokerlogin"
    await asyncio.to_thread(wait_until, lambda: ground.ask(rows) == [(0,)], timeout=30, what="end of it", every=0.2)
