"""The list of live connections: what is written, when, in how many queries, and how it heals."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications.live import hub as hub_module
from notifications.live import kicking
from notifications.live import presence as presence_module
from notifications.live.connection import Connection as LiveConnection
from notifications.live.hub import Hub
from notifications.live.kicking import disconnect, live
from notifications.live.presence import Presence, Present, purge
from notifications.live.socket import Socket
from notifications.models import Acked, Connection
from notifications.wire.doorbell import Kicked, stream_of
from notifications.wire.native import NativeCodec
from tickets.api import in_thread, issue, open_session, own_sessions

from .test_hub import FakeSocket, join
from .test_socket import Server

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

OPENED = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Clock:
    """The monotonic clock of presence, moved by hand."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(presence_module, "time", clock)
    return clock


@pytest.fixture
def queries(monkeypatch):
    """What each job on a database thread asked the database: one list of statements a job."""
    jobs = []

    def count(fn, args):
        with CaptureQueriesContext(connection) as captured:
            answer = fn(*args)
        asked = [query["sql"] for query in captured if query["sql"].split()[0] not in ("BEGIN", "COMMIT", "SAVEPOINT")]
        jobs.append(asked)
        return answer

    async def counted(fn, *args):
        return await in_thread(count, fn, args)

    monkeypatch.setattr(presence_module, "in_thread", counted)
    return jobs


@pytest.fixture
async def presence(people, clock, settings):
    settings.NOTIFICATIONS = {"PRESENCE_SECONDS": 15, "SWEEP_SECONDS": 10}
    made = Presence()
    yield made
    await made.stop()


def present(user, name=None, **facts):
    facts = {"session_id": uuid4(), "address": "192.0.2.7", "protocol": "usher.v1", "opened_at": OPENED, **facts}
    return Present(name=name or uuid4().hex[:16], user_id=user.pk, **facts)


async def rows(**wanted):
    return {row.name: row for row in await in_thread(list, Connection.objects.filter(**wanted))}


# --- What is written ---


async def test_a_socket_is_listed_with_its_facts(presence, ann):
    facts = present(ann, "c1")
    presence.here(facts)
    before = timezone.now()
    assert await presence.write() == []
    row = (await rows())["c1"]
    assert (row.user_id, row.session_id, row.network, row.protocol) == (
        ann.pk,
        facts.session_id,
        *("192.0.2.0/24", "usher.v1"),
    )
    assert (row.opened_at, row.server, row.kicked_at) == (OPENED, presence.server, None)
    assert timedelta(seconds=45) <= row.leased_until - before <= timedelta(seconds=60)


async def test_it_goes_with_the_socket(presence, ann):
    for name in ("c1", "c2"):
        presence.here(present(ann, name))
    await presence.write()
    presence.gone("c1")
    presence.gone("c1")
    presence.gone("never-here")
    await presence.write()
    assert set(await rows()) == {"c2"}


async def test_a_reauthentication_by_another_session_is_told(presence, ann):
    first, second = present(ann, "c1"), present(ann, "c1")
    presence.here(first)
    await presence.write()
    presence.here(second)
    await presence.write()
    assert (await rows())["c1"].session_id == second.session_id


async def test_a_storm_is_written_in_batches_and_who_came_and_went_never(presence, ann, queries, settings):
    for number in range(1200):
        presence.here(present(ann, f"c{number}"))
    for number in range(200):
        presence.gone(f"c{number}")
    await presence.write()
    (storm,) = queries
    assert sum(sql.startswith("SELECT") for sql in storm) == 2, "two batches, and for each a look who is still there"
    assert len(storm) <= 16, "SQLite takes some eighty rows a statement"
    queries.clear()
    settings.NOTIFICATIONS = {"SOCKETS_PER_USER": 10_000}
    await presence.write()
    assert [len(job) for job in queries] == [1], "does anybody have too many?"
    queries.clear()
    for number in range(200, 1200):
        presence.gone(f"c{number}")
    await presence.write()
    (leaving,) = queries
    assert len(leaving) == 2
    assert await rows() == {}


