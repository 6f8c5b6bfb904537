import asyncio
import contextlib
import logging
import threading
from uuid import uuid4

import pytest
from channels.layers import get_channel_layer
from msgspec.structs import replace

from notifications import api, fanout, figures, store
from notifications.live import hub as hub_module
from notifications.live.connection import Connection
from notifications.live.hub import Hub
from notifications.wire.doorbell import HUBS, Announced, AnnouncedToMany, Changed, Ended, group_of, pack, stream_of
from notifications.wire.streams import Announcement, Change, Position
from notifications.wire.vocabulary import StateChanged
from tickets.api import open_session

from .life import note


class FakeSocket:
    """Writes down what the hub hands it."""

    kind = ("usher.v1", "open")
    topics = ()

    def __init__(self, user_id, session_id=None):
        self.user_id = user_id
        self.session_id = session_id or uuid4()
        self.heard = []
        self.replaced = False

    def announced(self, announcement, now):
        self.tell(Connection.announced, announcement)

    def tell(self, event, what):
        self.heard.append((event, what))

    def replace(self):
        self.replaced = True

    def told(self, event):
        return [what for kind, what in self.heard if kind is event]

    async def hears(self, event, timeout=10):
        async with asyncio.timeout(timeout):
            while not self.told(event):
                await asyncio.sleep(0.01)
        return self.told(event)[-1]

    async def hears_again(self, event):
        self.heard = [item for item in self.heard if item[0] is not event]
        return await self.hears(event)


@pytest.fixture
async def hub(settings):
    settings.NOTIFICATIONS = {"SYNC_SECONDS": 3600, "SWEEP_SECONDS": 3600}
    hub = Hub.here()
    yield hub
    await hub.stop()
    await get_channel_layer().flush()


@pytest.fixture
async def eager_hub(settings):
    settings.NOTIFICATIONS = {"SYNC_SECONDS": 0.05, "SWEEP_SECONDS": 0.05}
    hub = Hub.here()
    yield hub
    await hub.stop()


async def join(hub, socket, position=None):
    """As a socket whose stream was empty when its ticket was redeemed, unless `position` says more."""
    await hub.join(socket, position or Position(stream_of(socket.user_id), "e", 0, 0, 0, 0))


async def where(user):
    """Where the person's stream stands."""
    await api.in_thread(store.ensure_stream, user.pk)
    return (await api.in_thread(store.positions, [user.pk]))[stream_of(user.pk)]


async def turn():
    """Let what was called soon happen."""
    for _ in range(5):
        await asyncio.sleep(0)


def announced(user_id, seq=1):
    return Announced("other", [Announcement("e", 0, replace(note(seq), stream=stream_of(user_id)))])


async def test_there_is_one(hub):
    assert Hub.here() is hub


async def test_what_is_heard_reaches_the_sockets_of_its_stream_in_one_turn(hub):
    mine, also_mine, other = FakeSocket(1), FakeSocket(1), FakeSocket(2)
    for socket in (mine, also_mine, other):
        await join(hub, socket)
    message = announced(1)
    await asyncio.to_thread(hub.hand_over, message)
    await turn()
    assert mine.heard == also_mine.heard == [(Connection.announced, message.items[0])]
    assert other.heard == []


async def test_a_socket_that_left_hears_nothing(hub):
    socket = FakeSocket(1)
    await join(hub, socket)
    hub.leave(socket)
    hub.leave(socket)
    hub.hand_over(announced(1))
    await turn()
    assert socket.heard == []


async def test_other_processes_are_heard_through_the_layer_and_the_own_one_only_once(hub):
    socket = FakeSocket(1)
    await join(hub, socket)
    theirs, own = announced(1, seq=1), announced(1, seq=2)
    layer = get_channel_layer()
    await layer.group_send(group_of("u.1"), pack(theirs))
    await layer.group_send(group_of("u.1"), pack(Announced(fanout.ORIGIN, own.items)))
    await layer.group_send(group_of("u.1"), pack(Ended("other", "u.1", 4)))
    await socket.hears(Connection.fenced)
    assert socket.heard == [(Connection.announced, theirs.items[0]), (Connection.fenced, 4)]


async def test_changes_are_handed_on(hub):
    socket = FakeSocket(1)
    await join(hub, socket)
    change = Change("u.1", 0, StateChanged(state="read", state_version=1, unread=0, unseen=0, through=1))
    hub.hand_over(Changed("other", change))
    await turn()
    assert socket.heard == [(Connection.changed, change)]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.disconnect"},
        {"type": "usher.told", "packed": b"\x80"},
        {"type": "notification.push", "title": ""},
        {"type": "notification.push", "title": "x", "url": "//evil.example"},
        {"type": "notification.push", "title": "x", "user": 2},
    ],
)
async def test_what_is_none_of_ours_is_dropped_with_a_word(hub, caplog, message):
    socket = FakeSocket(1)
    await join(hub, socket)
    with caplog.at_level(logging.WARNING):
        await get_channel_layer().group_send(group_of("u.1"), message)
        await turn()
    assert socket.heard == []
    assert "was dropped" in caplog.text


