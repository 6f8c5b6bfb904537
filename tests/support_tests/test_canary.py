"""That the search for credentials finds them wherever one is left, and nothing where none is."""

import asyncio
import http.server
import secrets
import sqlite3
import threading
from types import SimpleNamespace

import pytest

from tests.support import canary
from tests.support.canary import Canary
from tests.support.client import Client, Person, Refused
from tests.support.desk import Desk
from tests.support.processes import wait_until
from tests.support.services import Postgres, Valkey
from tests.support.stack import Stack, site_environment

CUT = 30  # of the 43 characters of a ticket


@pytest.fixture
def own(monkeypatch, tmp_path):
    """A registry of the test's own: what is spilled here on purpose is no business of the run's."""
    own = Canary()
    own.directory = tmp_path / "canary"
    own.directory.mkdir()
    monkeypatch.setattr(canary, "present", own)
    return own


@pytest.fixture
def stack(own, tmp_path):
    directory = tmp_path / "stack"
    directory.mkdir()
    return Stack("embedded", directory, site_environment())


def found(own, secret, place):
    """It is, once, there, and the message about it does not tell it."""
    (said,) = own.spilled()
    assert place in said
    assert secret[:6] in said
    assert secret[:12] not in said
    return True


# Places -----------------------------------------------------------------------------------------------------------


def test_a_log(own, stack):
    secret = canary.secret()
    log = stack.log_path("server")
    log.write_text("nothing to see here\n")
    assert own.spilled() == []
    log.write_text(f"one line\nGET /ws/?a={secret[:CUT]}…\n")
    assert found(own, secret, "server-1.log")


IN_JSON = ['{"event": "asked", "ticket": "%s"}', '{"event": "asked {\\"ticket\\": \\"%s\\"}"}']


@pytest.mark.parametrize("logged", IN_JSON)
def test_a_line_of_json_in_a_log(own, stack, logged):
    """Also one that nobody here had in their hands."""
    secret = secrets.token_urlsafe(31) + "A"
    log = stack.log_path("server")
    log.write_text(f"{logged % ''}\n")
    assert own.spilled() == []
    log.write_text(f"{logged % secret}\n")
    assert found(own, secret, "server-1.log")


def test_a_script_s_output(own, stack):
    script = stack.script("tests.support_tests.saying", secret := canary.secret())
    script.wait(20)
    assert found(own, secret, "saying-1.log")


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_an_embedded_database(own, stack, journal):
    secret = canary.secret()
    database = sqlite3.connect(stack.directory / "site.sqlite3", isolation_level=None)
    database.execute(f"PRAGMA journal_mode = {journal}")
    database.execute("CREATE TABLE one (words TEXT)")
    assert own.spilled() == []
    database.execute("INSERT INTO one VALUES (?)", [f"before {secret} after"])
    assert found(own, secret, "site.sqlite3-wal" if journal == "WAL" else "site.sqlite3,")
    database.close()


def test_a_postgres_database_and_its_log(own):
    secret, in_the_log = canary.secret(), canary.secret()
    with Postgres() as postgres:
        postgres.create_database("one")
        with postgres.connect("one") as connection:
            connection.execute("CREATE TABLE words AS SELECT %s AS told", [f"before {secret[:CUT]}"])
            connection.execute("CREATE TABLE clean AS SELECT 'nothing' AS told")
            with pytest.raises(Exception, match="does not exist"):
                connection.execute(f'SELECT "{in_the_log}"')
    rows, *log = sorted(own.spilled(), key=lambda said: ".rows" not in said)
    assert "one.words.rows" in rows
    assert secret[:6] in rows
    assert log, "the complaint, and the statement it is about"
    assert all("-usher-postgres-" in said and in_the_log[:6] in said for said in log)


def test_a_database_that_had_been_killed_is_not_waited_for(own):
    with Postgres() as postgres:
        postgres.create_database("one")
        postgres.kill()
    assert own.spilled() == []


def test_what_redis_was_sent_also_after_it_was_restarted(own):
    before, after = canary.secret(), canary.secret()
    with Valkey() as valkey:
        valkey.overheard()
        with valkey.client() as client:
            client.publish("group", b"\x82\xa4type\xa1t\xd9\x2b" + before.encode() + b"\xff")
        wait_until(own.spilled, timeout=5, what="command written down")  # it is told after the caller was answered
        valkey.kill()
        valkey.restart()
        with valkey.client() as client:
            client.eval("return redis.call('set', KEYS[1], ARGV[1])", 1, "key", after[:CUT])
    texts = own.spilled()
    assert all("-commands," in said for said in texts)
    assert {secret for secret in (before, after) if any(secret[:6] in said for said in texts)} == {before, after}


def test_only_a_redis_that_is_to_be_overheard_has_one_client_more(own):
    with Valkey() as valkey, valkey.client() as client:
        assert len(client.client_list()) == 1
        for _ in range(2):
            valkey.overheard()
        wait_until(lambda: len(client.client_list()) == 2, timeout=5, what="listener")
    assert own.spilled() == []


# Answers ----------------------------------------------------------------------------------------------------------