async def test_silence_costs_one_renewal_an_interval_and_no_query_for_each_connection(presence, ann, queries, clock):
    for number in range(20):
        presence.here(present(ann, f"c{number}"))
    await presence.write()
    await presence.write()
    queries.clear()
    for _ in range(30):  # a minute of passes
        clock.now += 2
        await presence.write()
    renewals = [job for job in queries if any(sql.startswith("UPDATE") for sql in job)]
    assert sorted(len(job) for job in renewals) == [2, 2, 3], "purge and renew, and once a minute note who is seen"
    assert [len(job) for job in queries if job not in renewals] == [1] * 6, "was anybody disconnected unheard?"


async def test_positions_are_written_with_a_renewal_where_they_have_moved(presence, ann, queries, clock):
    places = {"c1": (5, 3), "c2": (7, 7), "c3": None}
    for name in places:
        presence.here(present(ann, name, place=lambda name=name: places[name]))
    await presence.write()
    assert {name: (row.cursor, row.acked) for name, row in (await rows()).items()} == places | {"c3": (None, None)}

    async def renewed():
        queries.clear()
        clock.now += 16
        await presence.write()
        (job,) = [job for job in queries if any("leased_until" in sql and sql.startswith("UPDATE") for sql in job)]
        return [sql for sql in job if 'SET "cursor" = ' in sql]

    assert await renewed() == []
    places["c1"], places["c3"] = (9, 9), (1, 0)
    assert len(await renewed()) == 1
    assert {name: (row.cursor, row.acked) for name, row in (await rows()).items()} == places
    assert await renewed() == []


async def test_how_far_people_have_acked_outlives_their_sockets(presence, people, queries, clock):
    ann, ben, cleo = people
    places = {"a1": (5, 3), "a2": (9, 2), "b1": (7, 7), "c1": (4, 0)}

    async def acked():
        return await in_thread(dict, Acked.objects.values_list("user_id", "through"))

    for name, user in (("a1", ann), ("a2", ann), ("b1", ben)):
        presence.here(present(user, name, place=lambda name=name: places[name]))
    await presence.write()
    assert await acked() == {}, "they say where they go on from, and were told nothing yet"
    places["a1"], places["a2"] = (9, 8), (9, 6)
    clock.now += 16
    await presence.write()
    assert await acked() == {ann.pk: 8}
    places["a2"], places["b1"] = (10, 10), (8, 8)
    presence.gone("a2"), presence.gone("b1")
    await presence.write()
    assert await acked() == {ann.pk: 10, ben.pk: 8}
    # Who came and went between two passes, and acked something.
    presence.here(present(cleo, "c1", place=lambda: places["c1"]))
    places["c1"] = (4, 4)
    presence.gone("c1")
    await presence.write()
    assert await acked() == {ann.pk: 10, ben.pk: 8, cleo.pk: 4}
    places["a1"] = (11, 11)
    await presence.stop()
    assert (await acked())[ann.pk] == 11


async def test_an_empty_process_asks_nothing(presence, ann, queries, clock):
    for _ in range(5):
        await presence.write()
        clock.now += 100
    assert queries == []
    presence.here(present(ann, "c1"))
    await presence.write()
    presence.gone("c1")
    await presence.write()
    await presence.write()
    queries.clear()
    for _ in range(5):
        clock.now += 100
        await presence.write()
    assert queries == []


async def test_renewing_moves_the_lease_of_this_process_only(presence, ann, clock):
    other = Presence()
    for name, each in (("mine", presence), ("theirs", other)):
        each.here(present(ann, name))
        await each.write()
    before = await rows()
    clock.now += 15
    await presence.write()
    after = await rows()
    assert after["mine"].leased_until > before["mine"].leased_until
    assert after["theirs"].leased_until == before["theirs"].leased_until
    await other.stop()
    assert set(await rows()) == {"mine"}


async def test_renewing_notes_that_the_sessions_are_in_use(presence, ann, clock):
    an_hour_ago = timezone.now() - timedelta(hours=1)
    session_id = await in_thread(open_session, ann, method="test", now=an_hour_ago)
    presence.here(present(ann, session_id=session_id))
    await presence.write()
    clock.now += 15
    await presence.write()
    (session,) = await in_thread(own_sessions, ann.pk)
    assert session.since == an_hour_ago
    assert session.last_seen > an_hour_ago + timedelta(minutes=50)


async def test_processes_are_told_apart_though_host_and_pid_come_again():
    assert Presence().server != Presence().server
    assert len(Presence().server) <= Connection._meta.get_field("server").max_length


# --- Leases ---


