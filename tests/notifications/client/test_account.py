"""Requests of a person, to a site that answers what the test says."""

import asyncio
import json
import ssl
import traceback
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from notifications.client import Refused, SignInRequired, Unreachable
from notifications.client.account import Account, Credentials
from notifications.client.errors import Misused

SITE = "https://site.example"
PASSWORD = "correct horse"


class Site:
    """Tokens are `access-1`, `refresh-1` and so on; only the last ones are good."""

    def __init__(self) -> None:
        self.made = 0
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[dict] = []
        self.headers: list[httpx2.Headers] = []
        self.ended = False
        self.session_expires_at = datetime.now(UTC) + timedelta(days=30)
        self.instead: dict[str, list] = {}
        """By path: what to answer, or raise, before anything else; one after the other."""

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(0)
        path, body = request.url.path, json.loads(request.content or b"null")
        self.asked.append((request.method, path))
        self.bodies.append(body)
        self.headers.append(request.headers)
        if self.instead.get(path):
            answer = self.instead[path].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if path == "/api/token/":
            self.ended = False
            return self.pair() if body["password"] == PASSWORD else problem(401, "invalid_credentials")
        if path == "/api/token/refresh/":
            if self.ended:
                return problem(401, "session_ended")
            return self.pair() if body["refresh"] == f"refresh-{self.made}" else problem(401, "token_refused")
        if path == "/api/token/revoke/":
            return httpx2.Response(204)
        if self.ended:
            return problem(401, "session_ended")
        if request.headers.get("authorization") != f"Bearer access-{self.made}":
            return problem(401, "token_expired")
        if path == "/api/tickets/":
            return httpx2.Response(201, json=ticket(self.session_expires_at))
        return httpx2.Response(200, json={"path": path, "query": str(request.url.query, "ascii")})

    def pair(self) -> httpx2.Response:
        self.made += 1
        return httpx2.Response(200, json={"access": f"access-{self.made}", "refresh": f"refresh-{self.made}"})

    @property
    def paths(self) -> list[str]:
        return [path.removeprefix("/api/") for _, path in self.asked]


def ticket(session_expires_at, url="wss://site.example/ws/"):
    protocols = ["usher.v1", "usher.ticket.t"]
    return {"ticket": "t", "url": url, "protocols": protocols, "session_expires_at": session_expires_at.isoformat()}


def problem(status, code, **fields):
    headers = {"Retry-After": str(fields.pop("wait"))} if "wait" in fields else {}
    return httpx2.Response(status, json={"code": code, "detail": f"It is {code}."} | fields, headers=headers)


@pytest.fixture
def site():
    return Site()


def account(site, at=SITE, on_tokens=None, **credentials):
    credentials = credentials or {"username": "demo", "password": PASSWORD}
    return Account(at, Credentials(**credentials), on_tokens=on_tokens, transport=httpx2.MockTransport(site))


# Signing in -----------------------------------------------------------------------------------------------------------


async def test_it_signs_in_when_first_asked_and_once(site):
    one = account(site)
    assert await one.request("GET", "/api/notifications/", query={"limit": "1"}) == {
        "path": "/api/notifications/",
        "query": "limit=1",
    }
    await one.ticket("connect")
    assert site.paths == ["token/", "notifications/", "tickets/"]
    assert site.bodies[0] == {"username": "demo", "password": PASSWORD}
    assert site.headers[0]["user-agent"].startswith("usher-client/")
    assert "authorization" not in site.headers[0]


async def test_a_wrong_password_is_tried_once(site):
    with pytest.raises(SignInRequired, match="invalid_credentials") as caught:
        await account(site, username="demo", password="wrong").ticket("connect")
    assert caught.value.code == "invalid_credentials"
    assert site.paths == ["token/"]


async def test_tokens_come_first_and_are_kept_fresh(site):
    site.made, pairs = 1, []
    one = account(site, on_tokens=lambda *pair: pairs.append(pair), access="too old", refresh="refresh-1")
    await one.request("GET", "/api/sessions/")
    assert site.paths == ["sessions/", "token/refresh/", "sessions/"]
    assert (pairs, one.access) == ([("access-2", "refresh-2")], "access-2")


