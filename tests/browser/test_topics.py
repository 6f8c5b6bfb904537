"""Topics in a real browser: all tabs listen over one connection, and what is said there is nobody's own."""

import asyncio

import pytest
from playwright.async_api import expect

from .test_elements import badge
from .test_inbox import LOST, live, services, tell, titles

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]

# As a site's own script would, with the connection that the elements of the page have.
LISTEN = """
async ([name, topic, since]) => {
  const { page } = await import(new URL("page.js", document.querySelector("script[src*='/usher/elements']").src));
  const heard = [];
  const subscription = page().connection.subscribe(topic, { since });
  subscription.on("notification", ({ title, replayed }) => heard.push(replayed ? `(${title})` : title));
  subscription.on("gap", ({ reason }) => heard.push(`gap ${reason}`));
  subscription.on("state", ({ state, code }) => state === "denied" && heard.push(`${state} ${code}`));
  window[name] = { subscription, heard };
  await subscription.ready().catch(() => {});
  return subscription.position;
}
"""

# By a process of its own, whether or not the site's is there.
SAY = 'from notifications.api import notify_topic; notify_topic("staff.desk", title="{title}")'
SET_STAFF = """
from django.contrib.auth import get_user_model
from notifications.topics import permissions_changed
person = get_user_model().objects.get(username="{username}")
person.is_staff = {is_staff}
person.save()
permissions_changed(user=person)
"""


async def elsewhere(site, code, **words):
    await asyncio.to_thread(site.stack.manage, "shell", "--no-imports", "--command", code.format(**words))


async def say(site, title):
    answer = await services(site).post("/api/notifications/", {"topic": "staff.desk", "title": title})
    assert answer.status_code == 201, answer.text


async def heard(page, *titles, name="orders"):
    """This and nothing else, in this order."""
    wanted = f"(count) => window.{name}.heard.length >= count"
    await page.wait_for_function(wanted, arg=len(titles), timeout=20_000)
    assert await page.evaluate(f"window.{name}.heard") == [*titles]


async def test_two_tabs_a_server_that_dies_and_a_right_that_is_lost(make_site, profile):
    site = make_site()
    person = site.person("alice")
    await elsewhere(site, SET_STAFF, username=person.username, is_staff=True)
    async with profile(site.server.http) as browser:
        browser.expected = LOST
        one = await browser.sign_in(person.username, site.stack.password_of(person.username))
        other = await browser.page()
        for page in (one, other):
            await live(page)
            await page.evaluate(LISTEN, ["orders", "staff.desk", None])
        await one.evaluate(LISTEN, ["nobodys", "no.such", None])
        await heard(one, "denied forbidden", name="nobodys")

        begin = await one.evaluate("orders.subscription.position")
        assert begin["seq"] == 0
        await say(site, "first")
        await tell(site, person.username, title="own")
        for page in (one, other):
            await heard(page, "first")
            await expect(titles(page)).to_have_text(["own"])
            await expect(badge(page)).to_have_text("1")

        site.server.kill()
        await expect(one.locator("usher-status")).not_to_have_attribute("data-state", "connected")
        await elsewhere(site, SAY, title="nobody was there")
        site.server.start()
        for page in (one, other):
            await heard(page, "first", "(nobody was there)")

        await other.evaluate(LISTEN, ["again", "staff.desk", begin])
        await heard(other, "(first)", "(nobody was there)", name="again")
        await say(site, "second")
        await heard(other, "(first)", "(nobody was there)", "second", name="again")
        for page in (one, other):
            await heard(page, "first", "(nobody was there)", "second")

        await one.close()
        await elsewhere(site, SET_STAFF, username=person.username, is_staff=False)
        await heard(other, "first", "(nobody was there)", "second", "denied forbidden")
        await say(site, "third")
        await tell(site, person.username, title="another")
        await expect(titles(other)).to_have_text(["another", "own"])
        await heard(other, "first", "(nobody was there)", "second", "denied forbidden")
