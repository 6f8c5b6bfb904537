"""What rings and what does not: kinds that are muted, and alerts of the desktop."""

import pytest
from playwright.async_api import expect

from .test_elements import badge, opened
from .test_inbox import LOST, live, tell, titles

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]

# Chromium's own alerts, and a record of them; and a page that believes itself hidden when it is told so.
RECORD = """
globalThis.alerts = [];
const Real = Notification;
globalThis.Notification = class extends Real {
    constructor(title, options) {
        super(title, options);
        alerts.push([title, options.body ?? '']);
        if (title.endsWith("new notifications")) globalThis.several = this;
    }
};
Object.defineProperty(document, 'visibilityState', { get: () => globalThis.isHidden ? 'hidden' : 'visible' });
"""


async def test_a_kind_is_muted_from_its_row_and_wanted_again(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="build 1", kind="ci.build")
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person)
        await page.locator("usher-inbox li").hover()
        await page.get_by_role("button", name="Mute this kind").click()
        await expect(page.locator(".usher-undo")).to_contain_text("ci.build is muted")
        await tell(site, person.username, title="build 2", kind="ci.build")
        await tell(site, person.username, title="something else")
        await expect(titles(page)).to_have_text(["something else", "build 1"])
        await expect(page.locator(".usher-toast")).to_have_count(1)
        await expect(page).to_have_title("(2) Inbox · Usher")
        async with page.expect_response("**/api/preferences/"):  # the row says so before the server has answered
            await page.get_by_role("button", name="Undo").click()
        await expect(page.locator(".usher-undo")).to_have_count(0)
        await tell(site, person.username, title="build 3", kind="ci.build")
        await expect(titles(page)).to_have_text(["build 3", "something else", "build 1"])
        await page.get_by_role("link", name="Archived").click()
        await expect(titles(page)).to_have_text(["build 2"])


async def test_kinds_are_switched_off_and_on(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="x", kind="ci.build")
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        page = await opened(browser, site, person, "/preferences/")
        build = page.get_by_role("switch", name="ci.build")
        await expect(build).to_be_checked()
        async with page.expect_response("**/api/preferences/"):
            await build.click()
        await expect(build).not_to_be_checked()
        await page.reload()
        await expect(build).not_to_be_checked()
        await browser.context.set_offline(True)
        await expect(page.locator("usher-status")).to_contain_text("You are offline")
        await build.click()
        await expect(page.get_by_role("alert")).to_contain_text("could not be saved")
        await expect(build).not_to_be_checked()
        await browser.context.set_offline(False)
        await live(page)
        await build.click()
        await expect(build).to_be_checked()
        await expect(page.get_by_role("alert")).to_be_hidden()


async def test_kinds_are_switched_by_forms(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="x", kind="ci.build")
    async with profile(site.server.http, java_script_enabled=False) as browser:
        page = await opened(browser, site, person, "/preferences/")
        build = page.get_by_role("switch", name="ci.build")
        await build.click()
        await expect(build).not_to_be_checked()
        await build.click()
        await expect(build).to_be_checked()
        await expect(page.get_by_text("Desktop alerts")).to_be_hidden()


async def test_the_desktop_alerts_once_and_only_whoever_looks_elsewhere(site, profile):
    person = site.newcomer()
    async with profile(site.server.http, permissions=["notifications"]) as browser:
        await browser.context.add_init_script(RECORD)
        one = await opened(browser, site, person, "/preferences/")
        other = await browser.page()
        await live(other)
        switch = one.get_by_role("switch", name="Desktop alerts")
        await expect(switch).not_to_be_checked()
        await tell(site, person.username, title="before anybody asked")
        await switch.click()
        await expect(switch).to_be_checked()
        assert await one.evaluate("alerts") == [["Desktop alerts are on", ""]]

        async def alerts():
            told = await one.evaluate("alerts.splice(0)") + await other.evaluate("alerts.splice(0)")
            return [title for title, _body in told]

        await alerts()
        await tell(site, person.username, title="seen by who looks")
        await expect(badge(one)).to_have_text("2")
        for page in (one, other):
            await page.evaluate("isHidden = true")
        await tell(site, person.username, title="unseen", body="by anybody")
        await one.wait_for_function("alerts.length || document.querySelector('[data-badge]').textContent === '3'")
        await other.wait_for_timeout(1_000)  # the other would have alerted by now
        assert await alerts() == ["unseen"]
        told: list[str] = []
        for number in range(20):  # so many that on any machine four of them come within ten seconds
            await tell(site, person.username, title=f"number {number}")
            told += await alerts()
            if told and told[-1].endswith("new notifications"):
                break
        assert told[-1].endswith("new notifications")
        await other.wait_for_timeout(1_000)
        await alerts()
        unread = len((await person.get("/api/notifications/?limit=50")).json()["results"])

        shown = one if await one.evaluate("'several' in globalThis") else other
        async with browser.context.expect_page() as led:
            await shown.evaluate("several.onclick()")
        await expect(await led.value).to_have_url(site.server.http + "/")
        await switch.click()
        await tell(site, person.username, title="after it was switched off")
        await expect(one).to_have_title(f"({unread + 1}) Preferences · Usher")
        await other.wait_for_timeout(1_000)
        assert await alerts() == []


async def test_who_was_refused_by_the_browser_is_told_where_to_go(site, profile):
    person = site.newcomer()
    async with profile(site.server.http) as browser:
        await browser.context.add_init_script(
            "Object.defineProperty(Notification, 'permission', {get: () => 'denied'});"
            "Notification.requestPermission = async () => 'denied';"
        )
        page = await opened(browser, site, person, "/preferences/")
        await expect(page.get_by_text("Blocked by this browser")).to_be_visible()
        await page.get_by_role("switch", name="Desktop alerts").click()
        await expect(page.get_by_role("switch", name="Desktop alerts")).not_to_be_checked()
