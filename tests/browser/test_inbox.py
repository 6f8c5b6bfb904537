"""The inbox in a real browser: what a person sees when something happens, and when something breaks."""

import asyncio
import re
import time

import pytest
from playwright.async_api import expect

from tests.conftest import EACH_KIND_ONCE
from tests.support.client import Person
from tests.support.processes import wait_until
from tests.support.servers import Server

from .conftest import Wire, fill_in

# What depends on the page alone.
ONCE = pytest.mark.parametrize(("stack_kind", "server_kind"), [("scaled", "uvicorn")], indirect=True)

# What a browser says on its console when a server or a network is taken away from it.
LOST = ["WebSocket connection to", "net::ERR_", "Failed to load resource"]
LONG_WAIT = re.compile(r"([3-9]|\d\d) seconds")

_services: dict[Server, Person] = {}


async def tell(site, username, **said):
    """By somebody who may, over REST."""
    answer = await services(site).post("/api/notifications/", {"user": username, **said})
    assert answer.status_code == 201, answer.text


async def tell_from_elsewhere(site, username, **said):
    """`manage.py notify` in another process."""
    options = [part for name, value in said.items() for part in (f"--{name}", value)]
    await asyncio.to_thread(site.stack.manage, "notify", username, *options)


def services(site):
    """Signed in once for all that a site's tests have to tell."""
    if site.server not in _services:
        _services[site.server] = site.person("service")
    return _services[site.server]


async def live(page):
    await expect(page.locator("usher-status")).to_have_attribute("data-state", "connected")


def titles(page):
    return page.locator("usher-inbox [data-title]")


@EACH_KIND_ONCE
async def test_a_notification_appears_as_a_toast_and_a_row(site, profile):
    person = site.newcomer()
    async with profile(site.server.http) as browser:
        page = await browser.sign_in(person.username, site.stack.password_of(person.username))
        await live(page)
        await expect(page.get_by_text("Nothing here yet")).to_be_visible()
        said = {"title": "Hello", "body": "From another terminal.", "level": "success", "url": "/?show=all"}
        await tell_from_elsewhere(site, person.username, **said)
        committed = time.monotonic()
        await expect(page.locator(".usher-toast")).to_contain_text("Hello")
        await expect(titles(page)).to_have_text(["Hello"])
        assert time.monotonic() - committed < 20, "two seconds are promised"
        await expect(page).to_have_title("(1) Inbox · Usher")
        await expect(page.locator("[data-part=unread]")).to_contain_text("1")
        assert await titles(page).first.get_attribute("href") == "/?show=all"
        await expect(page.get_by_text("Nothing here yet")).to_be_hidden()


@ONCE
async def test_marking_and_archiving(site, profile):
    person = site.newcomer()
    for title in ("first", "second", "third"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http) as browser:
        page = await browser.sign_in(person.username, site.stack.password_of(person.username))
        await live(page)
        await page.get_by_role("button", name="Mark read", exact=True).first.click()
        await expect(page).to_have_title("(2) Inbox · Usher")
        await page.get_by_role("button", name="Archive").nth(1).click()
        await expect(titles(page)).to_have_text(["third", "first"])
        await expect(page).to_have_title("(1) Inbox · Usher")
        await page.get_by_role("button", name="Mark all read").click()
        await expect(page).to_have_title("Inbox · Usher")
        await expect(page.get_by_role("button", name="Mark all read")).to_be_disabled()
        await page.get_by_role("link", name="Archived").click()
        await page.get_by_role("button", name="Back to inbox").click()
        await expect(titles(page)).to_have_count(0)


@ONCE
async def test_a_second_tab_follows(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="first")
    async with profile(site.server.http) as browser:
        one = await browser.sign_in(person.username, site.stack.password_of(person.username))
        other = await browser.page("/?show=unread")
        await live(one)
        await live(other)
        await one.get_by_role("button", name="Mark read", exact=True).click()
        await expect(titles(other)).to_have_count(0)
        await expect(other).to_have_title("Inbox · Usher")
        await tell(site, person.username, title="second")
        await expect(titles(other)).to_have_text(["second"])
        await expect(titles(one)).to_have_text(["second", "first"])


@EACH_KIND_ONCE
async def test_the_server_restarts(make_site, profile):
    site = make_site()
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        page = await browser.sign_in("demo")
        await live(page)
        await tell(site, "demo", title="before")
        await expect(titles(page)).to_have_text(["before"])
        site.server.kill()
        await tell_from_elsewhere(site, "demo", title="nobody was there")
        await expect(page.locator("usher-status")).to_contain_text("Connection lost")
        await asyncio.to_thread(site.server.start)
        await live(page)
        await tell(site, "demo", title="after")
        await expect(titles(page)).to_have_text(["after", "nobody was there", "before"])
        await expect(page).to_have_title("(3) Inbox · Usher")


@EACH_KIND_ONCE
async def test_the_network_is_cut_and_comes_back(site, profile):
    person = site.newcomer()
    async with Wire(site.server.port) as wire, profile(wire.base) as browser:
        browser.expected = LOST
        page = await browser.sign_in(person.username, site.stack.password_of(person.username))
        await live(page)
        wire.cut()
        await tell(site, person.username, title="unheard")
        await expect(page.locator("usher-status")).to_contain_text("Connection lost")
        await expect(titles(page)).to_have_count(0)
        # Long enough for whoever wants to press the button before the client tries again by itself.
        await expect(page.locator("usher-status")).to_contain_text(LONG_WAIT, timeout=60_000)
        wire.mend()
        await page.get_by_role("button", name="Try now").click()
        await expect(titles(page)).to_have_text(["unheard"])
        await live(page)


