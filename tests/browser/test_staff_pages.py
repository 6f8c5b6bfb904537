"""Staff's pages of the admin for people who see or move differently: axe on each of them in both themes."""

import asyncio

import pytest
from playwright.async_api import expect

from .conftest import THEMES
from .test_dashboard import shown

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]

LISTS = ["tickets/ticket", "tickets/loginsession", "tickets/auditevent"]
LISTS += ["notifications/connection", "notifications/notification", "notifications/stream"]
COMPOSE = "notifications/notification/compose"
WIDER = "document.documentElement.scrollWidth > innerWidth"


def is_djangos(rule, html, _why):
    """The search box: its label is a picture, whose words are "Search"."""
    return rule == "label-title-only" and 'id="searchbar"' in html


async def lists_and_their_rows(page, base, look):
    for name in LISTS:
        await page.goto(f"{base}/admin/{name}/")
        row = page.locator("#result_list tbody tr").first
        await expect(row).to_be_visible()
        await look(page, name)
        await row.get_by_role("link").first.click()
        await expect(page.locator(".readonly").first).to_be_visible()
        await look(page, f"one of {name}")


async def what_is_asked(page, base, look):
    await page.goto(f"{base}/admin/notifications/connection/")
    await page.get_by_label("Select all objects on this page").check()
    await page.get_by_role("combobox", name="Action").select_option(
        "Send a message to the people of selected connections"
    )
    await page.get_by_role("button", name="Go", exact=True).click()
    await expect(page.get_by_label("Reason")).to_be_visible()
    await look(page, "asked")
    await page.get_by_role("button", name="Send a message to 1 connection").click()
    await expect(page.locator(".errorlist")).to_be_visible()
    await look(page, "asked, refused")


async def what_is_composed(page, base, look):
    await page.goto(f"{base}/admin/{COMPOSE}/")
    await look(page, "compose")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator(".errorlist").first).to_be_visible()
    await look(page, "compose, refused")
    await page.get_by_label("Title").fill("Door code changes")
    await page.get_by_label("Audience").select_option("Whoever is connected now")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.get_by_role("region", name="Preview")).to_be_visible()
    await look(page, "preview")


@pytest.mark.parametrize("theme", THEMES)
async def test_no_page_of_staff_violates_a_rule(site, profile, violations, theme):
    person, found = site.newcomer(), {}
    await asyncio.to_thread(site.stack.manage, "notify", person.username, "--title", "Backup finished")

    async def look(page, state):
        assert not await page.evaluate(WIDER), f"{state}: the page itself scrolls across"
        found[state] = [each for each in await violations(page) if not is_djangos(*each)]

    async with person.connect() as socket, profile(site.server.http, **THEMES[theme]) as browser:
        await socket.expect("welcome")
        await person.ticket()
        page = await shown(browser)
        await expect(page.locator(".dash-tile").first).to_be_visible()
        await look(page, "dashboard")
        for walk in (lists_and_their_rows, what_is_asked, what_is_composed):
            await walk(page, site.server.http, look)
    assert {state: of_it for state, of_it in found.items() if of_it} == {}
