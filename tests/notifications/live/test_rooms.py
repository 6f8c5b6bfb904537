"""Rooms, small and crowded, under a real hub."""

import asyncio

from msgspec.structs import replace

from notifications import api, store
from notifications.live import rooms
from notifications.live.connection import Connection
from notifications.wire.doorbell import Announced, stream_of
from notifications.wire.streams import Announcement

from .life import note
from .test_hub import FakeSocket, announced, eager_hub, hub, join, where

__all__ = ["eager_hub", "hub"]  # fixtures


async def test_a_crowd_is_told_in_turns_and_in_order(hub, monkeypatch, settings):
    settings.NOTIFICATIONS = {**settings.NOTIFICATIONS, "SOCKETS_PER_USER": 100}
    monkeypatch.setattr(rooms, "TURN", 10)
    sockets, other = [FakeSocket(1) for _ in range(25)], FakeSocket(2)
    for socket in (*sockets, other):
        await join(hub, socket)
    first, second, to_other = announced(1, seq=1), announced(1, seq=2), announced(2)
    for message in (first, second, to_other):
        hub._heard(message)
    assert other.heard, "a small room does not wait for a crowded one"
    assert not any(socket.heard for socket in sockets)
    await asyncio.sleep(0)
    assert sum(len(socket.heard) for socket in sockets) == 10, "then others have their turn"
    async with asyncio.timeout(5):
        while hub._turns:
            await asyncio.sleep(0)
    expected = [(Connection.announced, message.items[0]) for message in (first, second)]
    assert [socket.heard for socket in sockets] == [expected] * 25


async def test_what_a_crowd_cannot_be_told_in_time_is_left_to_the_sync(ann, eager_hub, monkeypatch, settings):
    settings.NOTIFICATIONS = {**settings.NOTIFICATIONS, "SOCKETS_PER_USER": 100}
    monkeypatch.setattr(rooms, "TURN", 2)
    monkeypatch.setattr(rooms, "TURNS", 1)
    sockets = [FakeSocket(ann.pk) for _ in range(5)]
    position = await where(ann)
    for socket in sockets:
        await join(eager_hub, socket, position)
    await api.in_thread(store.raise_fence, ann.pk)
    for seq in (1, 2, 3):
        eager_hub._heard(
            Announced("other", [Announcement(position.epoch, 0, replace(note(seq), stream=stream_of(ann.pk)))])
        )
    assert len(eager_hub._turns) == 3, "five sockets, two at a time, once"
    for socket in sockets:
        await socket.hears(Connection.positioned)
