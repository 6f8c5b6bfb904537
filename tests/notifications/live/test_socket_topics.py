"""Topics, on a real database and real hubs, with a list where the server would be."""

import asyncio
import json

import pytest
from django.db import OperationalError

from notifications import api, topic_store, topics
from notifications.live import hub as hub_module
from notifications.live import reading
from notifications.live.connection import Phase
from notifications.live.hub import Hub
from notifications.live.socket import Socket
from notifications.wire.native import NativeCodec
from tickets.api import in_thread, issue, open_session

from .test_socket import Server

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def lets_in(monkeypatch):
    """Who may listen to orders.*, by username; a test changes it."""
    monkeypatch.setattr(topics, "_rules", [])
    let_in = {"ann", "ben"}
    topics.rule("orders.{order_id}")(lambda user, order_id: user.get_username() in let_in)
    return let_in


@pytest.fixture
async def hub(settings, transactional_db, lets_in):
    settings.NOTIFICATIONS = {"SYNC_SECONDS": 3600, "SWEEP_SECONDS": 3600, "REPLAY_PAGE": 2}
    hub = Hub.here()
    yield hub
    await hub.stop()


class Page:
    """Somebody's page: a socket and what it was told."""

    def __init__(self, hub):
        self.server = Server()
        self.socket = Socket(hub=hub, codec=NativeCodec(), send=self.server.send, address="127.0.0.1")

    def says(self, **frame):
        self.socket.receive(json.dumps(frame))

    async def subscribe(self, topic="orders.7", **more):
        self.says(type="subscribe", topic=topic, **more)
        return await self.server.says("subscribed")

    async def hears(self, *titles):
        async with asyncio.timeout(10):
            while self.titles != list(titles):
                await asyncio.sleep(0.005)

    @property
    def titles(self):
        return [frame["title"] for frame in self.server.frames if frame["type"] == "notification"]


@pytest.fixture
async def visit(hub):
    made = []

    async def visit(user):
        session = await in_thread(open_session, user, method="token")
        ticket = await in_thread(issue, user=user, session_id=session)
        page = Page(hub)
        made.append(page)
        page.socket.connect(ticket=ticket.ticket, since=None)
        await page.server.says("welcome")
        return page

    yield visit
    for page in made:
        page.socket.release(None)


async def speak(*titles, topic="orders.7"):
    for title in titles:
        await in_thread(api.notify_topic, topic, title=title)


async def test_everybody_who_may_hears_it_and_nobody_else(visit, people):
    ann, ben, cleo = [await visit(person) for person in people]
    for page in (ann, ben):
        await page.subscribe()
    cleo.says(type="subscribe", topic="orders.7", ref="r")
    denied = await cleo.server.says("denied")
    assert (denied["topic"], denied["code"], denied["ref"]) == ("orders.7", "forbidden", "r")
    await speak("packed", "sent")
    await ann.hears("packed", "sent"), await ben.hears("packed", "sent")
    assert cleo.titles == []
    frame = next(frame for frame in ann.server.frames if frame["type"] == "notification")
    assert (frame["stream"], frame["seq"], frame["replayed"]) == ("t.orders.7", 1, False)


async def test_what_was_missed_comes_in_pages_and_then_it_is_live(visit, people):
    await speak("one", "two", "three", "four", "five")
    epoch = (await in_thread(topic_store.position, "orders.7")).epoch
    ann = await visit(people[0])
    answer = await ann.subscribe(since=f"{epoch}:1")
    assert (answer["cursor"], answer["head"]) == (1, 5)
    await ann.hears("two", "three", "four", "five")
    assert (await ann.server.says("caught_up"))["stream"] == "t.orders.7"
    await speak("six")
    await ann.hears("two", "three", "four", "five", "six")


async def test_a_right_that_is_taken_ends_it_within_a_moment(visit, people, lets_in):
    ann, ben = await visit(people[0]), await visit(people[1])
    await ann.subscribe(), await ben.subscribe()
    lets_in.discard("ann")
    await in_thread(topics.permissions_changed, topic="orders.7")
    await ann.server.says("denied")
    await speak("secret")
    await ben.hears("secret")
    assert ann.titles == []
    assert ann.socket.connection.phase is Phase.OPEN, "the rest lives on"


async def test_or_that_of_a_person(visit, people, lets_in):
    ann = await visit(people[0])
    await ann.subscribe()
    lets_in.discard("ann")
    await in_thread(topics.permissions_changed, user=people[0])
    await ann.server.says("denied")


async def test_a_change_that_no_announcement_told_is_found_with_the_next_number_or_by_the_sync(
    visit, people, lets_in, hub
):
    ann = await visit(people[0])
    await ann.subscribe()
    lets_in.discard("ann")
    await in_thread(topic_store.raise_fence, "orders.7")
    await speak("secret")
    await ann.server.says("denied")
    assert ann.titles == []
    ben = await visit(people[1])
    await ben.subscribe()
    lets_in.discard("ben")
    await in_thread(topic_store.raise_fence, "orders.7")
    await hub._compare("topics", hub_module._topics, hub._topics)
    await ben.server.says("denied")


async def test_the_sync_finds_what_no_announcement_told(visit, people, hub, monkeypatch):
    ann = await visit(people[0])
    await ann.subscribe()
    monkeypatch.setattr(api.fanout, "_hubs", [])  # nobody hears
    await speak("lost")
    await hub._compare("topics", hub_module._topics, hub._topics)
    await ann.hears("lost")


async def test_whoever_leaves_is_in_no_room(visit, people, hub):
    ann = await visit(people[0])
    await ann.subscribe()
    assert set(hub._topics) == {"t.orders.7"}
    ann.says(type="unsubscribe", topic="orders.7", ref="r")
    await ann.server.says("unsubscribed")
    assert not hub._topics
    await ann.subscribe("orders.8")
    ann.socket.release(None)
    assert not hub._topics and not hub._rooms


async def test_whoever_goes_while_they_are_asked_about_is_in_no_room(visit, people, hub, monkeypatch):
    asked, go_on = asyncio.Event(), asyncio.Event()
    decide = topics.decide

    async def slow(user_id, name, *how):
        asked.set()
        await go_on.wait()
        return await decide(user_id, name, *how)

    monkeypatch.setattr(topics, "decide", slow)
    ann = await visit(people[0])
    ann.says(type="subscribe", topic="orders.7")
    await asked.wait()
    ann.socket.release(None)
    go_on.set()
    await asyncio.sleep(0.05)
    assert not hub._topics


async def test_a_database_that_does_not_answer_is_said_and_can_be_asked_again(visit, people, monkeypatch):
    ann = await visit(people[0])
    decide = topics.decide

    async def away(user_id, name, *how):
        raise OperationalError("away")

    monkeypatch.setattr(topics, "decide", away)
    ann.says(type="subscribe", topic="orders.7", ref="r")
    error = await ann.server.says("error")
    assert (error["code"], error["ref"]) == ("unavailable", "r")
    monkeypatch.setattr(topics, "decide", decide)
    await ann.subscribe()


async def test_a_rule_that_never_answers_takes_no_sockets_with_it(visit, people, monkeypatch):
    monkeypatch.setattr(reading, "DATABASE_SECONDS", 0.1)

    @topics.rule("slow")
    async def never(user):
        await asyncio.Event().wait()

    ann = await visit(people[0])
    ann.says(type="subscribe", topic="slow", ref="r")
    assert (await ann.server.says("error"))["code"] == "unavailable"
    await ann.subscribe()
