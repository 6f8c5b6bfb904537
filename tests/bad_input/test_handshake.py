"""Handshakes: tickets that are none, pages that may not, headers that no library would send."""

import contextlib
import re
from asyncio import IncompleteReadError

import pytest

from tests.bad_input.conftest import database, person, served, until
from tests.bad_input.raw import Header, Raw
from tests.support import canary
from tests.support.servers import Server

pytestmark = pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)

OFFER = "Sec-WebSocket-Protocol"
CUT = 0
"""TCP ended without an HTTP answer."""


async def knock(server: Server, *headers: Header, **options: object) -> int:
    """What comes of a handshake: the HTTP status if it was refused, else the close code that followed, or CUT."""
    async with await Raw.dial(server) as raw:
        try:
            reply = await raw.shake(*headers, **options)
        except (IncompleteReadError, ConnectionError):
            return CUT
        if reply.status != 101:
            assert GOOD_SHAPE not in str(reply)
            return reply.status
        assert reply.header(OFFER) in (None, "usher.v1")
        end = await raw.end()
        (bye,) = end.frames
        assert (bye["type"], bye["code"]) == ("bye", end.code)
        return end.code


def offer(ticket: str | bytes) -> Header:
    raw = ticket if isinstance(ticket, bytes) else ticket.encode("latin-1")
    return OFFER, b"usher.v1, usher.ticket." + raw


def authorization(ticket: str | bytes) -> Header:
    raw = ticket if isinstance(ticket, bytes) else ticket.encode("latin-1")
    return "Authorization", b"Ticket " + raw


# Tickets that are none -------------------------------------------------------------------------------------------

GOOD_SHAPE = canary.secret()
SHAPES = {
    "empty": "",
    "garbage": "garbage",
    "42 characters": GOOD_SHAPE[:42],
    "44 characters": GOOD_SHAPE + "A",
    "padded": GOOD_SHAPE + "=",
    "another spelling of the same bytes": GOOD_SHAPE[:42] + "B",
    "never issued": GOOD_SHAPE,
    "4 KiB": "a" * 4096,
    "percent": "%41" * 43,
    "another alphabet": "+/" * 21 + "A",
}


@pytest.mark.parametrize("carrier", [offer, authorization])
@pytest.mark.parametrize("ticket", SHAPES.values(), ids=SHAPES)
async def test_what_is_no_ticket_is_refused_like_any_other(site, beside, carrier, ticket):
    # A subprotocol's name has no such characters: uvicorn refuses it by itself.
    refused = 400 if carrier is offer and site.server.kind == "uvicorn" and set(ticket) & set("=/") else 4402
    with contextlib.closing(database(site.stack)) as db:
        before = db.execute("SELECT count(*), count(redeemed_at), count(revoked_at) FROM tickets_ticket").fetchone()
        assert await knock(site.server, carrier(ticket)) == refused
        after = db.execute("SELECT count(*), count(redeemed_at), count(revoked_at) FROM tickets_ticket").fetchone()
    assert after == before


@pytest.mark.parametrize("ticket", SHAPES.values(), ids=SHAPES)
async def test_what_is_no_ticket_is_refused_in_a_frame_too(site, beside, ticket):
    async with await Raw.open(site.server) as raw:
        await raw.say({"type": "authenticate", "ticket": ticket})
        assert (await raw.end()).code == 4402


async def test_letters_beyond_ascii_are_no_ticket(site, beside):
    smile = "\N{GRINNING FACE}"
    assert await knock(site.server, authorization(smile.encode() * 11)) == 4402
    async with await Raw.open(site.server) as raw:
        await raw.say({"type": "authenticate", "ticket": smile * 43})
        assert (await raw.end()).code == 4402


async def test_nul_is_no_ticket(site, beside):
    assert await knock(site.server, offer(b"\0" * 43)) == 400  # both servers, before the application
    assert await knock(site.server, authorization(b"\0" * 43)) == 400
    async with await Raw.open(site.server) as raw:
        await raw.say({"type": "authenticate", "ticket": "\0" * 43, "ref": "1"})
        assert (await raw.hear("error"))["code"] == "invalid"  # a bad frame rather than a bad ticket: it may try again
        await raw.say({"type": "authenticate", "ticket": GOOD_SHAPE})
        assert (await raw.end()).code == 4402


# Tickets that were good once -------------------------------------------------------------------------------------


async def used(alice, site) -> str:
    ticket = await alice.ticket()
    async with alice.connect(ticket=ticket) as socket:
        await socket.expect("welcome")
    return ticket


