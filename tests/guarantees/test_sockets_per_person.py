"""A person has at most so many sockets, in all processes together: the newest win, and the oldest are told why."""

import asyncio
import contextlib
import time

import pytest

from tests.conftest import Site

MOST = 4
LIMITED = {"NOTIFICATIONS_SOCKETS_PER_USER": str(MOST), "NOTIFICATIONS_SWEEP_SECONDS": "2"}
PATIENCE = 30


async def open_alternately(site: Site, stack: contextlib.AsyncExitStack, count: int) -> list:
    """So many sockets of one person, each at the next process, one after the other."""
    person = site.newcomer()
    await person.token()
    sockets = []
    for number in range(count):
        server = site.servers[number % len(site.servers)]
        socket = await stack.enter_async_context(person.at(server).connect())
        await socket.expect("welcome")
        sockets.append(socket)
    return sockets


async def check_newest_stay(site: Site, sockets: list) -> None:
    """Of these sockets, in the order they opened, all but the newest are closed with 4504, and the others serve."""
    oldest, newest = sockets[:-MOST], sockets[-MOST:]
    deadline = time.monotonic() + PATIENCE
    while any(not socket.of("bye") for socket in oldest):
        assert time.monotonic() < deadline, f"{sum(not s.of('bye') for s in oldest)} too many stay"
        await asyncio.sleep(0.1)
    for socket in oldest:
        bye = await socket.expect("bye", code=4504, reason="too_many_connections", reconnect=False, need="nothing")
        assert bye and await socket.closed() == 4504
    for socket in newest:
        await socket.send({"type": "ping", "ref": "still here"})
        await socket.expect("pong", ref="still here")
        assert not socket.of("bye")


@pytest.mark.timeout(180)
async def test_the_newest_stay_wherever_they_are(make_site):
    # Without Redis nothing carries the announcement to the other process: there its own look is what finds it.
    site = make_site(**LIMITED)
    site.add_server()
    async with contextlib.AsyncExitStack() as stack:
        sockets = await open_alternately(site, stack, MOST + 2)
        await check_newest_stay(site, sockets)
        # Nobody else is hurt, and as many as somebody may have are left alone.
        others = await open_alternately(site, stack, MOST)
        await check_newest_stay(site, others)
    assert not [line for server in site.servers for line in server.complaints()]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("stack_kind", ["scaled"], indirect=True)
@pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True)
async def test_a_process_that_was_killed_holds_no_place(make_site):
    site = make_site(**LIMITED, NOTIFICATIONS_PRESENCE_SECONDS="1")
    other = site.add_server()
    async with contextlib.AsyncExitStack() as stack:
        person = site.newcomer()
        await person.token()
        for _ in range(MOST):
            socket = await stack.enter_async_context(person.at(other).connect())
            await socket.expect("welcome")
        await asyncio.sleep(3)  # longer than a pass: they are on the list
        other.kill()
        await asyncio.sleep(4)  # longer than a lease: they are not believed any more
        back = [await stack.enter_async_context(person.at(site.server).connect()) for _ in range(MOST)]
        for socket in back:
            await socket.expect("welcome")
        await back[0].silence(6)
        await check_newest_stay(site, back)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("stack_kind", ["scaled"], indirect=True)
@pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True)
async def test_counting_in_each_process_does_not_pass(stacks, stack_kind, server_kind):
    from tests.support.servers import Server

    site = Site(stacks.make(stack_kind, **LIMITED, NAIVE="each_process_for_itself"), server_kind)
    try:
        for _ in range(2):
            site.servers.append(Server(server_kind, site.stack, application="tests.guarantees.naive:application"))
        async with contextlib.AsyncExitStack() as stack:
            sockets = await open_alternately(site, stack, MOST + 2)
            with pytest.raises(AssertionError, match="2 too many stay"):
                await check_newest_stay(site, sockets)
    finally:
        site.stop()
        site.stack.stop()
