"""A real Chromium against real servers. Every page it opens is watched: an error on the console, a report of the
Content-Security-Policy or a script that fails, fails the test."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Without `preload`: it would put style sheets that others import into the page, which its policy refuses.
LOOK = "rules => axe.run({within}, {{runOnly: rules, resultTypes: ['violations'], preload: false}})"
THEMES = {
    "light, wide": {"color_scheme": "light", "viewport": {"width": 1200, "height": 800}},
    "dark, narrow": {"color_scheme": "dark", "viewport": {"width": 390, "height": 800}},
}
expect.set_options(timeout=20_000)  # ten times what is promised


def pytest_collection_modifyitems(items):
    if CHROMIUM is None and os.environ.get("CI") != "true":
        reason = "NO CHROMIUM: the browser tests were left out. `apt install chromium`, or SYSTEM_PACKAGES=1 .ci/run"
        for item in items:
            if "browser" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason=reason))


@dataclass
class Watched:
    """A browser profile whose pages complain here. `expected` are words that a test brings about on purpose."""

    context: BrowserContext
    base: str
    scripts: bool = True
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    async def page(self, path: str = "/") -> Page:
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        await page.goto(self.base + path)
        return page

    async def sign_in(self, username: str, password: str | None = None, path: str = "/") -> Page:
        page = await self.page(path)
        await fill_in(page, username, password or username)
        return page

    def unexpected(self) -> list[str]:
        return [said for said in self.complaints if not any(words in said for words in self.expected)]


async def fill_in(page: Page, username: str, password: str) -> None:
    await page.get_by_label("Name").fill(username)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    assert CHROMIUM, "no chromium: `apt install chromium`"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
def profile(browser):
    """`async with profile(site.server.http) as person:`; what its pages complained of fails the test."""

    @contextlib.asynccontextmanager
    async def open_profile(base: str, **options) -> AsyncIterator[Watched]:
        context = await browser.new_context(**options)
        watched = Watched(context, base, scripts=options.get("java_script_enabled", True))
        try:
            yield watched
            # Now: that a page is closed while it connects is the test's doing, and Chromium complains of it.
            assert not watched.unexpected(), watched.unexpected()
        finally:
            await context.close()

    return open_profile


@pytest.fixture(scope="session")
def axe():
    if not AXE.is_file():
        message = f"NO AXE: `make test` installs it, where Node.js is, as {AXE}; no page's accessibility was tested"
        assert os.environ.get("CI") != "true", message
        pytest.skip(message)
    return AXE.read_text()


@pytest.fixture
def violations(axe):
    """Of a page as it stands: each with the elements concerned. Of its colours, the measured contrast is in it."""

    async def found(page, within="document"):
        await page.wait_for_load_state("load")  # its text is there before its style
        await page.evaluate(axe)  # not as a script of the page, which its policy would refuse
        # What moves in is half transparent, and no contrast can be measured of it.
        await page.evaluate("Promise.all(document.getAnimations().map(each => each.finished.catch(() => {})))")
        result = await page.evaluate(LOOK.format(within=within), RULES)
        assert result["passes"], "axe has looked at something"
        return [
            (rule["id"], node["html"][:200], node.get("failureSummary", ""))
            for rule in result["violations"]
            for node in rule["nodes"]
        ]

    return found


class Wire:
    """A TCP proxy in front of a server: `cut()` closes every line and answers nobody until `mend()`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lines: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()
        self.up = True

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        self.up = False
        for line in self._lines:
            line.transport.abort()

    def mend(self) -> None:
        self.up = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.up:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._lines |= {writer, far_writer}
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        target.transport.abort() if not self.up else target.close()
        self._lines.discard(target)
