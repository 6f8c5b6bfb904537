"""The trip of staff: who is connected is seen, a session ended, a connection closed; over HTTP, as in a browser."""

import asyncio
import contextlib
import re
import time

import httpx
import pytest

from tests.conftest import EACH_KIND_ONCE
from tests.support.desk import LIST, Desk

SESSIONS = "/admin/tickets/loginsession/"


async def until(ask, timeout=10):
    deadline = time.monotonic() + timeout
    while not (answer := await ask()):
        assert time.monotonic() < deadline, f"not within {timeout} s"
        await asyncio.sleep(0.1)
    return answer


@contextlib.asynccontextmanager
async def connected(person):
    async with person.connect() as socket:
        await socket.expect("welcome")
        yield socket, socket.welcome["connection"]


@EACH_KIND_ONCE
async def test_who_is_connected(make_site):
    site = make_site()
    other = site.add_server()
    demo, alice = site.person("demo").at(other), site.person("alice")
    async with Desk(site, "staff") as staff, connected(alice) as (_, hers):
        async with connected(demo) as (_, name):
            row = await until(lambda: staff.shown(name), timeout=5)
            assert "demo" in row
            assert "127.0.0.0/24" in row, "no more of the address than the site keeps"
            assert "usher.v1" in row
            assert f":{other.pid}:" in row
            assert "live" in row
            assert re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", row), "and the login session"
        await until(lambda: _gone(staff, name), timeout=5)
        assert await until(lambda: staff.shown(hers), timeout=5)
        # A server that ends in an orderly way takes its sockets off the list, long before their lease is over.
        async with connected(demo) as (_, name):
            await until(lambda: staff.shown(name), timeout=5)
            await asyncio.to_thread(other.stop)
            await until(lambda: _gone(staff, name), timeout=5)
    assert not [line for server in site.servers for line in server.complaints()]


async def _gone(staff, name):
    return not await staff.shown(name)


@EACH_KIND_ONCE
async def test_a_server_that_was_killed_is_not_listed_for_long(make_site):
    site = make_site(NOTIFICATIONS_PRESENCE_SECONDS="1")
    other = site.add_server()
    async with Desk(site, "staff") as staff, connected(site.person("demo").at(other)) as (_, name):
        await until(lambda: staff.shown(name), timeout=5)
        await asyncio.sleep(4)  # longer than a lease: it is renewed
        assert await staff.shown(name)
        other.kill()
        killed = time.monotonic()
        await until(lambda: _gone(staff, name), timeout=10)
        assert time.monotonic() - killed < 4, "a lease is three renewals long"


@EACH_KIND_ONCE
async def test_staff_ends_a_login_session_and_the_socket_at_another_process_hears_it(make_site):
    site = make_site()
    other = site.add_server()
    demo = site.person("demo").at(other)
    again = site.person("demo").at(other)
    async with Desk(site, "staff") as staff, connected(demo) as (socket, name), connected(again) as (stays, _):
        row = await until(lambda: staff.shown(name), timeout=5)
        session = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row)[0]
        answer = await staff.acts(SESSIONS, "end_sessions", session)
        ended = time.monotonic()
        assert answer.status_code == 302
        bye = await socket.expect("bye", code=4500, reason="disconnected_by_staff", reconnect=False, need="login")
        assert bye.at - ended < 2
        assert await socket.closed() == 4500
        assert (await demo.post("/api/tickets/")).status_code == 401, "the session is over"
        site.stack.manage("notify", "demo", "--title", "after")
        await stays.expect("notification", title="after")
        assert not socket.of("notification")
    assert '"act": "session_ended"' in site.server.log()


@EACH_KIND_ONCE
async def test_staff_disconnects_just_one_connection(make_site):
    # In one process alone nothing carries the announcement to another one: there the sweep is what finds it.
    site = make_site(NOTIFICATIONS_SWEEP_SECONDS="1")
    other = site.add_server()
    demo = site.person("demo").at(other)
    async with Desk(site, "staff") as staff, connected(demo) as (socket, name), connected(demo) as (stays, _):
        await until(lambda: staff.shown(name), timeout=5)
        answer = await staff.acts(LIST, "disconnect", name)
        asked = time.monotonic()
        assert answer.status_code == 302
        bye = await socket.expect("bye", code=4500, reason="disconnected_by_staff", reconnect=False, need="login")
        assert bye.at - asked < (2 if site.stack.kind == "scaled" else 4)
        assert await socket.closed() == 4500
        await until(lambda: _gone(staff, name), timeout=5)
        site.stack.manage("notify", "demo", "--title", "after")
        await stays.expect("notification", title="after")
        assert not socket.of("notification")
        async with connected(demo):
            pass  # the login session lives on: a person who acts is let in


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_who_may_look_may_not_act(make_site):
    site = make_site()
    site.stack.manage(
        "shell",
        "-c",
        "from django.contrib.auth import get_user_model as m; from django.contrib.auth.models import Permission as P;"
        "u = m().objects.create_user('clerk', password='clerk', is_staff=True);"
        "u.user_permissions.set(P.objects.filter(codename__in=['view_connection', 'view_loginsession']))",
    )
    async with Desk(site, "clerk") as clerk, connected(site.person("demo")) as (socket, name):
        row = await until(lambda: _listed(clerk, name))
        session = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row)[0]
        page = await clerk.get(LIST)
        assert "disconnect" not in page.text.lower().replace("disconnected", "")
        token = (await clerk.get("/admin/password_change/")).text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', token)[1]
        for path, action, key in ((LIST, "disconnect", name), (SESSIONS, "end_sessions", session)):
            form = {"csrfmiddlewaretoken": token, "action": action, "_selected_action": key}
            for confirmed in ({"index": "0"}, {"confirmed": "2999-01-01T00:00:00+00:00"}):
                assert (await clerk.post(path, form | confirmed)).status_code == 403
            assert (await clerk.get(path, **form)).status_code == 405
        await socket.silence(1.5)
        stranger = httpx.AsyncClient(base_url=site.server.http, trust_env=False)
        async with stranger:
            assert (await stranger.get(LIST)).status_code == 302
    assert '"act": "staff_acted", "ok": false' in site.server.log()


async def _listed(desk, name):
    page = await desk.get(LIST, q=name)
    return page.text if name in page.text.partition("<tbody")[2] else ""
