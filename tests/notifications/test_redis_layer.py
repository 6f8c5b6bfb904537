"""Held to the layer itself: the same bytes, on the same channel of the same server."""

import time

import pytest
import redis
from channels.layers import channel_layers, get_channel_layer

from notifications.redis_layer import RedisLayer, is_ours
from tests.notifications.live.test_ears import MEMORY, redis_layers


@pytest.fixture
def use(settings):
    def use(*urls, **config):
        settings.CHANNEL_LAYERS = redis_layers(*urls, **config)
        channel_layers.backends.clear()
        return get_channel_layer()

    yield use
    channel_layers.backends.clear()


@pytest.mark.parametrize("prefix", ["asgi", "other site"])
async def test_channels_and_bytes_are_those_of_group_send(use, valkey, prefix):
    layer = use(valkey.url, prefix=prefix)
    ours = RedisLayer(layer)
    client = redis.Redis.from_url(valkey.url)
    with client.pubsub() as listener:
        listener.subscribe(ours.channel("usher.u.1"))
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        await layer.group_send("usher.u.1", {"type": "x", "n": 1})
        message = listener.get_message(timeout=5)
    assert ours.group(message["channel"]) == "usher.u.1"
    assert ours.deserialize(message["data"]) == {"type": "x", "n": 1}
    assert ours.serialize({"type": "x", "n": 1}) == message["data"]
    await layer.flush()
    client.close()


async def test_a_group_s_server_is_the_layer_s(use):
    layer = use("redis://127.0.0.1:1", "redis://127.0.0.1:2", "redis://127.0.0.1:3")
    ours = RedisLayer(layer)
    theirs = layer._get_layer()
    for number in range(50):
        group = f"usher.u.{number}"
        assert theirs._shards.index(theirs._get_shard(ours.channel(group))) == ours.server(group)
    assert list(ours.servers) == [0, 1, 2]


def test_a_publisher_does_not_wait_for_a_server_that_hangs(use, own_valkey):
    publisher = RedisLayer(use(own_valkey.url)).publisher(0, patience=0.2)
    assert publisher.publish("c", b"x") == 0
    own_valkey.pause()
    began = time.monotonic()
    with pytest.raises(redis.RedisError):
        publisher.publish("c", b"x")
    assert time.monotonic() - began < 2
    own_valkey.resume()


async def test_a_connection_never_comes_back_by_itself(use, own_valkey):
    connection = RedisLayer(use(own_valkey.url)).connection(0, patience=0.5)
    await connection.connect()
    await connection.send_command("PING")
    assert await connection.read_response() == b"PONG"
    own_valkey.kill()
    with pytest.raises(redis.RedisError):
        await connection.read_response()
    own_valkey.restart()
    assert not connection.is_connected
    await connection.disconnect(nowait=True)


def test_which_layer_it_is(use, settings):
    assert is_ours(use("redis://127.0.0.1:1"))
    settings.CHANNEL_LAYERS = MEMORY
    channel_layers.backends.clear()
    assert not is_ours(get_channel_layer())
