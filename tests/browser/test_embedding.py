"""The wheel in a project that `startproject` made, by the lines of docs/embedding.md: the bell rings there."""

import asyncio
import re

import httpx
import pytest
from playwright.async_api import expect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from tests.support.embedding import PAGE, Host, build_wheel, chapters, run
from tests.support.processes import wait_until

PERSON = "sue"
PASSWORD = "a password of hers"
POPULATE = f"""
from django.contrib.auth import get_user_model
from django.core.management import call_command
call_command("migrate", verbosity=0)
get_user_model().objects.create_superuser("{PERSON}", password="{PASSWORD}")
"""
TELL = """
from django.contrib.auth import get_user_model
from notifications.api import notify
notify(get_user_model().objects.get(), title="From another process")
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    directory = tmp_path_factory.mktemp("embedding")
    made = Host(directory, build_wheel(directory))
    lines = made.follow("Ten lines")
    assert len(lines) <= 10, lines
    made.manage("shell", "--no-imports", "-c", POPULATE)
    return made


def up(server, host):
    """Its address, once it answers."""

    def answers():
        assert server.returncode is None, server.log()
        return httpx.get(f"{base}/admin/login/", timeout=2).status_code == 200

    base = f"http://127.0.0.1:{host.port}"
    wait_until(answers, timeout=60, what=f"answer of {server.command}")
    return base


async def signed_in(browser, base):
    """The home page, after Django's own sign-in page, once the bell is live."""
    page = await browser.page("/admin/login/?next=/")
    await page.get_by_label("Username").fill(PERSON)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    async with asyncio.timeout(20):
        while await page.evaluate(STATE) != "connected":
            await asyncio.sleep(0.05)
    return page


STATE = "import('/static/usher/page.js').then(({ page }) => page().state.state)"


async def rings(page, title):
    """The badge counts, a toast is there, the panel shows it, and the inbox is where the page says."""
    await expect(page.locator("usher-toasts .usher-toast")).to_contain_text(title)
    await expect(page.locator("usher-bell [data-badge]")).to_have_text("1")
    await page.locator("usher-bell > button").click()
    panel = page.get_by_role("dialog", name="Notifications")
    await expect(panel.locator("[data-title]").first).to_have_text(title)
    await expect(page.locator("usher-bell [data-badge]")).to_be_hidden()
    await panel.get_by_role("link", name="Open the inbox").click()
    await expect(page).to_have_url(re.compile("/usher/$"))
    await expect(page.locator("usher-inbox li [data-title]").first).to_have_text(title)


async def test_ten_lines_and_the_bell_rings(host, profile):
    with host.serve("manage.py", "runserver", "--noreload", "127.0.0.1:PORT") as server:
        base = up(server, host)
        async with profile(base) as browser:
            page = await signed_in(browser, base)
            host.manage("notify", PERSON, "--title", "From a terminal")
            await rings(page, "From a terminal")
            await page.goto(f"{base}/usher/devices/")
            await expect(page.get_by_text("This device")).to_be_visible()
            await the_api_is_ours(browser.context.request, base)
        await a_socket_is_bounded(base)
        # The page to sign in on is the project's, and no stranger says where the project is.
        answer = httpx.get(f"{base}/usher/", headers={"Daphne-Root-Path": "//evil.example"})
        assert (answer.status_code, answer.headers["location"]) == (302, "/admin/login/?next=/usher/")
    assert "System check identified no issues (0 silenced)." in server.log()
    assert "Traceback" not in server.log()


async def the_api_is_ours(session, base):
    """Whatever the project wants of its own."""
    listed = await session.get(f"{base}/usher/api/notifications/")
    assert listed.headers["content-type"] == "application/json"
    (row,) = (await listed.json())["results"]
    assert (row["seq"], row["title"]) == (1, "From a terminal")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", row["created_at"])
    for path, status, code in (("notifications/?limit=x", 400, "invalid"), ("nowhere/", 404, "not_found")):
        refused = await session.get(f"{base}/usher/api/{path}")
        assert (refused.status, (await refused.json())["code"]) == (status, code)
        assert refused.headers["content-type"] == "application/problem+json"
    stranger = httpx.get(f"{base}/usher/api/notifications/")
    assert (stranger.status_code, stranger.json()["code"]) == (401, "not_authenticated")


async def a_socket_is_bounded(base):
    """Though nobody told the server to: by itself it would read all of it, for us to refuse in words (4506)."""
    async with connect(f"{base.replace('http', 'ws')}/usher/ws/") as socket:
        await socket.send("x" * 20_000)
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.recv()
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009


async def test_as_in_production_under_a_strict_policy(host, profile, valkey):
    """uvicorn with the flags of the page, Redis, programs that sign in, and a policy of what the page names."""
    host.follow("In production")
    host.follow("For programs")
    policy = re.search(r"`(script-src [^`]+)`, and `(img-src [^`]+)`", PAGE.read_text())
    strict = f"default-src 'none'; form-action 'self'; base-uri 'none'; {policy[1]}; {policy[2]}"
    variables = {"POLICY": strict, "REDIS_URL": valkey.url, "TOKEN_KEY": "t" * 40}
    command = ("-m", "uvicorn", *uvicorn_of_the_page(), "--host=127.0.0.1", "--port=PORT")
    with host.serve(*command, **variables) as server:
        base = up(server, host)
        async with profile(base) as browser:
            page = await signed_in(browser, base)
            host.manage("shell", "--no-imports", "-c", TELL, **variables)
            await rings(page, "From another process")
        usher = [str(host.python.with_name("usher")), "sessions", f"--url={base}/usher", f"--username={PERSON}"]
        told = run(*usher, env=host.env | {"USHER_PASSWORD": PASSWORD})
        assert "Chrome" in told or "HeadlessChrome" in told
        answer = httpx.get(f"{base}/usher/readyz").json()
        assert (answer["layer"], answer["migrations"]) == ("ok", "ok")
        await a_socket_is_bounded(base)
    assert "Traceback" not in server.log()


def uvicorn_of_the_page():
    """What it says behind `$ uvicorn`."""
    (console,) = (code for language, _, code in chapters()["In production"] if language == "console")
    (line,) = re.findall(r"^\$ uvicorn (.*)$", console, re.MULTILINE)
    return line.split()
