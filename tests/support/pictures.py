"""`make pictures`: the pictures of README and docs, taken of the site as it is. Look at each before committing it."""

import asyncio
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.support.client import Person
from tests.support.servers import Server
from tests.support.stack import Stack, Stacks

PICTURES = Path(__file__).resolve().parents[2] / "docs/images"
WIDE = {"width": 1000, "height": 660}
NARROW = {"width": 390, "height": 700}

# (title, body, level, kind, url, hours ago, read), the oldest first.
SAID = [
    (
        "Your invoice for October",
        "120 € are due on November 30.",
        "info",
        "billing.invoice",
        "/invoices/118/",
        50,
        True,
    ),
    ("Disk almost full on db-2", "92 % used. Old segments were not removed.", "warning", "ops.disk", "", 27, False),
    ("Backup finished", "", "success", "ops.backup", "", 26, True),
    (
        "Payment failed",
        "The card was declined. Ask for another one.",
        "error",
        "billing.failed",
        "/invoices/117/",
        5,
        False,
    ),
    ("Alice mentioned you", "“Could you check page 3 of the plan?”", "info", "docs.mention", "/plan/", 2, False),
]
AGE = """
from datetime import timedelta
from django.utils import timezone
from notifications.api import mark
from notifications.models import Notification
for row, (hours, read) in zip(Notification.objects.filter(user__username="demo").order_by("seq"), {ages}):
    Notification.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(hours=hours))
    if read: mark(row.user_id, state="read", ids=[row.pk])
"""


# An hour of two processes: the database was away for three minutes, Redis for two, and a process was restarted.
HOUR = """
import math, random, time
from datetime import UTC, datetime
from notifications.models import Figures
random.seed(4)
ten = time.time() // 10 * 10
def moment(seconds): return datetime.fromtimestamp(seconds, UTC)
def row(server, number):
    at, wave = ten - 3590 + number * 10, math.sin(number / 40) + 1.2
    deaf = 200 <= number < 212
    counted = {
        "notifications_sent": {"live": int(60 * wave * random.uniform(.8, 1.2)), "replayed": random.choice([0, 3, 14])},
        "tickets_issued": {"connect": random.randint(3, 9)}, "tickets_redeemed": {"": random.randint(3, 8)},
        "connections_opened": {"usher.v1": random.randint(2, 7)}, "connections_closed": {"1001": random.randint(1, 5)},
    }
    if random.random() < .15: counted["tickets_refused"] = {random.choice(["expired", "used", "network"]): 2}
    if random.random() < .08: counted["connections_closed"][random.choice(["4402", "4408", "4501"])] = 1
    if random.random() < .1: counted["replays"] = {"resumed": random.randint(1, 4)}
    if random.random() < .03: counted["handshakes_refused"] = {"origin": 1}
    if deaf: counted["announcements"] = {"lost": random.randint(5, 9)}
    now = {"connections": {"usher.v1 open": int(400 * wave), "usher.v1 held": random.randint(0, 9)}}
    if deaf: now["layer_degraded"] = {"": 1.0}
    times = dict(since=moment(at - 10), until=moment(at), believed_until=moment(at + 25))
    return Figures(server=server, counted=counted, now=now, **times)
away, restarted = range(150, 168), range(270, 290)
Figures.objects.all().delete()
Figures.objects.bulk_create(
    [row("web-1:4711:a1b2c3", n) for n in range(360) if n not in away]
    + [row("web-1:4712:d4e5f6", n) for n in range(360) if n not in away and n not in restarted]
)
"""


# Who is connected to two processes.
CONNECTED = """
import random, uuid
from datetime import timedelta
from django.contrib.auth import get_user_model
from django.utils import timezone
from notifications.models import Connection, Stream
random.seed(4)
now, lease = timezone.now(), timedelta(hours=1)
servers = ["web-1:4711:a1b2c3", "web-1:4712:d4e5f6"]
def row(number, name):
    user, _ = get_user_model().objects.get_or_create(username=name)
    head = random.randint(20, 400)
    Stream.objects.update_or_create(user=user, defaults={"head": head})
    told = head - (number % 3 == 1) * 12
    return Connection(
        name=f"{random.getrandbits(64):016x}", user=user, session_id=uuid.UUID(int=random.getrandbits(128), version=4),
        server=random.choice(servers), network=f"203.0.{random.randint(1, 250)}.0/24", protocol="usher.v1",
        opened_at=now - timedelta(minutes=number**2), leased_until=now + lease, cursor=told, acked=told,
    )
Connection.objects.all().delete()
Connection.objects.bulk_create(row(*each) for each in enumerate(
    ["maria.keller", "jonas.weber", "amina.yilmaz", "li.wei", "tom.okafor", "ines.duarte", "karl.brandt", "sofia.rossi"]
))
"""


