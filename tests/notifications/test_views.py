import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from notifications import api
from notifications.models import Notification

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(client, ann):
    client.force_login(ann)

    def get(query=""):
        answer = client.get("/" + query)
        assert answer.status_code == 200, answer.content
        return answer.content.decode()

    return get


def titles(html):
    listed = html.partition("<usher-inbox")[2].partition("</usher-inbox>")[0]
    return re.findall(r"data-title[^>]*>([^<]*)<", listed)


def press(client, **fields):
    return client.post(reverse("usher:inbox-mark"), fields)


def test_strangers_are_asked_to_sign_in(client):
    assert client.get("/").headers["Location"] == "/accounts/login/?next=/"
    assert press(client, read="all", through="1").headers["Location"].startswith("/accounts/login/")


def test_signing_in_and_out(client, ann):
    ann.set_password("secret")
    ann.save()
    answer = client.post("/accounts/login/", {"username": "ann", "password": "wrong"})
    assert "enter a correct username and password" in answer.content.decode()
    assert client.post("/accounts/login/", {"username": "ann", "password": "secret"}).headers["Location"] == "/"
    assert client.get("/accounts/logout/").status_code == 405, "a link must not sign anybody out"
    assert client.post("/accounts/logout/").headers["Location"] == "/accounts/login/"
    assert client.get("/").status_code == 302


def test_an_empty_inbox_says_so(page):
    html = page()
    assert "Nothing here yet" in html
    assert "<title>Inbox · Usher</title>" in html


def test_the_newest_first_with_the_count_in_the_title(page, ann):
    for number in range(3):
        api.notify(ann, title=f"number {number}")
    html = page()
    assert titles(html) == ["number 2", "number 1", "number 0"]
    assert "<title>(3) Inbox · Usher</title>" in html
    assert '"head": 3,' in html


def test_nobody_elses(page, people):
    api.notify(people[1], title="for ben")
    assert "for ben" not in page()


def test_what_has_expired_or_has_no_number_is_not_shown(page, ann, monkeypatch):
    api.notify(ann, title="gone", expires_at=timezone.now() - timedelta(seconds=1))
    with monkeypatch.context() as patched:
        patched.setattr(api, "_number", lambda *what: None)
        api.notify(ann, title="unnumbered")
    assert titles(page()) == []


def test_tabs(page, ann):
    rows = [api.notify(ann, title=title) for title in ("unread", "read", "archived")]
    api.mark(ann, state="read", ids=[rows[1].id])
    api.mark(ann, state="archived", ids=[rows[2].id])
    assert titles(page()) == ["read", "unread"]
    assert titles(page("?show=unread")) == ["unread"]
    assert titles(page("?show=archived")) == ["archived"]


def test_pages(page, ann):
    api.notify_many([ann], title="x")
    for number in range(2, 61):
        api.notify(ann, title=f"number {number}")
    html, seen = page(), []
    while True:
        seen += titles(html)
        older = re.search(r'href="(\?show=all&amp;before=\d+)" rel="next"', html)
        if not older:
            break
        html = page(older[1].replace("&amp;", "&"))
    assert len(seen) == len(set(seen)) == 60
    assert 'href="?show=all">Newest' in html


@pytest.mark.parametrize(
    "query", ["?show=others", "?before=x", "?before=-1", "?before=1e3", "?before=٣", "?before=" + "9" * 17]
)
def test_queries_that_are_none(client, ann, query):
    client.force_login(ann)
    assert client.get("/" + query).status_code == 400


def test_hostile_text_is_text(page, ann):
    hostile = '<img src=x onerror="alert(1)">'
    api.notify(ann, title=hostile, body=f"</p>{hostile}", url='/?"><script>alert(1)</script>')
    html = page()
    assert "<img src=x" not in html
    assert "<script>alert" not in html


def test_buttons_work_without_javascript(client, page, ann):
    row = api.notify(ann, title="x")
    for state, tab in (("read", "all"), ("unread", "unread"), ("archived", "archived"), ("unarchived", "all")):
        answer = press(client, **{state: str(row.id), "next": f"/?show={tab}"})
        assert answer.headers["Location"] == f"/?show={tab}"
        assert titles(page(f"?show={tab}")) == ["x"], state


def test_marking_all_leaves_what_came_meanwhile(client, page, ann):
    api.notify(ann, title="seen on the page")
    page()
    api.notify(ann, title="came meanwhile")
    press(client, read="all", through="1")
    assert [row.read_at is None for row in Notification.objects.order_by("seq")] == [False, True]


@pytest.mark.parametrize(
    "fields", [{}, {"read": "x"}, {"read": "all"}, {"read": "all", "through": "x"}, {"gone": "all", "through": "1"}]
)
def test_buttons_that_are_none(client, ann, fields):
    client.force_login(ann)
    assert press(client, **fields).status_code == 400


def test_somebody_elses_row_is_not_touched(client, people):
    ann, ben, _cleo = people
    row = api.notify(ben, title="x")
    client.force_login(ann)
    press(client, read=str(row.id))
    press(client, read=str(uuid4()))
    row.refresh_from_db()
    assert row.read_at is None


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_the_way_back_stays_on_the_site(client, ann, wanted):
    client.force_login(ann)
    assert press(client, read="all", through="0", next=wanted).headers["Location"] == "/"


@pytest.mark.parametrize(
    "path", ["/", "/devices/", "/accounts/login/", "/admin/login/", "/api/docs/", "/healthz", "/nothing"]
)
def test_a_strict_policy_on_every_page(client, ann, path):
    if path in ("/", "/devices/"):
        client.force_login(ann)
    policy = client.get(path).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_pages_are_not_kept_by_caches(client, ann):
    client.force_login(ann)
    assert "no-store" in client.get("/").headers["Cache-Control"]


