"""The pages for people who see, hear or move differently: axe on each of them in both themes; everything by keys."""

import re

import pytest
from playwright.async_api import expect

from .conftest import THEMES
from .test_elements import bell, opened, panel
from .test_inbox import LOST, fill_in, live, tell, titles

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]


async def fill(site, person):
    for level in ("info", "success", "warning", "error"):
        said = {"title": f"Something of the level {level}", "body": "More of it.", "kind": "ci.build", "level": level}
        await tell(site, person.username, url="/devices/", **said)
    await tell(site, person.username, title="Without a link")


@pytest.mark.parametrize("theme", THEMES)
async def test_no_page_and_no_state_of_it_violates_a_rule(site, profile, violations, theme):
    person = site.newcomer()
    found = {}

    async def look(page, state):
        found[state] = await violations(page)

    async with profile(site.server.http, **THEMES[theme]) as browser:
        browser.expected = LOST
        page = await browser.page()
        await look(page, "sign-in")
        await fill_in(page, person.username, "wrong")
        await expect(page.get_by_role("alert")).to_be_visible()
        await look(page, "sign-in, refused")
        await fill_in(page, person.username, site.stack.password_of(person.username))
        await live(page)
        await look(page, "inbox, empty")
        await fill(site, person)
        await expect(titles(page)).to_have_count(5)
        await look(page, "inbox with toasts")
        await page.get_by_role("button", name="Dismiss").first.click()
        await bell(page).click()
        await expect(panel(page).locator("li")).to_have_count(5)
        await look(page, "panel")
        await page.keyboard.press("Escape")
        await page.get_by_label("Select Without a link").check()
        await look(page, "inbox, selected")
        await page.get_by_role("group", name="Selected").get_by_role("button", name="Mark read").click()
        await expect(page.get_by_role("button", name="Undo")).to_be_visible()
        await look(page, "inbox, undo")
        await page.get_by_role("button", name="Keyboard shortcuts").click()
        await look(page, "keys")
        await page.keyboard.press("Escape")
        for path in ("/?q=nowhere", "/devices/", "/preferences/"):
            await page.goto(site.server.http + path)
            await live(page)
            await look(page, path)
        await browser.context.set_offline(True)
        await expect(page.locator("usher-status")).to_contain_text("You are offline")
        await look(page, "offline")
        await browser.context.set_offline(False)
        await live(page)
        await person.post("/api/sessions/end-others/", {})
        await expect(page.locator("[data-notice]")).to_be_visible()
        await look(page, "session ended")
    assert {state: of_it for state, of_it in found.items() if of_it} == {}


async def test_axe_sees_what_is_wrong(site, profile, violations):
    async with profile(site.server.http) as browser:
        page = await browser.page()
        await page.evaluate("document.querySelector('h1').style.color = '#ccc'")
        await page.evaluate("document.querySelectorAll('label').forEach(label => label.remove())")
        assert {rule for rule, *_ in await violations(page)} >= {"color-contrast", "label"}


class Hands:
    """Somebody who has only a keyboard. Wherever they get to, the focus must be seen."""

    def __init__(self, page):
        self.page = page

    async def press(self, *keys):
        for key in keys:
            await self.page.keyboard.press(key)

    async def to(self, role, name, key="Tab", within=None, most=60):
        """Press a key until what has this role and name has the focus."""
        wanted = (within or self.page).get_by_role(role, name=name, exact=True)
        for _ in range(most):
            await self.press(key)
            seen = await self.page.evaluate(SEEN)
            assert seen is True, seen
            if await wanted.evaluate_all("found => found.includes(document.activeElement)"):
                return
        raise AssertionError(f"{most} times {key} did not get to the {role} {name!r}")


# Whether the focus can be seen: it has an outline, or its row has, and nothing lies over its middle.
SEEN = """() => {
    const at = document.activeElement;
    if (at === document.body) return true; // between the last thing of the page and the first
    const box = at.getBoundingClientRect();
    const around = [at, at.closest('li')].filter(Boolean).map(each => getComputedStyle(each));
    const outlined = around.some(style => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2);
    const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + Math.min(box.height, innerHeight) / 2);
    const free = inside && (at.contains(top) || top?.contains(at) || top?.closest('label')?.control === at);
    if (outlined && free) return true;
    const how = `${around.map(style => style.outline)}, at ${box.x}, ${box.y}, under ${top?.outerHTML.slice(0, 80)}`;
    return `${at.outerHTML.slice(0, 150)} is not seen: ${how}`;
}"""


async def test_everything_by_keys_alone(site, profile):
    person = site.newcomer()
    for title in ("first", "second", "third"):
        await tell(site, person.username, title=title, kind="ci.build")
    async with profile(site.server.http) as browser:
        page = await browser.page()
        hands = Hands(page)
        await hands.to("textbox", "Name")
        await page.keyboard.type(person.username)
        await hands.to("textbox", "Password")
        await page.keyboard.type(site.stack.password_of(person.username))
        await hands.press("Enter")
        await live(page)

        await hands.to("link", "Skip to the content")
        await hands.press("Enter")
        await hands.to("button", "Mark all read")
        await hands.to("button", "Archive")  # of the first row
        await hands.press("Enter")
        await expect(titles(page)).to_have_text(["second", "first"])
        await hands.to("button", "Undo")
        await hands.press("Enter")
        await expect(titles(page)).to_have_text(["third", "second", "first"])

        await hands.to("checkbox", "Select second", most=80)
        await hands.press("Space")
        await hands.to("button", "Mark read", key="Shift+Tab", within=page.get_by_role("group", name="Selected"))
        await hands.press("Enter")
        await expect(page.locator(".usher-unread [data-title]")).to_have_text(["third", "first"])

        await hands.to("button", "Notifications", key="Shift+Tab")
        await hands.press("Enter")
        await expect(panel(page).locator("li")).to_have_count(3)
        await hands.to("link", "third")
        await hands.press("Enter")
        await expect(page).to_have_url(re.compile("at="))
        await live(page)
        await expect(page.locator("usher-inbox li").first).to_be_focused()

        await hands.to("link", "Preferences", key="Shift+Tab")
        await hands.press("Enter")
        await live(page)
        await hands.to("switch", "ci.build")
        await hands.press("Space")
        await expect(page.get_by_role("switch", name="ci.build")).not_to_be_checked()
        await hands.to("link", "Devices", key="Shift+Tab")
        await hands.press("Enter")
        await live(page)
        await expect(page.get_by_role("heading", name="This device")).to_be_visible()
        await hands.to("button", "Sign out")
        await hands.press("Enter")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_who_has_no_outline_is_found_out(site, profile):
    person = site.newcomer()
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person)
        await page.evaluate("document.querySelector('.skip').style.outline = 'none'")
        with pytest.raises(AssertionError, match="none"):
            await Hands(page).to("link", "Devices")
