"""What crosses on its way: a page that the server rendered a moment ago, and what was heard or done since."""

import asyncio
import contextlib

import pytest
from playwright.async_api import expect

from .test_elements import badge, bell, opened, panel
from .test_inbox import LOST, live, tell, titles

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]


@contextlib.asynccontextmanager
async def on_its_way(page, pattern):
    """What the server answers inside is as of its beginning, and arrives at its end."""
    answered, release = asyncio.Event(), asyncio.Event()

    async def hold(route):
        answer = await route.fetch()
        answered.set()
        await release.wait()
        await route.fulfill(response=answer)

    await page.route(pattern, hold)
    try:
        yield answered
    finally:
        release.set()
        await page.unroute_all(behavior="wait")


async def tell_many(site, username, count):
    create = f"""
from django.contrib.auth import get_user_model; from notifications.api import notify
for n in range(1, {count} + 1): notify(get_user_model().objects.get(username="{username}"), title=f"number {{n}}")
"""
    await asyncio.to_thread(site.stack.manage, "shell", "-c", create)


def numbers(first, last):
    return [f"number {n}" for n in range(first, last - 1, -1)]


HIDDEN = "Object.defineProperty(document, 'visibilityState', { get: () => window.isHidden ? 'hidden' : 'visible' })"
REFRESH = "void document.querySelector('usher-inbox').refresh()"


async def test_who_arrives_and_what_is_done_while_the_list_is_on_its_way(site, profile):
    person = site.newcomer()
    for title in ("first", "second"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person)
        async with on_its_way(page, site.server.http + "/") as answered:
            await page.evaluate(REFRESH)
            await answered.wait()
            await tell(site, person.username, title="newcomer")
            await expect(titles(page)).to_have_text(["newcomer", "second", "first"])
            await page.locator("usher-inbox li", has_text="first").focus()
            await page.keyboard.press("e")
            await page.locator("usher-inbox li", has_text="second").focus()
            await page.keyboard.press("u")
            await expect(page).to_have_title("(1) Inbox · Usher")
        await expect(page.locator("[data-rows]")).not_to_have_attribute("aria-busy", "true")
        await expect(titles(page)).to_have_text(["newcomer", "second"])
        await expect(page.locator("usher-inbox .usher-unread [data-title]")).to_have_text(["newcomer"])


async def test_a_search_while_something_arrives_is_still_a_search(site, profile):
    person = site.newcomer()
    for title in ("an apple", "a pear"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person)
        async with on_its_way(page, "**/?*q=apple*") as answered:
            await page.get_by_role("searchbox").fill("apple")
            await answered.wait()
            await tell(site, person.username, title="another apple")
            await expect(badge(page)).to_have_text("1")
        await expect(titles(page)).to_have_text(["another apple", "an apple"])
        assert page.url.endswith("q=apple")


async def test_a_page_that_was_kept_shows_what_it_missed_once_and_in_order(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="before")
    async with profile(site.server.http) as browser:
        await browser.context.add_init_script("delete globalThis.SharedWorker")
        page = await opened(browser, site, person)
        await page.evaluate("document.dispatchEvent(new Event('freeze'))")
        await expect(page.locator("usher-status")).to_have_attribute("data-state", "closed")
        await tell_many(site, person.username, 27)
        async with on_its_way(page, "**/api/tickets/"):  # so that the list is there before the replay
            await page.evaluate("document.dispatchEvent(new Event('resume'))")
            await expect(titles(page)).to_have_text(numbers(27, 3))
        await live(page)
        await tell(site, person.username, title="number 28")
        await expect(titles(page).first).to_have_text("number 28")
        await expect(titles(page)).to_have_text(numbers(28, 3))
        await expect(page).to_have_title("(29) Inbox · Usher")


async def test_a_list_that_is_left_open_does_not_grow_for_ever(site, profile):
    person = site.newcomer()
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person)
        await tell_many(site, person.username, 120)
        await expect(titles(page).first).to_have_text("number 120")
        shown = await titles(page).all_text_contents()
        assert 25 <= len(shown) <= 100
        assert shown == numbers(120, 121 - len(shown))
        await expect(page.get_by_role("link", name="Older")).to_be_visible()