@EACH_KIND_ONCE
async def test_an_expired_grant_is_renewed_without_a_word_by_whichever_tab_is_left(make_site, profile):
    site = make_site(TICKETS_GRANT_SECONDS="3")
    async with profile(site.server.http) as browser:
        page = await browser.sign_in("demo")
        await live(page)
        said = []
        await page.expose_function("said", lambda state: said.append(state))
        await page.evaluate(
            "new MutationObserver(() => said(document.querySelector('usher-status').dataset.state))"
            ".observe(document.querySelector('usher-status'), {attributes: true})"
        )
        # The one that was looked at last fetches the tickets of all.
        leader = await browser.page("/devices/")
        await live(leader)
        await leader.close()
        await asyncio.sleep(7)  # two grants
        await tell(site, "demo", title="still here")
        await expect(titles(page)).to_have_text(["still here"])
        assert said == [], "the person noticed"
        assert site.server.log().count("open connection=") == 1


@EACH_KIND_ONCE
async def test_a_session_that_was_ended_elsewhere_goes_on_after_a_new_sign_in(site, profile):
    person = site.newcomer()
    password = site.stack.password_of(person.username)
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        page = await browser.sign_in(person.username, password)
        other = await browser.page("/preferences/")
        await live(page)
        await live(other)
        await person.post("/api/sessions/end-others/", {})
        for each in (page, other):
            await expect(each.locator("[data-notice]")).to_contain_text("Your session has ended")
        await tell(site, person.username, title="held")
        await asyncio.sleep(1)
        await expect(titles(page)).to_have_count(0)
        async with browser.context.expect_page() as opened:
            await page.get_by_role("link", name="Sign in again").click()
        await fill_in(await opened.value, person.username, password)
        for each in (page, other):
            await live(each)
        await expect(titles(page)).to_have_text(["held"])
        await expect(page.locator(".usher-toast")).to_have_count(0)


@ONCE
async def test_the_session_ends_and_the_page_stays(site, profile):
    person = site.newcomer()
    password = site.stack.password_of(person.username)
    await tell(site, person.username, title="stays")
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        page = await browser.sign_in(person.username, password)
        await live(page)
        elsewhere = await browser.page()  # the same browser session, another tab
        await live(elsewhere)
        await elsewhere.get_by_role("button", name="Sign out").click()
        await expect(elsewhere.get_by_role("heading", name="Sign in")).to_be_visible()
        await expect(page.locator("[data-notice]")).to_contain_text("Your session has ended")
        await expect(titles(page)).to_have_text(["stays"])
        await tell(site, person.username, title="not for a stranger")
        await fill_in(elsewhere, person.username, password)
        await live(page)  # by itself: the tab that signed in has opened the connection that all of them share
        await expect(titles(page)).to_have_text(["not for a stranger", "stays"])
        await expect(page.locator("[data-notice]")).to_be_hidden()


@ONCE
async def test_whoever_signs_in_next_sees_nothing_of_whoever_was_there(site, profile):
    first, second = site.newcomer(), site.newcomer()
    await tell(site, first.username, title="for the first")
    await tell(site, second.username, title="for the second")
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        left_open = await browser.sign_in(first.username, site.stack.password_of(first.username))
        await live(left_open)
        elsewhere = await browser.page()
        await elsewhere.get_by_role("button", name="Sign out").click()
        await fill_in(elsewhere, second.username, site.stack.password_of(second.username))
        await live(elsewhere)
        await expect(left_open.locator("[data-notice]")).to_contain_text("Your session has ended")
        await left_open.get_by_role("button", name="Go on").click()
        await expect(titles(left_open)).to_have_text(["for the second"])
        await expect(left_open.locator("[data-username]")).to_have_text(second.username)
        await live(left_open)


@EACH_KIND_ONCE
async def test_signing_out_closes_the_socket(site, profile):
    person = site.newcomer()
    async with profile(site.server.http) as browser:
        page = await browser.sign_in(person.username, site.stack.password_of(person.username))
        await live(page)
        before = site.server.log_size()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await asyncio.to_thread(
            wait_until, lambda: "close connection" in site.server.log_since(before), timeout=10, what="close"
        )


@ONCE
async def test_ten_tabs_have_one_socket_and_the_next_page_has_it_too(site, profile):
    person = site.newcomer()
    before = site.server.log_size()

    def opened():
        return site.server.log_since(before).count("open connection=")

    async with profile(site.server.http) as browser:
        pages = [await browser.sign_in(person.username, site.stack.password_of(person.username))]
        pages += [await browser.page() for _ in range(9)]
        for page in pages:
            await live(page)
        await tell(site, person.username, title="to all of you")
        for page in pages:
            await expect(titles(page)).to_have_text(["to all of you"])
        for page in pages[1:]:
            await page.close()
        await pages[0].reload()
        await live(pages[0])
        await tell(site, person.username, title="and to the one that is left")
        await expect(titles(pages[0])).to_have_text(["and to the one that is left", "to all of you"])
        assert opened() == 1


ADMIN = ["tickets/ticket/", "tickets/loginsession/"]
ADMIN += ["notifications/connection/", "notifications/notification/", "notifications/stream/"]


@ONCE
async def test_no_page_is_complained_of(site, profile):
    async with profile(site.server.http) as browser:
        page = await browser.sign_in("staff")
        await live(page)
        for path in ["/", "/?show=archived", "/admin/", *(f"/admin/{name}" for name in ADMIN)]:
            answer = await page.goto(site.server.http + path)
            assert answer.status == 200, path
        await page.goto(site.server.http + "/api/docs/")
        await page.wait_for_load_state("networkidle")
        await expect(page.get_by_text("Get a ticket for the socket")).to_be_visible()