async def fill(server: Server, stack: Stack) -> Person:
    service = Person(server, "service")
    for title, body, level, kind, url, *_ in SAID:
        said = {"user": "demo", "title": title, "body": body, "level": level, "kind": kind, "url": url}
        await service.post("/api/notifications/", said)
    stack.manage("shell", "-c", AGE.format(ages=[said[-2:] for said in SAID]))
    return service


class Camera:
    def __init__(self, browser: Browser, base: str, service: Person) -> None:
        self.browser, self.base, self.service = browser, base, service

    async def page(self, path: str = "/", **how: object) -> Page:
        usual = {"viewport": WIDE, "color_scheme": "light", "device_scale_factor": 1.5}
        context = await self.browser.new_context(**usual | how)
        page = await context.new_page()
        await page.goto(f"{self.base}/accounts/login/?next={path}")
        await page.fill("[name=username]", "demo")
        await page.fill("[name=password]", "demo")
        await page.click("main button")
        await page.locator("usher-status[data-state=connected]").wait_for()
        return page

    async def take(self, page: Page, name: str) -> None:
        await page.evaluate("Promise.all(document.getAnimations().map(each => each.finished.catch(() => {})))")
        await page.screenshot(path=PICTURES / f"{name}.png")
        await page.context.close()

    async def tell(self, page: Page, **said: str) -> None:
        await self.service.post("/api/notifications/", {"user": "demo", **said})
        await page.locator(".usher-toast").wait_for()


async def take_all(camera: Camera) -> None:
    light, dark = [await camera.page(color_scheme=scheme) for scheme in ("light", "dark")]
    said = {"title": "Build finished", "body": "All checks are green.", "level": "success", "kind": "ci.build"}
    await camera.tell(light, url="/builds/7/", **said)
    await dark.locator(".usher-toast").wait_for()
    await camera.take(light, "inbox-light")
    await camera.take(dark, "inbox-dark")
    bell = await camera.page("/devices/", viewport=NARROW)
    await bell.click("usher-bell button")
    await bell.locator(".usher-panel li").first.wait_for()
    await camera.take(bell, "bell")
    await camera.take(await camera.page("/preferences/", viewport=NARROW, color_scheme="dark"), "preferences")
    await camera.take(await camera.page(viewport=NARROW, locale="ar"), "right-to-left")


async def at_the_admin(camera: Camera, height: int, **how: object) -> Page:
    page = await (await camera.browser.new_context(viewport={"width": 1280, "height": height}, **how)).new_page()
    await page.goto(f"{camera.base}/accounts/login/?next=/admin/")
    await page.fill("[name=username]", "staff")
    await page.fill("[name=password]", "staff")
    await page.click("main button")
    await page.wait_for_url("**/admin/")
    return page


async def take_connections(camera: Camera, stack: Stack, name: str, **how: object) -> None:
    """As staff sees them, about to act on two."""
    page = await at_the_admin(camera, 700, **how)
    await asyncio.to_thread(stack.manage, "shell", "-c", CONNECTED)
    await page.goto(f"{camera.base}/admin/notifications/connection/")
    await page.locator("#toggle-nav-sidebar").click()  # for more of the columns
    for number in (1, 2):
        await page.locator("#result_list .action-select").nth(number).check()
    await page.get_by_role("combobox", name="Action").select_option("disconnect")
    await camera.take(page, name)


async def take_dashboard(camera: Camera, stack: Stack, name: str, **how: object) -> None:
    """The last hour, as if it had been one."""
    page = await at_the_admin(camera, 900, **how)
    await asyncio.to_thread(stack.manage, "shell", "-c", HOUR)
    await page.goto(f"{camera.base}/admin/notifications/figures/")
    await page.locator(".dash-tile").first.wait_for()
    await camera.take(page, name)


async def main() -> None:
    with Stacks() as stacks:
        stack = stacks.make("embedded", TICKETS_ISSUE_BURST="100", TICKETS_SIGN_IN_PER_MINUTE_NAME="100")
        with Server("uvicorn", stack) as server:
            service = await fill(server, stack)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                camera = Camera(browser, server.http, service)
                await take_all(camera)
                await take_connections(camera, stack, "connections")
                await take_connections(camera, stack, "connections-dark", color_scheme="dark")
                await take_dashboard(camera, stack, "dashboard")
                await take_dashboard(camera, stack, "dashboard-dark", color_scheme="dark")
                await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
