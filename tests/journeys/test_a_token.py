"""The trips of a program that shows its access token instead of a ticket."""

import asyncio
import base64
import json
import time

import pytest

from tests.conftest import EACH_KIND_ONCE


def bearer(token):
    return {"carrier": "none", "headers": {"Authorization": f"Bearer {token}"}}


@EACH_KIND_ONCE
async def test_a_token_in_a_header(make_site):
    site = make_site()
    demo = site.person("demo")
    async with demo.connect(**bearer(await demo.token())) as socket:
        welcome = await socket.expect("welcome")
        assert welcome["user"]["username"] == "demo"
        site.stack.manage("notify", "demo", "--title", "hello")
        await socket.expect("notification", seq=1)
        await demo.log_out()
        await socket.expect("bye", code=4501)
    assert demo.access not in site.server.log()


@EACH_KIND_ONCE
async def test_a_token_as_first_frame_and_a_fresh_one_later(make_site):
    site = make_site()
    demo = site.person("demo")
    token = await demo.token()
    async with demo.connect(carrier="none") as socket:
        await socket.send({"type": "authenticate", "token": token, "ref": "1"})
        welcome = await socket.expect("welcome")
        await demo.refresh()
        await socket.send({"type": "reauth", "token": demo.access, "ref": "2"})
        again = await socket.expect("reauthenticated", ref="2")
        assert again["expires_at"] >= welcome["expires_at"]


def _claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def _encoded(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_what_is_no_good_token_is_told_nothing_but_4402(make_site):
    site = make_site()
    demo, alice = site.person("demo"), site.person("alice")
    good = await demo.token()
    header, body, signature = good.split(".")
    ended = await alice.token()
    await alice.log_out()
    over = {**_claims(good), "exp": int(time.time()) - 1}
    bad = {
        "nothing": "",
        "garbage": "x",
        "long": "x" * 4000,
        "no signature": f"{_encoded({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "another signature": f"{header}.{body}.{signature[::-1]}",
        "another body": f"{header}.{_encoded(over)}.{signature}",
        "a refresh token": demo.refresh_token,
        "of an ended session": ended,
    }
    for what, token in bad.items():
        async with demo.connect(**bearer(token)) as socket:
            frame = await socket.next()
            assert (frame["type"], frame.get("code")) == ("bye", 4402), what
        async with demo.connect(carrier="none") as socket:
            await socket.send({"type": "authenticate", "token": token})
            frame = await socket.next()
            assert (frame["type"], frame.get("code")) == ("bye", 4402), what
    async with demo.connect(**{**bearer(good), "carrier": "header", "ticket": await demo.ticket()}) as socket:
        assert await socket.closed() == 4402, "two credentials are none"
    assert "Traceback" not in site.server.log()


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_ways_that_are_closed(make_site):
    site = make_site(TICKETS_CARRIERS="subprotocol", NOTIFICATIONS_AUTHENTICATION_SECONDS="1")
    demo = site.person("demo")
    for way in (bearer(await demo.token()), {"carrier": "header"}):
        async with demo.connect(**way) as socket:
            await socket.expect("bye", code=4408)
    async with demo.connect(carrier="frame") as socket:
        await socket.expect("error", code="not_accepted")
    async with demo.connect() as socket:
        await socket.expect("welcome")
        await socket.send({"type": "reauth", "token": demo.access})
        await socket.expect("error", code="not_accepted")


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_a_token_in_each_message(make_site):
    site = make_site(NOTIFICATIONS_AUTHENTICATE_EACH_MESSAGE="1")
    demo, alice = site.person("demo"), site.person("alice")
    site.stack.manage("notify", "demo", "--title", "hello")
    async with demo.connect(**bearer(await demo.token()), auto_ack=False) as socket:
        await socket.expect("welcome", head=1)
        await socket.send({"type": "state", "state": "read", "through": 1, "token": demo.access, "ref": "a"})
        await socket.expect("state", ref="a", unread=0)
        await demo.refresh()
        await socket.send({"type": "state", "state": "unread", "through": 1, "token": demo.access, "ref": "b"})
        await socket.expect("state", ref="b", unread=1)
        await socket.send({"type": "ping", "ref": "c"})
        await socket.expect("pong", ref="c")

        await socket.send({"type": "state", "state": "read", "through": 1, "ref": "d"})
        await socket.expect("reauth_required", reason="requested")
        await socket.expect("error", code="reauth_required", ref="d")
        listed = (await demo.get("/api/notifications/")).json()
        assert listed["unread"] == 1, "it was not carried out"
        await socket.send({"type": "reauth", "token": demo.access})
        await socket.expect("reauthenticated")

        await socket.send({"type": "state", "state": "read", "through": 1, "token": await alice.token()})
        await socket.expect("bye", code=4507)
    assert (await demo.get("/api/notifications/")).json()["unread"] == 1
    assert '"act": "user_swapped"' in site.server.log()


@EACH_KIND_ONCE
async def test_fifty_tabs_that_refresh_at_once_and_one_that_comes_too_late(make_site):
    site = make_site(TICKETS_REFRESH_GRACE="3")
    servers = [site.server, site.add_server()] if site.stack.kind == "scaled" else [site.server]
    demo = site.person("demo")
    async with demo.connect(**bearer(await demo.token())) as socket:
        await socket.expect("welcome")
        old = demo.refresh_token
        tabs = [demo.at(servers[number % len(servers)]) for number in range(50)]
        answers = await asyncio.gather(*(tab.post("/api/token/refresh/", {"refresh": old}, bearer="") for tab in tabs))
        spent = time.monotonic()
        (pair,) = [answer.json() for answer in answers if answer.status_code == 200]
        raced = [answer.json()["code"] for answer in answers if answer.status_code == 409]
        assert raced == ["refresh_raced"] * 49
        # The session lives, and so does what the one was given.
        site.stack.manage("notify", "demo", "--title", "still here")
        await socket.expect("notification", title="still here")
        answer = await demo.post("/api/token/refresh/", {"refresh": pair["refresh"]}, bearer="")
        assert answer.status_code == 200
        newest = answer.json()

        # Long after, somebody has a token that was spent: it was stolen, or the one after it was.
        await asyncio.sleep(max(0, 3.2 - (time.monotonic() - spent)))
        for token in (old, newest["refresh"]):
            assert (await demo.post("/api/token/refresh/", {"refresh": token}, bearer="")).status_code == 401
        await socket.expect("bye", code=4503, reconnect=False, need="login")
        assert (await demo.post("/api/tickets/", bearer=newest["access"])).status_code == 401
    assert '"authn_token_reuse:' in site.server.log()