async def test_a_push_from_others_becomes_a_transient_notification(hub):
    socket = FakeSocket(1)
    await join(hub, socket)
    await get_channel_layer().group_send(
        group_of("u.1"), {"type": "notification.push", "title": "hi", "data": {"a": 1}}
    )
    event = await socket.hears(Connection.pushed)
    assert (event.stream, event.seq, event.title, event.data) == ("u.1", None, "hi", {"a": 1})


async def test_the_newest_sockets_of_a_person_win(hub, settings):
    settings.NOTIFICATIONS = {**settings.NOTIFICATIONS, "SOCKETS_PER_USER": 2}
    sockets = [FakeSocket(1) for _ in range(4)]
    for socket in sockets:
        await join(hub, socket)
    assert [socket.replaced for socket in sockets] == [True, True, False, False]


async def test_room_for_sockets_without_a_credential(hub, settings):
    settings.NOTIFICATIONS = {
        **settings.NOTIFICATIONS,
        "UNAUTHENTICATED_PER_ADDRESS": 2,
        "UNAUTHENTICATED_PER_PROCESS": 3,
    }
    a, also_a, b, c = "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1"  # who has one address has a /64
    hub.arrived(a), hub.arrived(also_a)
    address = "unauthenticated_address"
    assert (hub.refusal(a), hub.refusal(also_a), hub.refusal(b)) == (address, address, None)
    hub.arrived(b)
    assert hub.refusal(c) == "unauthenticated"
    hub.known(also_a)
    assert (hub.refusal(a), hub.refusal(c)) == (None, None)


async def test_a_full_process(hub, settings):
    settings.NOTIFICATIONS = {**settings.NOTIFICATIONS, "SOCKETS_PER_PROCESS": 1}
    hub.arrived("a"), hub.known("a")
    assert hub.refusal("b") == "full"
    hub.gone()
    assert hub.refusal("b") is None


class Ears:
    """A layer that joins nothing until it is told to."""

    def __init__(self, joined, ok=True):
        self._joined = joined
        self.ok = ok
        self.groups = {}

    def want(self, group):
        self.groups.setdefault(group, False)

    def drop(self, group):
        self.groups.pop(group, None)

    def has(self, group):
        return self.groups.get(group, False)

    def join(self, group):
        self.groups[group] = True
        self._joined(group)


async def test_a_welcome_waits_for_its_group_but_not_for_long(hub):
    hub._ears = ears = Ears(hub._joined)
    waiting = asyncio.create_task(join(hub, FakeSocket(1)))
    await turn()
    assert not waiting.done()
    ears.join(group_of("u.1"))
    await turn()
    assert waiting.done()
    async with asyncio.timeout(5):
        await join(hub, FakeSocket(2))  # its group is never joined


async def test_a_welcome_does_not_wait_for_a_layer_that_is_away(hub):
    hub._ears = Ears(hub._joined, ok=False)
    waiting = asyncio.create_task(join(hub, FakeSocket(1)))
    await turn()
    assert waiting.done()
    assert Hub.state() == "degraded"


async def test_a_handshake_that_is_given_up_while_it_waits(hub):
    hub._ears = ears = Ears(hub._joined)
    given_up, patient = (asyncio.create_task(join(hub, FakeSocket(1))) for _ in range(2))
    await turn()
    given_up.cancel()
    await turn()
    ears.join(group_of("u.1"))
    await turn()
    assert patient.done()


async def test_many_are_told_the_same_by_one_message(hub):
    sockets = [FakeSocket(user_id) for user_id in (1, 2, 3)]
    for socket in sockets:
        await join(hub, socket)
    items = [Announcement("e", 0, replace(note(5), stream=f"u.{user_id}", title="same")) for user_id in (1, 3, 9)]
    await get_channel_layer().group_send(HUBS, pack(AnnouncedToMany.of("other", items)))
    await sockets[2].hears(Connection.announced)
    assert [socket.told(Connection.announced) for socket in sockets] == [[items[0]], [], [items[1]]]


# --- Sync and sweep, on the database ---


@pytest.mark.parametrize("others", [0, 1])
async def test_what_was_announced_between_redeeming_and_joining_is_looked_for_at_once(ann, hub, others):
    """With the sync an hour away."""
    for _ in range(others):
        await join(hub, FakeSocket(ann.pk), await where(ann))
    socket, older = FakeSocket(ann.pk), await where(ann)
    await api.anotify(ann, title="missed")
    await turn()
    await join(hub, socket, older)
    assert (await socket.hears(Connection.positioned)).head == 1


