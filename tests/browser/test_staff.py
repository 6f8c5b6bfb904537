"""What staff does in the admin of one process of a site, in a real browser, and what people see of it at another one.

Each is tried by a clerk who lacks its permission, then done by one who has nothing but it and may look.
"""

import contextlib
import itertools
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.conftest import Site

from .conftest import chromium
from .scenes import ENDED, connections, goes_on, inbox, is_closed, session_tickets, sessions, still_there, tickets

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON = 5.0
"""Seconds within which it is felt at the other process: two are promised, and one where Redis carries it."""

AUDIT = "/admin/tickets/auditevent/"
TICKETS = "/admin/tickets/ticket/"
SESSIONS = "/admin/tickets/loginsession/"
CONNECTIONS = "/admin/notifications/connection/"
NOTIFICATIONS = "/admin/notifications/notification/"
LATER = "2999-01-01T00:00:00+00:00"
MESSAGE = {"title": "x", "level": "info"}
MAY_LOOK = "notifications.view_notification"

ON_SEVERAL_PROCESSES = pytest.mark.parametrize(("stack_kind", "server_kind"), [("scaled", "uvicorn")], indirect=True)
ON_ONE_KIND = pytest.mark.parametrize(("stack_kind", "server_kind"), [("embedded", "daphne")], indirect=True)


@dataclass(frozen=True)
class Act:
    """An action of a list, what a clerk is told of it, and whom it strikes."""

    path: str
    before: str
    view: str
    permission: str
    action: str
    label: str
    asks: str
    says: str
    audited: str
    scene: object
    filled: dict = field(default_factory=dict)

    @property
    def recorded(self):
        return f"staff acted: {self.action.replace('_', ' ')}"


REVOKE = (TICKETS, "issued", "tickets.view_ticket", "tickets.revoke_ticket", "revoke_tickets")
REVOKE += ("Revoke selected tickets",)
REVOKE_THEIRS = (SESSIONS, "standing", "tickets.view_loginsession", "tickets.revoke_ticket", "revoke_tickets")
REVOKE_THEIRS += ("Revoke the tickets of selected login sessions",)
END = (SESSIONS, "standing", "tickets.view_loginsession", "tickets.end_loginsession", "end_sessions")
ON_CONNECTIONS = (CONNECTIONS, "live", "notifications.view_connection")
TELL = ("notifications.add_notification", "tell", "Send a message to the people of selected connections")

ACTS = {
    "revoke a ticket": Act(*REVOKE, "Revoke 1 ticket?", "Tickets revoked: 1.", "ticket revoked", tickets),
    "revoke tickets of login sessions": Act(
        *(*REVOKE_THEIRS, "Revoke the tickets of 1 login session?", "Tickets revoked: 2.", "ticket revoked"),
        session_tickets,
    ),
    "end login sessions": Act(
        *(*END, "End selected login sessions", "End 2 login sessions?", "Login sessions ended: 2."),
        *("session ended", sessions),
    ),
    "disconnect": Act(
        *(*ON_CONNECTIONS, "notifications.disconnect_connection", "disconnect", "Disconnect selected connections"),
        *("Disconnect 2 connections?", "Connections disconnected: 2.", "connection disconnected"),
        connections(is_closed, "bye", **ENDED),
    ),
    "have re-authenticate": Act(
        *(*ON_CONNECTIONS, "notifications.ask_connection", "ask", "Have selected connections re-authenticate"),
        *("Re-authenticate 2 connections?", "Connections asked to re-authenticate: 2."),
        *("connection asked", connections(goes_on, "reauth_required")),
    ),
    "send a message": Act(
        *(*ON_CONNECTIONS, *TELL, "Send a message to 2 connections?", "People told: 1."),
        *("told by staff", inbox("Maintenance at noon")),
        {"Title": "Maintenance at noon", "Body": "Half an hour."},
    ),
}


@pytest.fixture(scope="module")
def two(stacks, stack_kind, server_kind):
    """A site of two processes: staff is at the first, people at the second."""
    # Without Redis nothing rings at the other process: what was done is found by its sweep. And a ticket that is
    # refused must have been revoked, not be too old.
    env = {"NOTIFICATIONS_SWEEP_SECONDS": "1", "TICKETS_TICKET_SECONDS": "300"}
    site = Site(stacks.make(stack_kind, **env), server_kind)
    site.add_server()
    site.add_server()
    yield site
    complaints = [line for server in site.servers for line in server.complaints()]
    site.stop()
    site.stack.stop()
    assert not complaints


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as browser:
        yield browser


numbers = itertools.count(1)


@pytest.fixture
def clerk(two, profile):
    """`async with clerk("tickets.view_ticket") as (name, page):` is somebody of the staff who may do just that, and see
    what was audited, signed in at the first process."""

    @contextlib.asynccontextmanager
    async def sign_in(*permissions):
        name = f"clerk-{next(numbers)}-"  # which is no part of another's
        two.stack.add_people(name, staff=True, permissions=["tickets.view_auditevent", *permissions])
        async with profile(two.server.http) as browser:
            page = await browser.page("/admin/login/?next=/admin/")
            await page.get_by_label("Username").fill(name)
            await page.get_by_label("Password").fill(two.stack.password_of(name))
            await page.get_by_role("button", name="Log in").click()
            await expect(page.locator("#user-tools")).to_contain_text(name)
            yield name, page

    return sign_in


