"""How a hub hears what is sent to groups: for all of its sockets at once, with no channel and no task for each.

Channels' own `receive` has one channel, one queue and one task a listener, and channels_redis' pub/sub receiver has
traps that a guarantee cannot be built on (4.3, pubsub.py): a SUBSCRIBE is not confirmed when `group_add` returns, the
callbacks for a reconnect are never called, a server that hangs blocks joining and sending alike, and each message costs
four times what redis-py needs for it. So the hub subscribes by itself to the very Redis channels that the layer
publishes to. With the in-memory layer it puts a mailbox where the layer would keep a queue.

Promises:

* `want` and `drop` never wait. A group counts as joined (`has`) once the server confirmed it and nothing later is
  under way, so that a leave and a join of the same group cannot cross.
* A connection that is lost, hangs or went deaf is replaced, and everything wanted is joined again (`subscription.py`).
* No message, whatever is in it, ends the hearing.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

from ..redis_layer import RedisLayer, is_ours
from .subscription import Subscription, together

logger = logging.getLogger("notifications.hub")

Hear = Callable[[str, object], None]
"""`hear(group, message)`, on the hub's loop."""


class Ears:
    """What is common to all: `hear` is told every message, `joined` every group that was joined."""

    def __init__(self, hear: Hear, joined: Callable[[str], None]) -> None:
        self._hear = hear
        self._joined = joined

    @property
    def ok(self) -> bool:
        """Whether what is sent to a joined group will be heard, as far as anybody can know."""
        return True

    def want(self, group: str) -> None:
        """Join the group, soon."""

    def drop(self, group: str) -> None:
        """Leave it, some time: who reloads a page is back before it is done."""

    def has(self, group: str) -> bool:
        """Whether the group is joined."""
        return False

    async def listen(self) -> None:
        """Run until cancelled."""
        await asyncio.Event().wait()


def open_ears(hear: Hear, joined: Callable[[str], None]) -> Ears:
    """The ears for the default layer. A layer that this file does not know is not heard (notifications.E004)."""
    layer = get_channel_layer()
    if isinstance(layer, InMemoryChannelLayer):
        return MemoryEars(hear, joined, layer)
    if is_ours(layer):
        return RedisEars(hear, joined, RedisLayer(layer))
    return Ears(hear, joined) if layer else NoLayer(hear, joined)


def is_supported() -> bool:
    """Whether the configured layer is one of the two that this file knows, or there is none."""
    layer = get_channel_layer()
    return not layer or isinstance(layer, InMemoryChannelLayer) or is_ours(layer)


def is_in_memory() -> bool:
    """Whether it reaches nobody outside of this process."""
    return isinstance(get_channel_layer(), InMemoryChannelLayer)


def redis_layer() -> RedisLayer | None:
    """The configured layer, seen from below, if it is channels_redis' pub/sub layer."""
    layer = get_channel_layer()
    return RedisLayer(layer) if is_ours(layer) else None


def is_there() -> bool:
    """Whether a layer is configured."""
    return get_channel_layer() is not None


def hear_safely(hear: Hear, group: str, opened: Callable[[], object]) -> None:
    """Hand one message over; whatever is in it, the next one must be heard too."""
    try:
        hear(group, opened())
    except Exception:
        logger.warning("A message to %s could not be read and was dropped.", group, exc_info=True)


class NoLayer(Ears):
    """Nobody else can say anything here: what other processes do is found by the position sync."""

    def has(self, group: str) -> bool:
        return True


class MemoryEars(Ears):
    """On the in-memory layer, whose every method answers without waiting."""

    def __init__(self, hear: Hear, joined: Callable[[str], None], layer: InMemoryChannelLayer) -> None:
        super().__init__(hear, joined)
        self._layer: Any = layer
        self._groups: set[str] = set()

    def want(self, group: str) -> None:
        if group not in self._groups:
            channel = _channel(group)
            self._layer.channels[channel] = _Mailbox(group, self._hear)
            # What `group_add` does, without its date: it would end the membership after a day.
            self._layer.groups.setdefault(group, {})[channel] = 0
            self._groups.add(group)
            self._joined(group)

    def drop(self, group: str) -> None:
        if group in self._groups:
            self._groups.discard(group)
            self._layer.channels.pop(_channel(group), None)
            self._layer.groups.get(group, {}).pop(_channel(group), None)
            if not self._layer.groups.get(group):
                self._layer.groups.pop(group, None)

    def has(self, group: str) -> bool:
        return group in self._groups

    async def listen(self) -> None:
        try:
            await super().listen()
        finally:
            for group in list(self._groups):
                self.drop(group)


def _channel(group: str) -> str:
    return f"hub.{group}"


class _Mailbox:
    """Stands where the in-memory layer (channels 4.3, layers.py) would keep a queue of (expires, message)."""

    __slots__ = ("_group", "_hear")

    def __init__(self, group: str, hear: Hear) -> None:
        self._group = group
        self._hear = hear

    def put_nowait(self, item: Any) -> None:
        hear_safely(self._hear, self._group, lambda: item[1])

    def empty(self) -> bool:
        return True


class RedisEars(Ears):
    """Beside the pub/sub layer of channels_redis: one subscribed connection to each of its servers."""

    def __init__(self, hear: Hear, joined: Callable[[str], None], layer: RedisLayer) -> None:
        super().__init__(hear, joined)
        self._layer = layer
        self._subscriptions = [Subscription(layer, server, self._heard, joined) for server in layer.servers]

    @property
    def ok(self) -> bool:
        return all(subscription.ok for subscription in self._subscriptions)

    def want(self, group: str) -> None:
        self._subscription(group).want(group)

    def drop(self, group: str) -> None:
        self._subscription(group).drop(group)

    def has(self, group: str) -> bool:
        return self._subscription(group).has(group)

    async def listen(self) -> None:
        await together(*(subscription.listen() for subscription in self._subscriptions))

    def _subscription(self, group: str) -> "Subscription":
        return self._subscriptions[self._layer.server(group)]

    def _heard(self, group: str, data: object) -> None:
        hear_safely(self._hear, group, lambda: self._layer.deserialize(data))