async def test_what_nobody_renewed_is_not_live_and_is_purged_by_whoever_is_next(presence, ann, clock):
    dead = Presence()
    dead.here(present(ann, "dead"))
    await dead.write()
    presence.here(present(ann, "alive"))
    await presence.write()
    past = timezone.now() + timedelta(seconds=46)
    assert await in_thread(lambda: live(now=past).count()) == 0
    await in_thread(Connection.objects.filter(name="dead").update, leased_until=timezone.now())
    assert await in_thread(lambda: [row.name for row in live(now=timezone.now())]) == ["alive"]
    clock.now += 15
    await presence.write()
    assert set(await rows()) == {"alive"}


def test_purging_counts(ann):
    now = timezone.now()
    facts = {"user": ann, "session_id": uuid4(), "server": "s", "protocol": "p", "opened_at": now}
    Connection.objects.create(name="over", leased_until=now, **facts)
    Connection.objects.create(name="lives", leased_until=now + timedelta(microseconds=1), **facts)
    assert (purge(now=now), purge(now=now)) == (1, 0)
    assert Connection.objects.get().name == "lives"


async def test_a_process_that_was_taken_for_dead_puts_itself_back(presence, ann, clock):
    for name in ("c1", "c2"):
        presence.here(present(ann, name))
    await presence.write()
    await in_thread(Connection.objects.all().delete)  # it slept, and others purged its rows
    for _ in range(2):
        clock.now += 15
        await presence.write()
    assert set(await rows()) == {"c1", "c2"}


# --- The database away ---


async def test_what_could_not_be_written_is_written_later(presence, ann, monkeypatch):
    presence.here(present(ann, "c1"))
    with monkeypatch.context() as away:
        away.setattr(presence_module, "_insert", _raise)
        with pytest.raises(OperationalError):
            await presence.write()
    presence.here(present(ann, "c2"))
    await presence.write()
    assert set(await rows()) == {"c1", "c2"}


@pytest.mark.parametrize("failing", ["_renew", "_write"])
async def test_how_far_they_were_meanwhile_is_written_later(presence, people, monkeypatch, clock, failing):
    ann, ben, _cleo = people
    places = {"a1": (1, 1), "b1": (1, 1)}
    for name, user in (("a1", ann), ("b1", ben)):
        presence.here(present(user, name, place=lambda name=name: places[name]))
    await presence.write()
    places["a1"], places["b1"] = (5, 5), (6, 6)
    clock.now += 16
    with monkeypatch.context() as away:
        away.setattr(presence_module, failing, _raise)
        presence.gone("b1")
        with pytest.raises(OperationalError):
            await presence.write()
            clock.now += 16
            await presence.write()
    for _ in range(2):  # puts itself back on the list, and renews it
        clock.now += 16
        await presence.write()
    assert {name: (row.cursor, row.acked) for name, row in (await rows()).items()} == {"a1": (5, 5)}
    assert await in_thread(dict, Acked.objects.values_list("user_id", "through")) == {ann.pk: 5, ben.pk: 6}


async def test_a_row_that_was_written_unheard_does_not_stay(presence, ann, monkeypatch):
    """The answer was given up, and the query went through all the same."""
    presence.here(present(ann, "c1"))
    write = presence_module._write

    def unheard(*args):
        write(*args)
        raise OperationalError("connection lost")

    with monkeypatch.context() as away:
        away.setattr(presence_module, "_write", unheard)
        with pytest.raises(OperationalError):
            await presence.write()
    assert set(await rows()) == {"c1"}
    presence.gone("c1")
    presence.here(present(ann, "c2"))
    await presence.write()
    assert set(await rows()) == {"c2"}


async def test_a_person_who_is_gone_takes_nobody_off_the_list(presence, people):
    ann, ben, _cleo = people
    for user, name in ((ann, "a"), (ben, "b")):
        presence.here(present(user, name))
    await in_thread(ann.delete)
    await presence.write()
    assert set(await rows()) == {"b"}


def _raise(*_args):
    raise OperationalError("away")


# --- The end ---


async def test_a_clean_stop_takes_the_process_off_and_nothing_is_written_afterwards(ann, people):
    presence = Presence()
    presence.here(present(ann, "c1"))
    await presence.write()
    await presence.stop()
    presence.here(present(ann, "c2"))
    await presence.write()
    assert await rows() == {}


