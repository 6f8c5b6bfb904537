"""Requests over HTTP: who may not, what is not understood, and that nothing comes of either."""

import base64
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import jwt
import pytest
from django.utils.crypto import salted_hmac

from project.settings import _DEVELOPMENT_KEY
from tests.bad_input.conftest import database, person
from tests.support.canary import remembered
from tests.support.client import Person

pytestmark = pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)

# What the servers of tests sign with: nothing of the caller's environment reaches them.
KEY = salted_hmac("tickets.signing", "tokens", secret=_DEVELOPMENT_KEY, algorithm="sha256").hexdigest()
NIL = "00000000-0000-4000-8000-000000000000"


def is_problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """A problem document (RFC 9457) of this status, and nothing of the inside of the site in it."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= set(problem)
    assert problem["status"] == status
    assert code is None or problem["code"] == code, problem
    assert "Traceback" not in answer.text
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    return problem


# Who asks for a ticket -------------------------------------------------------------------------------------------


def signed(claims: dict[str, Any], *, key: str = KEY, algorithm: str = "HS256") -> str:
    return remembered(jwt.encode(claims, key, algorithm=algorithm))


def unsigned(claims: dict[str, Any]) -> str:
    def part(what: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(what).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def without(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda claims: signed({key: value for key, value in claims.items() if key != name})


FORGED: dict[str, Callable[[dict[str, Any]], str]] = {
    "expired": lambda claims: signed(claims | {"exp": int(time.time()) - 1}),
    "not valid yet": lambda claims: signed(claims | {"nbf": int(time.time()) + 60}),
    "a refresh token": lambda claims: signed(claims | {"token_type": "refresh"}),
    "no algorithm": unsigned,
    "another algorithm": lambda claims: signed(claims, algorithm="HS384"),
    "another key": lambda claims: signed(claims, key="x" * 64),
    "the key of sessions": lambda claims: signed(claims, key=_DEVELOPMENT_KEY),
    "another audience": lambda claims: signed(claims | {"aud": "somebody"}),
    "another issuer": lambda claims: signed(claims | {"iss": "somebody"}),
    "another person": lambda claims: signed(claims | {"user_id": "1" if claims["user_id"] != "1" else "2"}),
    "a session that is not there": lambda claims: signed(claims | {"sid": str(uuid4())}),
    "a session that is no id": lambda claims: signed(claims | {"sid": "' OR 1=1 --"}),
    "a session that is a list": lambda claims: signed(claims | {"sid": [claims["sid"]]}),
    "a cut signature": lambda claims: signed(claims)[:-1],
    **{f"no {name}": without(name) for name in ("exp", "iss", "aud", "sid", "token_type", "jti", "user_id")},
}


async def claims_of(someone: Person) -> dict[str, Any]:
    token = someone.access or await someone.token()
    return jwt.decode(token, options={"verify_signature": False, "verify_aud": False})


async def test_the_forger_has_the_right_key(site, alice):
    """Or the rows of the next test would be refused for their signature alone."""
    assert (await alice.post("/api/tickets/", bearer=signed(await claims_of(alice)))).status_code == 201


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_forged_token_gets_no_ticket(site, unharmed, alice, forge):
    is_problem(await alice.post("/api/tickets/", bearer=forge(await claims_of(alice))), 401)


BEARERS = {
    "nothing": "Bearer",
    "no scheme": "abc",
    "three dots": "Bearer a.b.c",
    "empty parts": "Bearer ..",
    "bytes": b"Bearer \xff\xfe\x80",
    "16 KiB": "Bearer " + "a" * 15_000,
    "another scheme": "Basic YWxpY2U6YWxpY2U=",
    "a ticket": f"Ticket {'a' * 43}",
}


@pytest.mark.parametrize("header", BEARERS.values(), ids=BEARERS)
async def test_what_is_no_token_gets_no_ticket(site, unharmed, alice, header):
    is_problem(await alice.post("/api/tickets/", bearer="", headers={"Authorization": header}), 401)


async def test_nobody_gets_no_ticket(site, beside, alice):
    is_problem(await alice.post("/api/tickets/", bearer=""), 401, "not_authenticated")


async def test_a_real_refresh_token_gets_no_ticket(site, beside, alice):
    await alice.ticket()
    is_problem(await alice.post("/api/tickets/", bearer=alice.refresh_token), 401, "token_invalid")


async def test_a_session_that_has_ended_gets_no_ticket(site, beside):
    somebody = site.newcomer()
    await somebody.ticket()
    await somebody.log_out()
    is_problem(await somebody.post("/api/tickets/"), 401, "session_ended")


async def test_an_inactive_person_gets_no_ticket(site, beside):
    somebody = site.newcomer()
    await somebody.ticket()
    with contextlib.closing(database(site.stack)) as db:
        db.execute("UPDATE auth_user SET is_active = 0 WHERE username = ?", [somebody.username])
    is_problem(await somebody.post("/api/tickets/"), 401, "session_ended")
    credentials = {"username": somebody.username, "password": somebody.password}
    is_problem(await somebody.post("/api/token/", credentials, bearer=""), 401, "invalid_credentials")


# What is not understood ------------------------------------------------------------------------------------------

ENDPOINTS = ("/api/tickets/", "/api/notifications/", "/api/notifications/state/", "/api/token/", "/api/token/refresh/")

TYPES = {
    "a form": ("application/x-www-form-urlencoded", b"purpose=connect"),
    "a form with files": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nconnect\r\n--x--\r\n',
    ),
    "text": ("text/plain", b'{"purpose":"connect"}'),
    "xml": ("application/xml", b"<x/>"),
    "no type": ("", b"{}"),
    "nonsense": ("\N{LATIN SMALL LETTER Y WITH DIAERESIS}/;;", b"{}"),
}


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_only_json_is_read(site, beside, service, path):
    for content_type, body in TYPES.values():
        headers = {"Content-Type": content_type.encode("latin-1")}
        is_problem(await service.request("POST", path, content=body, headers=headers), 415, "unsupported_media_type")


BODIES: dict[str, bytes] = {
    "text": b"not json",
    "half": b'{"purpose":',
    "two": b"{}{}",
    "NaN": b'{"purpose":NaN}',
    "infinity": b'{"purpose":-Infinity}',
    "1e999": b'{"purpose":1e999}',
    "2^53": b'{"purpose":9007199254740992}',
    "5,000 digits": b'{"purpose":' + b"9" * 5000 + b"}",
    "a name twice": b'{"purpose":"connect","purpose":"connect"}',
    "a lone surrogate": b'{"purpose":"\\ud800"}',
    "NUL": b'{"purpose":"\\u0000"}',
    "bytes": b"\xff\xfe",
    "UTF-16": '{"purpose":"connect"}'.encode("utf-16"),
    "nine arrays": b"[" * 9 + b"]" * 9,
    "30,000 arrays": b"[" * 30_000,
}


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_only_good_json_is_read(site, beside, service, path):
    for body in BODIES.values():
        answer = await service.request("POST", path, content=body, headers={"Content-Type": "application/json"})
        is_problem(answer, 400, "malformed_json")


FIELDS: dict[str, object] = {
    "an array": ["connect"],
    "text": "connect",
    "a number": 1,
    "an unknown field": {"purpose": "connect", "user": 1},
    "a wrong word": {"purpose": "root"},
    "capitals": {"purpose": "CONNECT"},
    "a number for a word": {"purpose": 1},
    "true": {"purpose": True},
    "an array for a word": {"purpose": ["connect"]},
    "an object for a word": {"purpose": {"connect": 1}},
    "null for a word": {"purpose": None},
}


@pytest.mark.parametrize("body", FIELDS.values(), ids=FIELDS)
async def test_a_wish_for_a_ticket_that_is_none_is_refused(site, unharmed, alice, body):
    assert is_problem(await alice.post("/api/tickets/", body), 400, "invalid")["errors"]


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_a_body_of_1_mib_is_not_read(site, beside, service, path):
    body = json.dumps({"title": "x" * 2**20}).encode()
    answer = await service.request("POST", path, content=body, headers={"Content-Type": "application/json"})
    is_problem(answer, 413, "body_too_large")


async def test_a_body_of_unknown_length_is_not_read(site, beside, alice):
    async def pieces():
        yield b'{"purpose":'
        yield b'"reauth"}'

    answer = await alice.request(
        "POST", "/api/tickets/", content=pieces(), headers={"Content-Type": "application/json"}
    )
    # daphne puts the pieces together before it calls us, and tells neither length nor coding: REST framework then sees
    # no body at all. Known: such a caller of daphne gets the default.
    if site.server.kind == "uvicorn":
        is_problem(answer, 411, "length_required")
    else:
        assert answer.status_code in (201, 411)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "PROPFIND"])
async def test_a_ticket_is_only_posted_for(site, unharmed, alice, method):
    answer = await alice.request(method, "/api/tickets/")
    assert answer.status_code == 405
    if method != "HEAD":
        is_problem(answer, 405, "method_not_allowed")


# Listing ---------------------------------------------------------------------------------------------------------

QUERIES = [
    *("after=-1", "after=9e99", "after=x", "after=", "after=1.5", "after=9007199254740992", "after=" + "9" * 5000),
    *("before=-1", "before=x", "before=0x10", "before=%00"),
    *("limit=0", "limit=-1", "limit=x", "limit=1e6", "limit=", "limit=NaN"),
    *("unread=maybe", "archived=2", "search=%00", "search=" + "x" * 201),
    *("user=1", "page=2", "after=1&nonsense=1"),
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:24])
async def test_a_wish_for_a_list_that_is_none_is_refused(site, unharmed, alice, query):
    assert is_problem(await alice.get(f"/api/notifications/?{query}"), 400, "invalid")["errors"]


MANY = """
from django.contrib.auth import get_user_model
from django.db import transaction
from notifications.api import notify

