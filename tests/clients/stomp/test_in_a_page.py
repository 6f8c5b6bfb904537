"""What docs/clients/stomp.md shows for stompjs, in Chromium as a page has it, with the package as npm has it."""

import json
import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import browser as browser
from tests.browser.conftest import profile as profile
from tests.support.processes import ROOT

(SNIPPET,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "clients" / "stomp.md").read_text(), re.DOTALL)
PACKAGE = ROOT / "node_modules" / "@stomp" / "stompjs" / "esm6"
LISTEN = """async () => {
    const { listen } = await import("/modules/listen.js");
    const shown = [];
    const show = (what) => {
        shown.push(what);
        document.body.dataset.shown = JSON.stringify(shown);
    };
    const client = listen({
        url: `${location.origin.replace("http", "ws")}/stomp`,
        async getTicket() {
            const token = /csrftoken=([^;]+)/.exec(document.cookie)[1];
            const answer = await fetch("/api/tickets/", { method: "POST", headers: { "X-CSRFToken": token } });
            if (!answer.ok) throw Object.assign(new Error("no ticket"), { status: answer.status });
            return (await answer.json()).ticket;
        },
        onNotification: ({ seq, replayed }) => show([seq, replayed]),
        onEnd: (why) => show(why),
    });
    const { onConnect } = client;
    client.onConnect = (frame) => {
        onConnect(frame);
        show(client.connectedVersion);
    };
}"""


async def serve(route):
    path = route.request.url.partition("/modules/")[2]
    code = SNIPPET if path == "listen.js" else (PACKAGE / path).read_text()
    await route.fulfill(body=code.replace('"@stomp/stompjs"', '"/modules/index.js"'), content_type="text/javascript")


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
@pytest.mark.parametrize("server_kind", ["daphne"], indirect=True)
async def test_a_page_goes_on_where_it_was_until_its_person_signs_out(make_site, profile):
    site = make_site()
    async with profile(site.server.http) as person:
        person.expected += ["WebSocket connection to", "net::ERR_CONNECTION_", "status of 403"]
        page = await person.sign_in("demo")
        await expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
        await page.route("**/modules/**", serve)
        await page.evaluate(LISTEN)
        await shows(page, "1.2")
        site.stack.manage("notify", "demo", "--title", "one")
        await shows(page, "1.2", [1, False])

        site.server.kill()
        site.stack.manage("notify", "demo", "--title", "two")
        site.server.start()
        await shows(page, "1.2", [1, False], "1.2", [2, True])

        other = await person.page("/devices/")
        await other.get_by_role("button", name="Sign out").first.click()
        await shows(page, "1.2", [1, False], "1.2", [2, True], "logged_out")
    assert not site.server.complaints()


async def shows(page, *wanted):
    shown = json.dumps(wanted, separators=(",", ":"))
    await expect(page.locator("body")).to_have_attribute("data-shown", shown, timeout=40_000)