async def test_a_process_that_listed_nobody_stops_without_a_query(people, queries):
    await Presence().stop()
    assert queries == []


def test_an_interpreter_that_ends_leaves_the_list(ann):
    presence = Presence()
    presence_module._insert(presence.server, [present(ann, "c1")], timezone.now() + timedelta(minutes=1))
    presence._leave()
    assert not Connection.objects.exists()


# --- Marked rows ---


async def test_a_disconnect_that_was_not_heard_is_found_within_a_sweep(presence, ann, clock):
    presence.here(present(ann, "c1"))
    presence.here(present(ann, "c2"))
    await presence.write()
    await in_thread(disconnect, ["c1"])
    found = []
    for _ in range(6):
        clock.now += 2
        found += await presence.write()
    ((stream, names),) = {(kicked.stream, tuple(kicked.names)) for kicked in found}
    assert (stream, names) == (stream_of(ann.pk), ("c1",))


async def test_writing_a_row_again_does_not_forget_that_it_was_disconnected(presence, ann, clock):
    presence.here(present(ann, "c1"))
    await presence.write()
    await in_thread(disconnect, ["c1"])
    presence._sure = False
    await presence.write()
    assert set(await rows(kicked_at=None)) == set()


async def test_the_reason_is_found_with_the_mark(presence, people, clock):
    ann, ben, _cleo = people
    for user, name in ((ann, "a"), (ben, "b"), (ann, "c"), (ann, "of-a-release-before")):
        presence.here(present(user, name))
    await presence.write()
    for name, code in (("a", 4500), ("b", 4504), ("c", 4504), ("of-a-release-before", None)):
        await in_thread(Connection.objects.filter(pk=name).update, kicked_at=OPENED, kicked_code=code)
    clock.now += 10
    found = {(kick.stream, kick.code): sorted(kick.names) for kick in await presence.write()}
    assert found == {
        (stream_of(ann.pk), 4500): ["a", "of-a-release-before"],
        (stream_of(ann.pk), 4504): ["c"],
        (stream_of(ben.pk), 4504): ["b"],
    }


# --- Too many of one person ---


@pytest.fixture
async def two(presence, ann, settings):
    """Two processes of which a person may have three connections together; the first one has them."""
    settings.NOTIFICATIONS = {"SOCKETS_PER_USER": 3, "PRESENCE_SECONDS": 15, "SWEEP_SECONDS": 10}
    for number in range(3):
        presence.here(present(ann, f"c{number}", opened_at=OPENED + timedelta(seconds=number)))
    other = Presence()
    await presence.write()
    await presence.write()
    yield presence, other
    await other.stop()


async def test_the_oldest_goes_wherever_it_is(two, ann, told, clock):
    first, other = two
    other.here(present(ann, "new", opened_at=OPENED + timedelta(minutes=1)))
    await other.write()
    assert told == [], "whoever reloads a page has a moment to leave"
    await other.write()
    assert told == [Kicked(told[0].origin, stream_of(ann.pk), ["c0"], 4504)]
    assert {name: row.kicked_code for name, row in (await rows()).items()} == {
        "c0": 4504,
        "c1": None,
        "c2": None,
        "new": None,
    }
    clock.now += 10
    assert [(kick.names, kick.code) for kick in await first.write()] == [(["c0"], 4504)], "and its process finds it"


async def test_a_page_that_is_reloaded_at_another_process_is_not_counted_twice(two, ann, told):
    first, other = two
    other.here(present(ann, "again"))
    await other.write()
    first.gone("c2")
    await first.write()
    await other.write()
    assert told == []


async def test_counting_costs_a_statement_for_news_and_none_without(two, ann, queries):
    _first, other = two
    other.here(present(ann, "new"))
    await other.write()
    await other.write()
    queries.clear()
    for _ in range(3):
        await other.write()
    assert queries == []
    other.gone("new")
    await other.write()
    await other.write()
    assert [len(job) for job in queries] == [1], "nobody who leaves is one too many"


async def test_whose_counting_failed_is_counted_later(two, ann, told, monkeypatch):
    _first, other = two
    other.here(present(ann, "new", opened_at=OPENED + timedelta(minutes=1)))
    await other.write()
    with monkeypatch.context() as away:
        away.setattr(kicking, "make_place", _raise)
        with pytest.raises(OperationalError):
            await other.write()
    await other.write()
    await other.write()
    assert [kick.names for kick in told] == [["c0"]]


