"""A loyal client comes back with a new ticket, resumes, and forgets nothing that it received."""

import pytest

from tests.support.histories import Published, judge
from tests.support.loyal import Loyal, until
from tests.support.passes import passes
from tests.support.wires import Wire

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]


async def tell(site, someone):
    told = await site.person("service").post("/api/notifications/", {"user": someone.username, "title": "x"})
    return Published(someone.stream, told.json()["seq"], told.json()["id"])


async def test_it_comes_back_and_resumes(make_site):
    site = make_site()
    bob, carol = passes(site.stack, "bob", "carol")
    assert (bob.username, carol.username) == ("bob", "carol")
    async with Wire(site.server) as wire:
        loyal = Loyal(wire, bob, ping=0.3, patience=1.0)
        loyal.start()
        await loyal.welcomed()
        published = [await tell(site, bob)]
        await loyal.sockets[0].expect("notification", seq=1)
        for harm in (wire.cut, wire.hole):
            harm()
            published.append(await tell(site, bob))
            await until(lambda: not loyal.here, "end of the socket", 10)
            wire.mend()
            await loyal.welcomed()
        await until(lambda: loyal.sockets[-1].of("notification", seq=3), "the third", 10)
        await loyal.leave()
    assert loyal.reconnects == 2
    verdict = judge(published, [loyal.reader()])
    assert verdict.clean, str(verdict)
    assert (verdict.resets, verdict.skipped) == (0, 0)


async def test_it_stays_away_when_it_is_told_to(make_site):
    site = make_site(NOTIFICATIONS_SOCKETS_PER_USER="1")
    (bob,) = passes(site.stack, "bob")
    first, second = Loyal(site.server, bob), Loyal(site.server, bob)
    first.start()
    await first.welcomed()
    second.start()
    await second.welcomed()
    await until(lambda: first.gave_up == 4504, "4504", 10)
    assert second.here
    await second.leave()
    await first.leave()


async def test_it_waits_as_long_as_it_is_told_to(make_site):
    site = make_site(TICKETS_ISSUE_BURST="1", TICKETS_ISSUE_PER_MINUTE="30")
    (bob,) = passes(site.stack, "bob")
    first, second = Loyal(site.server, bob), Loyal(site.server, bob)
    first.start()
    await first.welcomed()
    second.start()
    await second.welcomed()
    assert second.answers[429] == 1
    await second.leave()
    await first.leave()
