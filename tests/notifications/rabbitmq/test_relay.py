import json
import threading
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest
from django.db import OperationalError

from notifications import figures
from notifications.models import Outbox
from notifications.rabbitmq import outbox, relay
from notifications.rabbitmq.outbox import Parcel
from notifications.rabbitmq.relay import AWAY, Lag, Line, message_of
from notifications.wire.vocabulary import Notification
from tests.support.processes import free_port

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
EVENT = Notification(
    stream="u.7",
    seq=3,
    id="01a20605-f27b-7000-8000-ed90d1bc26e5",
    kind="ci.build",
    level="info",
    title="Grüße",
    body="",
    url="",
    data={"n": 1},
    created_at=NOW,
)


def test_a_message():
    message = message_of(Parcel("e1", EVENT, NOW + timedelta(seconds=90)), NOW)
    body = json.loads(message.body)
    assert (body["type"], body["stream"], body["seq"], body["title"]) == ("notification", "u.7", 3, "Grüße")
    assert message.headers == {"x-stream": "u.7", "x-epoch": "e1", "x-seq": "3"}
    assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
    assert (message.message_id, message.content_type) == (EVENT.id, "application/json")
    assert (message.timestamp, message.expiration) == (NOW, 90)
    assert message_of(Parcel("e1", EVENT, None)).expiration is None
    assert message_of(Parcel("e1", EVENT, NOW), NOW).expiration == 0.001, "at once, and not never"
    # The broker does not take what it cannot count to, and closes the channel: nothing at all would be relayed.
    assert message_of(Parcel("e1", EVENT, NOW.replace(year=9999)), NOW).expiration is None


def test_a_broker_that_is_not_there():
    line = Line(f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    with pytest.raises(AWAY):
        line.connect()
    assert not line.connected
    with pytest.raises(AWAY):
        line.publish([Parcel("e1", EVENT, None)])
    line.close()


class Broken:
    """A line that fails some times, and then a day that ends."""

    connected = True

    def __init__(self, errors, stopped):
        self.errors, self.stopped, self.left = list(errors), stopped, 0

    def publish(self, parcels):
        raise NotImplementedError

    def leave(self):
        self.left += 1

    def wait(self, seconds):
        """No time passes here."""


@pytest.mark.django_db
def test_it_goes_on_whatever_is_away(monkeypatch, caplog):
    stopped = threading.Event()
    line = Broken([OSError("refused"), TimeoutError(), OperationalError("gone")], stopped)

    def fails(publish):
        if line.errors:
            raise line.errors.pop(0)
        stopped.set()
        return -1

    monkeypatch.setattr(outbox, "relay", fails)
    monkeypatch.setattr("notifications.rabbitmq.outage.FIRST_WAIT", 0.001)
    relay.run(line, stopped)
    assert line.left == 3
    assert [record.getMessage() for record in caplog.records] == [
        "nothing is relayed: OSError: refused",
        "that is over, after 3 attempts: nothing is relayed",
    ]


@pytest.mark.django_db
def test_a_fault_of_ours_is_not_taken_for_the_brokers(monkeypatch):
    stopped = threading.Event()
    line = Broken([], stopped)

    def fails(publish):
        raise KeyError("ours")

    monkeypatch.setattr(outbox, "relay", fails)
    with pytest.raises(KeyError):
        relay.run(line, stopped)


@pytest.mark.django_db
def test_how_far_behind_it_is():
    lag = Lag()
    lag.look(idle=True)
    assert lag.seconds() == 0
    Outbox.objects.create(topic="x", after=0, noted_at=datetime.now(UTC) - timedelta(minutes=1))
    lag.look(idle=False)
    assert 59 < lag.seconds() < 70
    lag.look(idle=True)
    assert lag.seconds() == 0
    assert figures.RELAY_LAG.about
