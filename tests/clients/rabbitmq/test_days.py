"""A real broker that asks the site, and clients that nobody here wrote: what they may do, and what they may not."""

import asyncio
import json
import time

import pytest

from tests.support import canary
from tests.support.processes import wait_until

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["scaled"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]

STOMP = ["stompjs.mjs", "webstomp.mjs"]
EXCHANGE = "/exchange/usher.notifications"

each_client = pytest.mark.parametrize("script", STOMP)


class User:
    """Of the broker: somebody of the site."""

    def __init__(self, guarded, username):
        guarded.site.stack.add_people(username)
        self.guarded, self.username = guarded, username
        self.person = guarded.site.person(username)
        said = guarded.site.stack.manage("shell", "--no-imports", "--command", WHO.format(username=username))
        self.id = int(said.strip().splitlines()[-1])

    async def ticket(self, purpose="broker"):
        return canary.remembered(await self.person.ticket(purpose))

    async def open(self, client, passcode=None, username=None, url=None):
        headers = {"login": username or self.username, "passcode": passcode or await self.ticket(), "host": "/"}
        where = url or self.guarded.broker.stomp_url
        await client.tell("open", url=where, protocols=["v12.stomp"], headers=headers)

    async def listen(self, client, key=None, identity="s", url=None, **headers):
        await self.open(client, url=url)
        await client.expect("connected")
        await subscribe(client, f"{EXCHANGE}/{key or f'user.{self.id}'}", identity, **headers)

    def keeps(self, queue):
        return {"durable": "true", "auto-delete": "false", "x-queue-name": f"usher.user.{self.id}.{queue}"}

    def tell(self, *titles):
        for title in titles:
            self.guarded.site.stack.manage("notify", self.username, "--title", title)


WHO = "from django.contrib.auth.models import User; print(User.objects.get(username={username!r}).pk)"


async def subscribe(client, destination, identity="s", **headers):
    receipt = f"subscribed-{identity}"
    await client.tell("subscribe", destination=destination, id=identity, headers={"receipt": receipt, **headers})
    return await client.expect("receipt", **{"receipt-id": receipt})


def titles(messages):
    return [message["body"]["title"] for message in messages]


@each_client
async def test_a_ticket_lets_in_and_what_is_told_arrives(guarded, remote, script):
    ann = User(guarded, f"rabbit-ann-{script[:3]}")
    async with remote(script) as client:
        await ann.listen(client)
        ann.tell("one", "two: é")
        messages = [await client.expect("message") for _ in range(2)]
        assert titles(messages) == ["one", "two: é"]
        assert messages[0]["body"]["type"] == "notification"
        headers = [message["headers"] for message in messages]
        assert [(each["x-stream"], each["x-seq"]) for each in headers] == [(f"u.{ann.id}", "1"), (f"u.{ann.id}", "2")]
        assert headers[0]["x-epoch"] == headers[1]["x-epoch"]


@each_client
async def test_a_durable_queue_keeps_what_a_temporary_one_does_not(guarded, remote, script):
    ann = User(guarded, f"rabbit-away-{script[:3]}")
    async with remote(script) as client:
        await ann.listen(client, identity="kept", **ann.keeps("phone"))
    async with remote(script) as other:
        await ann.listen(other)
        ann.tell("away")
        await other.expect("message")
    async with remote(script) as client:
        await ann.listen(client, identity="now")
        await client.tell("subscribe", destination=f"{EXCHANGE}/user.{ann.id}", id="kept", headers=ann.keeps("phone"))
        first = await client.expect("message")
        ann.tell("here")
        heard = [first, *[await client.expect("message") for _ in range(2)]]
        by_subscription = {
            name: titles(message for message in heard if message["headers"]["subscription"] == name)
            for name in ("kept", "now")
        }
        assert by_subscription == {"kept": ["away", "here"], "now": ["here"]}


