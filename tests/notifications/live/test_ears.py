import asyncio
import contextlib

import pytest
from channels.layers import channel_layers, get_channel_layer

from notifications.live import ears
from notifications.live.ears import Ears, MemoryEars, NoLayer, RedisEars, open_ears

MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def redis_layers(*urls, **config):
    hosts = [
        {"address": url, "socket_timeout": None, "socket_connect_timeout": 2, "health_check_interval": 30}
        for url in urls
    ]
    backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
    return {"default": {"BACKEND": backend, "CONFIG": {"hosts": hosts, **config}}}


@pytest.fixture(params=["memory", "redis", "redis-encrypted"])
def layer(request, settings):
    """All layers that are supported, held to what `ears` relies on."""
    if request.param == "memory":
        settings.CHANNEL_LAYERS = MEMORY
    else:
        config = {"symmetric_encryption_keys": ["k" * 32]} if request.param == "redis-encrypted" else {}
        settings.CHANNEL_LAYERS = redis_layers(request.getfixturevalue("valkey").url, prefix="site", **config)
    channel_layers.backends.clear()
    yield request.param
    channel_layers.backends.clear()


class Heard(list):
    """What was heard, and a way to wait for it."""

    def __call__(self, group, message):
        self.append((group, message))

    async def reaches(self, count):
        async with asyncio.timeout(10):
            while len(self) < count:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def listening(hear, *groups):
    """Ears that have joined the groups."""
    listener = open_ears(hear, lambda group: None)
    task = asyncio.create_task(listener.listen())
    for group in groups:
        listener.want(group)
    async with asyncio.timeout(10):
        while not all(listener.has(group) for group in groups):
            await asyncio.sleep(0.01)
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await get_channel_layer().flush()


async def test_what_is_sent_to_a_group_is_heard_with_its_group(layer):
    heard = Heard()
    async with listening(heard, "usher.u.1", "usher.u.2"):
        await get_channel_layer().group_send("usher.u.1", {"type": "x", "n": 1})
        await get_channel_layer().group_send("usher.u.2", {"type": "x", "n": 2})
        await heard.reaches(2)
    assert sorted(heard, key=lambda item: item[0]) == [
        ("usher.u.1", {"type": "x", "n": 1}),
        ("usher.u.2", {"type": "x", "n": 2}),
    ]


async def test_who_waits_is_told_of_the_group_that_was_joined(layer):
    joined = []
    listener = open_ears(Heard(), joined.append)
    task = asyncio.create_task(listener.listen())
    listener.want("usher.u.1")
    async with asyncio.timeout(10):
        while joined != ["usher.u.1"]:
            await asyncio.sleep(0.01)
    assert listener.has("usher.u.1")
    assert not listener.has("usher.u.2")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_site_s_own_consumers_hear_it_as_well(layer):
    heard = Heard()
    site = get_channel_layer()
    async with listening(heard, "usher.u.1"):
        channel = await site.new_channel()
        await site.group_add("usher.u.1", channel)
        async with asyncio.timeout(10):
            while not heard:  # its SUBSCRIBE is not confirmed
                await site.group_send("usher.u.1", {"type": "x"})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        assert await site.receive(channel) == {"type": "x"}
                        break
        await heard.reaches(1)


async def test_joining_and_leaving_in_any_order(layer):
    heard = Heard()
    async with listening(heard, "usher.u.1") as listener:
        for _ in range(3):
            listener.drop("usher.u.1")
            listener.want("usher.u.1")
        async with asyncio.timeout(10):
            while not listener.has("usher.u.1"):
                await asyncio.sleep(0.01)
        await get_channel_layer().group_send("usher.u.1", {"type": "x"})
        await heard.reaches(1)
    assert len(heard) == 1


async def test_a_listener_that_fails_does_not_end_the_hearing(layer):
    heard = Heard()

    def hear(group, message):
        heard(group, message)
        if message["type"] == "bad":
            raise RuntimeError("cannot read this")

    async with listening(hear, "usher.u.1"):
        for type_ in ("bad", "good"):
            await get_channel_layer().group_send("usher.u.1", {"type": type_})
        await heard.reaches(2)
    assert [message["type"] for _group, message in heard] == ["bad", "good"]


async def test_the_memory_ears_leave_nothing_behind(settings):
    settings.CHANNEL_LAYERS = MEMORY
    channel_layers.backends.clear()
    async with listening(Heard(), "usher.u.1", "usher.u.2") as listener:
        listener.drop("usher.u.2")
        assert set(get_channel_layer().groups) == {"usher.u.1"}
        layer = get_channel_layer()
    assert (layer.groups, layer.channels) == ({}, {})


async def test_groups_are_found_on_each_of_several_servers(settings, valkey, own_valkey):
    settings.CHANNEL_LAYERS = redis_layers(valkey.url, own_valkey.url)
    channel_layers.backends.clear()
    heard = Heard()
    groups = [f"usher.u.{number}" for number in range(8)]
    async with listening(heard, *groups) as listener:
        for group in groups:
            await get_channel_layer().group_send(group, {"type": "x"})
        await heard.reaches(len(groups))
        async with asyncio.timeout(10):
            while not listener.ok:
                await asyncio.sleep(0.01)
        own_valkey.kill()
        async with asyncio.timeout(10):
            while listener.ok:
                await asyncio.sleep(0.01)
    assert sorted(group for group, _message in heard) == groups
    channel_layers.backends.clear()


def test_which_layers_are_supported(layer):
    assert ears.is_supported()
    assert type(open_ears(Heard(), print)) is (MemoryEars if layer == "memory" else RedisEars)


async def test_the_core_layer_is_not(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}
    channel_layers.backends.clear()
    assert not ears.is_supported()
    deaf = open_ears(Heard(), print)
    assert type(deaf) is Ears
    deaf.want("usher.u.1")
    assert not deaf.has("usher.u.1")
    await until_cancelled(deaf)
    channel_layers.backends.clear()


async def test_without_a_layer_everybody_who_could_say_something_is_heard(settings):
    settings.CHANNEL_LAYERS = {}
    assert ears.is_supported() and not ears.is_there()
    alone = open_ears(Heard(), print)
    assert type(alone) is NoLayer
    alone.want("usher.u.1")
    assert alone.has("usher.u.1") and alone.ok, "nobody who connects waits for anything"
    await until_cancelled(alone)


async def until_cancelled(listener):
    """Or the hub would start it again, and again."""
    listening = asyncio.create_task(listener.listen())
    done, _ = await asyncio.wait([listening], timeout=0.05)
    assert not done
    listening.cancel()
