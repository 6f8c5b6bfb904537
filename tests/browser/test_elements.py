"""The elements of a page in a real browser: the bell and its panel, toasts, the inbox by hand and by keys, devices."""

import asyncio
from urllib.parse import quote

import pytest
from playwright.async_api import expect

from .test_inbox import LOST, live, tell, titles

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]


# Each of them is a title and a body, and is shown as it is.
HOSTILE = [
    '<img src=x onerror="document.title=1">',
    "<script>document.title=1</script>",
    "</title><script>document.title=1</script>",
    "</script><script>document.title=1</script>",
    "'\"><svg onload=document.title=1>",
    '" onmouseover="document.title=1',
    "' autofocus onfocus='document.title=1",
    "<b>bold</b>",
    "&lt;b&gt; &amp; &#60;",
    "<!-- --> ]]>",
    "{{ 7*7 }} {% debug %} <%= 7*7 %>",
    "${7*7} #{7*7} `7*7`",
    "%s %(x)s %n {0} {n} {kind}",
    "$& $1 $` $'",
    "\\u0041 \\x41 \\",
    "javascript:document.title=1",
    "data:text/html,<script>document.title=1</script>",
    "//evil.example/../../etc",
    "' OR 1=1; --",
    "\u202egnp.exe",
    "\u2066isolated\u2069 \u200f",
    "مرحبا (1)!",
    "שלום",
    "e\u0301e\u0301",
    "Z\u0351\u036b\u0343a\u0335l\u0315g\u0360o\u0321",
    "👩\u200d👩\u200d👧🏳️\u200d🌈",
    "\U0001d54f\U00020bb7",
    "\ufeffmark\u00a0\u2003space",
    "a\tb",
    "null",
    "undefined",
    "[object Object]",
    "0",
    "NaN",
    "toString",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "a" * 200,
    "<" * 100,
]


async def opened(browser, site, person, path="/"):
    page = await browser.sign_in(person.username, site.stack.password_of(person.username), path)
    if browser.scripts:
        await live(page)
    return page


def badge(page):
    return page.locator("usher-bell [data-badge]")


def bell(page):
    return page.locator("usher-bell > button")


def panel(page):
    return page.get_by_role("dialog", name="Notifications")


def spoken(page):
    return page.locator("[data-usher-announcer]")


async def test_the_bell_counts_what_is_unseen_and_its_panel_shows_it(site, profile):
    person = site.newcomer()
    for text in HOSTILE[:2]:
        await tell(site, person.username, title=text, body=text)
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person, "/devices/")
        await expect(badge(page)).to_have_text("2")
        await expect(bell(page)).to_have_accessible_name("Notifications, 2 new")
        await bell(page).focus()
        await page.keyboard.press("Enter")
        await expect(panel(page)).to_be_focused()
        await expect(panel(page).locator("[data-title]")).to_have_text([HOSTILE[1], HOSTILE[0]])
        assert await panel(page).locator("img, script").count() == 0
        await expect(badge(page)).to_be_hidden()
        await expect(bell(page)).to_have_accessible_name("Notifications")
        await page.keyboard.press("Escape")
        await expect(panel(page)).to_be_hidden()
        await expect(bell(page)).to_be_focused()
        await bell(page).click()
        await page.locator("main").click()
        await expect(panel(page)).to_be_hidden()
        await expect(bell(page)).to_have_attribute("aria-expanded", "false")


async def test_marking_all_in_the_panel_leaves_who_came_meanwhile(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="first")
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person, "/devices/")
        await bell(page).click()
        await expect(panel(page).locator("li")).to_have_count(1)
        await tell(site, person.username, title="newcomer")
        await expect(panel(page).locator("li")).to_have_count(2)
        await panel(page).get_by_role("button", name="Mark all read").click()
        await expect(panel(page).locator(".usher-unread [data-title]")).to_have_text(["newcomer"])
        await panel(page).get_by_role("link", name="newcomer").click()
        await expect(titles(page)).to_have_text(["newcomer", "first"])
        await expect(page.locator("usher-inbox li").first).to_be_focused()
        await expect(page).to_have_title("Inbox · Usher")


