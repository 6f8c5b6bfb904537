"""What the tests of this directory take for a complaint."""

import asyncio
import contextlib

import pytest

pytestmark = [
    pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True),
    pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True),
]

# What Chromium says of a socket that was being opened when it was closed.
HALF_OPEN = "WebSocket is closed before the connection is established."


@pytest.fixture
async def silent():
    """The address of a socket server that accepts lines and never answers."""

    async def hold(reader, writer):
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def dial(page, address):
    """As the inbox does, the page closes its socket when it is left."""
    await page.evaluate("url => { window.socket = new WebSocket(url) }", address)
    await page.evaluate("addEventListener('pagehide', () => window.socket.close())")


async def told(browser, count):
    async with asyncio.timeout(10):
        while len(browser.complaints) < count:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "script",
    ["console.error('broken')", "console.warn('broken')", "setTimeout(() => { throw new Error('broken') })"],
    ids=["error", "warning", "exception"],
)
async def test_what_a_page_complains_of_fails_the_test(site, profile, script):
    with pytest.raises(AssertionError, match="broken"):
        async with profile(site.server.http) as browser:
            page = await browser.page("/accounts/login/")
            await page.evaluate(script)
            await told(browser, 1)


async def test_a_socket_that_a_page_gives_up_while_it_stays_is_a_complaint(site, profile, silent):
    with pytest.raises(AssertionError, match=HALF_OPEN):
        async with profile(site.server.http, bypass_csp=True) as browser:
            page = await browser.page("/accounts/login/")
            await dial(page, silent)
            await page.evaluate("window.socket.close()")
            await told(browser, 1)


async def test_a_socket_that_goes_with_its_page_is_none(site, profile, silent):
    async with profile(site.server.http, bypass_csp=True) as browser:
        page = await browser.page("/accounts/login/")
        await dial(page, silent)
        await page.reload()
        await dial(page, silent)
    assert len(browser.complaints) == 1 and browser.complaints[0].endswith(HALF_OPEN), "nobody closed it half open"
