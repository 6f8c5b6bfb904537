"""The trip of an expiry: the grant ends, delivery stops, a fresh ticket brings everything held, in order."""

import asyncio
import json
import sys

import pytest

from tests.conftest import EACH_KIND_ONCE
from tests.support.processes import ROOT


@EACH_KIND_ONCE
async def test_an_expiry(make_site):
    site = make_site(TICKETS_GRANT_SECONDS="3")
    demo = site.person("demo")
    async with demo.connect() as socket:
        welcome = await socket.expect("welcome", grace_seconds=60.0)
        required = await socket.expect("reauth_required", reason="session_expired")
        assert required["deadline"] > welcome["expires_at"]

        for number in (1, 2, 3):
            site.stack.manage("notify", "demo", "--title", f"held {number}")
        await socket.silence(2.5)  # longer than the position sync, which would be the last to bring it

        await socket.send({"type": "reauth", "ticket": await demo.ticket("reauth"), "ref": "again"})
        again = await socket.expect("reauthenticated", held=3, ref="again")
        assert again["expires_at"] > welcome["expires_at"]
        held = await socket.expect_many(3, "notification")
        assert [(frame["seq"], frame["replayed"]) for frame in held] == [(1, True), (2, True), (3, True)]
        await socket.expect("caught_up", cursor=3)

        # And so on, from expiry to expiry.
        await socket.expect("reauth_required")
        site.stack.manage("notify", "demo", "--title", "after")
        await socket.send({"type": "reauth", "ticket": await demo.ticket("reauth")})
        await socket.expect("notification", seq=4)
        assert [frame["seq"] for frame in socket.of("notification")] == [1, 2, 3, 4]


@EACH_KIND_ONCE
async def test_a_missed_deadline(make_site):
    site = make_site(TICKETS_GRANT_SECONDS="1", NOTIFICATIONS_GRACE_SECONDS="1")
    demo = site.person("demo")
    async with demo.connect() as socket:
        await socket.expect("reauth_required", timeout=10)
        await socket.expect("bye", timeout=10, code=4401, reason="session_expired", reconnect=True, need="ticket")
        assert await socket.closed() == 4401
        position = socket.position
    site.stack.manage("notify", "demo", "--title", "while away")
    async with demo.connect(since=position) as socket:
        await socket.expect("notification", seq=1, replayed=True)


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_the_policy_close(make_site):
    site = make_site(TICKETS_GRANT_SECONDS="1", NOTIFICATIONS_ON_EXPIRY="close")
    async with site.person("demo").connect() as socket:
        await socket.expect("bye", timeout=10, code=4401)
        assert not socket.of("reauth_required")


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_the_policy_ignore(make_site):
    site = make_site(TICKETS_GRANT_SECONDS="1", NOTIFICATIONS_ON_EXPIRY="ignore")
    async with site.person("demo").connect() as socket:
        await socket.expect("welcome")
        await socket.silence(2.5)
        site.stack.manage("notify", "demo", "--title", "unasked")
        await socket.expect("notification", timeout=10, seq=1)


class Terminal:
    """docs/client.py, as a person would start it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.frames: list[dict] = []

    @classmethod
    async def start(cls, site, username: str, password: str) -> "Terminal":
        command = [sys.executable, str(ROOT / "docs" / "client.py"), site.server.http, username, password]
        return cls(await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE))

    async def expect(self, kind: str, **fields: object) -> dict:
        async with asyncio.timeout(20):
            while line := await self.process.stdout.readline():
                frame = json.loads(line)
                self.frames.append(frame)
                if frame["type"] == kind and all(frame.get(name) == value for name, value in fields.items()):
                    return frame
        raise AssertionError(f"the client ended without {kind} {fields}; it heard {self.frames}")

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()


@EACH_KIND_ONCE
async def test_the_client_in_the_docs(make_site):
    """It gets a token, a ticket, a socket, a notification from another process, an expiry, and all that was held."""
    site = make_site(TICKETS_GRANT_SECONDS="3")
    terminal = await Terminal.start(site, "demo", "demo")
    try:
        await terminal.expect("welcome")
        site.stack.manage("notify", "demo", "--title", "Hello")
        await terminal.expect("notification", seq=1, title="Hello")
        await terminal.expect("reauth_required")
        await terminal.expect("reauthenticated")
        site.stack.manage("notify", "demo", "--title", "and on")
        await terminal.expect("notification", seq=2)

        # A server that goes away without a word, and comes back.
        site.server.kill()
        await terminal.expect("offline")
        site.stack.manage("notify", "demo", "--title", "nobody was there")
        site.server.start()
        await terminal.expect("welcome", recovered=True)
        await terminal.expect("notification", seq=3, title="nobody was there")
        heard = [frame["seq"] for frame in terminal.frames if frame["type"] == "notification"]
        assert heard == [1, 2, 3]
    finally:
        await terminal.stop()