async def test_a_flood_is_one_toast_and_a_replay_is_none(site, profile):
    person = site.newcomer()
    toasts = "usher-toasts .usher-toast"
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person)
        await tell(site, person.username, title="one", body="of them")
        await expect(page.locator(toasts)).to_have_count(1)
        await expect(spoken(page)).to_have_text("one. of them")
        await page.locator(toasts).hover()  # whoever points at them keeps them
        for number in range(2, 8):
            await tell(site, person.username, title=f"number {number}")
        await expect(page.locator(toasts)).to_have_count(1)
        await expect(page.locator(toasts)).to_contain_text("7 new notifications")
        await expect(spoken(page)).to_have_text("7 new notifications")
        assert await page.locator("[aria-live], [role=log]").count() == 0, "one region speaks, and it is a status"
        await page.get_by_role("button", name="Dismiss").click()
        await expect(page.locator("usher-toasts")).to_be_hidden()
        await page.reload()
        await live(page)
        await expect(titles(page)).to_have_count(7)
        await expect(page.locator(toasts)).to_have_count(0)


async def test_the_inbox_by_keyboard(site, profile):
    person = site.newcomer()
    for title in ("first", "second", "third"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person)
        press = page.keyboard.press
        await press("j")
        await press("j")
        await press("e")
        await expect(titles(page)).to_have_text(["third", "first"])
        await expect(spoken(page)).to_have_text("Archived.")
        await expect(page.locator("usher-inbox li").last).to_be_focused()
        await press("z")
        await expect(titles(page)).to_have_text(["third", "second", "first"])
        await press("k")
        await press("u")
        await expect(page).to_have_title("(2) Inbox · Usher")
        await press("/")
        await page.keyboard.type("eux")
        await expect(page.get_by_text("Nothing was found")).to_be_visible()
        await page.get_by_role("link", name="Clear the search").click()
        await expect(titles(page)).to_have_text(["third", "second", "first"])
        await page.evaluate(
            "document.body.append(document.createElement('x-field'));"
            "document.querySelector('x-field').attachShadow({mode: 'open'}).append(document.createElement('input'))"
        )
        await page.locator("x-field input").focus()
        await page.keyboard.type("j/?")
        await expect(page.locator("x-field input")).to_have_value("j/?")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await page.locator("h1").focus()
        await press("?")
        await page.get_by_label("Use these shortcuts").uncheck()
        await page.get_by_role("button", name="Close").click()
        await page.locator("usher-inbox li").first.focus()
        await press("e")
        await press("?")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await expect(titles(page)).to_have_count(3)


async def test_several_at_once_and_back(site, profile):
    person = site.newcomer()
    for title in ("first", "second", "third"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person)
        await page.get_by_label("Select third").check()
        await page.get_by_label("Select first").check()
        await expect(page.get_by_text("2 selected")).to_be_visible()
        await page.get_by_role("group", name="Selected").get_by_role("button", name="Archive").click()
        await expect(titles(page)).to_have_text(["second"])
        await expect(page).to_have_title("(1) Inbox · Usher")
        await page.get_by_role("button", name="Undo").click()
        await expect(titles(page)).to_have_text(["third", "second", "first"])
        await expect(page).to_have_title("(3) Inbox · Usher")


async def test_searching_tabs_and_the_way_back(site, profile):
    person = site.newcomer()
    for title in ("an apple", "a pear"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person)
        await page.evaluate("window.still = true")
        await page.get_by_role("searchbox").fill("apple")
        await expect(titles(page)).to_have_text(["an apple"])
        assert page.url.endswith("/?show=all&q=apple")
        await tell(site, person.username, title="another apple")
        await expect(titles(page)).to_have_text(["another apple", "an apple"])
        await page.get_by_role("link", name="Archived").click()
        await expect(titles(page)).to_have_count(0)
        await expect(page.get_by_role("link", name="Archived")).to_be_focused()
        await page.go_back()
        await expect(titles(page)).to_have_text(["another apple", "an apple"])
        assert await page.evaluate("window.still"), "the page was never left"


