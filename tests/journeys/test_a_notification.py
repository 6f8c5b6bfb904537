"""The trip of a notification: written in the caller's transaction, numbered after the commit, told, never lost."""

import asyncio
import contextlib
import time

import pytest

from tests.support.client import Person
from tests.support.servers import Server


async def test_a_notification(site):
    demo = site.newcomer()
    async with demo.connect() as socket:
        await socket.expect("welcome", cursor=0)

        # From a process that knows nothing of the server.
        said = ("--title", "Build finished", "--body", "All green.", "--kind", "ci.build", "--level", "success")
        site.stack.manage("notify", demo.username, *said, "--url", "/builds/7/", "--data", '{"build": 7}')
        committed = time.monotonic()
        frame = await socket.expect(
            "notification",
            seq=1,
            title="Build finished",
            body="All green.",
            kind="ci.build",
            level="success",
            url="/builds/7/",
            data={"build": 7},
            seen=False,
            read=False,
            archived=False,
            replayed=False,
        )
        assert frame.at - committed < 10, "the promise is about a second; the rest is for a busy machine"

        # From a view of this server, over REST.
        answer = await site.person("service").post("/api/notifications/", {"user": demo.username, "title": "second"})
        assert answer.status_code == 201
        assert answer.json()["seq"] == 2
        second = await socket.expect("notification", seq=2, title="second")
        assert second["id"] == answer.json()["id"]
        assert second["stream"] == answer.json()["stream"] == frame["stream"]

        listed = (await demo.get("/api/notifications/")).json()
        assert [row["seq"] for row in listed["results"]] == [2, 1]
        assert (listed["head"], listed["unread"], listed["unseen"]) == (2, 2, 2)
        assert listed["results"][0]["id"] == second["id"]
        position = socket.position

    # While the person is away.
    site.stack.manage("notify", demo.username, "--title", "third")
    async with demo.connect(since=position) as socket:
        await socket.expect("welcome", recovered=True, cursor=2, head=3)
        await socket.expect("notification", seq=3, title="third", replayed=True)
        await socket.expect("caught_up", cursor=3)
        site.stack.manage("notify", demo.username, "--title", "fourth")
        await socket.expect("notification", seq=4, replayed=False)


async def test_two_server_processes_of_one_site(make_site):
    """What one process is told over REST reaches the sockets of the other, and the publisher's own, once."""
    site = make_site()
    other = site.add_server()
    demo = site.person("demo")
    async with demo.connect() as here, demo.at(other).connect() as there:
        await here.expect("welcome")
        await there.expect("welcome")
        service = site.person("service")
        for number in range(1, 6):
            answer = await service.post("/api/notifications/", {"user": "demo", "title": f"number {number}"})
            assert answer.json()["seq"] == number
        for socket in (here, there):
            await socket.expect("notification", timeout=10, seq=5)
            assert [frame["seq"] for frame in socket.of("notification")] == [1, 2, 3, 4, 5]


async def test_marking_is_seen_on_every_device(site):
    demo = site.newcomer()
    for number in range(3):
        site.stack.manage("notify", demo.username, "--title", f"number {number}")
    async with demo.connect() as laptop, demo.connect() as phone:
        await laptop.expect("welcome", unread=3, state_version=0)
        await phone.expect("welcome")
        await laptop.send({"type": "state", "through": 2, "state": "read", "ref": "r1"})
        await laptop.expect("state", ref="r1", state="read", through=2, state_version=1, unread=1, unseen=1)
        heard = await phone.expect("state", state="read", through=2, state_version=1, unread=1)
        assert "ref" not in heard

        (oldest,) = (await demo.get("/api/notifications/?before=2")).json()["results"]
        answer = await demo.post("/api/notifications/state/", {"ids": [oldest["id"]], "state": "archived"})
        assert answer.json() == {"changed": 1, "state_version": 2, "unread": 1, "unseen": 1}
        for socket in (laptop, phone):
            await socket.expect("state", state="archived", ids=[oldest["id"]], state_version=2)


async def test_a_push_from_code_that_only_knows_channels(stacks, server_kind):
    stack = stacks.make("scaled")
    server = Server(server_kind, stack)
    try:
        demo = Person(server, "demo")
        async with demo.connect() as socket:
            welcome = await socket.expect("welcome")
            group = f"usher.u.{welcome['user']['id']}"
            # What breaks the rules is dropped, and harms nobody.
            bad = ['{"title": ""}', '{"title": "x", "url": "javascript:alert(1)"}', '{"title": "x", "sql": 1}', "{}"]
            good = '{"title": "just now", "level": "success"}'
            stack.script("tests.journeys.push", group, good, *bad, '{"title": "last"}')
            await socket.expect("notification", timeout=15, seq=None, title="just now", level="success")
            await socket.expect("notification", timeout=15, title="last")
            assert [frame["title"] for frame in socket.of("notification")] == ["just now", "last"]
        assert (await demo.get("/api/notifications/")).json()["head"] == 0, "never stored"
        assert not server.complaints(), server.log()
    finally:
        server.stop()


@pytest.mark.timeout(150)
async def test_an_idle_socket_on_the_pubsub_layer_lives_for_a_minute(stacks):
    """With redis-py 8 the core layer's blocking pop ends it after 5 s. And its subscription survives the silence."""
    # No sync within the test: what arrives was announced.
    stack = stacks.make("scaled", NOTIFICATIONS_SYNC_SECONDS="3600")
    servers = [Server("daphne", stack), Server("uvicorn", stack)]
    try:
        async with contextlib.AsyncExitStack() as sockets:
            idle = [await sockets.enter_async_context(Person(server, "demo").connect()) for server in servers]
            for socket in idle:
                await socket.expect("welcome")
            await asyncio.sleep(61)  # the one sleep that is what is tested
            stack.manage("notify", "demo", "--title", "good morning")
            for socket in idle:
                await socket.expect("notification", title="good morning", seq=1)
                assert socket.close_code is None
    finally:
        for server in servers:
            server.stop()
