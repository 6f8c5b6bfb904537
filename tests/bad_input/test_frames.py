"""Whole and well-delivered messages that make no sense, or ask for what their sender may not have."""

import asyncio
import json
import re

import pytest

from tests.bad_input.conftest import person, served
from tests.bad_input.raw import Raw
from tests.support.client import Client

pytestmark = pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)

NIL = "00000000-0000-4000-8000-000000000000"


async def answered(socket: Client, code: str, **fields: object) -> None:
    """The next frame is an error of this code, and the connection lives."""
    frame = await socket.next()
    assert {"type": "error", "code": code, **fields}.items() <= frame.items(), frame
    await lives(socket)


async def lives(socket: Client) -> None:
    await socket.send({"type": "ping", "ref": "alive"})
    assert await socket.next() == {"type": "pong", "ref": "alive"}


async def told_goodbye(socket: Client, code: int, **fields: object) -> None:
    """The next frame is this `bye`, and the close has the same code."""
    frame = await socket.next()
    assert {"type": "bye", "code": code, **fields}.items() <= frame.items(), frame
    assert await socket.closed() == code


# No command at all -----------------------------------------------------------------------------------------------

MALFORMED: dict[str, str | bytes] = {
    "text": "not json",
    "array": "[]",
    "array of a command": '[{"type":"ping"}]',
    "string": '"x"',
    "number": "1",
    "null": "null",
    "true": "true",
    "empty": "",
    "white space": " \n\t ",
    "half an object": '{"type":"ping"',
    "two objects": '{"type":"ping"}{"type":"ping"}',
    "a comment": '{"type":"ping"} // hello',
    "a comma too many": '{"type":"ping",}',
    "single quotes": "{'type':'ping'}",
    "byte order mark": '\ufeff{"type":"ping"}',
    "8,000 brackets": "[" * 8000,
    "8,000 braces": '{"a":' * 1600,
    "3,000 arrays in each other": '{"type":"state","state":"read","ids":' + "[" * 3000 + "]" * 3000 + "}",
    "5,000 digits": "9" * 5000,
    "NaN": '{"type":"ack","seq":NaN}',
    "infinity": '{"type":"ack","seq":Infinity}',
    "a leading zero": '{"type":"ack","seq":01}',
    "a lone surrogate": '{"type":"ping","ref":"\\ud800"}',
    "a control character": '{"type":"ping","ref":"\x00"}',
    "a binary frame": b'{"type":"ping"}',
    "an empty binary frame": b"",
    "a binary frame of bytes": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_no_json_object_is_answered_with_an_error(site, beside, alice, text):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send(text)
        await answered(socket, "malformed")


UNKNOWN: dict[str, object] = {
    "no type": {},
    "another word": {"type": "hello"},
    "a word of the server": {"type": "welcome"},
    "an event of the server's server": {"type": "websocket.disconnect"},
    "a message of the layer": {"type": "notification.push", "title": "x"},
    "a handler's name": {"type": "websocket_receive"},
    "an attribute": {"type": "__class__"},
    "upper case": {"type": "PING"},
    "a new line": {"type": "ping\n"},
    "null": {"type": None},
    "a number": {"type": 1},
    "an array": {"type": ["ping"]},
    "an object": {"type": {"ping": 1}},
}


@pytest.mark.parametrize("frame", UNKNOWN.values(), ids=UNKNOWN)
async def test_an_unknown_command_is_answered_with_an_error(site, beside, alice, frame):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send(frame | {"ref": "mine"})
        await answered(socket, "unknown_type", ref="mine")


TOPICS = {
    "a stranger's stream": "u.2",
    "that of a group": "usher.u.2",
    "everything": "*",
    "a name of two lines": "news\nu.2",
    "one that no rule names": "nothing.of.the.kind",
    "that of a letter more": "announcements\0",
    "no end": "x" * 80,
}


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
async def test_what_is_no_topic_of_theirs_is_denied_like_any_other(site, beside, alice, topic):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send({"type": "subscribe", "topic": topic, "ref": "mine"})
        if "\0" in topic:
            await answered(socket, "invalid")
            return
        denied = await socket.expect("denied")
        assert (denied["topic"], denied["code"], denied["ref"]) == (topic, "forbidden", "mine")
        await socket.send({"type": "unsubscribe", "topic": topic, "ref": "left"})
        assert (await socket.expect("unsubscribed"))["ref"] == "left"


INVALID: dict[str, str | dict[str, object]] = {
    "a topic too long": {"type": "subscribe", "topic": "x" * 81},
    "a topic without a name": {"type": "subscribe", "topic": ""},
    "a topic that is a list": {"type": "subscribe", "topic": ["news"]},
    "a position that is none": {"type": "subscribe", "topic": "announcements", "since": "7"},
    "an extra field": {"type": "ping", "extra": 1},
    "a missing field": {"type": "ack"},
    "true for 1": {"type": "ack", "seq": True},
    "text for 1": {"type": "ack", "seq": "1"},
    "1.0 for 1": {"type": "ack", "seq": 1.0},
    "1.5": {"type": "ack", "seq": 1.5},
    "null": {"type": "ack", "seq": None},
    "an array": {"type": "ack", "seq": [1]},
    "2^53": {"type": "ack", "seq": 2**53},
    "-2^53": {"type": "ack", "seq": -(2**53)},
    "2^64": {"type": "ack", "seq": 2**64},
    "5,000 digits": '{"type":"ack","seq":' + "9" * 5000 + "}",
    "1e999": '{"type":"ack","seq":1e999}',
    "-1e999": '{"type":"ack","seq":-1e999}',
    "a number as ref": {"type": "ping", "ref": 1},
    "an object as ref": {"type": "ping", "ref": {}},
    "an endless ref": {"type": "ping", "ref": "x" * 65},
    "NUL": {"type": "ping", "ref": "\0"},
    "NUL in a name": {"type": "ack", "seq": 0, "stream": "u.1\0"},
    "a key twice": '{"type":"ack","seq":1,"seq":2}',
    "a type twice": '{"type":"ping","type":"ping"}',
    "no such state": {"type": "state", "state": "deleted", "ids": [NIL]},
    "a state in capitals": {"type": "state", "state": "READ", "ids": [NIL]},
    "neither ids nor through": {"type": "state", "state": "read"},
    "both ids and through": {"type": "state", "state": "read", "ids": [NIL], "through": 1},
    "no ids": {"type": "state", "state": "read", "ids": []},
    "201 ids": {"type": "state", "state": "read", "ids": ["x"] * 201},
    "ids of numbers": {"type": "state", "state": "read", "ids": [1]},
    "ids as text": {"type": "state", "state": "read", "ids": NIL},
    "NUL as id": {"type": "state", "state": "read", "ids": ["\0"]},
    "through true": {"type": "state", "state": "read", "through": True},
    "through 2^53": {"type": "state", "state": "read", "through": 2**53},
    "reauth without a ticket": {"type": "reauth"},
    "reauth with null": {"type": "reauth", "ticket": None},
    "reauth with a number": {"type": "reauth", "ticket": 1},
    "reauth with NUL": {"type": "reauth", "ticket": "\0"},
    "authenticate without a ticket": {"type": "authenticate"},
}


@pytest.mark.parametrize("frame", INVALID.values(), ids=INVALID)
async def test_a_command_with_a_wrong_field_is_answered_with_an_error(site, beside, alice, frame):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send(frame)
        await answered(socket, "invalid")


async def test_the_fifth_bad_frame_closes(site, beside, alice):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        for bad in ("not json", b"\0", '{"type":"hello"}', '{"type":"ack","seq":true}', "[]"):
            await socket.send(bad)
        codes = [(await socket.next())["code"] for _ in range(5)]
        assert codes == ["malformed", "malformed", "unknown_type", "invalid", "malformed"]
        bye = await socket.next()
        assert (bye["type"], bye["reason"], bye["reconnect"], bye["need"]) == (
            "bye",
            "protocol_error",
            False,
            "nothing",
        )
        assert await socket.closed() == bye["code"] == 4505


async def test_bad_frames_count_before_anybody_is_known_too(site, beside):
    async with await Raw.open(site.server) as raw:
        for _ in range(5):
            await raw.say(b"not json")
        end = await raw.end()
    assert end.code == 4505
    assert [frame["type"] for frame in end.frames] == ["error"] * 5 + ["bye"]


@pytest.mark.parametrize(
    "frame",
    [{"type": "ping"}, {"type": "ack", "seq": 0}, {"type": "state", "state": "read", "through": 1}],
    ids=lambda frame: frame["type"],
)
async def test_nothing_is_done_for_somebody_unknown(site, beside, frame):
    async with await Raw.open(site.server) as raw:
        await raw.say(frame | {"ref": "1"})
        assert await raw.hear("error") | {"detail": ""} == {
            "type": "error",
            "code": "not_authenticated",
            "detail": "",
            "ref": "1",
        }


async def test_an_error_repeats_nothing_that_was_sent(site, beside, alice):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        for text in ("<script>alert(1)</script>", '{"type":"<script>"}', '{"type":"ping","<script>":1}'):
            await socket.send(text)
            error = await socket.next()
            assert error["type"] == "error" and len(error["detail"]) <= 200
            assert text not in error["detail"]


# Size ------------------------------------------------------------------------------------------------------------


def padded(size: int, *, filler: str = " ") -> str:
    head, tail = '{"type":"ping","ref":"1"', "}"
    return head + filler * ((size - len(head) - len(tail)) // len(filler.encode())) + tail


async def test_8_kib_are_heard_and_one_byte_more_closes(site, beside, alice):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send(padded(8192))
        assert await socket.next() == {"type": "pong", "ref": "1"}
        await socket.send(padded(8193))
        bye = await socket.next()
        assert (bye["type"], bye["reason"], bye["reconnect"], bye["need"]) == (
            "bye",
            "message_too_big",
            False,
            "nothing",
        )
        assert await socket.closed() == 4506


async def test_it_is_bytes_that_count_not_characters(site, beside, alice):
    text = padded(8400, filler="\N{GRINNING FACE}")
    assert len(text) < 8192 < len(text.encode())
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send(text)
        assert await socket.closed() == 4506


@pytest.mark.parametrize("text", ["[" * 100_000, b"\0" * 100_000, "x" * 2**20], ids=["brackets", "binary", "1 MiB"])
async def test_far_above_the_server_itself_closes(site, beside, alice, text):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send(text)
        # daphne cuts where uvicorn says "too big".
        assert await socket.closed() == (1006 if site.server.kind == "daphne" else 1009)


# Acks ------------------------------------------------------------------------------------------------------------


async def test_an_ack_of_what_was_not_said_is_an_error_and_moves_nothing(site, beside, alice, service):
    async with alice.connect(auto_ack=False) as socket:
        head = (await socket.expect("welcome"))["head"]
        for seq in (head + 1, 2**53 - 1, -1, -(2**53) + 1):
            await socket.send({"type": "ack", "seq": seq, "ref": "a"})
            await answered(socket, "invalid_ack", ref="a")
        await served(socket, service)


async def test_an_ack_below_the_last_is_ignored(site, beside, alice, service):
    async with alice.connect(auto_ack=False) as socket:
        await socket.expect("welcome")
        await served(socket, service)
        await served(socket, service)
        for seq in (socket.frames[-1]["seq"], socket.frames[-2]["seq"], 0, 0):
            await socket.send({"type": "ack", "seq": seq})
            await lives(socket)


@pytest.mark.parametrize("stream", ["u.{other}", "u.{me}\n", "t.news", "*", "", "usher.u.{me}"])
async def test_an_ack_of_a_stream_that_is_not_delivered_is_an_error(site, beside, alice, stream):
    async with alice.connect() as socket:
        me = (await socket.expect("welcome"))["user"]["id"]
        await socket.send({"type": "ack", "seq": 0, "stream": stream.format(me=me, other=me + 1)})
        if stream:
            await answered(socket, "unknown_stream")
        else:  # as if it were not there
            await lives(socket)


# What is somebody else's -----------------------------------------------------------------------------------------


async def test_the_state_of_another_persons_notification_cannot_be_set(site, beside, alice, service):
    demo = person(site.server, "demo")
    told = (await service.post("/api/notifications/", {"user": "demo", "title": "for demo only"})).json()
    before = (await demo.get("/api/notifications/")).json()
    async with alice.connect() as socket:
        await socket.expect("welcome")
        for state in ("seen", "read", "archived", "unread", "unarchived"):
            for ids in ([told["id"]], [told["id"].upper()], [NIL, told["id"]]):
                await socket.send({"type": "state", "state": state, "ids": ids, "ref": "s"})
                await answered(socket, "not_found", ref="s")
    assert (await demo.get("/api/notifications/")).json() == before


@pytest.mark.parametrize(
    "what",
    [{"ids": ["1"]}, {"ids": ["not a uuid"]}, {"ids": [NIL]}, {"ids": ["{" + NIL + "}"]}, {"through": -1}],
    ids=json.dumps,
)
async def test_the_state_of_what_does_not_exist_cannot_be_set(site, beside, alice, what):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send({"type": "state", "state": "read", **what})
        await answered(socket, "not_found")


async def test_a_second_authenticate_is_an_error_and_costs_no_ticket(site, beside, alice):
    ticket = await alice.ticket()
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send({"type": "authenticate", "ticket": ticket, "ref": "2"})
        await answered(socket, "already_authenticated", ref="2")
    async with alice.connect(ticket=ticket) as socket:
        await socket.expect("welcome")


# Reauth ----------------------------------------------------------------------------------------------------------


async def test_a_used_ticket_fails_three_times_and_then_closes(site, beside, alice):
    ticket = await alice.ticket()
    async with alice.connect(ticket=ticket) as socket:
        await socket.expect("welcome")
        for left in (2, 1, 0):
            await socket.send({"type": "reauth", "ticket": ticket, "ref": "r"})
            failed = await socket.next()
            assert (failed["type"], failed["code"]) == ("reauth_failed", "ticket_refused")
            assert (failed["attempts_left"], failed["ref"]) == (left, "r")
            if left:
                await too_soon(socket, ticket)
                await asyncio.sleep(failed["retry_after_ms"] / 1000)  # as it was asked to
        await told_goodbye(socket, 4402, reason="ticket_refused", reconnect=True, need="ticket")


async def too_soon(socket: Client, ticket: str) -> None:
    await socket.send({"type": "reauth", "ticket": ticket})
    failed = await socket.next()
    assert (failed["type"], failed["code"]) == ("reauth_failed", "too_soon")
    assert 0 < failed["retry_after_ms"] <= 1000


async def test_a_ticket_of_somebody_else_closes(site, beside, alice, service):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send({"type": "reauth", "ticket": await service.ticket()})
        await told_goodbye(socket, 4507, reason="forbidden", reconnect=False, need="login")


async def test_reauth_before_it_was_asked_for_is_accepted(site, beside, alice, service):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send({"type": "reauth", "ticket": await alice.ticket("reauth"), "ref": "r"})
        again = await socket.next()
        assert (again["type"], again["held"], again["ref"]) == ("reauthenticated", 0, "r")
        await served(socket, service)


@pytest.mark.parametrize(
    "ticket", ["", "x", "\N{GRINNING FACE}" * 43, "a" * 4096], ids=["empty", "x", "emoji", "4 KiB"]
)
async def test_reauth_with_what_is_no_ticket_fails(site, beside, alice, ticket):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send({"type": "reauth", "ticket": ticket})
        failed = await socket.next()
        assert (failed["type"], failed["code"], failed["attempts_left"]) == ("reauth_failed", "ticket_refused", 2)
        await lives(socket)


async def test_reauth_with_a_ticket_for_the_broker_fails(site, beside, alice):
    async with alice.connect() as socket:
        await socket.expect("welcome")
        await socket.send({"type": "reauth", "ticket": await alice.ticket("broker")})
        assert (await socket.next())["type"] == "reauth_failed"


# The log ---------------------------------------------------------------------------------------------------------


async def test_nothing_that_is_sent_reaches_the_log(site, beside, alice):
    before = site.server.log_size()
    async with alice.connect() as socket:
        await socket.expect("welcome")
        for text in ("marker not json", '{"type":"marker"}', '{"type":"ping","marker":1}'):
            await socket.send(text)
            await socket.next()
        await lives(socket)
    assert not re.search("marker", site.server.log_since(before))