with transaction.atomic():
    for number in range(201):
        notify(get_user_model().objects.get(username="alice"), title=f"one of many: {number}")
"""


async def test_a_limit_beyond_the_greatest_is_brought_down(site, beside, alice):
    site.stack.manage("shell", "-v", "0", "-c", MANY)
    answer = await alice.get("/api/notifications/?limit=1000000")
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 200


@pytest.mark.parametrize("search", ["' OR 1=1 --", "%", "_", "\\", "\N{GRINNING FACE}", "<script>", "%s", "\udcff"])
async def test_a_search_is_only_text(site, unharmed, search):
    demo = person(site.server, "demo")
    answer = await demo.get(f"/api/notifications/?search={quote(search.encode('utf-8', 'surrogateescape'))}")
    assert answer.status_code == 200
    assert answer.json()["results"] == []


async def test_there_is_no_way_to_ask_for_somebody_elses(site, beside, alice, service):
    told = (await service.post("/api/notifications/", {"user": "demo", "title": "for demo only"})).json()
    for path in (f"/api/notifications/{told['id']}/", "/api/notifications/u.1/", "/api/notifications/1/"):
        assert (await alice.get(path)).status_code == 404
    listed = (await alice.get("/api/notifications/?limit=200&search=for demo only")).json()
    assert told["id"] not in [row["id"] for row in listed["results"]]


# Publishing ------------------------------------------------------------------------------------------------------

URLS = [
    *("javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x"),
    *("//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "https:/evil.example"),
    *("http://", "https://", "http://[", "http://a:99999", "ftp://a", "x", " /x", "/x y", "/x\n", "/" + "x" * 2000),
]


@pytest.mark.parametrize("url", URLS, ids=lambda url: repr(url[:24]))
async def test_a_link_that_leads_astray_is_refused(site, unharmed, service, url):
    answer = await service.post("/api/notifications/", {"user": "alice", "title": "x", "url": url})
    assert set(is_problem(answer, 400, "invalid")["errors"]) == {"url"}


CONTENTS: dict[str, tuple[dict[str, object], str]] = {
    "no title": ({"title": ""}, "title"),
    "a title of spaces": ({"title": "  "}, "title"),
    "a title of 10 KiB": ({"title": "x" * 10_240}, "title"),
    "a title of 201": ({"title": "x" * 201}, "title"),
    "a number as title": ({"title": 1}, "title"),
    "true as title": ({"title": True}, "title"),
    "null as title": ({"title": None}, "title"),
    "an array as title": ({"title": ["x"]}, "title"),
    "a bell in the title": ({"title": "\a"}, "title"),
    "a body of 4,001": ({"body": "x" * 4001}, "body"),
    "a kind with a space": ({"kind": "a b"}, "kind"),
    "a kind of two lines": ({"kind": "a\n"}, "kind"),
    "a level that is none": ({"level": "fatal"}, "level"),
    "a level that is a number": ({"level": 1}, "level"),
    "a level that is an object": ({"level": {}}, "level"),
    "data that is an array": ({"data": []}, "data"),
    "data that is text": ({"data": "x"}, "data"),
    "data of 5 KiB": ({"data": {"x": "x" * 5120}}, "data"),
    "an end that is no date": ({"expires_at": "tomorrow"}, "expires_at"),
    "an end without a zone": ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
    "an end in February 30": ({"expires_at": "2030-02-30T00:00:00Z"}, "expires_at"),
    "an end that is a number": ({"expires_at": 1}, "expires_at"),
    "an unknown field": ({"urgent": True}, "urgent"),
    "an id": ({"id": NIL}, "id"),
    "a number": ({"seq": 1}, "seq"),
    "two ways to say who": ({"users": ["alice"]}, "non_field_errors"),
    "a name that is a number": ({"user": 1}, "user"),
    "a name that is null": ({"user": None}, "user"),
    "a name that is a list": ({"user": ["alice"]}, "user"),
    "an empty name": ({"user": ""}, "user"),
    "an endless name": ({"user": "x" * 255}, "user"),
}


async def stream_of(someone: Person) -> tuple[object, ...]:
    listed = (await someone.get("/api/notifications/?limit=1")).json()
    return listed["epoch"], listed["head"], listed["state_version"], listed["unread"]


@pytest.mark.parametrize(("fields", "wrong"), CONTENTS.values(), ids=CONTENTS)
async def test_what_is_no_notification_is_refused_and_nobody_is_told(site, unharmed, alice, service, fields, wrong):
    before = await stream_of(alice)
    answer = await service.post("/api/notifications/", {"user": "alice", "title": "x", **fields})
    assert wrong in is_problem(answer, 400, "invalid")["errors"]
    assert await stream_of(alice) == before


NAMES = ["nobody", "alice\n", " alice", "ALICE", "alice' OR 1=1 --", "\N{FULLWIDTH LATIN SMALL LETTER A}lice", "*"]


@pytest.mark.parametrize("name", NAMES)
async def test_an_unknown_name_is_not_found_and_nobody_is_told(site, unharmed, alice, service, name):
    before = await stream_of(alice)
    for who in ({"user": name}, {"users": ["alice", name]}):
        is_problem(await service.post("/api/notifications/", {"title": "x", **who}), 404, "unknown_user")
    assert await stream_of(alice) == before


@pytest.mark.parametrize("names", [[], ["alice"] * 501, [1], [None], "alice", {"alice": 1}, [["alice"]]], ids=str)
async def test_a_list_of_names_that_is_none_is_refused(site, unharmed, service, names):
    answer = await service.post("/api/notifications/", {"title": "x", "users": names})
    assert set(is_problem(answer, 400, "invalid")["errors"]) == {"users"}


async def test_who_may_not_publish_tells_nobody_anything(site, beside, alice):
    before = await stream_of(alice)
    for body in ({"user": "alice", "title": "x"}, {"user": "nobody", "title": "x"}, {}, None):
        is_problem(await alice.post("/api/notifications/", body), 403, "permission_denied")
    is_problem(await alice.post("/api/notifications/", {"user": "alice", "title": "x"}, bearer=""), 401)
    assert await stream_of(alice) == before


async def test_a_key_is_not_for_another_body(site, beside, alice, service):
    key = {"Idempotency-Key": str(uuid4())}
    first = await service.post("/api/notifications/", {"user": "alice", "title": "one"}, headers=key)
    again = await service.post("/api/notifications/", {"user": "alice", "title": "one"}, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    before = await stream_of(alice)
    other = await service.post("/api/notifications/", {"user": "alice", "title": "two"}, headers=key)
    is_problem(other, 409, "idempotency_conflict")
    assert await stream_of(alice) == before


@pytest.mark.parametrize("key", ["", "x" * 201], ids=["empty", "endless"])
async def test_a_key_that_is_none_is_refused(site, unharmed, service, key):
    body = {"user": "alice", "title": "x"}
    is_problem(await service.post("/api/notifications/", body, headers={"Idempotency-Key": key}), 400, "invalid")


# Seen, read, archived --------------------------------------------------------------------------------------------

STATES: dict[str, object] = {
    "nothing": {},
    "no state": {"ids": [NIL]},
    "neither": {"state": "read"},
    "both": {"state": "read", "ids": [NIL], "through": 1},
    "another word": {"state": "deleted", "ids": [NIL]},
    "true": {"state": True, "ids": [NIL]},
    "no ids": {"state": "read", "ids": []},
    "201 ids": {"state": "read", "ids": [NIL] * 201},
    "an id that is none": {"state": "read", "ids": ["1"]},
    "an id that is a number": {"state": "read", "ids": [{}]},
    "ids as text": {"state": "read", "ids": NIL},
    "through -1": {"state": "read", "through": -1},
    "through true": {"state": "read", "through": True},
    "through text": {"state": "read", "through": "1"},
    "through 1.0": {"state": "read", "through": 1.0},
    "an unknown field": {"state": "read", "through": 1, "user": 1},
    "an array": [],
}


@pytest.mark.parametrize("body", STATES.values(), ids=STATES)
async def test_a_change_of_state_that_is_none_is_refused(site, unharmed, alice, body):
    before = await stream_of(alice)
    is_problem(await alice.post("/api/notifications/state/", body), 400, "invalid")
    assert await stream_of(alice) == before


@pytest.mark.parametrize("state", ["seen", "read", "unread", "archived", "unarchived"])
async def test_the_state_of_somebody_elses_stays_as_it_is(site, beside, alice, service, state):
    demo = person(site.server, "demo")
    told = (await service.post("/api/notifications/", {"user": "demo", "title": "for demo only"})).json()
    before = (await demo.get("/api/notifications/")).json(), await stream_of(alice)
    answer = await alice.post("/api/notifications/state/", {"state": state, "ids": [told["id"], NIL]})
    assert (answer.status_code, answer.json()["changed"]) == (200, 0)
    assert ((await demo.get("/api/notifications/")).json(), await stream_of(alice)) == before


# Signing in ------------------------------------------------------------------------------------------------------

CREDENTIALS: dict[str, object] = {
    "nothing": {},
    "no password": {"username": "nobody"},
    "numbers": {"username": 1, "password": 2},
    "objects": {"username": {"$ne": ""}, "password": {"$ne": ""}},
    "an unknown field": {"username": "nobody", "password": "x", "is_staff": True},
    "an endless password": {"username": "nobody", "password": "x" * 1025},
    "an endless name": {"username": "x" * 255, "password": "x"},
}


@pytest.mark.parametrize("body", CREDENTIALS.values(), ids=CREDENTIALS)
async def test_what_are_no_credentials_are_refused(site, unharmed, alice, body):
    is_problem(await alice.post("/api/token/", body, bearer=""), 400, "invalid")


@pytest.mark.parametrize("path", ["/api/token/refresh/", "/api/token/revoke/"])
@pytest.mark.parametrize("token", ["", "x", "a.b.c", "x" * 4097, 1, None, ["x"]], ids=lambda token: str(token)[:8])
async def test_what_is_no_refresh_token_is_refused(site, unharmed, alice, path, token):
    answer = await alice.post(path, {"refresh": token}, bearer="")
    is_problem(answer, 401 if token in ("x", "a.b.c") else 400)


async def test_an_access_token_refreshes_and_revokes_nothing(site, beside, alice):
    await alice.ticket()
    for path in ("/api/token/refresh/", "/api/token/revoke/"):
        is_problem(await alice.post(path, {"refresh": alice.access}, bearer=""), 401, "token_invalid")
    assert (await alice.post("/api/tickets/")).status_code == 201


# Elsewhere -------------------------------------------------------------------------------------------------------

PATHS = ["/nowhere", "/api/", "/api/tickets", "/api/tickets/x/", "/..%2f..%2fetc/passwd", "/%00", "/%ff"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_that_is_not_there_is_not_found(site, unharmed, alice, path):
    for method in ("GET", "POST"):
        assert (await alice.request(method, path)).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1@evil.example", "[", "127.0.0.1:x"])
async def test_a_host_that_is_not_ours_is_refused(site, unharmed, alice, host):
    assert (await alice.post("/api/tickets/", headers={"Host": host})).status_code == 400


@pytest.mark.parametrize("path", ["https://evil.example", "/elsewhere", "%ff", "\xff"])
async def test_nobody_says_where_the_site_is_mounted(site, unharmed, alice, path):
    """daphne believes this header from anybody: others would be sent to a page of a stranger's."""
    answer = await alice.get("/", bearer="", headers=[(b"Daphne-Root-Path", path.encode("latin-1"))])
    assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/login/?next=/")
    answer = await alice.get("/.well-known/usher", headers=[(b"Daphne-Root-Path", path.encode("latin-1"))])
    assert "evil" not in answer.text and "elsewhere" not in answer.text