async def expired(alice, site) -> str:
    ticket = await alice.ticket()
    with contextlib.closing(database(site.stack)) as db:
        db.execute("UPDATE tickets_ticket SET expires_at = created_at WHERE id = (SELECT max(id) FROM tickets_ticket)")
    return ticket


async def revoked(alice, site) -> str:
    ticket = await alice.ticket()
    for _ in range(10):  # as many as one person may have: the first is taken back
        await alice.ticket()
    return ticket


async def for_reauth(alice, site) -> str:
    return await alice.ticket("reauth")


async def for_the_broker(alice, site) -> str:
    return await alice.ticket("broker")


async def of_an_ended_session(alice, site) -> str:
    elsewhere = site.person("alice")  # a login session of its own
    ticket = await elsewhere.ticket()
    await elsewhere.log_out()
    return ticket


@pytest.mark.parametrize("made", [used, expired, revoked, for_reauth, for_the_broker, of_an_ended_session])
async def test_a_ticket_that_is_not_good_any_more_gets_the_same_answer(site, beside, alice, made):
    ticket = await made(alice, site)
    async with await Raw.open(site.server, ticket=ticket) as raw:
        end = await raw.end()
    assert end.code == 4402
    assert end.frames == [
        {
            "type": "bye",
            "code": 4402,
            "reason": "ticket_refused",
            "reconnect": True,
            "need": "ticket",
            "retry_after_ms": 0,
        }
    ]


async def test_a_ticket_for_reauth_is_not_spent_by_trying_to_connect(site, beside, alice):
    ticket = await alice.ticket("reauth")
    assert await knock(site.server, offer(ticket)) == 4402
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send({"type": "reauth", "ticket": ticket})
        await socket.expect("reauthenticated")


# Offers that cannot be -------------------------------------------------------------------------------------------


async def both_in_the_offer(alice) -> list[Header]:
    return [(OFFER, f"usher.v1, usher.ticket.{await alice.ticket()}, usher.ticket.{await alice.ticket()}")]


async def twice_the_same(alice) -> list[Header]:
    ticket = await alice.ticket()
    return [(OFFER, f"usher.v1, usher.ticket.{ticket}"), ("Authorization", f"Ticket {ticket}")]


async def in_two_headers(alice) -> list[Header]:
    return [offer(await alice.ticket()), (OFFER, f"usher.ticket.{await alice.ticket()}")]


@pytest.mark.parametrize("made", [both_in_the_offer, twice_the_same, in_two_headers])
async def test_two_tickets_are_refused(site, beside, alice, made):
    assert await knock(site.server, *await made(alice)) == 4402


async def test_a_ticket_without_the_protocol_is_refused_and_stays_good(site, beside, alice):
    ticket = await alice.ticket()
    assert await knock(site.server, (OFFER, f"usher.ticket.{ticket}")) == 4505
    assert await knock(site.server, (OFFER, f"other.v1, usher.ticket.{ticket}")) == 4505
    assert await knock(site.server, (OFFER, "other.v1")) == 4505
    async with alice.connect(ticket=ticket) as socket:
        await socket.expect("welcome")


# What the servers answer before the application is asked stands beside what it would have answered.
OFFERS: dict[str, tuple[list[Header], dict[str, int]]] = {
    "a comma in disguise": ([(OFFER, f"usher.v1%2cusher.ticket.{GOOD_SHAPE}")], {"daphne": 4402, "uvicorn": 4402}),
    # No name of a protocol has a space in it; daphne does not look.
    "two commas in disguise": (
        [(OFFER, f"usher.v1%2c usher.ticket.{GOOD_SHAPE}, usher.v1")],
        {"daphne": 4402, "uvicorn": 400},
    ),
    "200 names": ([(OFFER, ", ".join(f"p{number}" for number in range(200)))], {"daphne": 4402, "uvicorn": 4402}),
    "200 names and ours": (
        [(OFFER, "usher.v1, " + ", ".join(f"p{number}" for number in range(200)))],
        {"daphne": 4402, "uvicorn": 4402},
    ),
    "almost 8 KiB": ([(OFFER, "usher.v1, " + "a" * 8000)], {"daphne": 4402, "uvicorn": 4402}),
    "a quoted name": ([(OFFER, '"usher.v1"')], {"daphne": 4402, "uvicorn": 400}),
    "one ticket twice": (
        [(OFFER, f"usher.v1, usher.ticket.{GOOD_SHAPE}, usher.ticket.{GOOD_SHAPE}")],
        {"daphne": 400, "uvicorn": 4402},
    ),
    "one name twice": ([(OFFER, f"usher.v1, usher.v1, usher.ticket.{GOOD_SHAPE}")], {"daphne": 400, "uvicorn": 4402}),
}


