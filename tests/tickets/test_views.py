import re
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import OperationalError
from django.test import override_settings
from rest_framework.test import APIClient

from tickets import issuing, tokens
from tickets.grants import Purpose
from tickets.models import LoginSession, Ticket
from tickets.redeeming import redeem
from tickets.sessions import check_sessions, end_session

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

PASSWORD = "correct horse"
HASHED = make_password(PASSWORD)


@pytest.fixture
def user(db):
    return get_user_model().objects.create(username="alice", password=HASHED)


@pytest.fixture
def pair(user):
    return tokens.sign_in(user)


@pytest.fixture
def api():
    return APIClient()


@pytest.fixture
def signed_in(api, pair):
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    return api


def problem(response):
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, response.json()["code"]


# POST /api/tickets/


def test_a_ticket_and_how_to_use_it(signed_in, user):
    response = signed_in.post("/api/tickets/")
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    answer = response.json()
    assert set(answer) == {"ticket", "expires_in", "expires_at", "session_expires_at", "url", "protocols"}
    assert answer["expires_in"] == 30
    assert answer["url"] == "ws://testserver/ws/"
    assert answer["protocols"] == ["usher.v1", f"usher.ticket.{answer['ticket']}"]
    session = LoginSession.objects.get()
    assert datetime.fromisoformat(answer["session_expires_at"]) == session.expires_at
    grant = redeem(answer["ticket"], address="127.0.0.1")
    assert (grant.user_id, grant.session_id) == (user.pk, session.pk)


@pytest.mark.parametrize(
    ("body", "purpose"), [(None, "connect"), ({}, "connect"), *(({"purpose": each.value}, each) for each in Purpose)]
)
def test_the_purpose_is_chosen_by_the_body(signed_in, body, purpose):
    assert signed_in.post("/api/tickets/", body, format="json").status_code == 201
    assert Ticket.objects.get().purpose == purpose


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"purpose": "other"}, "purpose"),
        ({"purpose": 1}, "purpose"),
        ({"purpose": None}, "purpose"),
        ({"purpose": ["connect"]}, "purpose"),
        ({"porpoise": "connect"}, "porpoise"),
        ([], "non_field_errors"),
    ],
)
def test_bodies_that_mean_nothing(signed_in, body, field):
    response = signed_in.post("/api/tickets/", body, format="json")
    assert problem(response) == (400, "invalid")
    assert set(response.json()["errors"]) == {field}
    assert not Ticket.objects.exists()


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_bodies_that_are_no_json(signed_in, content_type):
    assert problem(signed_in.post("/api/tickets/", "purpose=connect", content_type=content_type))[0] == 415


def test_a_cookie_gets_no_further_with_a_form(client, user):
    client.force_login(user)
    assert problem(client.post("/api/tickets/", {"purpose": "connect"}))[0] == 415


def test_a_body_of_a_megabyte(signed_in):
    body = b'"' + b"x" * 2**20 + b'"'
    assert problem(signed_in.post("/api/tickets/", body, content_type="application/json")) == (413, "body_too_large")


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "options"])
def test_other_methods(signed_in, method):
    assert problem(getattr(signed_in, method)("/api/tickets/")) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "not_authenticated"),
        ("Basic YWxpY2U6eA==", "not_authenticated"),
        ("Bearer", "token_invalid"),
        ("Bearer garbage", "token_invalid"),
    ],
)
def test_nobody_gets_no_ticket(api, db, header, code):
    if header:
        api.credentials(HTTP_AUTHORIZATION=header)
    response = api.post("/api/tickets/")
    assert problem(response) == (401, code)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_refresh_token_gets_no_ticket(api, pair):
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.refresh}")
    assert problem(api.post("/api/tickets/")) == (401, "token_invalid")


def test_an_ended_session_gets_no_ticket(signed_in):
    end_session(LoginSession.objects.get().pk)
    assert problem(signed_in.post("/api/tickets/")) == (401, "session_ended")


def test_a_closed_account_gets_no_ticket(signed_in, user):
    get_user_model().objects.update(is_active=False)
    assert problem(signed_in.post("/api/tickets/"))[0] == 401


@override_settings(TICKETS={"ISSUE_BURST": 2})
def test_too_many_tickets(signed_in):
    for _ in range(2):
        assert signed_in.post("/api/tickets/").status_code == 201
    response = signed_in.post("/api/tickets/")
    assert problem(response) == (429, "rate_limited")
    assert response.headers["Retry-After"] == "1"


def test_the_database_is_away(signed_in, monkeypatch, caplog):
    def fail(*_, **__):
        raise OperationalError("connection refused")

    for module, name in ((issuing, "_session_end"), (tokens, "_standing_session")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, fail)
            assert problem(signed_in.post("/api/tickets/")) == (503, "unavailable")
    assert "Traceback" not in caplog.text


