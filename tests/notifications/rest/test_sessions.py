"""The person's own login sessions over REST."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError
from django.test import Client, override_settings
from django.utils import timezone

from notifications.models import Connection
from notifications.rest import sessions
from tickets.api import EndReason, Refusal, TicketRefused, end_session, open_session, redeem
from tickets.models import LoginSession

from .conftest import HeldClient

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

LIST = "/api/sessions/"
OTHERS = "/api/sessions/end-others/"
NOBODYS = UUID("5b0c4f0e-9a43-4c35-8a55-6d0d4b1f4f5e")
PASSWORD = "correct horse"


def at(session_id):
    return f"{LIST}{session_id}/"


def refusal(response):
    return response.status_code, response.json()["code"]


def listed(client):
    response = client.get(LIST)
    assert response.status_code == 200, response.content
    assert set(response.json()) == {"results"}
    return response.json()["results"]


def own(client):
    """The id of the session that the client stands on."""
    (found,) = (session["id"] for session in listed(client) if session["current"])
    return found


def is_refused(client):
    return refusal(client.get(LIST)) == (401, "session_ended")


def spelled(moment):
    return moment.isoformat().replace("+00:00", "Z")


@pytest.fixture
def phone(client_of, ann):
    """Another client of Ann's, with a session of its own."""
    return client_of(ann)


@pytest.fixture
def bens(client_of, people):
    return client_of(people[1])


@pytest.fixture
def connect(ann):
    """Puts a connection on the list."""

    def one(session_id, name, *, user=ann, leased=60, **facts):
        now = timezone.now()
        facts = {"server": "s", "network": "203.0.113.0/24", "protocol": "usher.v1", "opened_at": now, **facts}
        leased_until = now + timedelta(seconds=leased)
        return Connection.objects.create(
            name=name, user=user, session_id=session_id, leased_until=leased_until, **facts
        )

    return one


# --- The list ---


def test_a_session_as_its_person_sees_it(anns, connect):
    session = LoginSession.objects.get()
    row = connect(session.pk, "c1")
    before = timezone.now()
    (shown,) = listed(anns)
    assert before <= datetime.fromisoformat(shown.pop("last_seen")) <= timezone.now(), "it is in use now"
    assert shown == {
        "id": str(session.pk),
        "current": True,
        "method": "token",
        "device": "",
        "network": "",
        "since": spelled(session.created_at),
        "expires_at": spelled(session.expires_at),
        "connections": [
            {
                "connection": "c1",
                "network": "203.0.113.0/24",
                "protocol": "usher.v1",
                "opened_at": spelled(row.opened_at),
            }
        ],
    }


def test_current_is_the_one_that_asks(anns, phone):
    assert own(anns) != own(phone)
    assert {session["id"] for session in listed(anns)} == {own(anns), own(phone)}


def test_only_ones_own_that_stand_are_listed(anns, ann, bens, people):
    ended = open_session(ann, method="test")
    end_session(ended)
    open_session(ann, method="test", expires_at=timezone.now())
    assert [session["id"] for session in listed(anns)] == [own(anns)]
    assert [session["id"] for session in listed(bens)] == [own(bens)]


def test_what_was_seen_last_comes_first_and_what_is_in_use_is_seen_now(anns, ann, connect):
    now = timezone.now()
    # Each was noted that many hours ago; two are in use all the same.
    noted = {"asking": own(anns), **{name: open_session(ann, method="test") for name in ("busy", "fresh", "stale")}}
    for name, hours in {"fresh": 1, "stale": 2, "busy": 3, "asking": 4}.items():
        LoginSession.objects.filter(pk=noted[name]).update(seen_at=now - timedelta(hours=hours))
    connect(noted["busy"], "c1")
    found = listed(anns)
    moments = [datetime.fromisoformat(session["last_seen"]) for session in found]
    assert moments == sorted(moments, reverse=True)
    assert {session["id"] for session in found[:2]} == {noted["asking"], str(noted["busy"])}
    assert [session["id"] for session in found[2:]] == [str(noted["fresh"]), str(noted["stale"])]
    assert min(moments[:2]) >= now > moments[2] == now - timedelta(hours=1)