async def test_what_cannot_be_saved_is_taken_back_where_it_stood(site, profile):
    person = site.newcomer()
    for title in ("first", "second", "third"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        page = await opened(browser, site, person)
        await browser.context.set_offline(True)
        await expect(page.locator("usher-status")).to_contain_text("You are offline")
        await page.locator("usher-inbox li", has_text="second").focus()
        await page.keyboard.press("e")
        await expect(page.get_by_text("That could not be saved")).to_be_visible()
        await expect(titles(page)).to_have_text(["third", "second", "first"])
        await page.locator("usher-inbox li", has_text="first").focus()
        await page.keyboard.press("u")
        await expect(page.locator("usher-inbox .usher-unread")).to_have_count(3)


async def test_archiving_the_one_that_was_linked_to_leaves_the_list_where_it_is(site, profile):
    person = site.newcomer()
    await tell_many(site, person.username, 60)
    items = (await person.get("/api/notifications/?limit=60")).json()["results"]
    wanted = next(item["id"] for item in items if item["title"] == "number 30")
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person, f"/?at={wanted}#usher-{wanted}")
        await expect(titles(page)).to_have_text(numbers(35, 11))
        await expect(page.locator("usher-inbox li", has_text="number 30")).to_be_focused()
        await page.keyboard.press("e")
        await expect(titles(page)).to_have_text([*numbers(35, 31), *numbers(29, 10)])
        await expect(page.get_by_role("link", name="All", exact=True)).to_have_attribute("aria-current", "page")


async def test_who_arrives_while_the_panel_is_being_filled_stands_there_once(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="first")
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person, "/devices/")
        await bell(page).click()
        await expect(panel(page).locator("[data-title]")).to_have_text(["first"])
        await page.keyboard.press("Escape")
        async with on_its_way(page, "**/api/notifications/?*") as answered:
            await bell(page).click()
            await answered.wait()
            await tell(site, person.username, title="newcomer")
            await expect(panel(page).locator("[data-title]")).to_have_text(["newcomer", "first"])
        await expect(panel(page).locator(".usher-panel-body")).not_to_have_attribute("aria-busy", "true")
        await expect(panel(page).locator("[data-title]")).to_have_text(["newcomer", "first"])


async def test_nobody_has_seen_what_came_into_an_open_panel_of_a_hidden_page(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="first")
    async with profile(site.server.http) as browser:
        await browser.context.add_init_script(HIDDEN)
        page = await opened(browser, site, person, "/devices/")
        await bell(page).click()
        await expect(badge(page)).to_be_hidden()
        await page.evaluate("isHidden = true")
        await page.evaluate("document.dispatchEvent(new Event('freeze'))")
        await tell(site, person.username, title="second")
        await page.evaluate("document.dispatchEvent(new Event('resume'))")
        await expect(panel(page).locator("[data-title]")).to_have_text(["second", "first"])
        await tell(site, person.username, title="third")
        await expect(badge(page)).to_have_text("2")


async def test_a_page_of_somebody_who_signed_out_changes_nothing_for_whoever_is_next(site, profile):
    first, second = site.newcomer(), site.newcomer()
    for person in (first, second):
        await tell(site, person.username, title="x", kind="ci.build")
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        preferences = await opened(browser, site, first, "/preferences/")
        devices = await browser.page("/devices/")
        elsewhere = await browser.page()
        for page in (preferences, devices, elsewhere):
            await live(page)
        far = site.person(second.username)
        await elsewhere.get_by_role("button", name="Sign out").click()
        await expect(preferences.locator("[data-notice]")).to_contain_text("Your session has ended")
        await elsewhere.get_by_label("Name").fill(second.username)
        await elsewhere.get_by_label("Password").fill(site.stack.password_of(second.username))
        await elsewhere.get_by_role("button", name="Sign in").click()
        await live(elsewhere)
        await preferences.get_by_role("switch", name="ci.build").click()
        await devices.evaluate("document.querySelector('[value=others]').disabled = false")
        await devices.get_by_role("button", name="Sign out all others").click()
        await expect(devices.locator("[data-username]")).to_have_text(second.username)  # loaded anew
        await expect(preferences.locator("[data-username]")).to_have_text(second.username)
        kinds = (await far.get("/api/preferences/")).json()["results"]
        assert [(each["kind"], each["muted"]) for each in kinds] == [("ci.build", False)]
