"""From a grant's end to the re-authentication nothing private is delivered; then everything held, in order; and only
the same person goes on."""

import asyncio
import contextlib

import pytest

from tests.conftest import EACH_KIND_ONCE, Site
from tests.support import crowd
from tests.support.client import Client
from tests.support.histories import Published, Reader, judge
from tests.support.servers import Server

GRANT = {
    "TICKETS_GRANT_SECONDS": "3",
    "NOTIFICATIONS_GRACE_SECONDS": "100",
    "NOTIFICATIONS_REAUTH_SPACING": "0.01",  # so that a grant can be made fresh whenever the next steps need one
}
HELD = 1_000


async def tell(service, username, title="live"):
    answer = await service.post("/api/notifications/", {"user": username, "title": title})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def publish_while_held(site: Site, socket: Client, count: int) -> list[dict]:
    """Publish so many for alice, and come back once this server has certainly told the socket's connection of all."""
    user = socket.welcome["user"]["id"]
    how = {"user": user, "each": count - 1, "way": "notify"}
    await asyncio.to_thread(crowd.run, site.stack, "tests.guarantees.appending", "append", **how)
    # The last one goes through the server itself, which tells all of alice's sockets in one go: when another one of
    # them has it, the held one was told too.
    alice, service = site.person("alice"), site.person("service")
    await service.token()
    async with alice.connect() as witness:
        await witness.expect("welcome", head=count - 1)
        last = await tell(service, "alice")
        assert last["seq"] == count
        await witness.expect("notification", seq=count, replayed=False)
    (stands,) = await asyncio.to_thread(crowd.run, site.stack, "tests.guarantees.appending", "look", user=user)
    return stands["rows"]


def check_held(socket: Client, rows: list, *, count: int) -> None:
    """Nothing between question and answer; afterwards each number once, in order; then `caught_up`; then live."""
    words = [frame.type for frame in socket.frames]
    asked = words.index("reauth_required")
    answered = words.index("reauthenticated")
    heard = words[asked + 1 : answered]
    assert "notification" not in heard, f"{heard.count('notification')} delivered while held"
    assert set(heard) <= {"error", "reauth_failed", "pong"}, f"heard while held: {heard}"

    stream = f"u.{socket.welcome['user']['id']}"
    published = [Published(stream, seq, pk) for seq, pk, _ in rows]
    verdict = judge(published, [Reader("alice", frozenset({stream}), [socket.history()])])
    assert verdict.clean, str(verdict)
    assert (verdict.resets, verdict.skipped) == (0, 0)
    assert socket.frames[answered]["held"] == count

    after = [frame for frame in socket.frames[answered:] if frame.type in ("notification", "caught_up")]
    assert [frame.get("seq") for frame in after] == [*range(1, count + 1), None, count + 1], "not whole or not in order"
    assert after[count].type == "caught_up" and after[count]["cursor"] == count
    assert [frame["replayed"] for frame in (*after[:count], after[-1])] == [True] * count + [False]


async def reauthenticate(person, socket: Client) -> None:
    await socket.send({"type": "reauth", "ticket": await person.ticket("reauth"), "ref": "again"})
    await socket.expect("reauthenticated", ref="again")


async def hold_and_release(site: Site, *, count: int, patience: float) -> tuple[Client, list]:
    """A socket of alice's through a whole re-authentication, with `count` published meanwhile and one afterwards."""
    alice, service = site.person("alice"), site.person("service")
    await service.token()
    async with alice.connect() as socket:
        await socket.expect("welcome", head=0)
        await socket.expect("reauth_required", reason="session_expired", timeout=10)
        rows = await publish_while_held(site, socket, count)
        await socket.send({"type": "ping", "ref": "alive"})
        await socket.expect("pong", ref="alive")
        await reauthenticate(alice, socket)
        deadline = asyncio.get_running_loop().time() + patience
        while not socket.of("caught_up") and asyncio.get_running_loop().time() < deadline:
            if len(socket.of("reauth_required")) > len(socket.of("reauthenticated")):
                await reauthenticate(alice, socket)  # a slow machine: the replay took longer than the grant
            await asyncio.sleep(0.02)
        await reauthenticate(alice, socket)
        live = await tell(service, "alice")
        with contextlib.suppress(AssertionError):  # that is for the checker to say
            await socket.expect("notification", seq=live["seq"], timeout=patience)
        return socket, [*rows, (live["seq"], live["id"], "live")]


