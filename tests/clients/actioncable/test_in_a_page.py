"""What docs/clients/actioncable.md shows, run in Chromium as a page has it, with the clients as npm has them."""

import json
import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import browser as browser
from tests.browser.conftest import profile as profile
from tests.support.processes import ROOT

PAGE = (ROOT / "docs" / "clients" / "actioncable.md").read_text()
MODULES = dict(re.findall(r"```js\n// ([\w-]+\.js)\n(.*?)```", PAGE, re.DOTALL))
EXAMPLES = ("rails.js", "anycable.js", "anycable-v1.js")
PACKAGES = {
    "@rails/actioncable": "@rails/actioncable/app/assets/javascripts/actioncable.esm.js",
    "@anycable/core": "@anycable/core/index.js",
    "nanoevents": "nanoevents/index.js",
}
SHOW = "document.body.dataset.shown = JSON.stringify(shown)"
SETUP = f"""() => {{
    window.shown = [];
    window.show = ({{ seq, replayed }}) => {{ shown.push([seq, replayed]); {SHOW}; }};
    window.list = ({{ head }}) => {{ shown.push(`list ${{head}}`); {SHOW}; }};
}}"""


def served(path):
    """A module of the page, or of a package, with the addresses of this place for the names of packages."""
    code = MODULES.get(path) or (ROOT / "node_modules" / path).read_text()
    for name, file in PACKAGES.items():
        code = re.sub(rf"""from (["']){name}\1""", f'from "/modules/{file}"', code)
    return code


async def serve(route):
    path = route.request.url.partition("/modules/")[2]
    await route.fulfill(body=served(path), content_type="text/javascript")


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
@pytest.mark.parametrize("server_kind", ["daphne"], indirect=True)
async def test_all_examples_show_what_arrives_and_what_was_missed(make_site, profile):
    assert set(MODULES) == {"tickets.js", *EXAMPLES}
    site = make_site()
    async with profile(site.server.http) as person:
        person.expected += ["WebSocket connection to", "net::ERR_CONNECTION"]  # the server is away for a while
        pages = {}
        first = await person.sign_in("demo")
        await expect(first.get_by_role("heading", name="Inbox")).to_be_visible()
        for name in EXAMPLES:
            pages[name] = page = await person.page()
            await page.route("**/modules/**", serve)
            await page.evaluate(SETUP)
            await page.evaluate(f"import('/modules/{name}').then(() => null)")
            await shows(page, ["list 0"])
        site.stack.manage("notify", "demo", "--title", "one")
        for page in pages.values():
            await shows(page, ["list 0", [1, False]])
        await first.close()
        site.server.kill()
        site.stack.manage("notify", "demo", "--title", "two")
        site.server.start()
        for page in pages.values():
            await shows(page, ["list 0", [1, False], [2, True]])
    assert not site.server.complaints()


async def shows(page, wanted):
    await expect(page.locator("body")).to_have_attribute(
        "data-shown", json.dumps(wanted, separators=(",", ":")), timeout=40_000
    )