async def test_an_access_token_alone_lasts_as_long_as_it_does(site):
    site.made = 1
    one = account(site, access="access-1")
    await one.request("GET", "/api/sessions/")
    site.made = 2
    with pytest.raises(SignInRequired):
        await one.request("GET", "/api/sessions/")


async def test_many_at_once_spend_one_refresh_token(site):
    site.made = 1
    one = account(site, access="too old", refresh="refresh-1")
    await asyncio.gather(*(one.request("GET", "/api/sessions/") for _ in range(5)))
    assert site.paths.count("token/refresh/") == 1


async def test_a_session_that_somebody_ended_is_not_opened_again(site):
    one = account(site)
    await one.ticket("connect")
    site.ended = True
    with pytest.raises(SignInRequired, match="session_ended"):
        await one.ticket("connect")
    assert site.paths == ["token/", "tickets/", "tickets/"]


async def test_nor_is_one_that_was_ended_when_the_access_token_was_over(site):
    one = account(site)
    await one.ticket("connect")
    site.instead["/api/tickets/"] = [problem(401, "token_expired")]
    site.ended = True
    with pytest.raises(SignInRequired, match="session_ended"):
        await one.ticket("connect")
    assert site.paths == ["token/", "tickets/", "tickets/", "token/refresh/"]


async def test_nor_is_one_that_was_ended_after_tokens_had_been_lost(site):
    one = account(site)
    await one.ticket("connect")
    site.instead["/api/tickets/"] = [problem(401, "token_expired")] * 2
    site.instead["/api/token/refresh/"] = [httpx2.ReadError("lost"), problem(401, "token_refused")]
    with pytest.raises(Unreachable):
        await one.ticket("connect")
    await one.ticket("connect")
    assert site.paths.count("token/") == 2, "the password is the way on"
    site.instead["/api/tickets/"] = [problem(401, "token_expired")]
    site.ended = True
    with pytest.raises(SignInRequired, match="session_ended"):
        await one.ticket("connect")


async def test_a_session_that_ran_out_is_opened_again(site):
    site.session_expires_at = datetime.now(UTC) - timedelta(seconds=1)
    one = account(site)
    await one.ticket("connect")
    site.ended = True
    await one.ticket("connect")
    assert site.paths == ["token/", "tickets/", "tickets/", "token/refresh/", "token/", "tickets/"]


@pytest.mark.parametrize("by", ["another", "an answer that was lost"])
async def test_a_refresh_token_that_was_spent(site, by):
    """With the password there is a way on: nobody ended anything."""
    site.made = 1
    raced = problem(409, "refresh_raced")
    lost = [httpx2.ReadError("reset by peer")] if by != "another" else []
    site.instead["/api/token/refresh/"] = [*lost, raced, *lost, raced]
    one = account(site, access="too old", refresh="refresh-1", username="demo", password=PASSWORD)
    if lost:
        with pytest.raises(Unreachable):
            await one.ticket("connect")
    await one.ticket("connect")
    without = account(site, access="too old", refresh="refresh-1")
    if lost:
        with pytest.raises(Unreachable):
            await without.ticket("connect")
    with pytest.raises(SignInRequired) as caught:
        await without.ticket("connect")
    assert caught.value.code in ("refresh_raced", "")


async def test_what_it_opened_it_ends(site):
    one = account(site)
    await one.ticket("connect")
    await one.close()
    assert (site.paths[-1], site.bodies[-1]) == ("token/revoke/", {"refresh": "refresh-1"})
    site.made = 1
    other = account(site, access="access-1", refresh="refresh-1")
    await other.ticket("connect")
    await other.close()
    assert site.paths[-1] == "tickets/", "somebody else's session stays"


async def test_a_goodbye_that_nobody_hears_is_no_error(site):
    one = account(site)
    await one.ticket("connect")
    site.instead["/api/token/revoke/"] = [httpx2.ConnectError("refused")]
    await one.close()


# Answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (problem(503, "unavailable", wait=2), Unreachable, {"status": 503, "retry_after": 2.0, "uncertain": False}),
        (problem(429, "rate_limited", wait=60), Unreachable, {"retry_after": 60.0}),
        (httpx2.Response(502, text="<html>"), Unreachable, {"status": 502, "retry_after": 0.0}),
        (problem(503, "x", wait="Wed, 21 Oct"), Unreachable, {"retry_after": 0.0}),
        (problem(403, "permission_denied"), Refused, {"status": 403, "code": "permission_denied"}),
        (problem(400, "invalid", errors={"title": ["No."]}), Refused, {"errors": {"title": ["No."]}}),
        (httpx2.Response(404, text="<html>"), Refused, {"status": 404}),
        (httpx2.Response(301, headers={"Location": "https://other.example/api/"}), Refused, {"status": 301}),
        (httpx2.Response(302, headers={"Location": "http://[/"}), Refused, {"status": 302}),
        (httpx2.Response(200, text="<html>"), Refused, {"status": 200}),
        (httpx2.Response(200, json=["no", "answer"]), Refused, {"status": 200}),
        (httpx2.ConnectError("refused"), Unreachable, {"uncertain": False}),
        (httpx2.ReadTimeout("late"), Unreachable, {"uncertain": True}),
        (httpx2.RemoteProtocolError("gone"), Unreachable, {"uncertain": True}),
    ],
    ids=str,
)
async def test_what_an_answer_means(site, answer, kind, told):
    one = account(site)
    site.instead["/api/sessions/"] = [answer]
    with pytest.raises(kind) as caught:
        await one.request("GET", "/api/sessions/")
    assert told.items() <= vars(caught.value).items()


NO_TICKETS = [
    *({}, [], {"ticket": "t"}, None),
    ticket(datetime.now(UTC)) | {"url": 5},
    ticket(datetime.now(UTC)) | {"url": "wss://[/"},
    ticket(datetime.now(UTC)) | {"protocols": [5]},
    ticket(datetime.now(UTC)) | {"session_expires_at": "soon"},
]


@pytest.mark.parametrize("answer", NO_TICKETS)
async def test_what_is_no_ticket(site, answer):
    site.instead["/api/tickets/"] = [httpx2.Response(201, json=answer)]
    with pytest.raises(Refused, match="Is it an Usher site"):
        await account(site).ticket("connect")


async def test_a_site_with_tls_names_no_socket_without(site):
    site.instead["/api/tickets/"] = [httpx2.Response(201, json=ticket(site.session_expires_at, "ws://site.example/"))]
    with pytest.raises(Refused, match="a socket without"):
        await account(site).ticket("connect")


async def test_no_credential_is_in_what_is_raised(site, caplog):
    caplog.set_level(0)
    one = account(site)
    await one.ticket("connect")
    site.instead["/api/tickets/"] = [httpx2.ReadError("x"), problem(403, "permission_denied"), problem(500, "x")]
    for _ in range(3):
        with pytest.raises((Unreachable, Refused)) as caught:
            await one.ticket("connect")
        chain = [caught.value, caught.value.__cause__, caught.value.__context__]
        assert chain[1:] == [None, None], "what the HTTP client raises has the request"
        said = f"{''.join(traceback.format_exception(caught.value))} {caught.value!r} {vars(caught.value)} {one!r}"
        assert not any(secret in said for secret in (PASSWORD, "access-1", "refresh-1"))
    assert not any(secret in caplog.text for secret in (PASSWORD, "access-1", "refresh-1", "usher.ticket"))


@pytest.mark.parametrize("what", [{"body": {"title": "\udcff"}}, {"headers": {"Idempotency-Key": "ä"}}], ids=str)
async def test_what_cannot_be_sent_is_the_callers_doing(site, what):
    with pytest.raises(Misused, match="cannot be sent"):
        await account(site).request("POST", "/api/notifications/", **{"body": {}} | what)
    assert site.paths == ["token/"]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "site.example",
        "ftp://site.example",
        "https://",
        "https://demo:demo@site.example",
        "https://site.example?a=b",
        "http://[",
        "http://site.example:abc",
        "http://site.example:99999",
    ],
)
def test_what_is_no_address(address):
    with pytest.raises(Misused, match="address"):
        account(None, at=address)


async def test_tls_is_of_the_systems_authorities(site):
    one = account(site, at="https://site.example/")
    assert (one.site, one.tls.verify_mode) == (SITE, ssl.CERT_REQUIRED)
    assert account(site, at="http://127.0.0.1:8000").tls is None