class Site:
    """A site that answers what it was told to."""

    def __init__(self):
        site, self.status, self.headers, self.body = self, 200, {}, b""

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(site.status)
                for header in {**site.headers, "Content-Length": str(len(site.body))}.items():
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(site.body)

            def log_message(self, *_):
                pass

        self._listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        place = f"127.0.0.1:{self._listening.server_port}"
        self.http, self.ws = f"http://{place}", f"ws://{place}"
        self.stack = SimpleNamespace(password_of=lambda username: username)
        self.server = self
        self._thread = threading.Thread(target=self._listening.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def says(self, status, body="", **headers):
        self.status, self.body, self.headers = status, body.encode(), headers

    def stop(self):
        self._listening.shutdown()
        self._listening.server_close()
        self._thread.join()


@pytest.fixture
def site(own):
    site = Site()
    yield site
    site.stop()


async def test_a_person_s_errors_and_where_they_are_sent_on_to(own, site):
    secret, alice = canary.secret(), Person(site, "alice")
    site.says(200, f"this is yours: {secret}")
    await alice.get("/", bearer="")
    assert own.spilled() == []
    site.says(400, f"what is {secret[:CUT]}?")
    await alice.get("/", bearer="")
    assert found(own, secret, "pages")
    (own.directory / "pages").unlink()
    site.says(302, Location=f"/next?{secret}")
    await alice.get("/", bearer="")
    assert found(own, secret, "pages")


async def test_a_refused_handshake(own, site):
    secret = canary.secret()
    site.says(403, f"not with {secret}")
    with pytest.raises(Refused):
        await Client.open(site)
    assert found(own, secret, "pages")


async def test_the_admin(own, site):
    secret = canary.secret()
    site.says(200, f"<td>{secret}</td>")
    desk = Desk(site, "staff")
    await desk.get("/elsewhere/")
    assert own.spilled() == []
    await desk.get("/admin/tickets/")
    await desk.http.aclose()
    assert found(own, secret, "pages")


async def test_a_session_s_cookie_which_django_keeps_in_the_database(own, site, stack):
    cookie = secrets.token_hex(16)
    site.says(200, **{"Set-Cookie": f"sessionid={cookie}; Path=/"})
    desk = Desk(site, "staff")
    await desk.get("/admin/")
    await desk.http.aclose()
    (stack.directory / "site.sqlite3").write_text(cookie)
    assert own.spilled() == []
    stack.log_path("server").write_text(cookie)
    assert found(own, cookie, "server-1.log")


# Secrets ----------------------------------------------------------------------------------------------------------


async def test_what_is_handed_out_is_remembered(own, site, stack):
    handed = {name: secrets.token_urlsafe(32) for name in ("ticket", "access", "refresh")}
    site.says(201, str(handed).replace("'", '"'))
    await Person(site, "alice").get("/", bearer="")
    for secret in handed.values():
        (stack.directory / "server.log").write_text(secret[:CUT])
        assert found(own, secret, "server.log")


async def test_so_is_what_is_presented(own, site, stack):
    site.says(403)
    ticket, password = secrets.token_urlsafe(32), "long enough a word"
    Person(site, "alice", password)
    with pytest.raises(Refused):
        await Client.open(site, ticket=ticket)
    log = stack.log_path("server")
    log.write_text(ticket)
    assert found(own, ticket, "server-1.log")
    log.write_text(f"sign-in with {password} refused")
    assert len(own.spilled()) == 1


async def test_so_are_the_tickets_that_crowds_are_told_of_and_only_where_they_are_not_meant(own, stack):
    ticket = secrets.token_urlsafe(32)
    await asyncio.to_thread(stack.log_path("job").write_text, f'{{"plan": {{"tickets": ["{ticket}"]}}}}')
    assert own.spilled() == []
    stack.log_path("server").write_text(ticket)
    assert found(own, ticket, "server-1.log")


def test_so_are_the_keys_of_a_site(own, tmp_path):
    key = secrets.token_urlsafe(50)
    stack = Stack("embedded", tmp_path, site_environment(TICKETS_JID_KEY=key))
    stack.log_path("server").write_text(key)
    assert found(own, key, "server-1.log")


TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoiMSJ9.c2lnbmF0dXJl"
SHAPED = [
    TOKEN,
    TOKEN[:60],
    f"usher.v1, usher.ticket.{'Ab3' * 12}",
    f"actioncable-v1-json, anycable-token.{'Ab3' * 12}",
    f"Authorization: Ticket {'Ab3' * 12}",
    f"GET /ws/?ticket={'Ab3' * 15}",
    f"{{'ticket': '{'Ab3' * 15}'}}",
]


@pytest.mark.parametrize("said", SHAPED)
def test_what_nobody_had_in_their_hands_is_known_by_its_shape(own, stack, said):
    stack.log_path("server").write_text(said)
    assert len(own.spilled()) == 1


def test_a_token_is_known_by_its_signature_since_all_begin_alike(own, stack):
    token = canary.remembered(f"{TOKEN.rpartition('.')[0]}.{secrets.token_urlsafe(32)}")
    log = stack.log_path("server")
    log.write_text(f"{TOKEN.partition('.')[0]} is said of every token")
    assert own.spilled() == []
    log.write_text(token.rpartition(".")[2][:CUT])
    assert len(own.spilled()) == 1


def test_what_says_nothing_is_no_secret(own, stack):
    for nothing in ("", "alice", "a" * 43, "abab" * 11):
        canary.remembered(nothing)
    stack.log_path("server").write_text("alice aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ababababababababababababab\n\n")
    assert own.spilled() == []
