"""The project's application with one of its promises taken out, named by the environment variable NAIVE.

It is served in place of the real one to show that the checkers notice.
"""

import asyncio
import os
import time

from project.asgi import application as application  # first: it sets Django up

# isort: split
import psycopg
import redis
import redis.asyncio as asyncio_redis
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from notifications import api
from notifications.conf import conf
from notifications.live import drain, kicking
from notifications.live.connection import Connection
from notifications.live.hub import Hub
from notifications.live.routing import Sockets
from notifications.live.socket import Socket
from notifications.live.steps import Send
from notifications.wire import doorbell
from notifications.wire.native import NativeCodec
from tickets.api import SCOPE_KEY, Door, Purpose, TicketRefused, aredeem, in_thread


class Plain(AsyncJsonWebsocketConsumer):
    """The plain way: a consumer in the person's group, which says whatever arrives there."""

    async def connect(self):
        await self.accept("usher.v1")
        try:
            grant = await aredeem(self.scope[SCOPE_KEY].ticket, purposes={Purpose.CONNECT}, address="127.0.0.1")
        except TicketRefused:
            await self.close(4402)
            return
        self.group = f"usher.u.{grant.user_id}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        asked = [(grant.user_id, grant.session_id)]
        [(opened, _session)] = await in_thread(api.store.openings, asked, now=api.timezone.now())
        opening = opened.position
        person = {"id": grant.user_id, "username": grant.username}
        where = {"epoch": opening.epoch, "head": opening.head, "cursor": opening.head}
        await self.send_json({"type": "welcome", "user": person, "recovered": False, **where})

    async def receive_json(self, content):
        if content["type"] == "ping":
            await self.send_json({"type": "pong"})

    async def usher_told(self, message):
        told = doorbell.unpack(message)
        if isinstance(told, doorbell.Announced):
            for item in told.items:
                await self.send(NativeCodec().encode(item.event))

    async def disconnect(self, code):
        if hasattr(self, "group"):
            await self.channel_layer.group_discard(self.group, self.channel_name)


def plain() -> None:
    """Served by the plain consumer."""
    _serve_by(Plain)


def _serve_by(consumer: type[Plain]) -> None:
    sockets = application.application_mapping["websocket"].app
    if not isinstance(sockets, Sockets):
        raise TypeError(f"{sockets} stands where the sockets' application was: nothing would be naive")
    sockets.ours = Door(consumer.as_asgi())


class Asking(Plain):
    """Asks the database whenever it hears something, as consumers do."""

    async def receive_json(self, content):
        await in_thread(api.store.peek, int(self.group.rpartition(".")[2]))
        await super().receive_json(content)


def asking() -> None:
    """A plain consumer that asks the database for each frame."""
    _serve_by(Asking)


def without_sync() -> None:
    """Announcements only."""

    async def sync(self):
        await asyncio.sleep(3600)

    Hub._sync = sync


def awaiting() -> None:
    """One after the other: the next socket is told when the one before has taken its frame."""
    waiting: asyncio.Queue = asyncio.Queue()

    async def tell():
        while True:
            room, item = await waiting.get()
            for socket in list(room.sockets):
                for step in socket.connection.announced(item, time.time()):
                    if isinstance(step, Send):
                        await socket._send({"type": "websocket.send", "text": socket._codec.encode(step.event)})

    def announce(self, stream, item):
        if stream in self._rooms:
            self._telling = getattr(self, "_telling", None) or self._loop.create_task(tell())
            waiting.put_nowait((self._rooms[stream], item))

    Hub._announce = announce


def polling() -> None:
    """Each socket looks for itself, and shows Redis that it is alive."""
    connect = Socket.connect
    store = asyncio_redis.from_url(os.environ["REDIS_URL"])

    async def look(self):
        while True:
            await asyncio.sleep(conf.SYNC_SECONDS)
            if self.user_id is not None:
                await in_thread(api.store.peek, self.user_id)
                await store.set(f"here.{self.connection.name}", 1)

    def connect_and_look(self, **how):
        connect(self, **how)
        self._tasks.append(self._loop.create_task(look(self)))

    Socket.connect = connect_and_look


def keeping() -> None:
    """Each socket has a Redis connection of its own, which nobody closes."""
    connect = Socket.connect
    kept = []

    def connect_and_keep(self, **how):
        connect(self, **how)
        kept.append(redis.Redis.from_url(os.environ["REDIS_URL"]))
        kept[-1].ping()

    Socket.connect = connect_and_keep


def counting_nobody_out() -> None:
    """Who goes is still counted."""
    Hub.gone = lambda self: None


def without_drain() -> None:
    """The server does what it does when it is told to end."""
    drain.prepare = lambda: None


def goodbye_at_once() -> None:
    """Everybody is sent away in the same moment, and asked to come back in the same moment."""

    async def send_away(hub):
        for socket in hub.welcomed():
            socket.go_away(0.0)
        while hub.sockets:
            await asyncio.sleep(0.05)

    drain.send_away = send_away


def connecting() -> None:
    """Each socket has a database connection of its own for as long as it lives."""
    connect, release = Socket.connect, Socket.release
    kept = {}

    def connect_and_keep(self, **how):
        connect(self, **how)
        kept[self] = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)

    def release_both(self, code):
        release(self, code)
        if self in kept:
            kept.pop(self).close()

    Socket.connect, Socket.release = connect_and_keep, release_both


def knowing_only_its_own() -> None:
    """A person's sockets in other processes are not counted."""
    kicking.make_place = lambda user_ids, now=None: []


def without_fence() -> None:
    """What is said is said, whatever fence it was numbered under: the sweep alone finds that a session has ended."""
    Connection._note_fence = lambda self, steps, fence: None


def deaf_to_ends() -> None:
    """The fence is asked for only when something is to be said: nobody is told that a session ended."""
    Connection.fenced = lambda self, fence, now: []


VARIANTS = (
    *(plain, asking, without_sync, awaiting, polling, keeping, counting_nobody_out, without_drain, goodbye_at_once),
    *(connecting, knowing_only_its_own, without_fence, deaf_to_ends),
)

for variant in VARIANTS:
    if variant.__name__ == os.environ["NAIVE"]:
        variant()
        break
else:
    raise LookupError(os.environ["NAIVE"])
