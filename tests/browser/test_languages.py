"""A page in another language, and in another direction, in a real browser."""

import pytest
from playwright.async_api import expect

from .test_elements import bell, opened, panel
from .test_inbox import LOST, live, tell, titles

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]

# All that a person reads or hears and that has Latin letters in it, but for names, code and what people wrote.
LATIN = """() => {
  const names = ".brand, [data-username], .usher-device .usher-title, .usher-kind, kbd, [lang]:not(html)";
  const exempt = (element) => element.closest(`script, template, ${names}, [data-title], [data-body], [data-name]`);
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    if (exempt(element)) continue;
    const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data);
    const spoken = ["aria-label", "title", "placeholder"].map((name) => element.getAttribute(name) ?? "");
    found.push(...[...own, ...spoken].filter((text) => /[A-Za-z]/.test(text)));
  }
  return found;
}"""


async def choose(page, name):
    await page.get_by_role("button", name=name).click()


async def assert_arabic(page):
    found = await page.evaluate(LATIN)
    assert not found, f"{page.url} says {found}"


async def test_what_happens_is_told_in_arabic_from_the_right(site, profile):
    person = site.newcomer()
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person, "/devices/")
        await choose(page, "العربيّة")
        await expect(page.locator("html")).to_have_attribute("dir", "rtl")
        assert page.url.endswith("/devices/"), "it is the same page"
        await live(page)
        await expect(page.locator("usher-status")).to_contain_text("تحديث مباشر")
        await expect(bell(page)).to_have_accessible_name("الإشعارات")
        for number in range(1, 6):
            await tell(site, person.username, title=f"number {number}!")
        await expect(page.locator(".usher-toast")).to_have_text("5 إشعارات جديدة×")
        await expect(page.get_by_role("button", name="إخفاء")).to_be_visible()
        await expect(bell(page)).to_have_accessible_name("الإشعارات، 5 جديدة")
        await expect(page.locator("[data-usher-announcer]")).to_have_text("5 إشعارات جديدة")
        await bell(page).click()
        rows = page.get_by_role("dialog", name="الإشعارات").locator("li")
        await expect(rows).to_have_count(5)
        await expect(rows.first.locator("time")).to_have_text("الآن")
        await assert_arabic(page)


async def test_the_whole_inbox_is_in_arabic(site, profile):
    person = site.newcomer()
    for title in ("first", "second"):
        await tell(site, person.username, title=title)
    async with profile(site.server.http, locale="ar-EG") as browser:
        browser.expected = LOST
        page = await browser.page("/accounts/login/")
        await assert_arabic(page)
        await page.locator("[name=username]").fill(person.username)
        await page.locator("[name=password]").fill(site.stack.password_of(person.username))
        await page.get_by_role("button", name="تسجيل الدخول").click()
        await live(page)
        await expect(page.locator(".usher-day-name")).to_have_text("اليوم")
        for box in await page.locator(".usher-rows .usher-pick").all():
            await box.click()
        await expect(page.locator("[data-selected]")).to_have_text("تم تحديد إشعارين")
        await page.locator(".usher-bulk [name=archived]").click()
        await expect(page.locator(".usher-undo")).to_contain_text("تمت أرشفة إشعارين.")
        await assert_arabic(page)
        await page.keyboard.press("z")
        await expect(titles(page)).to_have_text(["second", "first"])
        await page.keyboard.press("?")
        await assert_arabic(page)
        await page.keyboard.press("Escape")
        await browser.context.set_offline(True)
        await expect(page.locator("usher-status")).to_contain_text("لا يوجد اتصال بالإنترنت")
        await page.keyboard.press("j")
        await page.keyboard.press("u")
        await expect(page.locator("[data-problem]")).to_contain_text("تعذّر الحفظ.")
        await assert_arabic(page)


async def test_a_page_is_never_in_two_languages(site, profile):
    person = site.newcomer()
    await tell(site, person.username, title="x")
    async with profile(site.server.http) as browser:
        page = await opened(browser, site, person)
        other = await browser.page("/devices/")
        await choose(other, "Deutsch")
        await expect(other.get_by_role("heading", name="Geräte")).to_be_visible()
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await page.get_by_role("link", name="Unread", exact=True).click()
        await expect(page.locator("html")).to_have_attribute("lang", "de")
        assert page.url.endswith("?show=unread")
        await expect(page.get_by_role("link", name="Ungelesen")).to_have_attribute("aria-current", "page")
        await bell(page).click()
        await expect(page.get_by_role("dialog", name="Mitteilungen")).to_be_visible()
        await expect(panel(page)).to_have_count(0)


async def test_choosing_works_without_javascript(site, profile):
    person = site.newcomer()
    async with profile(site.server.http, java_script_enabled=False) as browser:
        page = await opened(browser, site, person, "/?show=unread")
        for name, lang in (("Deutsch", "de"), ("العربيّة", "ar"), ("English", "en")):
            await choose(page, name)
            await expect(page.locator("html")).to_have_attribute("lang", lang)
            assert page.url.endswith("/?show=unread")
            await expect(page.get_by_role("button", name=name)).to_have_attribute("aria-current", "true")
