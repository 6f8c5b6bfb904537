"""The trips of somebody whom another application vouches for with a JWT."""

import asyncio
import json
import time

import jwt
import pytest

from tests.conftest import EACH_KIND_ONCE

KEY = "shared with the other application " * 2
EMBEDDED = pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)


async def vouched_for(person, *, key=KEY, seconds=600, **claims):
    """A JWT as the other application makes it for this person."""
    user_id = jwt.decode(await person.token(), options={"verify_signature": False})["user_id"]
    ext = json.dumps({"user_id": user_id})
    return jwt.encode({"ext": ext, "exp": int(time.time()) + seconds, **claims}, key, algorithm="HS256")


def in_header(token):
    return {"carrier": "none", "headers": {"X-JID": token}}


def in_address(token):
    return {"carrier": "none", "path": f"/ws/?jid={token}"}


async def refused(person, **how):
    """Whether the socket is told nothing but 4402."""
    async with person.connect(**how) as socket:
        frame = await socket.next()
        return (frame["type"], frame.get("code"), await socket.closed()) == ("bye", 4402, 4402)


async def sessions(person, *, connected):
    """The person's sessions by JWT, once so many connections of theirs are listed."""
    deadline = time.monotonic() + 10
    while True:
        answer = await person.get("/api/sessions/")
        assert answer.status_code == 200, answer.text
        found = [session for session in answer.json()["results"] if session["method"] == "jwt"]
        if sum(len(session["connections"]) for session in found) == connected:
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)


@EACH_KIND_ONCE
async def test_a_token_of_another_application_is_a_session_that_its_person_can_end(make_site):
    site = make_site(TICKETS_JID_KEY=KEY)
    demo = site.person("demo")
    token = await vouched_for(demo)
    async with demo.connect(**in_header(token)) as socket:
        welcome = await socket.expect("welcome")
        assert welcome["user"]["username"] == "demo"
        site.stack.manage("notify", "demo", "--title", "hello")
        await socket.expect("notification", seq=1)

        (session,) = await sessions(demo, connected=1)
        assert session["current"] is False
        assert [each["connection"] for each in session["connections"]] == [welcome["connection"]]
        ended = await demo.request("DELETE", f"/api/sessions/{session['id']}/")
        assert ended.status_code == 204
        await socket.expect("bye", code=4501, timeout=5)
        assert await socket.closed() == 4501
    assert await refused(demo, **in_header(token))
    assert await sessions(demo, connected=0) == []
    assert (await demo.get("/api/sessions/")).json()["results"][0]["current"], "the one that asked stands"
    assert token not in site.server.log()
    assert not site.server.complaints()


@EMBEDDED
async def test_what_vouches_for_nobody_is_refused_and_an_address_is_not_read(make_site):
    site = make_site(TICKETS_JID_KEY=KEY, NOTIFICATIONS_AUTHENTICATION_SECONDS="2")
    demo = site.person("demo")
    good = await vouched_for(demo)
    bad = {
        "over": await vouched_for(demo, seconds=-1),
        "another key": await vouched_for(demo, key="k" * 40),
        "nobody": await vouched_for(demo, ext=json.dumps({"user_id": 999_999})),
        "not ASCII": "ä.ö.ü",
        "empty": "",
    }
    for what, token in bad.items():
        assert await refused(demo, **in_header(token)), what
    assert await refused(demo, carrier="header", ticket=await demo.ticket(), headers={"X-JID": good}), "two are none"
    async with demo.connect(**in_address(good)) as socket:
        await socket.expect("bye", code=4408)
    for how in (in_header(good), {"carrier": "none", "headers": {"Authorization": f"Bearer {good}"}}):
        async with demo.connect(**how) as socket:
            await socket.expect("welcome")
    (session,) = await sessions(demo, connected=0)
    assert session["method"] == "jwt", "one token is one session, by whichever way it came"
    assert good not in site.server.log()
    assert not site.server.complaints()


@EMBEDDED
async def test_where_it_is_enforced_nothing_else_opens_a_socket(make_site):
    enforced = {"TICKETS_JID_KEY": KEY, "TICKETS_JID_ENFORCE": "1"}
    site = make_site(**enforced, TICKETS_JID_ALLOW_QUERY="1", TICKETS_JID_USER_FIELD="username")
    demo = site.person("demo")
    token = await vouched_for(demo, ext=json.dumps({"user_id": "demo"}))
    assert await refused(demo)
    assert await refused(demo, carrier="header")
    assert await refused(demo, carrier="none")
    assert await refused(demo, carrier="none", headers={"Authorization": f"Bearer {await demo.token()}"})
    async with demo.connect(**in_address(token)) as socket:
        welcome = await socket.expect("welcome")
        assert welcome["user"]["username"] == "demo"
    assert token not in site.server.log()
    assert not site.server.complaints()