async def test_days_are_the_persons_own(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="late in the evening")
    moment = "2026-03-01T22:30:00+00:00"
    change = "import sys; from notifications.models import Notification as N; "
    change += f"N.objects.filter(user__username='{person.username}').update(created_at='{moment}')"
    await asyncio.to_thread(site.stack.manage, "shell", "-c", change)
    for zone, day in (("UTC", "Sunday, March 1"), ("Asia/Tokyo", "Monday, March 2")):
        async with profile(site.server.http, timezone_id=zone) as browser:
            page = await opened(browser, site, person)
            await expect(page.locator(".usher-day-name")).to_contain_text(day)


async def test_devices_are_seen_and_signed_out(site, profile):
    person = site.newcomer()
    other = profile(site.server.http, user_agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0")
    async with profile(site.server.http) as here, other as there:
        there.expected = LOST
        far = await opened(there, site, person)
        page = await opened(here, site, person, "/devices/")
        await expect(page.get_by_role("heading", name="This device")).to_have_text("Chrome on Linux This device")
        await expect(page.get_by_role("heading", name="Firefox on Linux")).to_be_visible()
        await page.get_by_role("button", name="Sign out Firefox on Linux").click()
        await expect(page.get_by_text("Signed out.")).to_be_visible()
        await expect(page.locator("usher-devices li")).to_have_count(1)
        await expect(page.get_by_role("button", name="Sign out all others")).to_be_disabled()
        await expect(far.locator("usher-status")).to_have_attribute("data-state", "unauthorized")
        await expect(far.get_by_role("link", name="Sign in again")).to_be_visible()


async def test_what_cannot_be_saved_is_taken_back(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="stays")
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        page = await opened(browser, site, person)
        await browser.context.set_offline(True)
        await expect(page.locator("usher-status")).to_contain_text("You are offline")
        await page.locator("usher-inbox li").hover()
        await page.get_by_role("button", name="Archive").click()
        await expect(page.get_by_text("That could not be saved")).to_be_visible()
        await browser.context.set_offline(False)
        await live(page)
        await page.get_by_role("button", name="Try again").click()
        await expect(titles(page)).to_have_text(["stays"])
        await expect(page.get_by_text("That could not be saved")).to_be_hidden()


async def test_everything_by_forms(site, profile):
    person = site.newcomer()
    for title in ("first", "second", "third"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http, java_script_enabled=False) as browser:
        page = await opened(browser, site, person)
        await expect(badge(page)).to_have_text("3")
        for title in ("first", "third"):
            await page.get_by_label(f"Select {title}").check()
        await page.locator("[name=archived][value=selected]").click()
        await expect(titles(page)).to_have_text(["second"])
        await page.get_by_role("searchbox").fill("nothing")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Nothing was found")).to_be_visible()
        await page.locator("usher-bell a").click()
        await expect(titles(page)).to_have_text(["second"])
        await page.get_by_role("link", name="Devices").click()
        await expect(page.get_by_role("button", name="Sign out all others")).to_be_disabled()
        async with profile(site.server.http) as other:
            await opened(other, site, person)
            await page.reload()
            await page.get_by_role("button", name="Sign out all others").click()
            other.expected = LOST
        await expect(page.locator("usher-devices li")).to_have_count(1)


async def test_nothing_is_wider_than_the_narrowest_page(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="unbreakable" * 12, body="w" * 300, kind="a.very.long.kind.of.notification")
    async with profile(site.server.http, viewport={"width": 320, "height": 700}) as browser:
        page = await opened(browser, site, person)
        for language in ("en", "de", "ar"):
            chosen = {"name": "django_language", "value": language, "url": site.server.http}
            await browser.context.add_cookies([chosen])
            for path in ("/", "/devices/", "/preferences/"):
                await page.goto(site.server.http + path)
                await live(page)
                assert await page.locator("html").get_attribute("lang") == language
                assert await page.evaluate("document.documentElement.scrollWidth") == 320, (path, language)


async def test_hostile_text_is_shown_as_text(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title=HOSTILE[0], body=HOSTILE[0])
    async with profile(site.server.http) as browser:
        page = await browser.sign_in(person.username, site.stack.password_of(person.username))
        await live(page)
        for text in HOSTILE[1:]:
            await tell(site, person.username, title=text, body=text, url="/?q=" + quote(text))
            shown = page.locator(".usher-toast:last-child")
            if await shown.count() and await shown.get_attribute("data-flood") is None:
                await expect(shown.locator(".usher-toast-title")).to_have_text(text)
        await expect(titles(page)).to_have_count(len(HOSTILE))

        async def is_text(rows):
            count = await rows.count()
            assert count
            shown = list(reversed(HOSTILE))[:count]
            assert await rows.locator("[data-title]").all_text_contents() == shown
            assert await rows.locator("[data-body]").all_text_contents() == shown
            assert await rows.locator(".usher-said :is(img, script, svg, b)").count() == 0

        await is_text(page.locator("usher-inbox li"))  # as they arrived
        await page.locator("usher-bell button").click()
        await expect(page.locator(".usher-panel li")).to_have_count(10)
        await is_text(page.locator(".usher-panel li"))  # by REST
        await page.reload()
        await is_text(page.locator("usher-inbox li"))  # by the server
        assert await page.title() == f"({len(HOSTILE)}) Inbox · Usher"
        await page.goto(site.server.http + "/?q=" + quote(HOSTILE[0]))
        await expect(titles(page)).to_have_text([HOSTILE[0]])


async def test_without_javascript(site, profile):
    person = site.newcomer()
    for title in ("first", "second"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http, java_script_enabled=False) as browser:
        page = await browser.sign_in(person.username, site.stack.password_of(person.username))
        await expect(titles(page)).to_have_text(["second", "first"])
        await expect(page.get_by_text("Reload to see what is new")).to_be_visible()
        rows = page.locator("usher-inbox li")
        await rows.get_by_role("button", name="Mark read", exact=True).first.click()
        await expect(page).to_have_title("(1) Inbox · Usher")
        await rows.get_by_role("button", name="Archive").first.click()
        await expect(titles(page)).to_have_text(["first"])
        await page.get_by_role("button", name="Mark all read").click()
        await expect(page).to_have_title("Inbox · Usher")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_without_a_worker_to_share_each_tab_has_its_own_socket(site, profile):
    person = site.newcomer()
    before = site.server.log_size()
    async with profile(site.server.http) as browser:
        await browser.context.add_init_script("delete globalThis.SharedWorker")
        one = await browser.sign_in(person.username, site.stack.password_of(person.username))
        other = await browser.page()
        for page in (one, other):
            await live(page)
        await tell(site, person.username, title="to both")
        for page in (one, other):
            await expect(titles(page)).to_have_text(["to both"])
        await one.get_by_role("button", name="Archive").click()
        await expect(titles(other)).to_have_count(0)
        assert site.server.log_since(before).count("open connection=") == 2


@pytest.mark.parametrize(
    "forbidden",
    [
        "globalThis.SharedWorker = class { constructor() { throw new DOMException('denied', 'SecurityError') } }",
        "navigator.locks.request = async () => { throw new DOMException('denied', 'SecurityError') }",
    ],
    ids=["workers", "locks"],
)
async def test_where_nothing_may_be_shared_or_stored_each_tab_has_its_own_socket(site, profile, forbidden):
    person = site.newcomer()
    storage = "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(globalThis, name, "
    storage += "{ get: () => { throw new DOMException('denied', 'SecurityError') } })"
    async with profile(site.server.http) as browser:
        await browser.context.add_init_script(f"{forbidden}; {storage}")
        page = await opened(browser, site, person)
        await tell(site, person.username, title="to whoever stores nothing")
        await expect(titles(page)).to_have_text(["to whoever stores nothing"])


async def test_it_goes_on_after_a_sign_in_where_scripts_cannot_read_the_csrf_cookie(site, profile):
    person = site.newcomer()
    password = site.stack.password_of(person.username)
    await tell(site, person.username, title="first")
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        await browser.context.add_init_script(
            "delete globalThis.SharedWorker; Object.defineProperty(document, 'cookie', { get: () => '' })"
        )
        page = await opened(browser, site, person)
        await person.post("/api/sessions/end-others/", {})
        await expect(page.locator("[data-notice]")).to_contain_text("Your session has ended")
        await browser.sign_in(person.username, password, "/preferences/")
        await page.get_by_role("button", name="Go on").click()
        await live(page)
        await expect(page.locator("[data-notice]")).to_be_hidden()


async def test_without_a_socket_the_inbox_marks_over_rest(site, profile):
    person = site.newcomer()
    for title in ("first", "second"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        refuse = "delete globalThis.SharedWorker; globalThis.WebSocket = class { constructor() { throw new Error() } }"
        await browser.context.add_init_script(refuse)
        page = await browser.sign_in(person.username, site.stack.password_of(person.username))
        await expect(page.locator("usher-status")).to_contain_text("Connection lost")
        await page.get_by_role("button", name="Mark read", exact=True).first.click()
        await expect(page).to_have_title("(1) Inbox · Usher")
        await page.get_by_role("button", name="Archive").nth(1).click()
        await expect(titles(page)).to_have_text(["second"])
        await page.get_by_role("button", name="Mark unread").click()
        await expect(page).to_have_title("(1) Inbox · Usher")
        await page.get_by_role("button", name="Mark all read").click()
        await expect(page).to_have_title("Inbox · Usher")
        items = (await person.get("/api/notifications/?limit=9")).json()["results"]
        assert [(item["title"], item["read"]) for item in items] == [("second", True)]


async def test_an_old_one_is_led_to_on_whatever_page_it_stands(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="the first of all")
    old = (await person.get("/api/notifications/?limit=1")).json()["results"][0]["id"]
    create = f"""
from django.contrib.auth import get_user_model; from notifications.api import notify
for n in range(60): notify(get_user_model().objects.get(username="{person.username}"), title=f"number {{n}}")
"""
    await asyncio.to_thread(site.stack.manage, "shell", "-c", create)
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person, f"/?at={old}#usher-{old}")
        row = page.locator("usher-inbox li", has_text="the first of all")
        await expect(row).to_be_focused()
        await row.hover()
        await row.get_by_role("button", name="Archive").click()
        await expect(row).to_have_count(0)
        await page.goto(f"{site.server.http}/?at={old}#usher-{old}")
        await expect(page.get_by_role("link", name="Archived")).to_have_attribute("aria-current", "page")
        await expect(titles(page)).to_have_text(["the first of all"])
        await page.goto(f"{site.server.http}/?at=00000000-0000-4000-8000-000000000000")
        await expect(page.get_by_text("That notification is not here any more.")).to_be_visible()


async def test_a_page_from_the_cache_shows_at_once_what_the_tab_knows(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="first")
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        page = await opened(browser, site, person, "/devices/")
        await expect(badge(page)).to_have_text("1")
        old = await (await browser.context.request.get(site.server.http + "/devices/")).text()
        await tell(site, person.username, title="second")
        await expect(badge(page)).to_have_text("2")
        # From here on the tab gets the page as it was, and nothing else from the server.
        await page.route("**/devices/", lambda route: route.fulfill(body=old, content_type="text/html"))
        await page.route("**/api/**", lambda route: route.abort())
        await browser.context.add_init_script("delete globalThis.SharedWorker")
        await page.reload()
        await expect(badge(page)).to_have_text("2")
        assert ">1</span></a>" in old, "the page itself said 1"