def test_connections_are_listed_by_their_session_while_they_live(anns, phone, bens, ann, people, connect):
    mine, other, now = own(anns), own(phone), timezone.now()
    connect(mine, "second", opened_at=now)
    connect(mine, "first", opened_at=now - timedelta(hours=1))
    connect(other, "elsewhere")
    connect(mine, "over", leased=0)
    connect(mine, "kicked", kicked_at=now, kicked_code=4500)
    connect(uuid4(), "of no session")
    connect(own(bens), "bens", user=people[1])
    connect(mine, "forged", user=people[1])  # another person's, whatever session it names
    found = {session["id"]: [each["connection"] for each in session["connections"]] for session in listed(anns)}
    assert found == {mine: ["first", "second"], other: ["elsewhere"]}


def test_many_take_as_many_statements_as_one(anns, ann, connect, django_assert_num_queries):
    for number in range(20):
        connect(open_session(ann, method="test"), f"c{number}")
    with django_assert_num_queries(3):  # who asks, the connections, the sessions
        assert len(listed(anns)) == 21


def test_somebody_from_before_there_were_sessions_has_no_current_one(ann):
    client = HeldClient()
    client.force_login(ann)
    session = client.session
    del session["usher.sid"]
    session.save()
    assert [each["current"] for each in listed(client)] == [False]


# --- Where it began ---


def signed_in(ann, how, **headers):
    """A client that has just signed in by REST or by the page."""
    ann.set_password(PASSWORD)
    ann.save()
    client, form = Client(headers=headers), {"username": "ann", "password": PASSWORD}
    if how == "token":
        answer = client.post("/api/token/", form, content_type="application/json")
        client = Client(headers={"authorization": f"Bearer {answer.json()['access']}"})
    else:
        assert client.post("/accounts/login/", form).status_code == 302
    return client


both_ways = pytest.mark.parametrize("how", ["token", "django"])


@both_ways
def test_device_and_network_are_those_of_the_sign_in(ann, how):
    client = signed_in(ann, how, user_agent="Mozilla/5.0 (X11; Linux) Firefox/140")
    (session,) = listed(client)
    assert (session["method"], session["current"]) == (how, True)
    assert (session["device"], session["network"]) == ("Mozilla/5.0 (X11; Linux) Firefox/140", "127.0.0.0/24")


@both_ways
@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("", ""),
        ("a\x1b[31m\0b\r\nc", "a[31mbc"),
        ("x" * 5000, "x" * 200),
        ("\x7f" * 5000 + "curl", "curl"),
        ("<script>'\"", "<script>'\""),
    ],
    ids=["nothing", "controls", "long", "only controls at first", "markup is text"],
)
def test_what_a_program_calls_itself_is_made_fit_to_be_shown(ann, how, told, kept):
    assert [session["device"] for session in listed(signed_in(ann, how, user_agent=told))] == [kept]


@both_ways
def test_a_site_that_keeps_no_addresses_keeps_none_here(ann, how):
    with override_settings(TICKETS={"NETWORK_POLICY": "off"}):
        client = signed_in(ann, how, user_agent="curl/8")
    assert [(each["device"], each["network"]) for each in listed(client)] == [("curl/8", "")]


# --- Ending one ---


def test_ending_the_session_that_asks_refuses_its_token_from_then_on(anns):
    session_id = own(anns)
    response = anns.delete(at(session_id))
    assert (response.status_code, response.content) == (204, b"")
    assert is_refused(anns)
    assert LoginSession.objects.get(pk=session_id).end_reason == EndReason.LOGGED_OUT


def test_ending_another_one_of_ones_own_refuses_it_and_its_outstanding_ticket(anns, phone):
    ticket = phone.post("/api/tickets/").json()["ticket"]
    assert anns.delete(at(own(phone))).status_code == 204
    assert is_refused(phone)
    with pytest.raises(TicketRefused) as refused:
        redeem(ticket, address="127.0.0.1")
    assert refused.value.refusal is Refusal.SESSION
    assert [session["id"] for session in listed(anns)] == [own(anns)]


def test_ending_it_twice_is_as_good_as_once(anns, phone):
    gone = own(phone)
    assert [anns.delete(at(gone)).status_code for _ in range(2)] == [204, 204]


def test_another_persons_session_is_not_there(anns, bens):
    assert refusal(anns.delete(at(own(bens)))) == (404, "unknown_session")
    assert refusal(anns.delete(at(NOBODYS))) == (404, "unknown_session")
    assert listed(bens), "it stands"


