"""@rails/actioncable and @anycable/core, unmodified, in Node."""

import asyncio
import contextlib

import pytest

from tests.clients.actioncable.conftest import KEY
from tests.conftest import EACH_KIND_ONCE
from tests.support.processes import wait_until

RAILS = "rails"
PLAIN, EXTENDED = "actioncable-v1-json", "actioncable-v1-ext-json"
CLIENTS = (RAILS, PLAIN, EXTENDED)
MINE = {"channel": "NotificationsChannel"}
SITE = {
    "DJANGO_SETTINGS_MODULE": "tests.clients.settings",
    "TICKETS_JID_KEY": KEY,
    "TICKETS_JID_USER_FIELD": "username",
    "TICKETS_JID_ALLOW_QUERY": "1",
}
TELL = "from notifications.api import notify_topic\nnotify_topic({topic!r}, title={title!r})"


@contextlib.asynccontextmanager
async def all_of(cable, site, **how):
    """Each client, for a person, with that person's stream confirmed."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(cable(site, kind, "demo", **how)) for kind in CLIENTS]
        for client in clients:
            await client.expect("ready")
            await client.tell("subscribe", MINE)
        for client in clients:
            await client.expect("connected", channel=MINE["channel"])
        yield clients


async def hear(clients, *titles, **fields):
    for client in clients:
        for title in titles:
            await client.expect("message", title=title, **fields)


def tell(site, *titles):
    for title in titles:
        site.stack.manage("notify", "demo", "--title", title)


def listed(site):
    """Connections of the process that serves now: those of the one that died are listed for a while."""
    rows = site.stack.manage("connections", "--user", "demo", "--json").splitlines()
    return sum(f":{site.server.pid}:" in row for row in rows)


@EACH_KIND_ONCE
async def test_a_day_in_the_life_of_stock_clients(cable, make_site):
    """What is told, topics, state, a server that dies, and staff."""
    site = make_site(**SITE)
    async with all_of(cable, site) as clients:
        plain, extended = clients[1:]
        tell(site, "one")
        await hear(clients, "one", type="notification", seq=1, replayed=False)
        assert extended.of("message")[-1]["meta"]["stream"].startswith("u.")

        for client in clients:
            for name in ("demo", "alice"):
                await client.tell("subscribe", {"channel": "TopicChannel", "topic": f"desk.{name}"})
            await client.tell("subscribe", {"channel": "NoSuchChannel"})
            await client.expect("connected", channel="TopicChannel", topic="desk.demo")
            await client.expect("rejected", channel="TopicChannel", topic="desk.alice")
            await client.expect("rejected", channel="NoSuchChannel")
            await client.tell("subscribe", {"channel": "ControlChannel"})
            await client.expect("connected", channel="ControlChannel")
        for topic in ("desk.alice", "desk.demo"):
            site.stack.manage("shell", "--no-imports", "--command", TELL.format(topic=topic, title=topic))
        await hear(clients, "desk.demo", channel="TopicChannel", seq=1)

        await plain.tell("perform", ["state", {"state": "read", "through": 1}])
        for client in clients:
            await client.expect("message", channel="ControlChannel", type="state", unread=0)
        await extended.tell("reauth")
        await extended.expect("message", channel="ControlChannel", type="reauthenticated")

        site.server.kill()
        for client in clients:
            await client.expect("disconnected", returns=True)
        tell(site, "two", "three")
        site.server.start()
        await hear(clients, "two", "three", replayed=True)
        await extended.expect("info", type="history_received", channel=MINE["channel"])
        tell(site, "four")
        await hear(clients, "four", replayed=False)

        await asyncio.to_thread(wait_until, lambda: listed(site) == 3, timeout=20, what="list of all three", every=0.3)
        site.stack.manage("connections", "--user", "demo", "--disconnect", "--yes")
        for client in clients:
            await client.expect("disconnected", returns=False)
        assert [said.get("reason") for said in (plain.of("disconnected")[-1], extended.of("disconnected")[-1])] == [
            *("remote", "remote")
        ]
    numbers = [
        [said["seq"] for said in client.of("message") if said["channel"] == MINE["channel"]] for client in clients
    ]
    assert numbers == [[1, 2, 3, 4]] * 3
    assert not any("desk.alice" in str(client.of("message")) for client in clients)
    assert not site.server.complaints()


@EACH_KIND_ONCE
async def test_who_may_come_back_comes_back_when_it_is_time(cable, make_site):
    site = make_site(**SITE, TICKETS_GRANT_SECONDS="6", NOTIFICATIONS_GRACE_SECONDS="1")
    async with all_of(cable, site) as clients:
        tell(site, "before")  # from the first one on, AnyCable's client knows where it is
        await hear(clients, "before")
        for client in clients:
            await client.expect("disconnected")
        tell(site, "meanwhile")
        await hear(clients, "meanwhile")
        reasons = [client.of("disconnected")[0].get("reason") for client in clients]
        assert reasons == [None, "session_expired", "token_expired"]
        assert clients[2].of("refresh")
    assert not site.server.complaints()


@EACH_KIND_ONCE
async def test_a_jwt_is_carried_in_each_of_anycables_ways_and_renewed(cable, make_site):
    site = make_site(**SITE, NOTIFICATIONS_GRACE_SECONDS="1")
    async with contextlib.AsyncExitStack() as stack:
        ways = [(kind, way) for kind in (PLAIN, EXTENDED) for way in ("param", "header", "sub-protocol")]
        clients = [
            await stack.enter_async_context(cable(site, kind, "demo", way=way, seconds=12)) for kind, way in ways
        ]
        for client in clients:
            await client.expect("ready")
            await client.tell("subscribe", MINE)
        for client in clients:
            await client.expect("connected")
        await asyncio.to_thread(tell, site, "hello")
        await hear(clients, "hello")
        for client in clients:
            await client.expect("disconnected", reason="token_expired", returns=False)
            await client.expect("refresh")
            await client.expect("connected")
    assert not site.server.complaints()


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
@pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True)
async def test_who_is_no_longer_welcome_is_told_so(cable, make_site):
    """A JWT that is no good: the client asks once for another and then gives up."""
    site = make_site(**SITE)
    async with cable(site, EXTENDED, "nobody", way="header") as client:
        await client.expect("ready")
        await client.tell("subscribe", MINE)
        await client.expect("disconnected", reason="token_expired", returns=False)
        await client.expect("refresh")
        await client.expect("disconnected", reason="token_expired", returns=False)