def test_the_ticket_is_bound_to_the_callers_network(signed_in):
    signed_in.post("/api/tickets/", REMOTE_ADDR="203.0.113.7", HTTP_X_FORWARDED_FOR="198.51.100.9")
    assert Ticket.objects.get().network == "203.0.113.0/24"


@override_settings(TICKETS={"TRUSTED_PROXIES": ["127.0.0.1"], "SOCKET_PATH": "/live/"}, ALLOWED_HOSTS=["a.example"])
def test_behind_a_trusted_proxy(signed_in):
    headers = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", "host": "a.example:8443"}
    response = signed_in.post("/api/tickets/", headers=headers)
    assert response.json()["url"] == "wss://a.example:8443/live/"
    assert Ticket.objects.get().network == "203.0.113.0/24"


# POST /api/token/


def sign_in(api, username="alice", password=PASSWORD, **meta):
    return api.post("/api/token/", {"username": username, "password": password}, format="json", **meta)


def test_signing_in(api, user, audited):
    response = sign_in(api)
    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh"}
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {response.json()['access']}")
    assert api.post("/api/tickets/").status_code == 201
    assert audited("signed_in")[0]["user"] == user.pk


@pytest.mark.parametrize(("username", "password"), [("alice", "wrong"), ("nobody", PASSWORD), ("ALICE\u200b", "x")])
def test_bad_credentials_get_one_answer(api, user, username, password, audited):
    response = sign_in(api, username, password)
    assert problem(response) == (401, "invalid_credentials")
    assert response.json()["detail"] == "No active account has this name and password."
    assert not LoginSession.objects.exists()
    (line,) = audited("signed_in")
    assert line["why"] == "invalid_credentials"
    assert username not in str(line)


def test_equal_work_for_names_that_exist_and_names_that_do_not(api, user, monkeypatch):
    hashed = []
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    encode = PBKDF2PasswordHasher.encode
    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", lambda *a, **k: hashed.append(1) or encode(*a, **k))
    sign_in(api, password="wrong")
    known = len(hashed)
    sign_in(api, "nobody", "wrong")
    assert len(hashed) - known == known == 1


def test_a_closed_account_does_not_sign_in(api, user):
    get_user_model().objects.update(is_active=False)
    assert problem(sign_in(api)) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"username", "password"}),
        ({"username": "a", "password": 1}, {"password"}),
        ({"username": "a", "password": "x" * 1025}, {"password"}),
        ({"username": "a", "password": "x", "remember": True}, {"remember"}),
    ],
)
def test_a_form_that_is_not_filled_in_right(api, db, body, fields):
    response = api.post("/api/token/", body, format="json")
    assert problem(response) == (400, "invalid")
    assert set(response.json()["errors"]) == fields


# POST /api/token/refresh/ and /api/token/revoke/


def refresh(api, token):
    return api.post("/api/token/refresh/", {"refresh": token}, format="json")


def test_refreshing(api, pair):
    response = refresh(api, pair.refresh)
    assert response.status_code == 200
    assert problem(refresh(api, pair.refresh)) == (409, "refresh_raced")
    assert refresh(api, response.json()["refresh"]).status_code == 200


def test_a_refresh_token_that_was_spent_long_ago(api, pair):
    fresh = refresh(api, pair.refresh).json()
    LoginSession.objects.update(rotated_at=LoginSession.objects.get().rotated_at - timedelta(seconds=10))
    assert problem(refresh(api, pair.refresh)) == (401, "token_invalid")
    assert problem(refresh(api, fresh["refresh"])) == (401, "session_ended")
    assert LoginSession.objects.get().end_reason == "credentials_changed"


@pytest.mark.parametrize("path", ["refresh", "revoke"])
@pytest.mark.parametrize(("token", "answer"), [("garbage", (401, "token_invalid")), (7, (400, "invalid"))])
def test_tokens_that_are_none(api, db, path, token, answer):
    assert problem(api.post(f"/api/token/{path}/", {"refresh": token}, format="json")) == answer


def test_revoking(signed_in, pair):
    response = signed_in.post("/api/token/revoke/", {"refresh": pair.refresh}, format="json")
    assert (response.status_code, response.content) == (204, b"")
    session_id = LoginSession.objects.get().pk
    assert isinstance(session_id, UUID)
    assert not check_sessions([session_id])[session_id].alive
    assert problem(signed_in.post("/api/tickets/")) == (401, "session_ended")


def test_no_secret_is_logged_on_the_way(api, user, audited, caplog):
    caplog.set_level("DEBUG", logger="tickets")
    pair = sign_in(api).json()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    ticket = api.post("/api/tickets/").json()["ticket"]
    redeem(ticket, address="127.0.0.1")
    refresh(api, pair["refresh"])
    assert len(caplog.records) >= 4
    for secret in (pair["access"], pair["refresh"], ticket, PASSWORD):
        assert secret not in caplog.text
    assert not re.search(r"eyJ[\w-]+\.", caplog.text)
