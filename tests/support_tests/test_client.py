"""The client against the least of applications, so that what fails here is not the site."""

import pytest

from tests.support import client as client_module
from tests.support.client import Client, Refused
from tests.support.histories import Published, Reader, judge
from tests.support.servers import Server
from tests.support.stack import Stack, site_environment


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def least(request, tmp_path_factory):
    stack = Stack("embedded", tmp_path_factory.mktemp("least"), site_environment())
    with Server(request.param, stack, application="tests.support_tests.application:application") as server:
        yield server


async def test_frames_are_expected_in_order_and_passed_over_by_type_and_field(least):
    async with await Client.open(least, path="/ws/?n=3") as socket:
        assert (await socket.next())["type"] == "welcome"
        assert (await socket.expect("notification", seq=2))["id"] == "2"
        with pytest.raises(AssertionError, match=r"no notification seq=2 within 0\.2 s\n\d frames received, open"):
            await socket.expect("notification", seq=2, timeout=0.2)
        await socket.expect("notification")
        assert [frame["seq"] for frame in socket.of("notification")] == [1, 2, 3]
        assert socket.position == "e:3"


async def test_acks_after_32_and_on_request_or_never(least):
    async with await Client.open(least, path="/ws/?n=32") as socket:
        assert (await socket.expect("echo"))["frame"] == {"type": "ack", "seq": 32}
        await socket.silence(0.2)
    async with await Client.open(least, path="/ws/?n=31") as socket:
        await socket.expect("notification", seq=31)
        await socket.silence(0.2)
        await socket.ack()
        assert (await socket.expect("echo"))["frame"] == {"type": "ack", "seq": 31}
    async with await Client.open(least, path="/ws/?n=40", auto_ack=False) as socket:
        await socket.expect("notification", seq=40)
        await socket.silence(0.2)


async def test_acks_a_while_after_the_oldest(least, monkeypatch):
    monkeypatch.setattr(client_module, "ACK_AFTER", 0.1)
    async with await Client.open(least, path="/ws/?n=2") as socket:
        assert (await socket.expect("echo"))["frame"] == {"type": "ack", "seq": 2}


async def test_silence_is_broken_by_a_frame_and_by_a_close(least):
    async with await Client.open(least) as socket:
        await socket.expect("welcome")
        await socket.silence(0.1)
        await socket.send({"type": "hello"})
        with pytest.raises(AssertionError, match="heard"):
            await socket.silence(0.3)
        await socket.send({"type": "hello"})
        await socket.silence(0.3, but=["echo"])
        await socket.send({"type": "close", "code": 4401})
        with pytest.raises(AssertionError, match="closed with 4401"):
            await socket.silence(0.3)


async def test_tells_how_it_was_closed(least):
    async with await Client.open(least) as socket:
        await socket.expect("welcome")
        assert socket.close_code is None
        with pytest.raises(AssertionError, match=r"still open after 0\.1 s"):
            await socket.closed(0.1)
        await socket.send({"type": "close", "code": 4401})
        assert await socket.closed() == 4401
        with pytest.raises(AssertionError, match="no pong before the end"):
            await socket.expect("pong")


async def test_a_cut_is_1006_and_a_refusal_is_told_by_its_status(least):
    async with await Client.open(least) as socket:
        socket.cut()
        assert await socket.closed() == 1006
    with pytest.raises(Refused) as refused:
        await Client.open(least, path="/ws/?refuse=1")
    assert refused.value.status == 403


async def test_a_socket_becomes_a_history(least):
    async with await Client.open(least, path="/ws/?n=3") as socket:
        await socket.expect("notification", seq=3)
    published = [Published("u.1", seq, str(seq)) for seq in (1, 2, 3)]
    assert judge(published, [Reader("phone", frozenset({"u.1"}), [socket.history()])]).clean


async def test_since_and_ticket_travel_beside_a_path_with_a_query_of_its_own(least):
    async with await Client.open(least, path="/ws/?n=1", since="e:0", carrier="query", ticket="t") as socket:
        assert (await socket.expect("welcome"))["headers"] == ["n", "since", "ticket"]
