"""The trip of an act into the audit log: a line in the file, and a row that staff finds; none of it a credential."""

import asyncio
import json
import re

import pytest

from tests.conftest import EACH_KIND_ONCE
from tests.support.desk import Desk

PAGE = "/admin/tickets/auditevent/"
# Whoever presents this had it: the number in the event is that of the ticket's row.
LIFE = [
    ("authn_login_fail", "signed_in"),
    ("authn_login_success", "signed_in"),
    ("session_created", "session_opened"),
    ("authn_token_created", "ticket_issued"),
    ("authn_login_success", "ticket_redeemed"),
    ("authn_token_reuse", "ticket_redeemed"),
    ("session_expired", "session_ended"),
    ("session_use_after_expire", "session_used"),
]


@pytest.fixture
def audited_site(make_site, tmp_path):
    site = make_site(AUDIT_LOG=str(tmp_path / "audit.jsonl"))
    site.stack.add_people("auditor", staff=True, permissions=["tickets.view_auditevent"])
    return site


async def found(desk, within=40.0, **query):
    """What the page lists, as soon as it lists anything: [(act, result)], the newest first."""
    for _ in range(int(within / 0.1)):
        page = await desk.get(PAGE, **query)
        assert page.status_code == 200, page.text
        rows = re.findall(r'class="field-what">([\w: ]+)<.*?class="field-result">(\w+)<', page.text)
        if rows:
            return rows
        await asyncio.sleep(0.1)
    raise AssertionError(f"nothing for {query} in {within:g} s")


@EACH_KIND_ONCE
async def test_a_session_s_life_is_in_the_log_and_in_the_table(audited_site, tmp_path):
    site = audited_site
    alice = site.newcomer()
    refused = await alice.post("/api/token/", {"username": alice.username, "password": "wrong"}, bearer="")
    assert refused.status_code == 401
    ticket = await alice.ticket()
    async with alice.connect(ticket=ticket) as socket:
        who = (await socket.expect("welcome"))["user"]["id"]
        async with alice.connect(ticket=ticket) as thief:
            await thief.expect("bye", code=4402)
        await alice.log_out()
        await socket.expect("bye", code=4501)
    assert (await alice.post("/api/tickets/")).json()["code"] == "session_ended"

    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [(line["event"].partition(":")[0], line["act"]) for line in lines] == LIFE
    assert {line.get("user", who) for line in lines} == {who}
    assert {line["address"] for line in lines if "address" in line} == {"127.0.0.1", "127.0.0.0/24"}
    assert not any(secret in str(lines) for secret in (ticket, alice.access, alice.refresh_token, alice.password))
    assert "tickets.audit" not in site.server.log(), "it is in the file instead"

    async with Desk(site, "auditor") as desk:
        rows = await found(desk, q=str(who), act="ticket_redeemed", result="refused")
        assert rows == [("ticket redeemed", "refused")]
        listed = [act for act, _result in await found(desk, q=alice.username)]
        assert set(listed) >= {"session ended", "ticket issued", "session opened", "signed in"}


@EACH_KIND_ONCE
async def test_what_has_just_happened_is_kept_by_a_server_that_ends(audited_site):
    alice = audited_site.newcomer()
    await alice.ticket()
    audited_site.server.stop()
    audited_site.server.start()
    async with Desk(audited_site, "auditor") as desk:
        assert await found(desk, within=20.0, q=alice.username, act="ticket_issued") == [("ticket issued", "done")]


@EACH_KIND_ONCE
async def test_a_log_that_cannot_be_written_keeps_nobody_signed_in_or_out(make_site, tmp_path):
    site = make_site(AUDIT_LOG=str(tmp_path / "not-there" / "audit.jsonl"))
    alice = site.newcomer()
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await alice.log_out()
        site.stack.manage("notify", alice.username, "--title", "private")
        await socket.expect("bye", code=4501)
        assert not socket.of("notification")
    assert "No such file or directory: {" in site.server.log()
    assert not site.server.complaints()