async def test_the_sync_finds_what_nothing_announced(ann, eager_hub, monkeypatch):
    socket = FakeSocket(ann.pk)
    await join(eager_hub, socket)
    monkeypatch.setattr(fanout, "_hubs", [])  # every announcement is lost
    await api.anotify(ann, title="unheard")
    assert (await socket.hears(Connection.positioned)).head == 1
    assert socket.told(Connection.announced) == []


async def test_the_sync_tells_nothing_that_is_known(ann, eager_hub):
    await api.anotify(ann, title="x")
    socket = FakeSocket(ann.pk)
    await join(eager_hub, socket, await where(ann))
    await socket.hears(Connection.checked)  # the sweep ran, and with the same interval the sync did
    await socket.hears_again(Connection.checked)
    assert socket.told(Connection.positioned) == []


async def test_the_sync_finds_a_change_that_nothing_announced(ann, eager_hub):
    await api.anotify(ann, title="x")
    socket = FakeSocket(ann.pk)
    await join(eager_hub, socket, await where(ann))
    await api.in_thread(store.raise_state_version, ann.pk)
    change = await socket.hears(Connection.changed)
    assert (change.event.state, change.event.state_version, change.event.unread) == ("changed", 1, 1)


async def test_the_sync_numbers_what_a_dead_publisher_left(ann, eager_hub, monkeypatch):
    socket = FakeSocket(ann.pk)
    await join(eager_hub, socket)
    with monkeypatch.context() as patched:
        patched.setattr(api, "_number", lambda *what: None)
        await api.anotify(ann, title="left behind")
    announcement = await socket.hears(Connection.announced)
    assert (announcement.seq, announcement.event.title) == (1, "left behind")


async def test_the_sweep_tells_how_sessions_stand(ann, eager_hub):
    session = await api.in_thread(open_session, ann, method="token")
    alive, gone = FakeSocket(ann.pk, session), FakeSocket(ann.pk)
    for socket in (alive, gone):
        await join(eager_hub, socket)
    assert (await alive.hears(Connection.checked)).alive
    assert not (await gone.hears(Connection.checked)).alive


async def test_a_database_that_fails_is_survived(ann, eager_hub, monkeypatch, caplog):
    look, failures = hub_module._look, []

    def fail(user_ids):
        failures.append(1)
        raise ConnectionError("away")

    monkeypatch.setattr(hub_module, "_look", fail)
    socket = FakeSocket(ann.pk)
    await api.in_thread(store.ensure_stream, ann.pk)
    await join(eager_hub, socket)
    async with asyncio.timeout(10):
        while not failures:
            await asyncio.sleep(0.01)
    monkeypatch.setattr(hub_module, "_look", look)
    await socket.hears(Connection.positioned)


async def test_a_push_from_another_thread_runs_on_the_hubs_loop(hub):
    socket = FakeSocket(1)
    await join(hub, socket)

    def push():
        asyncio.run(get_channel_layer().group_send(group_of("u.1"), {"type": "notification.push", "title": "hi"}))

    await asyncio.to_thread(push)
    await socket.hears(Connection.pushed)


async def test_a_group_is_joined_for_good(hub):
    await join(hub, FakeSocket(1))
    layer = get_channel_layer()
    layer.group_expiry = -3600
    layer._clean_expired()
    assert layer.groups[group_of("u.1")]


async def test_a_socket_that_opened_at_an_older_position_than_the_room_knows_is_brought_on(ann, eager_hub):
    await api.anotify(ann, title="x")
    first, second = FakeSocket(ann.pk), FakeSocket(ann.pk)
    await join(eager_hub, first)
    older = await where(ann)
    await first.hears(Connection.positioned)
    await api.anotify(ann, title="y")
    await join(eager_hub, second, older)
    assert (await second.hears(Connection.positioned)).head == 2


async def test_one_job_that_hangs_does_not_take_a_thread_with_every_sync(hub, transactional_db, monkeypatch):
    monkeypatch.setattr(hub_module, "DATABASE_SECONDS", 0.05)
    go, started = threading.Event(), []

    def hang():
        started.append(1)
        go.wait(10)
        return []

    for _ in range(5):
        with contextlib.suppress(TimeoutError):
            await hub._once("look", hang)
    assert started == [1]
    go.set()


async def test_what_there_is_of_sockets_is_told(hub):
    held, other = FakeSocket(2), FakeSocket(3)
    held.kind, other.kind = ("usher.v1", "held"), ("usher.v9", "open")
    for socket in (FakeSocket(1), FakeSocket(1), held, other):
        await join(hub, socket)
    hub.arrived("192.0.2.1")
    assert {kind: count for kind, count in figures.CONNECTIONS.now().items() if count} == {
        ("usher.v1", "open"): 2,
        ("usher.v1", "held"): 1,
        ("other", "open"): 1,
    }
    assert figures.UNAUTHENTICATED.now() == {(): 1.0}
    assert figures.DEGRADED.now() == figures.DEGRADED_SECONDS.now() == {(): 0.0}
