"""More than is allowed: refused at the limit, and at home again below it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.bad_input.conftest import person, until
from tests.bad_input.raw import TEXT, Header, Raw, frame
from tests.conftest import Site
from tests.support import canary
from tests.support.client import Person
from tests.support.servers import Server

pytestmark = pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)

PER_ADDRESS = 50
OFFER: Header = ("Sec-WebSocket-Protocol", "usher.v1")


@pytest.fixture(scope="module")
def behind_proxy(stacks, stack_kind, server_kind) -> Iterator[Site]:
    """A site that believes us about where its callers are, with room for three sockets a person."""
    settings = {"TRUSTED_PROXIES": "127.0.0.1", "NOTIFICATIONS_SOCKETS_PER_USER": "3", "FORWARDED_ALLOW_IPS": ""}
    site = Site(stacks.make(stack_kind, **settings), server_kind)
    site.add_server()
    yield site
    complaints = site.server.complaints()
    site.stop()
    assert not complaints, site.server.log()


def calling_from(address: str) -> Header:
    return "X-Forwarded-For", address


@contextlib.asynccontextmanager
async def strangers(server: Server, count: int, *headers: Header) -> AsyncIterator[list[int]]:
    """So many sockets at once that show no credential; what each handshake was answered with."""
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(await Raw.dial(server)) for _ in range(count)]
        yield [(await socket.shake(OFFER, *headers)).status for socket in sockets]


def closings(server: Server, since: int) -> int:
    return server.log_since(since).count("notifications.socket close connection=")


async def has_room_for_all(server: Server, *headers: Header) -> None:
    """Exactly as many strangers fit as into a server that has just started; afterwards they are gone."""
    before = server.log_size()
    async with strangers(server, PER_ADDRESS + 1, *headers) as answers:
        assert answers == [101] * PER_ADDRESS + [403]
    await until(lambda: closings(server, before) == PER_ADDRESS, "end of all strangers")


# Strangers -------------------------------------------------------------------------------------------------------


async def test_the_51st_stranger_of_an_address_is_refused_until_one_leaves(behind_proxy):
    server, home, elsewhere = behind_proxy.server, calling_from("203.0.113.5"), calling_from("198.51.100.5")
    alice, before = person(server, "alice"), server.log_size()
    async with strangers(server, PER_ADDRESS, home) as answers:
        assert set(answers) == {101}
        async with strangers(server, 1, home) as one_more, strangers(server, 1, elsewhere) as another:
            assert (one_more, another) == ([403], [101])
        # A ticket does not help where there is no room to look at it, and is not spent there.
        ticket = (await alice.post("/api/tickets/", headers=dict([elsewhere]))).json()["ticket"]
        async with await Raw.dial(server) as raw:
            assert (await raw.shake((OFFER[0], f"usher.v1, usher.ticket.{ticket}"), home)).status == 403
        async with alice.connect(ticket=ticket, headers=[elsewhere]) as socket:
            await socket.expect("welcome")
    await until(lambda: closings(server, before) == PER_ADDRESS + 2, "end of them all")
    await has_room_for_all(server, home)


async def test_a_forged_address_makes_no_room(make_site):
    server = make_site(FORWARDED_ALLOW_IPS="").server
    async with contextlib.AsyncExitStack() as stack:
        for number in range(PER_ADDRESS):
            answers = await stack.enter_async_context(strangers(server, 1, calling_from(f"203.0.113.{number}")))
            assert answers == [101]
        async with strangers(server, 1, calling_from("198.51.100.1")) as answers:
            assert answers == [403]
        assert (await Person(server, "alice").get("/api/notifications/")).status_code == 200


async def refused_ticket(server: Server, _: Person) -> int:
    async with await Raw.open(server, ticket=canary.secret()) as raw:
        assert (await raw.end()).code == 4402
    return 1


async def gone_at_once(server: Server, _: Person) -> int:
    async with await Raw.open(server):
        return 1


async def gone_while_the_ticket_is_looked_at(server: Server, alice: Person) -> int:
    async with await Raw.open(server, ticket=await alice.ticket()):
        return 1


async def violation(server: Server, _: Person) -> int:
    async with await Raw.open(server) as raw:
        await raw.send(frame(TEXT, b"{}", masked=False))
        await raw.end()
    return 1


async def violation_after_welcome(server: Server, alice: Person) -> int:
    async with await Raw.open(server, ticket=await alice.ticket()) as raw:
        await raw.hear("welcome")
        await raw.send(frame(TEXT, b"{}", masked=False))
        await raw.end()
    return 1


async def too_big(server: Server, _: Person) -> int:
    async with await Raw.open(server) as raw:
        await raw.say(b"x" * 8193)
        assert (await raw.end()).code == 4506
    return 1


async def refused_page(server: Server, _: Person) -> int:
    async with await Raw.dial(server) as raw:
        assert (await raw.shake(OFFER, ("Origin", "https://evil.example"))).status == 403
    return 0


async def half_a_handshake(server: Server, _: Person) -> int:
    async with await Raw.dial(server) as raw:
        await raw.send(b"GET /ws/ HTTP/1.1\r\nUpgrade: websocket\r\n")
    return 0


BAD = [
    refused_ticket,
    gone_at_once,
    gone_while_the_ticket_is_looked_at,
    violation,
    violation_after_welcome,
    too_big,
    refused_page,
    half_a_handshake,
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.__name__)
async def test_sixty_bad_sockets_one_after_the_other_leave_nothing_behind(site, beside, alice, bad):
    server, before = site.server, site.server.log_size()
    accepted = sum([await bad(server, alice) for _ in range(60)])
    await until(lambda: closings(server, before) == accepted, "end of all bad sockets")
    await has_room_for_all(server)


async def test_silence_is_closed_within_six_seconds(site, beside):
    server = site.server
    start = time.monotonic()
    async with await Raw.open(server) as silent, await Raw.open(server) as chatty, await Raw.open(server) as dripping:
        await chatty.say({"type": "ping"})  # who says something else instead is no better
        await dripping.send(frame(TEXT, b'{"type":"authenticate",', fin=False))
        ends = await asyncio.gather(silent.end(8), chatty.end(8), dripping.end(8))
    assert [end.code for end in ends] == [4408] * 3
    assert 4 < time.monotonic() - start < 6
    for end in ends:
        bye = end.frames[-1]
        assert (bye["reason"], bye["reconnect"], bye["need"]) == ("authentication_timeout", True, "ticket")


# One person ------------------------------------------------------------------------------------------------------


async def test_one_socket_too_many_of_a_person_ends_the_oldest(behind_proxy):
    server = behind_proxy.server
    alice, demo = person(server, "alice"), person(server, "demo")
    async with contextlib.AsyncExitStack() as stack:
        other = await stack.enter_async_context(demo.connect())
        sockets = []
        for _ in range(3):
            sockets.append(await stack.enter_async_context(alice.connect()))
            await sockets[-1].expect("welcome")
        newest = await stack.enter_async_context(alice.connect())
        await newest.expect("welcome")
        bye = await sockets[0].expect("bye", reason="too_many_connections", reconnect=False, need="nothing")
        assert await sockets[0].closed() == bye["code"] == 4504
        service = person(server, "service")
        told = await service.post("/api/notifications/", {"users": ["alice", "demo"], "title": "to whoever is left"})
        assert told.status_code == 201
        for socket in (*sockets[1:], newest, other):
            await socket.expect("notification")


async def test_a_flood_of_commands_is_refused_and_then_ended(site, beside, alice):
    async with await Raw.open(site.server, ticket=await alice.ticket()) as raw:
        await raw.hear("welcome")
        command = frame(TEXT, b'{"type":"ping","ref":"1"}')
        await raw.send(command * 400)
        end = await raw.end()
    assert end.code == 4429
    pongs, errors = end.of("pong"), end.of("error")
    assert 60 <= len(pongs) < 120  # the burst, and what came in meanwhile
    assert len(errors) == 100
    for error in errors:
        assert (error["code"], error["ref"]) == ("rate_limited", "1")
        assert 0 < error["retry_after_ms"] <= 100
    bye = end.frames[-1]
    assert (bye["type"], bye["reason"], bye["reconnect"], bye["need"]) == ("bye", "rate_limited", True, "ticket")
    assert bye["retry_after_ms"] > 0


async def test_who_waits_as_told_is_heard_again(site, beside, alice):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        for _ in range(70):
            await socket.send({"type": "ping"})
        refused = await socket.expect("error", code="rate_limited")
        await socket.expect_many(len(socket.of("error")) - 1, "error")
        await asyncio.sleep(refused["retry_after_ms"] / 1000 * 12)  # as long as all that was refused would have taken
        await socket.send({"type": "ping", "ref": "again"})
        await socket.expect("pong", ref="again")


async def test_a_flood_of_wrong_acks_is_refused_too(site, beside, alice):
    async with await Raw.open(site.server, ticket=await alice.ticket()) as raw:
        await raw.hear("welcome")
        await raw.send(frame(TEXT, b'{"type":"ack","seq":-1}') * 400)
        end = await raw.end()
    assert end.code == 4429
    assert {error["code"] for error in end.of("error")} == {"invalid_ack", "rate_limited"}


async def test_a_flood_of_commands_of_a_stranger_is_ended_too(site, beside):
    async with await Raw.open(site.server) as raw:
        await raw.send(frame(TEXT, b'{"type":"ping"}') * 400)
        end = await raw.end()
    assert end.code == 4429
    assert {error["code"] for error in end.of("error")} == {"not_authenticated", "rate_limited"}


async def test_too_many_tickets_are_refused_for_this_person_only(behind_proxy):
    greedy, modest = behind_proxy.newcomer(), person(behind_proxy.server, "alice")
    answers = [await greedy.post("/api/tickets/") for _ in range(30)]
    assert {answer.status_code for answer in answers} == {201}
    # One more for each second that these took, on however slow a machine.
    more = [await greedy.post("/api/tickets/") for _ in range(90)]
    refused = [answer for answer in more if answer.status_code == 429]
    assert refused
    assert refused[0].json()["code"] == "rate_limited"
    assert refused[0].headers["content-type"] == "application/problem+json"
    wait = int(refused[-1].headers["Retry-After"])
    assert 1 <= wait <= 2
    assert (await modest.post("/api/tickets/")).status_code == 201
    await asyncio.sleep(wait)
    assert (await greedy.post("/api/tickets/")).status_code == 201


async def test_too_many_passwords_are_refused_even_if_one_is_right(behind_proxy):
    somebody = behind_proxy.newcomer()
    wrong = {"username": somebody.username, "password": canary.remembered("a password that is not the right one")}
    answers = [await somebody.post("/api/token/", wrong, bearer="") for _ in range(11)]
    assert [answer.status_code for answer in answers[:10]] == [401] * 10
    right = {"username": somebody.username, "password": somebody.password}
    last = await somebody.post("/api/token/", right, bearer="")
    assert (last.status_code, last.json()["code"]) == (429, "rate_limited")
    assert int(last.headers["Retry-After"]) >= 1


# Another network -------------------------------------------------------------------------------------------------


async def test_a_ticket_is_good_in_the_network_it_was_issued_to(behind_proxy):
    alice = person(behind_proxy.server, "alice")

    async def carried(issued_to: str, presented_from: str) -> int | None:
        answer = await alice.post("/api/tickets/", headers=dict([calling_from(issued_to)]))
        async with await Raw.dial(behind_proxy.server) as raw:
            offer = OFFER[0], f"usher.v1, usher.ticket.{answer.json()['ticket']}"
            assert (await raw.shake(offer, calling_from(presented_from))).status == 101
            said = await raw.hear("welcome") if (issued_to, presented_from) in admitted else None
            return None if said else (await raw.end()).code

    admitted = [("203.0.113.7", "203.0.113.200"), ("2001:db8::1", "2001:db8:0:ff::2"), ("203.0.113.7", "2001:db8::1")]
    refused = [("203.0.113.7", "203.0.114.7"), ("2001:db8::1", "2001:db8:0:100::1"), ("203.0.113.7", "198.51.100.7")]
    # What stands left of the nearest address is what the caller says of itself.
    refused.append(("203.0.113.7", "203.0.113.7, 198.51.100.7"))
    for way in admitted:
        assert await carried(*way) is None
    for way in refused:
        assert await carried(*way) == 4402
