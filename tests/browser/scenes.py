"""People whom staff acts on: what is theirs is opened, whether it was harmed can be asked, and when it was felt."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from playwright.async_api import expect

from tests.support.client import Person

from .test_inbox import LOST, live, titles

ENDED = {"code": 4500, "reason": "disconnected_by_staff", "reconnect": False, "need": "login"}


@dataclass(frozen=True)
class Scene:
    chosen: int
    """The newest so many rows of theirs are to be acted on."""
    unharmed: Callable[[], None]
    """Fails if they have felt anything yet."""
    felt: Callable[[], Awaitable[float]]
    """When the last of the chosen felt it, on the monotonic clock. Asked once staff was told that it is done."""
    after: Callable[[], Awaitable[None]]
    """Fails if others have felt it, or the chosen are not left as they should be."""


@contextlib.asynccontextmanager
async def tickets(person, _profile):
    """Of somebody who has two. Whether one was revoked only using it tells; the list says that it was not."""
    spare, chosen = await person.ticket(), await person.ticket()

    async def felt():
        async with person.connect(ticket=chosen) as socket:
            await socket.expect("bye", code=4402)
        return time.monotonic()

    async def after():
        async with person.connect(ticket=spare) as socket:
            await socket.expect("welcome")

    yield Scene(1, lambda: None, felt, after)


@contextlib.asynccontextmanager
async def session_tickets(person, _profile):
    """Two of one login session, one of another that they had before; and a socket, which stays."""
    spare = await person.ticket()
    await person.token()
    theirs = [await person.ticket() for _ in range(2)]
    async with person.connect() as socket:

        async def felt():
            for ticket in theirs:
                async with person.connect(ticket=ticket) as late:
                    await late.expect("bye", code=4402)
            return time.monotonic()

        async def after():
            await still_there(socket)
            for ticket in (spare, await person.ticket()):
                async with person.connect(ticket=ticket) as other:
                    await other.expect("welcome")

        yield Scene(1, lambda: None, felt, after)


def connections(then, word, **fields):
    """Two, and one that was opened before them. Each of the two hears `word`; `then(person, socket)` is their end."""

    @contextlib.asynccontextmanager
    async def scene(person, _profile):
        async with person.connect() as spare, person.connect() as one, person.connect() as other:

            def unharmed():
                assert not [frame for socket in (spare, one, other) for frame in socket.of(word)]

            async def felt():
                return max([(await socket.expect(word, **fields)).at for socket in (one, other)])

            async def after():
                await still_there(spare)
                assert not spare.of(word)
                for socket in (one, other):
                    await then(person, socket)

            yield Scene(2, unharmed, felt, after)

    return scene


async def still_there(socket):
    await socket.send({"type": "ping", "ref": "there"})
    await socket.expect("pong", ref="there")


async def is_closed(person, socket):
    assert await socket.closed() == 4500
    async with person.connect() as again:  # whose login session lives on
        await again.expect("welcome")


async def goes_on(person, socket):
    await socket.send({"type": "reauth", "ticket": await person.ticket("reauth"), "ref": "again"})
    await socket.expect("reauthenticated", ref="again")


@contextlib.asynccontextmanager
async def at_the_inbox(person, profile, seen):
    """A page of theirs and a socket; `seen(page)` is awaited beside the test, and what it saw when is a task's."""
    async with profile(person.server.http) as browser, person.connect() as socket:
        browser.expected = LOST
        page = await browser.sign_in(person.username, person.password)
        await live(page)

        async def watch():
            await seen(page)
            return time.monotonic()

        watching = asyncio.create_task(watch())
        try:
            yield page, socket, watching
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


@contextlib.asynccontextmanager
async def sessions(person, profile):
    """One of a page and one of a socket. Somebody else is spared."""

    async def seen(page):
        await expect(page.locator("[data-notice]")).to_contain_text("Your session has ended", timeout=90_000)

    async with (
        Person(person.server, "alice").connect() as spare,
        at_the_inbox(person, profile, seen) as (*_, socket, it),
    ):

        def unharmed():
            assert not it.done() and not socket.of("bye")

        async def felt():
            return max((await socket.expect("bye", **ENDED)).at, await it)

        async def after():
            assert await socket.closed() == 4500
            assert (await person.post("/api/tickets/")).status_code == 401
            await still_there(spare)

        yield Scene(2, unharmed, felt, after)


def inbox(title):
    """A page and a socket of one person, who is told `title`, once. Somebody else is not."""

    async def seen(page):
        await expect(page.locator(".usher-toast").first).to_contain_text(title, timeout=90_000)

    @contextlib.asynccontextmanager
    async def scene(person, profile):
        alice = Person(person.server, "alice")
        async with alice.connect() as spare, at_the_inbox(person, profile, seen) as (page, socket, it):

            def unharmed():
                assert not it.done() and not socket.of("notification")

            async def felt():
                return max((await socket.expect("notification", title=title)).at, await it)

            async def after():
                await expect(titles(page)).to_have_text([title])
                await still_there(spare)
                assert not spare.of("notification", title=title)

            yield Scene(2, unharmed, felt, after)

    return scene
