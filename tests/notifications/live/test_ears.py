import asyncio

import pytest
from channels.layers import channel_layers, get_channel_layer

from notifications.live import ears

MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def redis_layers(url):
    host = {"address": url, "socket_timeout": None, "socket_connect_timeout": 2, "health_check_interval": 30}
    return {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [host]}}}


@pytest.fixture(params=["memory", "redis"])
def layer(request, settings):
    """Both layers that are supported, held to what `ears` relies on."""
    url = request.getfixturevalue("valkey").url if request.param == "redis" else ""
    settings.CHANNEL_LAYERS = redis_layers(url) if url else MEMORY
    channel_layers.backends.clear()
    yield request.param
    channel_layers.backends.clear()


class Heard(list):
    """What was heard, and a way to wait for it."""

    def __call__(self, group, message):
        self.append((group, message))

    async def reaches(self, count):
        async with asyncio.timeout(5):
            while len(self) < count:
                await asyncio.sleep(0.01)


async def test_what_is_sent_to_a_group_is_heard_with_its_group(layer):
    heard = Heard()
    await ears.join("usher.u.1", heard)
    await ears.join("usher.u.2", heard)
    await get_channel_layer().group_send("usher.u.1", {"type": "x", "n": 1})
    await get_channel_layer().group_send("usher.u.2", {"type": "x", "n": 2})
    await heard.reaches(2)
    assert sorted(heard, key=lambda item: item[0]) == [
        ("usher.u.1", {"type": "x", "n": 1}),
        ("usher.u.2", {"type": "x", "n": 2}),
    ]
    await get_channel_layer().flush()


async def test_after_leaving_nothing_is_heard(layer):
    heard = Heard()
    await ears.join("usher.u.1", heard)
    await ears.leave("usher.u.1")
    await ears.join("usher.u.2", heard)
    await get_channel_layer().group_send("usher.u.1", {"type": "x"})
    await get_channel_layer().group_send("usher.u.2", {"type": "last"})
    await heard.reaches(1)
    assert heard == [("usher.u.2", {"type": "last"})]
    await get_channel_layer().flush()


async def test_joining_again_after_leaving(layer):
    heard = Heard()
    for _ in range(3):
        await ears.join("usher.u.1", heard)
        await ears.leave("usher.u.1")
    await ears.join("usher.u.1", heard)
    await get_channel_layer().group_send("usher.u.1", {"type": "x"})
    await heard.reaches(1)
    assert len(heard) == 1
    await get_channel_layer().flush()


async def test_a_listener_that_fails_does_not_end_the_hearing(layer):
    heard = Heard()

    def hear(group, message):
        heard(group, message)
        if message["type"] == "bad":
            raise RuntimeError("cannot read this")

    await ears.join("usher.u.1", hear)
    for type_ in ("bad", "good"):
        await get_channel_layer().group_send("usher.u.1", {"type": type_})
    await heard.reaches(2)
    assert [message["type"] for _group, message in heard] == ["bad", "good"]
    await get_channel_layer().flush()


def test_which_layers_are_supported(layer):
    assert ears.is_supported()


def test_the_core_layer_is_not(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}
    channel_layers.backends.clear()
    assert not ears.is_supported()
    channel_layers.backends.clear()
