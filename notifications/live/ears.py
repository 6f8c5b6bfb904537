"""Hearing what is sent to groups of the channel layer, for a whole process, without a task or a channel for each group.

A layer hands a message to the queue of every channel in the group, and says nothing of the group. So each group gets a
channel whose queue is a mailbox that knows its group and calls the hub at once. That uses the `channels` dict which
both supported layers have: the in-memory one (channels 4.3, layers.py) and pub/sub (channels_redis 4.3, pubsub.py). A
test holds both to it.
"""

import logging
from collections.abc import Callable
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

logger = logging.getLogger("notifications.hub")

Hear = Callable[[str, object], None]


class _Mailbox:
    """Stands where the layer would keep a queue."""

    __slots__ = ("_group", "_hear", "_open")

    def __init__(self, group: str, hear: Hear, open_: Callable[[Any], object]) -> None:
        self._group = group
        self._hear = hear
        self._open = open_

    def put_nowait(self, item: Any) -> None:
        try:
            self._hear(self._group, self._open(item))
        except Exception:  # the layer's receiver must outlive any message
            logger.warning("A message to %s could not be read and was dropped.", self._group, exc_info=True)

    def empty(self) -> bool:
        return True


def is_supported() -> bool:
    """Whether the configured layer is one of the two that this file knows."""
    layer = get_channel_layer()
    return isinstance(layer, InMemoryChannelLayer) or type(layer).__module__ == "channels_redis.pubsub"


async def join(group: str, hear: Hear) -> None:
    """From now on `hear(group, message)` is called, on this loop, for what is sent to the group."""
    layer = get_channel_layer()
    channel = _channel(group)
    opened = _opened_by_layer(layer)
    layer.channels[channel] = _Mailbox(group, hear, opened)
    await layer.group_add(group, channel)
    if isinstance(layer, InMemoryChannelLayer):
        layer.groups[group][channel] = 0  # never expires: it would end the membership after a day


async def leave(group: str) -> None:
    layer = get_channel_layer()
    layer.channels.pop(_channel(group), None)
    await layer.group_discard(group, _channel(group))


def _channel(group: str) -> str:
    return f"hub.{group}"


def _opened_by_layer(layer: Any) -> Callable[[Any], object]:
    if isinstance(layer, InMemoryChannelLayer):
        return lambda item: item[1]  # (expires, message)
    return lambda item: layer.deserialize(item)
