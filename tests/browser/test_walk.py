"""A long walk: two hundred acts of a person with several pages and devices, in no order. Whatever happened, a page that
was never touched shows in the end what the database has."""

import asyncio
import random

import pytest

from tests.conftest import EACH_KIND_ONCE

from .test_inbox import LOST, live, tell

pytestmark = EACH_KIND_ONCE

ACTS = 200
KINDS = ["", "ci.build", "chat"]

# What a page shows: counters where they stand, and of each row its id, whether it is read and whether it is archived.
SHOWN = """() => ({
    unread: Number(document.querySelector('[data-number]').textContent),
    unseen: Number(document.querySelector('[data-badge]:not([hidden])')?.textContent ?? 0),
    title: Number(/^\\((\\d+)\\)/.exec(document.title)?.[1] ?? 0),
    rows: [...document.querySelectorAll('usher-inbox li')].map(row => [
        row.dataset.id,
        !row.classList.contains('usher-unread'),
        row.querySelector('[data-act=archived]').hidden,
    ]),
})"""

PRESS = """([state, at]) => {
    const buttons = [...document.querySelectorAll(`usher-inbox [data-act=${state}]:not([hidden])`)];
    buttons[Math.floor(at * buttons.length)]?.click();
}"""


class Walk:
    """The person's pages, their phone (REST) and whoever tells them something, led by one source of chance."""

    def __init__(self, site, person, browser, page, seed):
        self.site, self.person, self.browser, self.page = site, person, browser, page
        self.chance = random.Random(seed)

    async def step(self):
        act = self.chance.choice(
            [self.told, self.told, self.told, self.pressed, self.pressed, self.pressed, *self.rarely]
        )
        await act()

    @property
    def rarely(self):
        phone = [self.marked_on_the_phone, self.marked_through, self.muted]
        return [*phone, self.undone, self.all_read, self.looked_at_the_bell, self.elsewhere, self.off_and_on]

    async def told(self):
        for _ in range(self.chance.choice([1, 1, 1, 4])):
            await tell(self.site, self.person.username, title="something", kind=self.chance.choice(KINDS))

    async def pressed(self):
        state = self.chance.choice(["read", "unread", "archived", "unarchived"])
        await self.page.evaluate(PRESS, [state, self.chance.random()])

    async def marked_on_the_phone(self):
        items = (await self.person.get("/api/notifications/?limit=40")).json()["results"]
        ids = [item["id"] for item in items if self.chance.random() < 0.2]
        if ids:
            await self.person.post("/api/notifications/state/", {"ids": ids, "state": self.state()})

    async def marked_through(self):
        head = (await self.person.get("/api/notifications/?limit=1")).json()["head"]
        through = max(0, head - self.chance.randrange(15))
        await self.person.post("/api/notifications/state/", {"through": through, "state": self.state()})

    def state(self):
        return self.chance.choice(["seen", "read", "unread", "archived", "unarchived"])

    async def muted(self):
        body = {"kind": "chat", "muted": self.chance.random() < 0.5}
        await self.person.post("/api/preferences/", body)

    async def undone(self):
        await self.page.keyboard.press("z")

    async def all_read(self):
        await self.page.evaluate("document.querySelector('[data-part=all] button').click()")

    async def looked_at_the_bell(self):
        await self.page.evaluate("document.querySelector('usher-bell button').click()")

    async def elsewhere(self):
        await self.page.goto(self.site.server.http + self.chance.choice(["/", "/?show=unread", "/?show=archived"]))

    async def off_and_on(self):
        await self.browser.context.set_offline(True)
        await self.told()
        await asyncio.sleep(0.2)
        await self.browser.context.set_offline(False)


async def truth(person, rows):
    answer = (await person.get("/api/notifications/?limit=200")).json()
    items = [[item["id"], item["read"], item["archived"]] for item in answer["results"]]
    shown = {"unread": answer["unread"], "unseen": answer["unseen"], "title": answer["unread"]}
    return {**shown, "rows": items[:rows]}


async def is_true(person, page):
    shown = await page.evaluate(SHOWN)
    is_so = await truth(person, max(25, len(shown["rows"])))
    return shown, is_so


@pytest.mark.timeout(300)
async def test_a_page_that_was_never_touched_shows_what_the_database_has(site, profile):
    person, seed = site.newcomer(), random.randrange(10**6)
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        untouched = await browser.sign_in(person.username, site.stack.password_of(person.username))
        await live(untouched)
        await untouched.evaluate("window.untouched = true")
        before = await untouched.evaluate(SHOWN)
        page = await browser.page()
        walk = Walk(site, person, browser, page, seed)
        for _ in range(ACTS):
            await walk.step()
        await live(untouched)
        for _ in range(100):
            shown, is_so = await is_true(person, untouched)
            if shown == is_so:
                break
            await asyncio.sleep(0.2)
        assert shown == is_so, f"seed {seed}"
        assert shown["rows"] and shown != before, "there was something to show"
        assert await untouched.evaluate("window.untouched"), "it was never loaded anew"