@each_client
@pytest.mark.parametrize("destination", ["key", "queue", "everybody", "topic", "amq"])
async def test_what_is_somebody_elses_is_refused(guarded, remote, script, destination):
    ann, ben = User(guarded, f"ann-{destination}-{script[:3]}"), User(guarded, f"ben-{destination}-{script[:3]}")
    wanted, headers = {
        "key": (f"{EXCHANGE}/user.{ben.id}", {}),
        "queue": (f"{EXCHANGE}/user.{ann.id}", ben.keeps("phone")),
        "everybody": (f"{EXCHANGE}/user.*", {}),
        "topic": (f"{EXCHANGE}/topic.desk.{ben.username}", {}),
        "amq": ("/topic/anything", {}),
    }[destination]
    async with remote(script) as client:
        await ann.open(client)
        await client.expect("connected")
        await client.tell("subscribe", destination=wanted, id="s", headers={"receipt": "r", **headers})
        await client.expect("closed")
        ben.tell("not for her")
        assert client.of_name("message") == client.of_name("receipt") == []


@each_client
async def test_nobody_publishes(guarded, remote, script):
    ann = User(guarded, f"rabbit-pub-{script[:3]}")
    async with remote(script) as client:
        await ann.listen(client)
        await client.tell(
            "send", destination=f"{EXCHANGE}/user.{ann.id}", body=json.dumps({"title": "forged"}), headers={}
        )
        await client.expect("closed")
        assert client.of_name("message") == []


async def test_a_durable_queue_whose_name_can_be_worked_out_is_its_owner_s(guarded, remote):
    """RabbitMQ makes it of the destination and the subscription's id, where the subscription names no queue."""
    ann, ben = User(guarded, "rabbit-guess"), User(guarded, "rabbit-guessed")
    kept = {"durable": "true", "auto-delete": "false"}
    async with remote("stompjs.mjs") as client:
        await ben.listen(client, identity="sub-0", **kept)
        queues = {each["name"] for each in guarded.broker.manage("GET", "/queues") if each["durable"]}
        (name,) = [each for each in queues if each.startswith("stomp-subscription-")]
    ben.tell("for ben alone")
    for destination in (f"/amq/queue/{name}", f"{EXCHANGE}/user.{ben.id}"):
        async with remote("stompjs.mjs") as thief:
            await ann.open(thief)
            await thief.expect("connected")
            headers = {"receipt": "r", **kept}
            await thief.tell("subscribe", destination=destination, id="sub-0", headers=headers)
            await thief.expect("closed")
            assert thief.of_name("message") == thief.of_name("receipt") == []
    async with remote("webstomp.mjs") as client:
        await ben.listen(client, identity="sub-0", **kept)
        assert (await client.expect("message"))["body"]["title"] == "for ben alone"


async def test_a_topic_that_the_rules_grant(guarded, remote):
    ann = User(guarded, "rabbit-topic")
    async with remote("stompjs.mjs") as client:
        await ann.listen(client, f"topic.desk.{ann.username}")
        said = f"from notifications.api import notify_topic; notify_topic('desk.{ann.username}', title='to the desk')"
        guarded.site.stack.manage("shell", "--no-imports", "--command", said)
        message = await client.expect("message")
        assert (message["body"]["title"], message["headers"]["x-stream"]) == ("to the desk", f"t.desk.{ann.username}")


async def test_a_login_is_for_whose_ticket_it_is_and_once(guarded, remote):
    ann, ben = User(guarded, "rabbit-once"), User(guarded, "rabbit-else")

    async def refused(**how):
        async with remote("stompjs.mjs") as client:
            await ann.open(client, **how)
            error = await client.expect("error")
            assert error["headers"]["message"] == "Bad CONNECT"

    await refused(passcode=await ben.ticket())
    await refused(passcode=await ann.ticket("connect"))
    await refused(passcode="A" * 43)
    ticket = await ann.ticket()
    async with remote("stompjs.mjs") as client:
        await ann.open(client, passcode=ticket)
        await client.expect("connected")
        await asyncio.sleep(5.5)  # for so long the broker may ask twice, and its cache answers what was asked before
        await refused(passcode=ticket)
    async with remote("stompjs.mjs") as client:
        await ann.open(client, passcode=await ann.person.token())
        await client.expect("connected")