def rows(page):
    return page.locator("#result_list tbody tr")


async def listed(page, url, count):
    """Connections are listed, and acts are written down, some time after they were."""
    deadline = time.monotonic() + 10
    await page.goto(url)
    while await rows(page).count() < count:
        assert time.monotonic() < deadline, await page.locator("#changelist").inner_text()
        await page.reload()


async def audited(page, server, clerk, *words):
    """A row of the audit list as another process shows it, with all of these words, of what this clerk did."""
    found = rows(page)
    for word in (clerk, *words):
        found = found.filter(has_text=word)
    deadline = time.monotonic() + 10
    await page.goto(f"{server.http}{AUDIT}?q={clerk}")
    while not await found.count():
        assert time.monotonic() < deadline, await page.locator("#changelist").inner_text()
        await page.reload()
    return found.first


async def choose(page, act, url, count):
    """The newest `count` rows, the action, and Go."""
    await listed(page, url, count)
    for index in range(count):
        await rows(page).nth(index).get_by_role("checkbox").check()
    await page.get_by_role("combobox", name="Action").select_option(act.label)
    await page.get_by_role("button", name="Go", exact=True).click()


async def posted(page, url, **form):
    """What the server says to a form that the page does not have."""
    token = next(each["value"] for each in await page.context.cookies() if each["name"] == "csrftoken")
    answer = await page.context.request.post(
        url, form={"csrfmiddlewaretoken": token, **form}, headers={"Referer": url}, max_redirects=0
    )
    return answer.status


@ON_ONE_KIND
async def test_who_may_only_look(two, clerk):
    person, (here, there) = two.newcomer().at(two.servers[1]), two.servers
    ticket = await person.ticket()
    async with person.connect() as socket, clerk(*{act.view for act in ACTS.values()}, MAY_LOOK) as (who, page):
        await socket.expect("welcome")
        for act in ACTS.values():
            await is_refused(page, act, f"{here.http}{act.path}?q={person.username}")
        await page.goto(f"{here.http}{NOTIFICATIONS}")
        await expect(page.get_by_role("link", name="Tell people something")).to_have_count(0)
        form = {**MESSAGE, "names": person.username, "sent": "Tell"}
        assert await posted(page, f"{here.http}{NOTIFICATIONS}compose/", **form) == 403
        for words in {*(act.recorded for act in ACTS.values()), "composed by staff"}:
            await audited(page, there, who, words, "refused")
        await still_there(socket)
        assert {frame.type for frame in socket.frames} <= {"welcome", "caught_up", "pong"}, "nothing has happened"
        async with person.connect(ticket=ticket) as other:
            await other.expect("welcome")


async def is_refused(page, act, url):
    """The rows are seen, the action is not; and posted all the same, asking for it as well as saying yes to it."""
    await listed(page, url, 1)
    await expect(page.get_by_role("option", name=act.label)).to_have_count(0)
    key = (await rows(page).first.locator("th a").get_attribute("href")).split("/")[-3]
    form = {"action": act.action, "_selected_action": key}
    assert await posted(page, url, **form, index="0") == 403
    assert await posted(page, url, **form, **MESSAGE, confirmed=LATER) == 403


@ON_SEVERAL_PROCESSES
@pytest.mark.parametrize("name", ACTS)
async def test_an_act(two, profile, clerk, name):
    act, person, (here, there) = ACTS[name], two.newcomer(), two.servers
    url = f"{here.http}{act.path}?q={person.username}"
    async with act.scene(person.at(there), profile) as scene, clerk(act.view, act.permission) as (who, page):
        await takes_it_back(page, act, url, scene)
        await choose(page, act, url, scene.chosen)
        for label, text in {**act.filled, "Reason": f"because of {who}"}.items():
            await page.get_by_label(label).fill(text)
        scene.unharmed()
        await done_and_felt(page, act.asks.rstrip("?"), act.says, scene)
        await scene.after()
        await audited(page, there, who, act.audited, person.username, "done")
        await audited(page, there, who, act.recorded, f"because of {who}", "done")


async def done_and_felt(page, button, says, scene):
    begun = time.monotonic()
    await page.get_by_role("button", name=button, exact=True).click()
    await expect(page.locator(".messagelist")).to_have_text(says)
    took = await scene.felt() - begun
    print(f"{button}: felt after {took:.2f} s")
    assert took < SOON


async def takes_it_back(page, act, url, scene):
    """Who is asked sees how many and which, and may say no."""
    await choose(page, act, url, scene.chosen)
    await expect(page.get_by_role("heading", name=act.asks)).to_be_visible()
    await expect(page.locator("main tbody tr")).to_have_count(scene.chosen)
    await page.get_by_role("link", name="No, take me back").click()
    await expect(page).to_have_url(url)
    await expect(page.locator(".messagelist")).to_have_count(0)
    for index in range(scene.chosen):
        await expect(rows(page).nth(index)).to_contain_text(act.before)
    scene.unharmed()


