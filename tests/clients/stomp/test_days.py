"""STOMP's own clients, unmodified: what each of them does all day, on daphne and uvicorn."""

import asyncio
import json

import pytest

from tests.conftest import EACH_KIND_ONCE
from tests.support import canary
from tests.support.processes import wait_until

OWN, CONTROL = "/user/queue/notifications", "/user/queue/control"
CLIENTS = ["stompjs.mjs", "webstomp.mjs", "stomp_py.py"]
OFFERED = ["v10.stomp", "v11.stomp", "v12.stomp"]

each_client = pytest.mark.parametrize("script", CLIENTS)


async def way_in(how, person):
    """What opens a socket, of the carriers that a client can have."""
    if how == "bearer":
        return {"headers": {"Authorization": f"Bearer {await person.token()}"}, "protocols": OFFERED}
    ticket = canary.remembered(await person.ticket())
    if how == "subprotocol":
        return {"headers": {}, "protocols": [*OFFERED, f"usher.ticket.{ticket}"]}
    return {
        "headers": {"login": person.username, "passcode": ticket},
        "protocols": [] if how == "no offer" else OFFERED,
    }


async def opened(client, site, person, how="passcode", path="/stomp", **options):
    await client.tell("open", url=site.server.ws + path, **await way_in(how, person), **options)
    return await client.expect("connected")


async def subscribe(client, destination=OWN, identity="s", **headers):
    """It is confirmed, so that nothing that is told from now on is missed."""
    receipt = f"subscribed-{identity}"
    await client.tell("subscribe", destination=destination, id=identity, headers={"receipt": receipt, **headers})
    return await client.expect("receipt", **{"receipt-id": receipt})


async def heard(client, count=1):
    """So many notifications, whatever the control queue says meanwhile."""
    messages = []
    while len(messages) < count:
        message = await client.expect("message")
        messages += [message] if message["headers"]["destination"] != CONTROL else []
    return messages


def tell(site, person, *titles):
    for title in titles:
        site.stack.manage("notify", person.username, "--title", title)


def listed(site):
    """Whether staff sees demo's connection to the process that serves now."""
    return f":{site.server.pid}:" in site.stack.manage("connections", "--user", "demo", "--json")


TELL_TOPIC = "from notifications.api import notify_topic; notify_topic({topic!r}, title={title!r})"


def tell_topic(site, topic, title):
    site.stack.manage("shell", "--no-imports", "--command", TELL_TOPIC.format(topic=topic, title=title))


@EACH_KIND_ONCE
@each_client
async def test_a_day(topical_site, remote, script):
    """Every way in, live and replayed, acks, receipts, a topic, goodbye."""
    site = topical_site
    site.stack.add_people(name := f"ann-{script.partition('.')[0]}")
    ann = site.person(name)

    async with remote(script) as client:
        welcome = await opened(client, site, ann, beats=1000)
        assert (welcome["version"], welcome["user-name"], welcome["heart-beat"]) == ("1.2", name, "1000,0")
        await subscribe(client, ack="client")
        tell(site, ann, "one", "two: \\ é")
        first, second = await heard(client, 2)
        assert [message["body"]["title"] for message in (first, second)] == ["one", "two: \\ é"]
        assert [message["headers"]["x-seq"] for message in (first, second)] == ["1", "2"]
        assert first["headers"]["x-epoch"] == welcome["x-epoch"]
        assert (first["headers"]["destination"], first["headers"]["subscription"]) == (OWN, "s")
        await client.tell("ack", message=0, headers={"receipt": "acked"})
        await client.expect("receipt", **{"receipt-id": "acked"})

        body = json.dumps({"state": "read", "ids": [first["body"]["id"]]})
        await client.tell("send", destination="/app/state", body=body, headers={"receipt": "read"})
        await client.expect("receipt", **{"receipt-id": "read"})
        assert (await ann.get("/api/notifications/")).json()["unread"] == 1

        await subscribe(client, f"/topic/desk.{name}", "t")
        tell_topic(site, f"desk.{name}", "to the desk")
        (message,) = await heard(client)
        assert (message["headers"]["destination"], message["body"]["title"]) == (f"/topic/desk.{name}", "to the desk")
        await client.tell("unsubscribe", id="t", headers={"receipt": "gone"})
        if script != "stomp_py.py":  # which takes no headers for it
            await client.expect("receipt", **{"receipt-id": "gone"})
        await client.expect("beat")
        await client.tell("close")
        await client.expect("deactivated")

    # Away, and back by each of the other ways, from where it was: each time what was missed, in order, and no more.
    since = f"{welcome['x-epoch']}:2"
    for number, (how, path) in enumerate([("subprotocol", "/ws/"), ("bearer", "/stomp"), ("no offer", "/stomp")]):
        tell(site, ann, f"away {number}")
        async with remote(script) as client:
            await opened(client, site, ann, how, path, binary=number == 1)
            await subscribe(client, ack="client-individual", durable="true", since=since)
            messages = await heard(client, number + 1)
            assert [message["headers"]["x-seq"] for message in messages] == [
                str(3 + each) for each in range(number + 1)
            ]
            assert all(message["body"]["replayed"] for message in messages)
    assert "beat lost" not in [event for event, _ in client.events]