@pytest.mark.parametrize(("headers", "answers"), OFFERS.values(), ids=OFFERS)
async def test_an_offer_that_no_browser_makes_is_refused(site, beside, headers, answers):
    assert await knock(site.server, *headers) == answers.get(site.server.kind, 4505)


async def test_an_endless_offer_is_refused_by_the_server(make_site):
    server = make_site(LOG_LEVELS="uvicorn=INFO").server
    before = server.log_size()
    endless: Header = (OFFER, "usher.v1, " + "a" * 20_000)
    if server.kind == "daphne":
        assert await knock(server, endless) == CUT
        return
    # uvicorn makes a 431 and forgets to send it: the connection is open until its client leaves, as it would be if
    # nothing had been sent at all. A proxy in front answers before.
    async with await Raw.dial(server) as raw:
        await raw.write_shake(endless)
        await until(lambda: "431 Request Header" in server.log_since(before), "refusal")


BEYOND_ASCII = {"bytes": b"\x80\xff", "an emoji": b"usher.v1, usher.ticket." + "\N{GRINNING FACE}".encode()}


@pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True)
@pytest.mark.parametrize("value", BEYOND_ASCII.values(), ids=BEYOND_ASCII)
async def test_an_offer_beyond_ascii_is_refused_by_the_server(site, beside, value):
    assert await knock(site.server, (OFFER, value)) == 400


@pytest.mark.parametrize("server_kind", ["daphne"], indirect=True)
async def test_what_daphne_would_trip_over_before_it_asks_the_application(make_site):
    """daphne 4.2.3 reads the offer as ASCII in `WebSocketProtocol.onConnect`, and takes `Daphne-Root-Path` from anybody
    (the router then finds no route). Without `project/daphne_sockets.py` a 500 and a traceback each."""
    server = make_site().server
    alice, service = person(server, "alice"), person(server, "service")
    async with alice.connect() as socket:
        await socket.expect("welcome")
        for value in BEYOND_ASCII.values():
            assert await knock(server, (OFFER, value + f", usher.ticket.{GOOD_SHAPE}".encode())) == 400
        assert await knock(server, offer(GOOD_SHAPE), ("Daphne-Root-Path", "/elsewhere")) == 4402, (
            "as if it were not there"
        )
        await served(socket, service)
    assert server.returncode is None
    assert not server.complaints(), server.log()


# Pages that may not ----------------------------------------------------------------------------------------------

ORIGINS: dict[str, tuple[str | bytes, dict[str, int]]] = {
    "null": ("null", {}),
    "another site": ("https://evil.example", {}),
    "a name that begins like ours": ("http://127.0.0.1.evil.example:{port}", {}),
    "a name that ends like ours": ("http://evil-127.0.0.1:{port}", {}),
    "good as a part of evil": ("https://good.example.evil.example", {}),
    "no port": ("http://127.0.0.1", {}),
    "another port": ("http://127.0.0.1:1", {}),
    "https for http": ("https://127.0.0.1:{port}", {}),
    "ws for http": ("ws://127.0.0.1:{port}", {}),
    "our address as a user name": ("http://127.0.0.1:{port}@evil.example", {}),
    "a path": ("http://127.0.0.1:{port}/", {}),
    "a file": ("file://", {}),
    # What daphne cannot read it refuses itself, with another number.
    "half a bracket": ("http://[", {"daphne": 400}),
    "a port beyond ports": ("http://127.0.0.1:99999", {"daphne": 400}),
    "empty": ("", {"daphne": 400}),
    "bytes": (b"\xff\xfe", {"daphne": 400}),
}


@pytest.mark.parametrize(("origin", "answers"), ORIGINS.values(), ids=ORIGINS)
async def test_a_page_of_elsewhere_is_refused_and_costs_no_ticket(site, beside, alice, origin, answers):
    server, ticket = site.server, await alice.ticket()
    sent = origin.replace("{port}", str(server.port)) if isinstance(origin, str) else origin
    assert await knock(server, offer(ticket), ("Origin", sent)) == answers.get(server.kind, 403)
    async with alice.connect(ticket=ticket, origin=server.http) as socket:
        await socket.expect("welcome")


async def test_two_origins_are_refused(site, beside, alice):
    server, ticket = site.server, await alice.ticket()
    for second in (server.http, "https://evil.example"):
        assert await knock(server, offer(ticket), ("Origin", server.http), ("Origin", second)) == 400  # both servers
    async with alice.connect(ticket=ticket) as socket:
        await socket.expect("welcome")


async def test_a_host_that_is_not_ours_makes_no_origin_ours(site, beside, alice):
    ticket = await alice.ticket()
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
        headers = offer(ticket), ("Origin", f"http://{host}")
        assert await knock(site.server, *headers, host=host) == 403


