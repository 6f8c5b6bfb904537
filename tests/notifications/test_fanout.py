import asyncio
import time

import pytest
from channels.layers import channel_layers
from msgspec.structs import replace

from notifications import fanout
from notifications.wire.doorbell import HUBS, Announced, Ended, Kicked, unpack
from notifications.wire.streams import Announcement
from tests.notifications.live.life import note
from tests.notifications.live.test_ears import Heard, listening, redis_layers


@pytest.fixture
def on(settings):
    """Use a Redis-compatible server for the layer, as `REDIS_URL` would."""

    def use(url):
        settings.CHANNEL_LAYERS = redis_layers(url)
        channel_layers.backends.clear()

    yield use
    channel_layers.backends.clear()


@pytest.fixture
def patient(monkeypatch):
    """A machine with much else to do may not answer within the moment that publishers wait."""
    monkeypatch.setattr(fanout, "PATIENCE", 10.0)


ANNOUNCEMENT = Announcement("e", 0, note(1))


def test_the_own_hub_is_handed_the_message_itself(told):
    fanout.announce([ANNOUNCEMENT])
    assert told == [Announced(fanout.ORIGIN, [ANNOUNCEMENT])]
    assert told[0].items[0] is ANNOUNCEMENT, "not a copy: it is spelled once for all sockets"


def test_a_hub_that_stopped_listening_is_not_told():
    heard = []
    stop = fanout.listen(heard.append)
    stop()
    stop()
    fanout.announce([ANNOUNCEMENT])
    assert heard == []


async def test_other_processes_hear_it_as_if_by_group_send(on, valkey, patient):
    on(valkey.url)
    heard = Heard()
    async with listening(heard, "usher.u.7"):
        await asyncio.to_thread(fanout.announce, [ANNOUNCEMENT])
        await asyncio.to_thread(fanout.announce_end, "u.7", 3)
        await asyncio.to_thread(fanout.kick, "u.7", ["c1"])
        await heard.reaches(3)
    assert [unpack(message) for _group, message in heard] == [
        Announced(fanout.ORIGIN, [ANNOUNCEMENT]),
        Ended(fanout.ORIGIN, "u.7", 3),
        Kicked(fanout.ORIGIN, "u.7", ["c1"]),
    ]
    assert fanout.state() == "ok"


def announcement(number, seq=1, title="same"):
    return Announcement("e", 0, replace(note(seq, title=title), stream=f"u.{number}"))


def test_the_same_words_for_many_are_one_message_for_each_batch(told, monkeypatch):
    monkeypatch.setattr(fanout, "BATCH", 2)
    five = [announcement(number) for number in range(5)]
    fanout.announce(five)
    assert [[recipient.stream for recipient in message.recipients] for message in told] == [
        ["u.0", "u.1"],
        ["u.2", "u.3"],
        ["u.4"],
    ]
    assert told[0].announcement(told[0].recipients[1]) == five[1]


def test_a_stream_with_several_numbers_is_told_by_itself_and_in_order(told):
    """A row that a dead publisher had left behind, beside the batch that found it."""
    left = announcement(1, seq=1, title="left behind")
    batch = [announcement(1, seq=2), announcement(2), announcement(3)]
    fanout.announce([left, *batch])
    alone, many = told
    assert alone == Announced(fanout.ORIGIN, [left, batch[0]])
    assert [recipient.stream for recipient in many.recipients] == ["u.2", "u.3"]


def test_other_words_are_other_messages(told):
    fanout.announce([announcement(1, title="a"), announcement(2, title="b"), announcement(3, title="b")])
    assert [type(message).__name__ for message in told] == ["Announced", "AnnouncedToMany"]
    assert told[1].title == "b"


async def test_many_are_told_through_the_group_of_all_hubs(on, valkey, patient):
    on(valkey.url)
    heard = Heard()
    async with listening(heard, HUBS, "usher.u.1"):
        await asyncio.to_thread(fanout.announce, [announcement(number) for number in range(3)])
        await heard.reaches(1)
    assert [(group, len(unpack(message).recipients)) for group, message in heard] == [(HUBS, 3)]


@pytest.mark.parametrize("harm", ["kill", "pause"])
def test_redis_away_or_hung_costs_little_and_fails_nobody(on, own_valkey, told, caplog, harm):
    on(own_valkey.url)
    fanout.announce([ANNOUNCEMENT])
    getattr(own_valkey, harm)()
    began = time.monotonic()
    for _ in range(20):
        fanout.announce([ANNOUNCEMENT])
    assert time.monotonic() - began < 2, "the first waits for less than half a second, the others not at all"
    assert len(told) == 21, "the own hub is told all the same"
    assert sum("did not take" in message for message in caplog.messages) <= 3
    assert fanout.state() == "degraded"
    if harm == "pause":
        own_valkey.resume()


def test_it_heals_by_itself(on, own_valkey):
    on(own_valkey.url)
    own_valkey.kill()
    fanout.announce([ANNOUNCEMENT])
    own_valkey.restart()
    assert fanout.state() == "ok"


def test_the_in_memory_layer_has_nobody_else_to_tell():
    assert fanout.state() == "in-memory"


async def test_any_other_layer_is_used_through_its_own_interface(settings, monkeypatch):
    sent = []

    class OtherLayer:
        async def group_send(self, group, message):
            sent.append((group, message))

    layer = OtherLayer()
    monkeypatch.setattr(fanout, "get_channel_layer", lambda: layer)
    await asyncio.to_thread(fanout.announce_end, "u.7", 3)
    ((group, message),) = sent
    assert (group, unpack(message)) == ("usher.u.7", Ended(fanout.ORIGIN, "u.7", 3))