@EACH_KIND_ONCE
@each_client
async def test_bad_days(make_site, remote, script):
    """The grant ends, the server dies, and staff sends it away: none loses anything or hears it twice."""
    site = make_site(TICKETS_GRANT_SECONDS="5", NOTIFICATIONS_SWEEP_SECONDS="1")
    demo = site.person("demo")
    numbers = []

    async with remote(script) as client:
        welcome = await opened(client, site, demo)
        await subscribe(client, CONTROL, "c")
        await subscribe(client, ack="client")
        tell(site, demo, "one")
        numbers += await heard(client)
        while not any(said["body"]["type"] == "reauth_required" for said in client.of_name("message")):
            await client.expect("message")
        tell(site, demo, "held")
        reauth = {"receipt": "again", "ticket": canary.remembered(await demo.ticket("reauth"))}
        await client.tell("send", destination="/app/reauth", body="", headers=reauth)
        numbers += await heard(client)
        site.server.kill()
        await client.expect("closed")
    tell(site, demo, "away")
    site.server.start()
    async with remote(script) as client:
        await opened(client, site, demo, "bearer")
        await subscribe(client, ack="client", durable="true", since=f"{welcome['x-epoch']}:2")
        numbers += await heard(client)
        tell(site, demo, "live")
        numbers += await heard(client)
        await asyncio.to_thread(wait_until, lambda: listed(site), timeout=20, what="row of it")
        site.stack.manage("connections", "--user", "demo", "--disconnect", "--yes")
        error = await client.expect("error")
        assert (error["headers"]["message"], error["headers"]["x-reconnect"]) == ("disconnected_by_staff", "false")
        await client.expect("closed")
    assert [(message["headers"]["x-seq"], message["body"]["title"]) for message in numbers] == [
        *(("1", "one"), ("2", "held"), ("3", "away"), ("4", "live"))
    ]


@EACH_KIND_ONCE
async def test_what_is_refused(topical_site, remote):
    site = topical_site
    demo = site.person("demo")

    async def error(*told, **open_with):
        async with remote("stompjs.mjs") as client:
            if open_with:
                await client.tell("open", url=site.server.ws + "/stomp", protocols=OFFERED, **open_with)
            else:
                await opened(client, site, demo)
            if told:
                await client.tell(told[0], **told[1])
            said = await client.expect("error")
            closed = await client.expect("closed")
            return said["headers"]["message"], closed["code"]

    stranger = {"destination": "/topic/desk.alice", "id": "t", "headers": {}}
    assert await error("subscribe", stranger) == ("access_denied", 4507)
    elsewhere = {"destination": "/user/alice/queue/notifications", "id": "t", "headers": {}}
    assert await error("subscribe", elsewhere) == ("access_denied", 4507)
    assert await error("send", {"destination": OWN, "headers": {}}) == ("access_denied", 4507)
    assert await error("begin", {}) == ("invalid", 4505)
    assert await error(headers={"login": "demo", "passcode": "A" * 43}) == ("ticket_refused", 4402)
    assert await error(headers={}) == ("ticket_refused", 4402)


RENAME = """
from django.contrib.auth import get_user_model
from notifications.topics import permissions_changed
user = get_user_model().objects.get(username={name!r})
user.username = "somebody-else"
user.save()
permissions_changed(user=user)
"""


@EACH_KIND_ONCE
async def test_a_topic_is_lost(topical_site, remote):
    site = topical_site
    site.stack.add_people("loses")
    async with remote("stompjs.mjs") as client:
        await opened(client, site, site.person("loses"))
        await subscribe(client, CONTROL, "c")
        await subscribe(client, "/topic/desk.loses", "t")
        site.stack.manage("shell", "--no-imports", "--command", RENAME.format(name="loses"))
        denied = await client.expect("message")
        assert (denied["headers"]["destination"], denied["body"]["type"]) == (CONTROL, "denied")
        tell_topic(site, "desk.loses", "not for them")
        await subscribe(client)
        assert len(client.of_name("message")) == 1


@EACH_KIND_ONCE
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_older_versions(topical_site, remote, version):
    site = topical_site
    site.stack.add_people(name := f"old-{version}")
    old = site.person(name)
    async with remote("stompjs.mjs") as client:
        assert (await opened(client, site, old, version=version))["version"] == version
        await subscribe(client, CONTROL, "c")
        await subscribe(client, ack="client", durable="true", since="unknown:0")
        assert (await client.expect("message"))["body"]["type"] == "reset"
        await subscribe(client, OWN, "again", ack="client")
        tell(site, old, "one")
        first, second = await heard(client, 2)
        assert {first["headers"]["subscription"], second["headers"]["subscription"]} == {"s", "again"}
        await client.tell("ack", message=-1, headers={"receipt": "acked"})
        await client.tell("nack", message=-2, headers={"receipt": "nacked"})
        await client.expect("receipt", **{"receipt-id": "nacked"})

        # Who does not ack goes on when those who did are gone.
        await subscribe(client, OWN, "never acks")
        for gone in ("s", "again"):
            await client.tell("unsubscribe", id=gone, headers={"receipt": f"{gone} is gone"})
            await client.expect("receipt", **{"receipt-id": f"{gone} is gone"})
        tell(site, old, "two")
        (message,) = await heard(client)
        assert (message["headers"]["subscription"], message["headers"]["x-seq"]) == ("never acks", "2")
