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
from typing import Any, Final, Literal

from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer

from . import figures
from .redis_layer import RedisLayer, is_ours
from .wire.doorbell import HUBS, Announced, AnnouncedToMany, Asked, Changed, Ended, Kicked, Told, group_of, pack
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

BATCH: Final = 500
"""People told by one message: a hub that has none of them finds that out in less than a tenth of a millisecond."""

_hubs: list[Callable[[Told], None]] = []


def listen(hub: Callable[[Told], None]) -> Callable[[], None]:
    """
    Register this process's hub; returns what takes it off again.

    It is called from any thread and must only hand the message on.
    """
    _hubs.append(hub)
    return lambda: _hubs.remove(hub) if hub in _hubs else None


def announce(announcements: list[Announcement]) -> None:
    """
    These notifications were numbered.

    The same words for many people travel once for every `BATCH` of them, to all hubs; anything else to the hubs that
    have somebody who listens.
    """
    if len(announcements) == 1:
        _tell(group_of(announcements[0].stream), Announced(ORIGIN, announcements))
        return
    alone, alike = _sorted_out(announcements)
    for stream, items in alone.items():
        _tell(group_of(stream), Announced(ORIGIN, items))
    for items in alike:
        for start in range(0, len(items), BATCH):
            _tell(HUBS, AnnouncedToMany.of(ORIGIN, items[start : start + BATCH]))


def _sorted_out(announcements: list[Announcement]) -> tuple[dict[str, list[Announcement]], list[list[Announcement]]]:
    """By stream what must be told by itself (a stream's numbers stay in order), and lists of what says the same."""
    streams: dict[str, list[Announcement]] = {}
    for item in announcements:
        streams.setdefault(item.stream, []).append(item)
    words: dict[Any, list[Announcement]] = {}
    for items in streams.values():
        if len(items) == 1:
            words.setdefault(_words(items[0]), []).append(items[0])
    alike = [items for items in words.values() if len(items) > 1]
    for items in alike:
        for item in items:
            del streams[item.stream]
    return streams, alike


def _words(item: Announcement) -> tuple[Any, ...]:
    said = item.event
    data = None if said.data is None else repr(said.data)  # JSON, which cannot be hashed
    return (said.kind, said.level, said.title, said.body, said.url, said.created_at, said.archived, data)


def announce_change(change: Change) -> None:
    """Notifications of this stream were seen, read or archived."""
    _tell(group_of(change.stream), Changed(ORIGIN, change))


def announce_end(stream: str, fence: int) -> None:
    """Login sessions of the stream's person ended; this is the fence that was raised for it."""
    _tell(group_of(stream), Ended(ORIGIN, stream, fence))


def kick(stream: str, names: list[str], *, code: Literal[4500, 4504] = 4500) -> None:
    """These connections of the stream's person are to close with `code`."""
    _tell(group_of(stream), Kicked(ORIGIN, stream, names, code))


def ask(stream: str, names: list[str], *, at: str) -> None:
    """These connections of the stream's person are to prove anew who they are, as was asked at that moment."""
    _tell(group_of(stream), Asked(ORIGIN, stream, names, at))


def _tell(group: str, message: Told) -> None:
    for hub in list(_hubs):
        hub(message)
    try:
        sender = _sender()
        sender.send(group, pack(message))
        figures.ANNOUNCEMENTS.add(sender.outcome)
    except Exception as error:  # noqa: BLE001 (on purpose: the commit stands, and the sync delivers it)
        figures.ANNOUNCEMENTS.add("lost")
        logger.warning(
            "The layer did not take an announcement (%s); the position sync will find it.", type(error).__name__
        )


class _Nobody:
    """The in-memory layer reaches nobody outside this process, and this process was told."""

    outcome = "kept"

    def send(self, group: str, message: dict[str, Any]) -> None:
        pass


class _Layer:
    """Any layer, through its own interface."""

    outcome = "sent"

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def send(self, group: str, message: dict[str, Any]) -> None:
        async_to_sync(self._layer.group_send)(group, message)


class _RedisPubSub:
    """The same bytes on the same Redis channel as the pub/sub layer's `group_send`."""

    def __init__(self, layer: Any) -> None:
        self._layer = RedisLayer(layer)
        self._servers = [self._layer.publisher(server, patience=PATIENCE) for server in self._layer.servers]
        self._lock = threading.Lock()
        self._silent_until = 0.0

    @property
    def outcome(self) -> str:
        """Of what was sent last: a moment after a failure nothing is tried."""
        return "lost" if time.monotonic() < self._silent_until else "sent"

    def send(self, group: str, message: dict[str, Any]) -> None:
        if time.monotonic() < self._silent_until:
            return
        server = self._servers[self._layer.server(group)]
        try:
            server.publish(self._layer.channel(group), self._layer.serialize(message))
        except Exception:
            with self._lock:
                self._silent_until = time.monotonic() + SILENCE
            raise

    def ping(self) -> bool:
        try:
            return all(server.ping() for server in self._servers)
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
    if is_ours(layer):
        return _RedisPubSub(layer)
    return _Layer(layer)


def state() -> str:
    """`in-memory`, `ok`, or `degraded` while the layer does not take announcements."""
    sender = _sender()
    if isinstance(sender, _RedisPubSub):
        return "ok" if sender.ping() else "degraded"
    return "in-memory" if isinstance(sender, _Nobody) else "ok"
