"""What operators do from the command line, seen by people on another process."""

import asyncio
import json
import time

from tests.conftest import EACH_KIND_ONCE


def lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


async def manage(site, *arguments):
    return await asyncio.to_thread(site.stack.manage, *arguments)


async def listed(site, *arguments, count):
    """The list, as soon as it is so long: processes write it every two seconds."""
    deadline = time.monotonic() + 15
    while len(found := lines(await manage(site, "connections", "--json", *arguments))) != count:
        assert time.monotonic() < deadline, found
    return found


@EACH_KIND_ONCE
async def test_a_connection_is_listed_and_disconnected_on_another_process(make_site):
    # In one process alone nothing carries the announcement to another one: there the sweep is what finds it.
    site = make_site(NOTIFICATIONS_SWEEP_SECONDS="1")
    other = site.add_server()
    demo, alice = site.person("demo").at(other), site.person("alice")
    async with demo.connect() as socket, alice.connect() as stays:
        name = (await socket.expect("welcome"))["connection"]
        await stays.expect("welcome")
        row = next(each for each in await listed(site, count=2) if each["connection"] == name)
        assert (row["user"], row["network"], row["protocol"]) == ("demo", "127.0.0.0/24", "usher.v1")
        assert f":{other.pid}:" in row["server"]

        said = await manage(site, "connections", "--disconnect", name, "--yes", "--reason", "lost laptop")
        done = time.monotonic()
        assert "1 connections disconnected" in said
        bye = await socket.expect("bye", code=4500, timeout=10)
        assert bye.at - done < (1 if site.stack.kind == "scaled" else 4)
        assert await socket.closed() == 4500
        await stays.send({"type": "ping", "ref": "still here"})
        await stays.expect("pong", ref="still here")
    audited = [json.loads(line[line.index("{") :]) for line in said.splitlines() if "connection_disconnected" in line]
    assert [(line["connection"], line["why"]) for line in audited] == [(name, "lost laptop")]
    assert audited[0]["by"].startswith("os:")


@EACH_KIND_ONCE
async def test_a_ticket_is_listed_and_revoked_and_the_doctor_finds_the_site_well(make_site):
    site = make_site()
    demo = site.newcomer()
    ticket, spent = await demo.ticket(), await demo.ticket()
    async with demo.connect(ticket=spent) as socket:
        await socket.expect("welcome")
        said = await manage(site, "tickets", "list", "--user", demo.username, "--json")
        assert [row["state"] for row in lines(said) if "state" in row] == ["redeemed", "issued"]
        assert ticket not in said
        revoked = await manage(site, "tickets", "revoke", "--user", demo.username, "--yes")
        assert "1 tickets revoked" in revoked
        assert '"by": "os:' in revoked
        async with demo.connect(ticket=ticket) as late:
            await late.expect("bye", code=4402)

        said = await asyncio.to_thread(_examined, site)
        assert any(line["what"].startswith("site: the socket is at ws://") for line in lines(said))
        assert "notifications.E01" not in said, "it answers strangers as documented"
        await socket.send({"type": "ping", "ref": "1"})
        await socket.expect("pong", ref="1")
    assert not site.server.complaints()


def _examined(site):
    return site.stack.manage("doctor", "--json", "--url", site.server.http)