# --- Driven by the hub ---


@pytest.fixture
async def hub(people, settings, monkeypatch):
    """One that looks often. Its leases are long: a short one ends on a busy machine while nobody looks, and the row
    that is put back afterwards is not marked any more."""
    settings.NOTIFICATIONS = {"SYNC_SECONDS": 3600, "SWEEP_SECONDS": 0.05, "PRESENCE_SECONDS": 15}
    monkeypatch.setattr(hub_module, "PASS_SECONDS", 0.05)
    hub = Hub.here()
    yield hub
    await hub.stop()


async def until(ask):
    async with asyncio.timeout(10):
        while not (answer := await ask()):
            await asyncio.sleep(0.01)
    return answer


async def test_the_hub_keeps_the_list_and_leaves_it(hub, ann):
    hub.presence.here(present(ann, "c1"))
    assert set(await until(rows)) == {"c1"}
    await hub.stop()
    assert await rows() == {}


async def test_the_hub_hands_a_disconnect_to_the_sockets_of_the_person(hub, people):
    ann, ben, _cleo = people
    hers, his = FakeSocket(ann.pk), FakeSocket(ben.pk)
    for socket in (hers, his):
        await join(hub, socket)
    hub.hand_over(Kicked("other", stream_of(ann.pk), ["c1"]))
    assert (await hers.hears(LiveConnection.kicked)).names == ["c1"]
    assert his.told(LiveConnection.kicked) == []


async def test_the_hub_finds_a_disconnect_that_nothing_announced(hub, ann, monkeypatch):
    socket = FakeSocket(ann.pk)
    await join(hub, socket)
    hub.presence.here(present(ann, "c1"))
    await until(rows)
    monkeypatch.setattr(kicking.fanout, "_hubs", [])
    await in_thread(disconnect, ["c1"])
    assert (await socket.hears(LiveConnection.kicked)).names == ["c1"]


async def test_without_a_database_the_hub_says_a_line_and_tries_again(hub, ann, monkeypatch, caplog):
    with monkeypatch.context() as away, caplog.at_level(logging.WARNING):
        away.setattr(presence_module, "_insert", _raise)
        hub.presence.here(present(ann, "c1"))
        await until(lambda: _said(caplog, "keep_list: OperationalError: away"))
    assert set(await until(rows)) == {"c1"}
    assert sum("keep_list" in message for message in caplog.messages) <= 2
    assert "Traceback" not in caplog.text


async def _said(caplog, what):
    return what in caplog.text


async def test_a_socket_is_listed_from_its_welcome_to_its_close_by_the_session_it_lives_by(hub, ann):
    async def ticket():
        session_id = await in_thread(open_session, ann, method="token")
        return session_id, (await in_thread(issue, user=ann, session_id=session_id)).ticket

    first, opening = await ticket()
    second, again = await ticket()
    server = Server()
    socket = Socket(hub=hub, codec=NativeCodec(), send=server.send, address="192.0.2.77")
    assert hub.presence._live == {}
    socket.connect(ticket=opening, since=None)
    name = (await server.says("welcome"))["connection"]
    row = (await until(rows))[name]
    assert (row.user_id, row.session_id, row.network, row.protocol) == (ann.pk, first, "192.0.2.0/24", "usher.v1")
    assert abs(row.opened_at - timezone.now()) < timedelta(minutes=1)
    socket.receive(f'{{"type":"reauth","ticket":"{again}"}}')
    await server.says("reauthenticated")
    await until(lambda: rows(session_id=second))
    socket.release(1000)
    await until(_nobody)


async def test_a_socket_that_is_refused_is_never_listed(hub, people):
    server = Server()
    socket = Socket(hub=hub, codec=NativeCodec(), send=server.send, address=None)
    socket.connect(ticket="garbage", since=None)
    await server.closes()
    socket.release(None)
    assert (hub.presence._live, hub.presence._news) == ({}, set())


async def _nobody():
    return await rows() == {}


async def test_who_was_asked_is_asked_once(presence, ann):
    presence.here(present(ann, "c1"))
    assert presence.asked(["c1", "elsewhere"], "one") == ["c1"]
    assert presence.asked(["c1"], "one") == []
    assert presence.asked(["c1"], "another") == ["c1"]
    presence.gone("c1")
    assert presence.asked(["c1"], "a third") == []
