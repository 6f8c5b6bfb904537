"""What docs/clients/stomp.md shows, through the bad days: expiry, a server that dies, staff that disconnects."""

import asyncio
import re
import sys

import pytest

from tests.conftest import EACH_KIND_ONCE
from tests.support.processes import ROOT, wait_until

PAGE = (ROOT / "docs" / "clients" / "stomp.md").read_text()

TELL = """
from django.contrib.auth import get_user_model
from notifications.api import notify
demo = get_user_model().objects.get(username="demo")
for title in {titles!r}:
    notify(demo, title=title)
"""


def tell(site, *titles):
    """From a process of its own; works while no server does."""
    site.stack.manage("shell", "--no-imports", "--command", TELL.format(titles=list(titles)))


def listen(remote, site):
    return remote("listen.mjs", site.server.http, "demo", site.stack.password_of("demo"))


def numbers(client):
    return [notification["seq"] for notification in client.of_name("notification")]


@EACH_KIND_ONCE
async def test_stompjs_through_expiries_and_the_death_of_its_server(make_site, remote):
    site = make_site(TICKETS_GRANT_SECONDS="3")
    async with listen(remote, site) as client:
        await client.expect("connected")
        tell(site, "one")
        await client.expect("notification", seq=1)
        await client.expect("control", type="reauth_required", reason="session_expired")
        await client.expect("control", type="reauthenticated")
        tell(site, "two")
        await client.expect("notification", seq=2)
        assert len(client.of_name("connected")) == 1, "all on one connection"

        site.server.kill()
        await client.expect("closed")
        tell(site, "nobody was there", "nor then")
        site.server.start()
        await client.expect("connected")
        await client.expect("notification", seq=3, replayed=True)
        await client.expect("notification", seq=4, replayed=True)
        tell(site, "five")
        await client.expect("notification", seq=5)
        tell(site, *(f"Number {number}" for number in range(200)))  # more than a window
        await client.expect("notification", seq=205)
        assert numbers(client) == list(range(1, 206))


@EACH_KIND_ONCE
async def test_stompjs_stays_away_when_staff_disconnects_it(make_site, remote):
    site = make_site(NOTIFICATIONS_SWEEP_SECONDS="1")
    mine = ("connections", "--user", "demo")
    async with listen(remote, site) as client:
        await client.expect("connected")
        wait_until(lambda: "v12.stomp" in site.stack.manage(*mine), timeout=20, what="row of it")
        site.stack.manage(*mine, "--disconnect", "--yes")
        await client.expect("end", why="disconnected_by_staff")
        await client.expect("closed", code=4500)
        assert client.of_name("state")[-1] == {"state": 2}, "inactive: no attempt is planned"
        assert len(client.of_name("ticket")) == len(client.of_name("connected")) == 1


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
@pytest.mark.parametrize("server_kind", ["daphne"], indirect=True)
async def test_what_is_held_arrives_in_order_and_a_missed_deadline_is_told(make_site, remote):
    """Without the snippet, which would re-authenticate at once."""
    site = make_site(TICKETS_GRANT_SECONDS="3", NOTIFICATIONS_GRACE_SECONDS="6")
    demo = site.person("demo")
    async with remote("stompjs.mjs") as client:
        headers = {"login": "demo", "passcode": await demo.ticket()}
        await client.tell("open", url=f"{site.server.ws}/stomp", protocols=["v12.stomp"], headers=headers)
        await client.expect("connected")
        for number, place in enumerate(("control", "notifications")):
            await client.tell(
                "subscribe", destination=f"/user/queue/{place}", id=str(number), headers={"receipt": place}
            )
            await client.expect("receipt", **{"receipt-id": place})
        required = await client.expect("message")
        assert required["body"]["type"] == "reauth_required"
        tell(site, "held 1", "held 2", "held 3")
        reauth = {"receipt": "again", "ticket": await demo.ticket("reauth")}
        assert [message["body"]["type"] for message in client.of_name("message")] == ["reauth_required"]
        await client.tell("send", destination="/app/reauth", headers=reauth)
        await client.expect("receipt", **{"receipt-id": "again"})
        error = await client.expect("error")
        assert (error["headers"]["message"], error["headers"]["x-reconnect"]) == ("token_expired", "true")
        await client.expect("closed", code=4401)
        numbers = [message["headers"].get("x-seq") for message in client.of_name("message")]
        assert list(filter(None, numbers)) == ["1", "2", "3"]


RUN = """
import sys, threading
import httpx

{code}

def post(path, body, **headers):
    answer = httpx.post("{http}" + path, json=body, headers=headers)
    answer.raise_for_status()
    return answer.json()

def get_ticket():
    access = post("/api/token/", {{"username": "demo", "password": "demo"}})["access"]
    return post("/api/tickets/", {{}}, Authorization=f"Bearer {{access}}")["ticket"]

connection = listen("127.0.0.1", {port}, get_ticket)
print("listening", flush=True)
sys.stdin.readline()
connection.disconnect()
"""


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
@pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True)
async def test_stomp_py(make_site):
    site = make_site(TICKETS_GRANT_SECONDS="3")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    script = RUN.format(code=code, http=site.server.http, port=site.server.port)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"listening\n"
            tell(site, "one")
            assert await process.stdout.readline() == b"one\n"
            wait_until(
                lambda: site.server.log().count('"act": "ticket_redeemed"') == 2, timeout=20, what="second ticket"
            )
            tell(site, "on it goes")
            assert await process.stdout.readline() == b"on it goes\n"
            process.stdin.write(b"\n")
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
