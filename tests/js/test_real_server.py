"""The JavaScript client under Node.js against real servers, as a page would use it."""

import asyncio
import contextlib
import json

import pytest

from tests.support.processes import ROOT

# Which database and layer are behind a server is nothing that a client could tell.
pytestmark = pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)


def tell(site, *titles: str) -> None:
    """Notify demo from a process of its own, in this order; works while no server does."""
    site.stack.manage("shell", "--no-imports", "--command", TELL.format(titles=list(titles)))


TELL = """
from django.contrib.auth import get_user_model
from notifications.api import notify
demo = get_user_model().objects.get(username="demo")
for title in {titles!r}:
    notify(demo, title=title)
"""


class Follower:
    """tests/js/follow.js, signed in as somebody; remembers all it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[tuple[str, dict]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, node, site, username, *options, flags=()):
        process = await asyncio.create_subprocess_exec(
            node,
            *flags,
            "tests/js/follow.js",
            site.server.http,
            username,
            site.stack.password_of(username),
            *options,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def expect(self, event: str, timeout: float = 20, **fields: object) -> dict:
        """The next event of this name and with these fields."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while line := await self.process.stdout.readline():
                    said, detail = json.loads(line)
                    self.events.append((said, detail))
                    if said == event and all(detail.get(name) == value for name, value in fields.items()):
                        return detail
        raise AssertionError(f"no {event} {fields}; it said {self.events}")

    async def tell(self, command: str, argument: object = None) -> None:
        self.process.stdin.write(json.dumps([command, argument]).encode() + b"\n")
        await self.process.stdin.drain()

    async def close(self) -> int:
        """Close the client; nothing of it may then keep the process alive."""
        await self.tell("close")
        self.process.stdin.close()
        async with asyncio.timeout(10):
            while line := await self.process.stdout.readline():
                self.events.append(tuple(json.loads(line)))
            return await self.process.wait()

    def of_name(self, event: str) -> list[dict]:
        return [detail for said, detail in self.events if said == event]

    @property
    def numbers(self) -> list[int]:
        return [frame["seq"] for frame in self.of_name("notification")]


async def test_it_gets_what_is_told_to_a_person(node, packages, make_site):
    site = make_site()
    async with Follower.of(node, site, "demo") as follower:
        await follower.expect("welcome", recovered=False)
        site.stack.manage("notify", "demo", "--title", "Hello", "--level", "success", "--data", '{"build": 7}')
        frame = await follower.expect("notification", title="Hello", level="success", data={"build": 7}, replayed=False)
        assert frame["position"]["seq"] == frame["seq"] == 1

        await follower.tell("mark", {"ids": [frame["id"]], "state": "read"})
        assert (await follower.expect("marked"))["unread"] == 0
        assert follower.of_name("change")[0]["ids"] == [frame["id"]]
        await follower.tell("mark", {"ids": ["00000000-0000-0000-0000-000000000000"], "state": "read"})
        assert (await follower.expect("marked"))["error"] == "not_found"

        assert await follower.close() == 0
        assert follower.events[-1][1]["state"] == "closed"


async def test_nothing_is_lost_or_repeated_when_the_server_dies_and_comes_back(node, packages, make_site):
    site = make_site()
    async with Follower.of(node, site, "demo") as follower:
        await follower.expect("welcome")
        tell(site, "before 1", "before 2")
        await follower.expect("notification", seq=2)
        for first in (3, 6):
            site.server.kill()
            await follower.expect("state", state="waiting")
            tell(site, *(f"nobody was there {first + number}" for number in range(3)))
            site.server.start()
            await follower.expect("welcome", recovered=True)
            await follower.expect("replay", cursor=first + 2)
        tell(site, "after")
        await follower.expect("notification", seq=9, replayed=False)
        await follower.close()
        assert follower.numbers == list(range(1, 10))
        assert [frame["replayed"] for frame in follower.of_name("notification")] == [False] * 2 + [True] * 6 + [False]
        assert not follower.of_name("gap")


async def test_many_at_once_are_acked_in_time(node, packages, make_site):
    """More than the window, so that a client which did not ack would be left standing."""
    site = make_site()
    async with Follower.of(node, site, "demo") as follower:
        await follower.expect("welcome")
        tell(site, *(f"Number {number}" for number in range(300)))
        await follower.expect("notification", seq=300)
        assert follower.numbers == list(range(1, 301))


@pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True)
async def test_many_topics_at_once_are_acked_as_fast_as_the_server_hears_it(node, packages, make_site):
    """Each says too little for its acks to be heard whatever else comes; all together it is many windows."""
    site = make_site()
    site.stack.manage("shell", "--no-imports", "--command", HIRE)
    topics = [f"staff.desk-{number}" for number in range(12)]
    async with Follower.of(node, site, "demo") as follower:
        for topic in topics:
            await follower.tell("subscribe", topic)
            await follower.expect("topic state", state="subscribed", topic=topic)
        await asyncio.to_thread(site.stack.manage, "shell", "--no-imports", "--command", SAY.format(topics=topics))
        for _ in range(12 * 25):
            await follower.expect("topic notification")
        await follower.tell("unsubscribe", topics[0])
        await follower.close()
        said = [(frame["topic"], frame["seq"]) for frame in follower.of_name("topic notification")]
        assert sorted(said) == sorted((topic, seq) for topic in topics for seq in range(1, 26))
        for topic in topics:
            assert [seq for name, seq in said if name == topic] == list(range(1, 26))
        assert not [*follower.of_name("error"), *follower.of_name("topic gap"), *follower.numbers]
        assert len(follower.of_name("welcome")) == 1, "nobody was too slow"


HIRE = """
from django.contrib.auth import get_user_model
get_user_model().objects.filter(username="demo").update(is_staff=True)
"""
SAY = """
from notifications.api import notify_topic
for number in range(25):
    for topic in {topics!r}:
        notify_topic(topic, title=str(number))
"""


async def test_it_keeps_a_grant_of_three_seconds_going(node, packages, make_site):
    """For four grants, and without ever being asked: it comes by itself."""
    site = make_site(TICKETS_GRANT_SECONDS="3")
    service = site.person("service")
    async with Follower.of(node, site, "demo") as follower:
        await follower.expect("welcome")
        for number in (1, 2, 3, 4):
            await follower.expect("reauth", state="done")
            await service.post("/api/notifications/", {"user": "demo", "title": f"{number}"})
            await follower.expect("notification", seq=number, replayed=False)
        await follower.close()
        assert follower.numbers == [1, 2, 3, 4]
        assert len(follower.of_name("welcome")) == 1, "all on one connection"
        assert not [change for change in follower.of_name("reauth") if change["state"] != "done"]


async def test_who_is_signed_out_is_told_to_sign_in(node, packages, make_site):
    site = make_site()
    async with Follower.of(node, site, "demo") as follower:
        await follower.expect("welcome")
        await follower.tell("sign out")
        await follower.expect("state", state="unauthorized", code=4501, need="login")


async def test_with_the_websocket_of_browsers(node, packages, make_site):
    """Node's own has their interface; before version 22 it must be asked for."""
    site = make_site()
    async with Follower.of(node, site, "demo", "--native", flags=["--experimental-websocket"]) as follower:
        await follower.expect("welcome")
        tell(site, "Hello")
        await follower.expect("notification", seq=1)
        site.server.kill()
        await follower.expect("state", state="waiting")
        site.server.start()
        await follower.expect("welcome", recovered=True)
        assert await follower.close() == 0