@pytest.mark.parametrize("script", [*STOMP, "mqtt.js"])
async def test_a_logout_closes_what_is_open(guarded, remote, mqtt, script):
    ann = User(guarded, f"rabbit-out-{script[:3]}")
    opened = mqtt(ann, access=await ann.person.token()) if script == "mqtt.js" else remote(script)
    async with opened as client:
        if script == "mqtt.js":
            await client.expect("subscribed")
        else:
            await ann.listen(client)
        # The broker tells its own management of a connection some seconds after it was opened.
        theirs = f"/connections/username/{ann.username}"
        await asyncio.to_thread(
            wait_until, lambda: guarded.broker.manage("GET", theirs), timeout=20, what="row of it", every=0.2
        )
        ended = time.monotonic()
        await ann.person.log_out()
        await client.expect("closed", timeout=10)
        assert time.monotonic() - ended < 5
        ann.tell("nobody is there")
        assert client.of_name("message") == client.of_name("notification") == []


async def test_mqtt_hears_what_is_told_and_keeps_it(guarded, mqtt):
    ann = User(guarded, "rabbit-mqtt")
    async with mqtt(ann, keep=True, device="phone") as client:
        await client.expect("subscribed")
        ann.tell("one")
        assert (await client.expect("notification"))["title"] == "one"
        await client.tell("close")
        await client.expect("closed")
    ann.tell("away")
    async with mqtt(ann, device="browser") as fleeting, mqtt(ann, keep=True, device="phone") as client:
        assert (await client.expect("notification"))["title"] == "away"
        await fleeting.expect("subscribed")
        ann.tell("here")
        assert (await client.expect("notification"))["title"] == "here"
        assert (await fleeting.expect("notification"))["title"] == "here"
        assert len(fleeting.of_name("notification")) == 1


async def test_mqtt_cannot_take_what_is_somebody_elses(guarded, mqtt):
    ann, ben = User(guarded, "rabbit-thief"), User(guarded, "rabbit-robbed")
    async with mqtt(ben, keep=True, device="phone") as phone:
        await phone.expect("subscribed")
    ben.tell("for ben alone")
    async with mqtt(ann, id=ben.id, keep=True, device="phone") as thief:
        await thief.expect("closed")
        assert thief.of_name("connected") == []
    async with mqtt(ben, keep=True, device="phone") as phone:
        assert (await phone.expect("notification"))["title"] == "for ben alone"
        async with mqtt(ann, id=ben.id, keep=True, device="phone") as thief:
            await thief.expect("closed")
        ben.tell("still here")
        assert (await phone.expect("notification"))["title"] == "still here"
        assert phone.of_name("closed") == [], "nor was he sent away"


async def test_the_page_s_stomp_example_comes_back_with_another_ticket(guarded, stomp):
    ann = User(guarded, "rabbit-page")
    async with stomp(ann, keep="phone") as client:
        await client.expect("connected")
        ann.tell("one")
        heard = await client.expect("notification")
        assert (heard["title"], heard["headers"]["x-seq"]) == ("one", "1")
        guarded.broker.kill()
        await client.expect("closed")
        ann.tell("while the broker was away")
        guarded.broker.start()
        await client.expect("notification", timeout=60, title="while the broker was away")
        assert len(client.of_name("ticket")) >= 2


async def test_both_protocols_through_nginx(guarded, front, remote, mqtt):
    ann = User(guarded, "rabbit-nginx")
    async with remote("stompjs.mjs") as first, mqtt(ann, url=f"{front}/broker/mqtt") as second:
        await ann.listen(first, url=f"{front}/broker/stomp")
        await second.expect("subscribed")
        ann.tell("through nginx")
        assert (await first.expect("message"))["body"]["title"] == "through nginx"
        assert (await second.expect("notification"))["title"] == "through nginx"
