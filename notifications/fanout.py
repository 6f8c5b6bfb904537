"""The one door from the log to live connections: after a commit, tell every process that may have listeners.

Telling is only speed. Whatever is lost here (Redis away, hung, or deaf) is found by the position sync of each hub, so
nothing below may ever fail a caller or keep it waiting longer than `PATIENCE`.

The process's own hub is handed the message directly. Others are reached through the channel layer: with the pub/sub
layer by one plain PUBLISH on a connection that is kept (the layer's own `group_send`, called from a thread without a
loop, opens a connection for every call), with any other layer by `group_send`.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer

from .wire.doorbell import Announced, Changed, Ended, Kicked, Message, group_of, pack
from .wire.streams import Announcement, Change

logger = logging.getLogger("notifications.fanout")

ORIGIN = uuid.uuid4().hex
"""This process. A hub ignores what its own process sent through the layer: it was handed it already."""


def _be_somebody_else() -> None:
    global ORIGIN
    ORIGIN = uuid.uuid4().hex


os.register_at_fork(after_in_child=_be_somebody_else)  # workers forked from one loaded process are not one process

PATIENCE: Final = 0.2
"""Seconds for connecting, and again for writing, to Redis: with one of each a caller waits less than half a second."""

SILENCE: Final = 1.0
"""Seconds without another try after a failure, so that a hung Redis costs one caller a second its patience, not all."""

_hubs: list[Callable[[Message], None]] = []


def listen(hub: Callable[[Message], None]) -> Callable[[], None]:
    """
    Register this process's hub; returns what takes it off again.

    It is called from any thread and must only hand the message on.
    """
    _hubs.append(hub)
    return lambda: _hubs.remove(hub) if hub in _hubs else None


def announce(announcements: list[Announcement]) -> None:
    """These notifications were numbered."""
    for stream in dict.fromkeys(item.stream for item in announcements):
        _tell(stream, Announced(ORIGIN, [item for item in announcements if item.stream == stream]))


def announce_change(change: Change) -> None:
    """Notifications of this stream were seen, read or archived."""
    _tell(change.stream, Changed(ORIGIN, change))


def announce_end(stream: str, fence: int) -> None:
    """Login sessions of the stream's person ended; this is the fence that was raised for it."""
    _tell(stream, Ended(ORIGIN, stream, fence))


def kick(stream: str, names: list[str]) -> None:
    """Staff disconnected these connections of the stream's person."""
    _tell(stream, Kicked(ORIGIN, stream, names))


def _tell(stream: str, message: Message) -> None:
    for hub in list(_hubs):
        hub(message)
    try:
        _sender().send(group_of(stream), pack(message))
    except Exception as error:  # noqa: BLE001 (on purpose: the commit stands, and the sync delivers it)
        logger.warning(
            "The layer did not take an announcement (%s); the position sync will find it.", type(error).__name__
        )


class _Nobody:
    """The in-memory layer reaches nobody outside this process, and this process was told."""

    def send(self, group: str, message: dict[str, Any]) -> None:
        pass


class _Layer:
    """Any layer, through its own interface."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def send(self, group: str, message: dict[str, Any]) -> None:
        async_to_sync(self._layer.group_send)(group, message)


class _RedisPubSub:
    """The same bytes on the same Redis channel as the pub/sub layer's `group_send` (channels_redis 4.3, pubsub.py)."""

    def __init__(self, layer: Any) -> None:
        import redis
        from channels_redis.utils import _consistent_hash, decode_hosts

        self._serialize = layer.serialize
        self._prefix = layer._kwargs.get("prefix", "asgi")
        self._hash = _consistent_hash
        bounded = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "retry": None}
        self._shards = []
        for host in decode_hosts(layer._kwargs.get("hosts")):
            options = {**host, **bounded}
            address = options.pop("address", None)
            self._shards.append(redis.Redis.from_url(address, **options) if address else redis.Redis(**options))
        self._lock = threading.Lock()
        self._silent_until = 0.0

    def send(self, group: str, message: dict[str, Any]) -> None:
        if time.monotonic() < self._silent_until:
            return
        channel = f"{self._prefix}__group__{group}"
        try:
            self._shards[self._hash(channel, len(self._shards))].publish(channel, self._serialize(message))
        except Exception:
            with self._lock:
                self._silent_until = time.monotonic() + SILENCE
            raise

    def ping(self) -> bool:
        try:
            return all(shard.ping() for shard in self._shards)
        except Exception:  # noqa: BLE001 (whatever it is, it is not ok)
            return False


_senders: dict[int, _Nobody | _Layer | _RedisPubSub] = {}
_senders_lock = threading.Lock()


def _sender() -> _Nobody | _Layer | _RedisPubSub:
    layer = get_channel_layer()
    with _senders_lock:
        if id(layer) not in _senders:
            _senders.clear()  # the settings changed: only one layer is ever in use
            _senders[id(layer)] = _sender_for(layer)
        return _senders[id(layer)]


def _sender_for(layer: Any) -> _Nobody | _Layer | _RedisPubSub:
    if layer is None or isinstance(layer, InMemoryChannelLayer):
        return _Nobody()
    if type(layer).__module__ == "channels_redis.pubsub":
        return _RedisPubSub(layer)
    return _Layer(layer)


def state() -> str:
    """`in-memory`, `ok`, or `degraded` while the layer does not take announcements."""
    sender = _sender()
    if isinstance(sender, _RedisPubSub):
        return "ok" if sender.ping() else "degraded"
    return "in-memory" if isinstance(sender, _Nobody) else "ok"