@pytest.mark.parametrize("name", ["1", "x" * 36, "5b0c4f0e-9a43-4c35-8a55-6d0d4b1f4f5", "%00", "..", "true"])
def test_what_is_no_id_is_no_page(anns, name):
    assert anns.delete(at(name)).status_code == 404
    assert listed(anns)


# --- Ending the others ---


def test_all_but_the_one_that_asks_are_refused(anns, phone, bens, ann):
    cookie = HeldClient()
    cookie.force_login(ann)
    assert len(listed(anns)) == 3
    response = anns.post(OTHERS)
    assert (response.status_code, response.json()) == (200, {"ended": 2})
    assert is_refused(phone) and is_refused(cookie)
    assert [session["id"] for session in listed(anns)] == [own(anns)]
    assert listed(bens), "another person's"
    assert anns.post(OTHERS, {}, format="json").json() == {"ended": 0}


def test_a_cookie_can_be_the_one_that_asks(anns, ann):
    cookie = HeldClient()
    cookie.force_login(ann)
    assert cookie.post(OTHERS).json() == {"ended": 1}
    assert is_refused(anns)
    assert own(cookie)


@pytest.mark.parametrize(
    ("body", "field"), [({"keep": str(NOBODYS)}, "keep"), ([], "non_field_errors"), ("all", "non_field_errors")]
)
def test_a_body_that_says_anything_is_refused_and_nothing_ends(anns, phone, body, field):
    response = anns.post(OTHERS, body, format="json")
    assert refusal(response) == (400, "invalid")
    assert set(response.json()["errors"]) == {field}
    assert listed(phone)


def test_bodies_that_are_no_json_end_nothing(anns, phone):
    assert anns.post(OTHERS, "x=1", content_type="application/x-www-form-urlencoded").status_code == 415
    assert refusal(anns.post(OTHERS, "{", content_type="application/json")) == (400, "malformed_json")
    assert listed(phone)


# --- Who may not ---


def requests(client, session_id):
    return [client.get(LIST), client.delete(at(session_id)), client.post(OTHERS)]


def test_a_stranger_is_told_to_sign_in(stranger, anns):
    for response in requests(stranger, own(anns)):
        assert refusal(response) == (401, "not_authenticated")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert listed(anns)


def test_an_ended_session_sees_and_ends_nothing(anns, phone):
    gone, stays = own(anns), own(phone)
    end_session(gone)
    assert {refusal(response) for response in requests(anns, stays)} == {(401, "session_ended")}
    assert own(phone) == stays


def test_a_cookie_needs_the_csrf_token_to_end_anything(ann):
    client = HeldClient(enforce_csrf_checks=True)
    client.force_login(ann)
    kept = own(client)
    _listed, *refused = requests(client, kept)
    assert [refusal(response) for response in refused] == [(403, "csrf_failed")] * 2
    client.cookies["csrftoken"] = "t" * 32
    assert client.post(OTHERS, headers={"x-csrftoken": "t" * 32}).json() == {"ended": 0}
    assert client.delete(at(kept), headers={"x-csrftoken": "t" * 32}).status_code == 204
    assert is_refused(client)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (LIST, ["post", "put", "patch", "delete", "options"]),
        (at(NOBODYS), ["get", "post", "put", "patch", "options"]),
        (OTHERS, ["get", "put", "patch", "delete", "options"]),
    ],
)
def test_other_methods(anns, path, methods):
    assert {refusal(getattr(anns, method)(path)) for method in methods} == {(405, "method_not_allowed")}


@pytest.mark.parametrize(
    ("what", "ask"),
    [
        ("own_sessions", lambda client, session_id: client.get(LIST)),
        ("end_own_session", lambda client, session_id: client.delete(at(session_id))),
        ("end_other_sessions", lambda client, session_id: client.post(OTHERS)),
    ],
    ids=["list", "end", "end others"],
)
def test_without_a_database_they_are_told_when_to_come_back(anns, monkeypatch, what, ask):
    def fails(*args, **how):
        raise OperationalError("server closed the connection")

    session_id = own(anns)
    monkeypatch.setattr(sessions, what, fails)
    response = ask(anns, session_id)
    assert refusal(response) == (503, "unavailable")
    assert response.headers["Retry-After"] == "2"