MANY = """
from datetime import timedelta
from django.utils import timezone
from tickets.models import Ticket
last, now = Ticket.objects.filter(user__username="{username}").latest("id"), timezone.now()
last.created_at, last.expires_at = now - timedelta(hours=1), now + timedelta(hours=1)
last.save()
columns = {{field.attname: getattr(last, field.attname) for field in Ticket._meta.fields if field.attname != "id"}}
Ticket.objects.bulk_create(Ticket(**columns | {{"digest": f"{{n:064}}"}}) for n in range(149))
"""


@ON_SEVERAL_PROCESSES
async def test_all_that_match_across_pages(two, profile, clerk):
    act, person, (here, there) = ACTS["revoke a ticket"], two.newcomer(), two.servers
    url = f"{here.http}{TICKETS}?q={person.username}"
    async with tickets(person.at(there), profile) as scene, clerk(act.view, act.permission) as (who, page):
        two.stack.manage("shell", "-c", MANY.format(username=person.username))
        await listed(page, url, 100)
        # All but the one that is new.
        half_an_hour_ago = datetime.now(UTC) - timedelta(minutes=30)
        await page.get_by_label("Before").fill(f"{half_an_hour_ago:%Y-%m-%dT%H:%M:%S}")
        await page.get_by_role("button", name="Show", exact=True).click()
        await page.get_by_label("Select all objects on this page").check()
        await page.get_by_role("button", name="Select all 150 tickets").click()
        await page.get_by_role("combobox", name="Action").select_option(act.label)
        await page.get_by_role("button", name="Go", exact=True).click()
        await expect(page.get_by_role("heading", name="Revoke 150 tickets?")).to_be_visible()
        await expect(page.get_by_text("and 140 more")).to_be_visible()
        await expect(page.locator("main tbody tr")).to_have_count(10)
        await page.get_by_role("button", name="Revoke 150 tickets").click()
        await expect(page.locator(".messagelist")).to_have_text("Tickets revoked: 150.")
        await scene.felt()
        await scene.after()
        row = await audited(page, there, who, "staff acted", "done")
        await row.get_by_role("link").first.click()
        await expect(page.locator(".field-details")).to_contain_text("150")


GROUP = """
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
people = get_user_model().objects.filter(username__in={usernames})
Group.objects.create(name="{name}").user_set.set(people)
"""


@ON_SEVERAL_PROCESSES
async def test_people_are_told_something(two, profile, clerk):
    named, both, grouped, (here, there) = *(two.newcomer() for _ in range(3)), two.servers
    members, group = [both.username, grouped.username], f"operators of {named.username}"
    two.stack.manage("shell", "-c", GROUP.format(usernames=members, name=group))
    url = f"{here.http}{NOTIFICATIONS}"
    said = {"Title": "Door code changes", "Body": "Ask at the desk.", "Reason": "planned"}
    may = ("notifications.view_notification", "notifications.view_connection", "notifications.add_notification")
    may += ("auth.view_group",)
    async with inbox(said["Title"])(grouped.at(there), profile) as scene, clerk(*may) as (who, page):
        await page.goto(url)
        await page.get_by_role("link", name="Tell people something").click()
        for label, text in said.items():
            await page.get_by_label(label).fill(text)
        await page.get_by_label("People").fill(f"{named.username}\n{both.username}")
        await page.get_by_label("Groups").select_option(group)
        await page.get_by_role("button", name="Preview").click()
        await expect(page.get_by_role("region", name="Preview")).to_contain_text("This tells 3 people:")
        for person in (named, both, grouped):
            await expect(page.get_by_role("listitem").filter(has_text=person.username)).to_be_visible()
        scene.unharmed()
        await done_and_felt(page, "Tell 3 people", "People told: 3.", scene)

        # To whom the list of connections has.
        await listed(page, f"{here.http}{CONNECTIONS}?q={grouped.username}", scene.chosen)
        await page.goto(f"{url}compose/")
        await page.get_by_label("Title").fill("To all who hear this")
        await page.get_by_label("Audience").select_option("Whoever is connected now")
        await page.get_by_role("button", name="Preview").click()
        tell = page.get_by_role("button", name="Tell")
        count = (await tell.get_attribute("value")).split()[1]
        await tell.click()
        await expect(page.locator(".messagelist")).to_have_text(f"People told: {count}.")
        assert int(count) >= 2, "alice, and who is in the group"
        titles = [row["title"] for row in (await grouped.get("/api/notifications/")).json()["results"]]
        assert titles == ["To all who hear this", said["Title"]]
        await audited(page, there, who, "composed by staff", "planned", "done")
    told = {each.username: (await each.get("/api/notifications/")).json()["results"] for each in (named, both)}
    assert {name: [row["title"] for row in rows] for name, rows in told.items()} == {
        person.username: [said["Title"]] for person in (named, both)
    }, "once, though chosen twice; and who is not connected was not told what all who are were"