@EACH_KIND_ONCE
async def test_a_thousand_held_and_then_all_of_them_in_order(make_site):
    site = make_site(**GRANT)
    socket, rows = await hold_and_release(site, count=HELD, patience=60)
    check_held(socket, rows, count=HELD)
    assert not site.server.complaints()


@pytest.mark.parametrize(
    ("variant", "complaint"),
    [("without_holding", "delivered while held"), ("without_catching_up", "lost")],
)
@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_a_naive_server_does_not_pass(stack, variant, complaint):
    stack.env |= GRANT | {"NAIVE": variant}
    with Server("uvicorn", stack, application="tests.guarantees.naive:application") as server:
        socket, rows = await hold_and_release(Site(stack, "uvicorn", [server]), count=50, patience=1)
    with pytest.raises(AssertionError, match=complaint):
        check_held(socket, rows, count=50)


@EACH_KIND_ONCE
async def test_only_the_same_person_goes_on_and_only_one_socket_with_a_ticket(make_site):
    site = make_site(**GRANT)
    alice, demo, service = site.person("alice"), site.person("demo"), site.person("service")
    tickets = {purpose: await demo.ticket(purpose) for purpose in ("connect", "reauth")}
    await service.token()
    async with contextlib.AsyncExitStack() as stack:
        first, second, third, fourth = [await stack.enter_async_context(alice.connect()) for _ in range(4)]
        for socket in (first, second, third, fourth):
            await socket.expect("reauth_required", timeout=10)
        assert (await tell(service, "alice"))["seq"] == 1

        for socket, ticket in zip((first, second), tickets.values(), strict=True):
            await socket.send({"type": "reauth", "ticket": ticket})
            await socket.expect("bye", code=4507, reconnect=False)
            assert await socket.closed() == 4507
            assert not socket.of("notification")

        ticket = await alice.ticket("reauth")
        await asyncio.gather(*(socket.send({"type": "reauth", "ticket": ticket}) for socket in (third, fourth)))
        answers = await asyncio.gather(*(answer_to_reauth(socket) for socket in (third, fourth)))
        assert sorted(answers) == ["reauth_failed", "reauthenticated"]
        winner, loser = (third, fourth) if answers[0] == "reauthenticated" else (fourth, third)
        await winner.expect("notification", seq=1, replayed=True)
        # Spent by the winner; the loser goes on with one of its own, and has seen nothing until then.
        assert not loser.of("notification")
        await asyncio.sleep(loser.of("reauth_failed")[0]["retry_after_ms"] / 1000)
        await reauthenticate(alice, loser)
        await loser.expect("notification", seq=1, replayed=True)
    assert not site.server.complaints()


async def answer_to_reauth(socket: Client) -> str:
    frame = await socket.next()
    return frame.type


async def test_one_ticket_opens_one_of_many_sockets(site):
    person = site.newcomer()
    for _ in range(5):
        ticket = await person.ticket()
        sockets = await asyncio.gather(*(Client.open(site.server, ticket=ticket) for _ in range(10)))
        first = await asyncio.gather(*(socket.next() for socket in sockets))
        assert sorted(frame.type for frame in first) == ["bye"] * 9 + ["welcome"]
        for socket, frame in zip(sockets, first, strict=True):
            assert frame.type == "welcome" or (frame["code"], await socket.closed()) == (4402, 4402)
        await asyncio.gather(*(socket.close() for socket in sockets))
