"""One subscription on a real server that is killed, stopped, and made deaf."""

import asyncio
import contextlib
import logging

import pytest
import redis
from channels.layers import channel_layers, get_channel_layer

from notifications.live import subscription as module
from notifications.live.subscription import Subscription
from notifications.redis_layer import RedisLayer

from .test_ears import Heard, redis_layers


@pytest.fixture
def layer(settings, own_valkey):
    settings.CHANNEL_LAYERS = redis_layers(own_valkey.url)
    channel_layers.backends.clear()
    yield RedisLayer(get_channel_layer())
    channel_layers.backends.clear()


@pytest.fixture
async def heard():
    return Heard()


@pytest.fixture
async def subscription(layer, heard, monkeypatch):
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.02)
    subscription = Subscription(layer, 0, heard, lambda group: None)
    task = asyncio.create_task(subscription.listen())
    yield subscription
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition, seconds=15):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def publish(server, layer, group, data=b"x"):
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        return client.publish(layer.channel(group), data)


async def joined(subscription, *groups):
    for group in groups:
        subscription.want(group)
    heard = [subscription._probe_group, *groups]
    await until(lambda: subscription.ok and all(subscription.has(group) for group in heard))


async def test_joined_means_that_the_server_delivers(subscription, layer, own_valkey, heard):
    await joined(subscription, "a", "b")
    assert publish(own_valkey, layer, "a") == 1
    await heard.reaches(1)
    assert heard == [("a", b"x")]


async def test_a_thousand_groups_cost_one_command(subscription, own_valkey):
    await joined(subscription)
    client = redis.Redis.from_url(own_valkey.url)
    client.config_resetstat()
    await joined(subscription, *(f"g{number}" for number in range(1000)))
    assert client.info("commandstats")["cmdstat_subscribe"]["calls"] == 1
    client.close()


async def test_what_nobody_wants_any_more_is_left(subscription, layer, own_valkey):
    await joined(subscription, "a", "b")
    subscription.drop("a")
    await until(lambda: publish(own_valkey, layer, "a") == 0)
    assert publish(own_valkey, layer, "b") == 1
    assert not subscription.has("a")


async def test_a_group_that_is_being_left_is_not_joined_before_it_is_again(subscription, layer, own_valkey, heard):
    await joined(subscription, "a")
    for _ in range(50):
        subscription.drop("a")
        subscription._asked.discard("a")  # a leave under way, at the worst moment
        subscription._under_way["a"] += 1
        assert not subscription.has("a")
        subscription._under_way["a"] -= 1
        del subscription._under_way["a"]
        await joined(subscription, "a")
        heard.clear()
        assert publish(own_valkey, layer, "a") == 1
        await heard.reaches(1)


async def test_a_server_that_dies_is_noticed_and_heard_again_when_it_is_back(
    subscription, layer, own_valkey, heard, caplog
):
    await joined(subscription, "a", "b")
    own_valkey.kill()
    await until(lambda: not subscription.ok)
    assert not subscription.has("a")
    subscription.want("c")
    own_valkey.restart()
    await until(lambda: subscription.ok and all(subscription.has(group) for group in "abc"))
    for group in "abc":
        assert publish(own_valkey, layer, group) == 1
    await heard.reaches(3)
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1, "one line an outage, not one an attempt"
    assert said[0].exc_info is None


async def test_a_server_that_hangs_is_noticed_and_heard_again_when_it_goes_on(
    subscription, layer, own_valkey, heard, monkeypatch
):
    await joined(subscription, "a")
    own_valkey.pause()
    await until(lambda: not subscription.ok)
    own_valkey.resume()
    await joined(subscription, "a")
    await until(lambda: publish(own_valkey, layer, "a") == 1)
    await heard.reaches(1)


async def test_a_connection_that_is_cut_from_the_other_side(subscription, layer, own_valkey, heard):
    await joined(subscription, "a")
    client = redis.Redis.from_url(own_valkey.url)
    client.client_kill_filter(_type="pubsub")
    await until(lambda: client.publish(layer.channel("a"), b"x") == 1)
    await heard.reaches(1)
    client.close()


async def test_a_subscription_that_went_deaf_without_a_word(subscription, layer, own_valkey, heard, monkeypatch):
    """The connection lives, commands are answered, and nothing arrives: as after a failover behind a proxy."""
    monkeypatch.setattr(module, "DEAF_SECONDS", 0.3)
    await joined(subscription, "a")
    hear_probe, deaf = Subscription._hear_probe, []
    monkeypatch.setattr(Subscription, "_hear_probe", lambda self, data: deaf.append(data))
    await until(lambda: not subscription.ok)
    monkeypatch.setattr(Subscription, "_hear_probe", hear_probe)
    await joined(subscription, "a")
    assert deaf
    assert publish(own_valkey, layer, "a") == 1


async def test_a_server_that_is_not_there_at_the_start(layer, own_valkey, heard, caplog):
    own_valkey.kill()
    subscription = Subscription(layer, 0, heard, lambda group: None)
    subscription.want("a")
    task = asyncio.create_task(subscription.listen())
    await asyncio.sleep(0.3)
    assert not subscription.ok
    own_valkey.restart()
    await joined(subscription, "a")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_cancelling_it_closes_its_connections(layer, own_valkey, heard):
    subscription = Subscription(layer, 0, heard, lambda group: None)
    task = asyncio.create_task(subscription.listen())
    await joined(subscription, "a")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    client = redis.Redis.from_url(own_valkey.url)
    async with asyncio.timeout(5):
        while len(client.client_list()) > 1:
            await asyncio.sleep(0.01)
    client.close()


async def test_it_ends_when_it_is_told_to_even_if_something_fails_at_that_moment(subscription, monkeypatch):
    """As a connection may, that is closed under its reader's hands."""

    async def fail_when_cancelled(self, ear):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError from None

    monkeypatch.setattr(Subscription, "_read", fail_when_cancelled)
    task = asyncio.create_task(subscription.listen())
    await until(lambda: subscription._asked)
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_it_ends_whenever_it_is_told_to(layer):
    """At each of the first steps it takes: redis-py was seen to swallow a cancellation at some of them."""
    for steps in range(300):
        subscription = Subscription(layer, 0, Heard(), lambda group: None)
        subscription.want("a")
        task = asyncio.create_task(subscription.listen())
        for _ in range(steps // 5):
            await asyncio.sleep(0)
        task.cancel()
        _done, running = await asyncio.wait([task], timeout=5)
        assert not running, f"still running after {steps} steps"