def test_a_page_costs_a_constant_number_of_queries(client, ann, django_assert_max_num_queries):
    for number in range(30):
        api.notify(ann, title=f"number {number}")
    client.force_login(ann)
    with django_assert_max_num_queries(6):
        client.get("/")


def test_a_page_is_not_shown_to_an_ended_session(client, ann):
    from uuid import UUID

    from tickets.api import EndReason, end_session

    client.force_login(ann)
    api.notify(ann, title="before")
    assert "before" in client.get("/").content.decode()
    end_session(UUID(client.session["usher.sid"]), reason=EndReason.DISCONNECTED_BY_STAFF)
    api.notify(ann, title="after")
    assert client.get("/").headers["Location"].startswith("/accounts/login/")
    assert press(client, read="all", through="2").headers["Location"].startswith("/accounts/login/")


def test_selected_rows_by_a_form(client, page, ann):
    rows = [api.notify(ann, title=f"number {number}") for number in range(3)]
    press(client, archived="selected", ids=[str(row.id) for row in rows[:2]])
    assert titles(page()) == ["number 2"]
    assert press(client, archived="selected").status_code == 302, "nothing was selected"
    assert press(client, archived="selected", ids=["x"]).status_code == 400
    assert press(client, archived="selected", ids=[str(uuid4()) for _ in range(201)]).status_code == 400


def test_searching(page, ann):
    for title in ("an apple", "a pear"):
        api.notify(ann, title=title)
    assert titles(page("?q=apple")) == ["an apple"]
    assert "Nothing was found" in page("?q=plum")


def session_of(client):
    return client.session["usher.sid"]


def test_devices(client, ann):
    from django.test import Client

    other = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/128.0"})
    for browser in (client, other):
        browser.force_login(ann)
        browser.get("/")
    listed = re.findall(r'data-id="([-0-9a-f]+)"', client.get("/devices/").content.decode())
    assert len(listed) == 2 and listed[0] == session_of(client)
    away = client.post("/devices/end/", {"session": session_of(other)})
    assert away.headers["Location"] == "/devices/?ended"
    assert other.get("/").status_code == 302
    assert "Signed out." in client.get("/devices/?ended").content.decode()
    other.force_login(ann)
    client.post("/devices/end/", {"session": "others"})
    assert other.get("/").status_code == 302
    assert client.get("/").status_code == 200


def test_devices_are_the_persons_own(client, people):
    from django.test import Client

    ann, ben, _cleo = people
    bens = Client()
    bens.force_login(ben)
    assert client.get("/devices/").headers["Location"].startswith("/accounts/login/")
    client.force_login(ann)
    client.post("/devices/end/", {"session": session_of(bens)})
    assert client.post("/devices/end/", {"session": session_of(client)}).headers["Location"] == "/devices/"
    assert bens.get("/").status_code == client.get("/").status_code == 200
    assert client.post("/devices/end/", {"session": "x"}).status_code == 400
    assert client.get("/devices/end/").status_code == 405


def test_preferences(client, ann):
    from notifications.preferences import kinds

    assert client.get("/preferences/").headers["Location"].startswith("/accounts/login/")
    client.force_login(ann)
    assert "Nothing to choose about yet" in client.get("/preferences/").content.decode()
    api.notify(ann, title="x", kind="ci.build")
    shown = client.get("/preferences/").content.decode()
    assert 'name="mute" value="ci.build"' in shown and 'aria-checked="true"' in shown
    assert client.post("/preferences/", {"mute": "ci.build"}).headers["Location"] == "/preferences/"
    assert [each.muted for each in kinds(ann)] == [True]
    assert 'name="unmute" value="ci.build"' in client.get("/preferences/").content.decode()
    away = client.post("/preferences/", {"unmute": "ci.build", "next": "/?show=unread"})
    assert away.headers["Location"] == "/?show=unread"
    assert [each.muted for each in kinds(ann)] == [False]


@pytest.mark.parametrize(
    "form", [{}, {"mute": ""}, {"mute": "No Kind"}, {"unmute": "\0"}, {"mute": "account"}], ids=str
)
def test_preferences_that_make_no_sense(client, ann, settings, form):
    settings.NOTIFICATIONS = {"UNMUTABLE_KINDS": ["account"]}
    client.force_login(ann)
    assert client.post("/preferences/", form).status_code == 400


def test_a_row_offers_to_mute_its_kind(client, ann, settings):
    settings.NOTIFICATIONS = {"KINDS": {"ci.build": "Builds"}, "UNMUTABLE_KINDS": ["account"]}
    client.force_login(ann)
    for kind in ("", "account", "ci.build"):
        api.notify(ann, title="x", kind=kind)
    rows = client.get("/").content.decode().partition("<usher-inbox")[2]
    buttons = re.findall(r'name="mute" value="([^"]*)" formaction="/preferences/"([^>]*)>', rows)
    assert [(kind, "hidden" in rest) for kind, rest in buttons] == [("ci.build", False), ("account", True), ("", True)]
    assert ">Builds<" in rows and ">ci.build<" not in rows


@pytest.mark.parametrize(("count", "said"), [(0, None), (1, "1"), (42, "42"), (100, "99+"), (10_000, "99+")])
def test_the_icon_says_how_many(client, count, said):
    answer = client.get(f"/icon/{count}.svg")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    assert re.findall(r"<text[^>]*>(.*?)</text>", answer.content.decode()) == ([said] if said else [])
    assert client.get("/icon/-1.svg").status_code == 404
