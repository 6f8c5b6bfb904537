"""The trip of a ticket: asked for over REST, kept as a digest, taken out of the handshake, spent once, welcomed."""

import hashlib
from contextlib import closing
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.client import Client


def stored(stack, query: str) -> list[tuple]:
    """What the site's own database says, read past the site."""
    url = stack.env["DATABASE_URL"]
    if url.startswith("sqlite"):
        import sqlite3

        with closing(sqlite3.connect(urlsplit(url).path)) as database:
            return database.execute(query).fetchall()
    with psycopg.connect(url) as database:
        return database.execute(query).fetchall()


async def test_a_ticket(site):
    demo = site.newcomer()
    answer = await demo.post("/api/tickets/", {"purpose": "connect"})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    issued = answer.json()
    ticket = issued["ticket"]
    assert len(ticket) == 43
    assert 25 <= issued["expires_in"] <= 30
    assert issued["url"] == f"{site.server.ws}/ws/"
    assert issued["protocols"] == ["usher.v1", f"usher.ticket.{ticket}"]

    # Only the digest is at rest.
    digest = hashlib.sha256(ticket.encode()).hexdigest()
    assert stored(site.stack, f"SELECT redeemed_at FROM tickets_ticket WHERE digest = '{digest}'") == [(None,)]

    # Exactly what the answer says is what a client hands to its WebSocket; the ticket never comes back.
    before = site.server.log_size()
    socket = await Client.open(site.server, subprotocols=issued["protocols"])
    async with socket:
        assert socket.websocket.subprotocol == "usher.v1"
        assert ticket not in str(list(socket.websocket.response.headers.raw_items()))
        welcome = await socket.expect("welcome", cursor=0, head=0, unread=0, recovered=False)
        assert welcome["user"]["username"] == demo.username
        ((redeemed_at,),) = stored(site.stack, f"SELECT redeemed_at FROM tickets_ticket WHERE digest = '{digest}'")
        assert redeemed_at is not None

        # Spent: the second socket is accepted only to be told why it goes.
        async with demo.connect(ticket=ticket) as second:
            await second.expect("bye", code=4402, reason="ticket_refused", reconnect=True, need="ticket")
            assert await second.closed() == 4402

        # The first one lives on and hears its person.
        site.stack.manage("notify", demo.username, "--title", "still here")
        await socket.expect("notification", title="still here", seq=1)
    assert ticket not in site.server.log_since(before)


@pytest.mark.parametrize("carrier", ["subprotocol", "header", "frame"])
async def test_every_carrier_of_a_ticket(site, carrier):
    demo = site.newcomer()
    async with demo.connect(carrier=carrier) as socket:
        await socket.expect("welcome")
        assert socket.websocket.subprotocol == "usher.v1"


async def test_a_ticket_in_the_url_is_refused_unless_the_site_allows_it(site, make_site):
    async with site.newcomer().connect(carrier="query") as socket:
        # As if there were none: the first frame may still bring one.
        await socket.send({"type": "ping"})
        await socket.expect("error", code="not_authenticated")
    allowing = make_site(TICKETS_ALLOW_QUERY="1")
    demo = allowing.person("demo")
    ticket = await demo.ticket()
    async with demo.connect(ticket=ticket, carrier="query") as socket:
        await socket.expect("welcome")
    assert ticket not in allowing.server.log(), "URLs are logged, tickets are not"


async def test_a_ticket_dies_with_its_session(site):
    demo = site.newcomer()
    ticket = await demo.ticket()
    await demo.log_out()
    async with demo.connect(ticket=ticket) as socket:
        await socket.expect("bye", code=4402)


async def test_signing_out_closes_the_sockets_of_that_session_only(site):
    name = site.newcomer().username
    laptop, phone = site.person(name), site.person(name)
    async with laptop.connect() as on_laptop, phone.connect() as on_phone:
        await on_laptop.expect("welcome")
        await on_phone.expect("welcome")
        await laptop.log_out()
        await on_laptop.expect("bye", code=4501, reason="logged_out", reconnect=False, need="login")
        assert await on_laptop.closed() == 4501
        site.stack.manage("notify", name, "--title", "for those who stay")
        await on_phone.expect("notification", title="for those who stay")
        assert not on_laptop.of("notification")