# Where a caller says to be ---------------------------------------------------------------------------------------


@pytest.fixture
def no_proxy(make_site):
    """A site whose server leaves forwarding headers to us, as `uvicorn --no-proxy-headers` does.

    By itself uvicorn believes whoever calls from 127.0.0.1, and rewrites the caller's address before we see it.
    """
    return make_site(FORWARDED_ALLOW_IPS="")


async def test_a_forged_forwarding_header_of_a_stranger_is_ignored(no_proxy):
    alice = person(no_proxy.server, "alice")
    issued = await alice.post("/api/tickets/", headers={"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"})
    assert issued.status_code == 201
    assert issued.json()["url"].startswith("ws://")  # the claim of https is not believed either
    forged = {"X-Forwarded-For": "198.51.100.9", "X-Real-IP": "198.51.100.9", "Forwarded": "for=198.51.100.9"}
    async with alice.connect(ticket=issued.json()["ticket"], headers=forged) as socket:
        await socket.expect("welcome")


async def test_a_forwarding_header_of_nonsense_harms_nothing(no_proxy):
    server = no_proxy.server
    alice = person(server, "alice")
    for value in (b"\xff\xfe, 203.0.113.7", b",,,", b"a" * 4096, b"203.0.113.7:99999", b"[::", b"", b"%00"):
        async with await Raw.dial(server) as raw:
            headers = offer(await alice.ticket()), ("X-Forwarded-For", value), ("X-Forwarded-Proto", value)
            assert (await raw.shake(*headers)).status == 101
            await raw.hear("welcome")
    assert not server.complaints()


# Where a socket is not -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [b"/", b"/nowhere/", b"/ws", b"/ws/%00", b"/ws/ws/", b"/api/tickets/", b"/ws/%ff"])
async def test_a_path_without_a_socket_is_refused(site, beside, path):
    assert await knock(site.server, offer(GOOD_SHAPE), path=path) == 403


@pytest.mark.parametrize("path", [b"/ws/\xff", b"/ws/?since=\xff"])
async def test_a_path_of_bytes_is_refused_by_the_server(site, beside, path):
    assert await knock(site.server, offer(GOOD_SHAPE), path=path) == 400


POSITIONS = {
    "letters": b"since=abc",
    "empty": b"since=",
    "no epoch": b"since=:1",
    "no number": b"since=abc:",
    "negative": b"since=abc:-1",
    "17 digits": b"since=abc:12345678901234567",
    "other digits": b"since=abc:%d9%a1",
    "bytes": b"since=%ff%00",
    "an endless epoch": b"since=" + b"a" * 2000 + b":1",
    "more fields than anybody needs": b"&".join(b"a=%d" % number for number in range(30)),
}


@pytest.mark.parametrize("query", POSITIONS.values(), ids=POSITIONS)
async def test_a_position_that_is_none_is_refused(site, beside, query):
    assert await knock(site.server, offer(GOOD_SHAPE), path=b"/ws/?" + query) == 4505


# Secrets ---------------------------------------------------------------------------------------------------------


async def test_a_ticket_is_nowhere_in_the_log_whatever_carried_it(make_site):
    server = make_site(LOG_LEVELS="uvicorn=INFO").server  # as nobody should have it
    alice, before = person(server, "alice"), server.log_size()
    tickets = [await alice.ticket() for _ in range(8)]
    query = f"since=marker:1&ticket={tickets[0]}&Ticket={tickets[1]}&%74icket={tickets[2]}&token={tickets[3]}".encode()
    await knock(server, (OFFER, "usher.v1"), offer(tickets[4]), authorization(tickets[5]), path=b"/ws/?" + query)
    await knock(server, (OFFER, f"usher.v1, USHER.TICKET.{tickets[6]}, usher.ticket."), ("Cookie", tickets[7]))
    said = server.log_since(before)
    # uvicorn writes the query string down there, which shows that the search would find something.
    assert ("since=marker" in said) == (server.kind == "uvicorn")
    assert not [ticket for ticket in tickets if ticket[:24] in said]
    assert not re.search(r"usher\.ticket\.", said, re.IGNORECASE)


async def test_a_cookie_opens_nothing(site, beside):
    demo = person(site.server, "demo")
    await demo.ticket()
    headers: list[Header] = [(OFFER, "usher.v1"), ("Cookie", f"sessionid=x; access={demo.access}")]
    async with await Raw.dial(site.server) as raw:
        assert (await raw.shake(*headers)).status == 101
        await raw.say({"type": "ping", "ref": "1"})
        assert (await raw.hear("error"))["code"] == "not_authenticated"
