"""The dashboard in the admin: it moves while somebody looks, stands still when told to, and can be read as a table."""

import pytest
from playwright.async_api import expect

from .conftest import THEMES

PAGE = "/admin/notifications/figures/"

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]


def tile(page, name):
    return page.locator(".dash-tile").filter(has_text=name).locator("dd")


def chart(page, name):
    return page.get_by_role("slider", name=name)


async def shown(browser, username="staff"):
    page = await browser.page(f"/admin/login/?next={PAGE}")
    await page.get_by_label("Username").fill(username)
    await page.get_by_label("Password").fill(username)
    await page.get_by_role("button", name="Log in").click()
    return page


@pytest.mark.parametrize("theme", THEMES)
async def test_the_dashboard(make_site, profile, violations, theme):
    site = make_site(NOTIFICATIONS_FIGURES_SECONDS="1")
    demo = site.person("demo")
    async with profile(site.server.http, **THEMES[theme]) as browser:
        page = await shown(browser)
        await expect(tile(page, "Connected")).to_contain_text("0")
        status = page.get_by_role("status")
        await expect(status).to_have_text("All is well")
        ground = await page.evaluate("getComputedStyle(document.querySelector('.dash-card')).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == ("light" in theme), "the admin's own theme"
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), "nothing to scroll across"

        # Live.
        async with demo.connect() as socket:
            await socket.expect("welcome")
            await expect(tile(page, "Connected")).to_contain_text("1")
            await expect(tile(page, "Tickets issued")).to_contain_text("1")
            # Paused: what happens now is not shown, until it goes on.
            await page.get_by_role("button", name="Pause").click()
            await expect(status).to_have_text("Paused")
            await demo.ticket()
            asked = []
            page.on("request", lambda request: asked.append(request.url))
            await page.wait_for_timeout(2_000)  # it would ask four times
            assert not asked
            await expect(tile(page, "Tickets issued")).to_contain_text("1")
            assert await violations(page, "'#dashboard'") == []
            await page.get_by_role("button", name="Go on").click()
            await expect(tile(page, "Tickets issued")).to_contain_text("2")

        async with demo.connect(ticket="a" * 42) as socket:
            assert await socket.closed() == 4402
        refused = page.locator("section").filter(has=page.get_by_role("heading", name="Tickets refused"))
        await expect(refused.get_by_role("row", name="malformed 1")).to_be_visible()
        closed = page.locator("section").filter(has=page.get_by_role("heading", name="Closed, by code"))
        await expect(closed).to_contain_text("The ticket was refused.")

        # By keys, and aloud.
        await chart(page, "Tickets, a minute").focus()
        await page.keyboard.press("Home")
        await expect(chart(page, "Tickets")).to_have_attribute("aria-valuenow", "0")
        assert "issued unknown" in await chart(page, "Tickets").get_attribute("aria-valuetext")
        await page.keyboard.press("ArrowRight")
        await expect(chart(page, "Tickets")).to_have_attribute("aria-valuenow", "1")
        await expect(page.locator("rect.dash-gap").first).to_be_attached()

        # The same numbers as a table.
        await page.get_by_role("button", name="Show as table").click()
        table = page.get_by_role("table", name="The last hour by minutes")
        await expect(table).to_be_visible()
        await expect(chart(page, "Tickets")).to_be_hidden()
        assert await table.locator("tbody tr").count() in (60, 61), "the hour begins at the full minute, or within one"
        assert await violations(page, "'#dashboard'") == []


async def test_what_a_site_that_is_away_has_to_say(make_site, profile):
    site = make_site(NOTIFICATIONS_FIGURES_SECONDS="1")
    async with profile(site.server.http) as browser:
        browser.expected = ["Failed to load resource", "ERR_CONNECTION_REFUSED"]
        page = await shown(browser)
        await expect(page.get_by_role("status")).to_have_text("All is well")
        site.server.kill()
        await expect(page.get_by_role("status")).to_have_text("The site does not answer: what is shown is old.")
        await expect(tile(page, "Processes")).to_contain_text("1")
