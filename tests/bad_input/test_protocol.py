"""What RFC 6455 forbids: the server's own protocol code answers, and the application must survive the answer.

uvicorn says what was wrong with a close code; daphne drops the connection (RFC 6455, section 7.1.7, allows either).
"""

import struct

import psutil
import pytest

from tests.bad_input.conftest import until
from tests.bad_input.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Raw,
    close_frame,
    frame,
)

pytestmark = pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)

PING_TEXT = b'{"type":"ping","ref":"1"}'

# What is sent, and the code that uvicorn closes with.
VIOLATIONS: dict[str, tuple[bytes, int]] = {
    "unmasked": (frame(TEXT, PING_TEXT, masked=False), 1002),
    "reserved bit 1, which is compression": (frame(TEXT, PING_TEXT, rsv=0b100), 1002),
    "reserved bit 2": (frame(TEXT, PING_TEXT, rsv=0b010), 1002),
    "reserved bit 3": (frame(TEXT, PING_TEXT, rsv=0b001), 1002),
    "opcode 3": (frame(3, PING_TEXT), 1002),
    "opcode 7": (frame(7, PING_TEXT), 1002),
    "opcode 11": (frame(11, PING_TEXT), 1002),
    "continuation of nothing": (frame(CONTINUATION, PING_TEXT), 1002),
    "a message within a message": (frame(TEXT, b"{", fin=False) + frame(TEXT, PING_TEXT), 1002),
    "a ping in pieces": (frame(PING, b"1", fin=False) + frame(CONTINUATION, b"2"), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a close in pieces": (frame(CLOSE, struct.pack("!H", 1000), fin=False), 1002),
    "a close of 1 byte": (frame(CLOSE, b"\x03"), 1002),
    "a close of 126 bytes": (close_frame(1000, b"x" * 124), 1002),
    "a close for a reason that is no text": (close_frame(1000, b"\xff"), 1007),
    **{f"close code {code}": (close_frame(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)},
    "2^63 bytes announced": (frame(TEXT, b"x", announced=2**63), 1009),
    "2^63-1 bytes announced": (frame(TEXT, b"x", announced=2**63 - 1), 1009),
    "2^31 bytes announced": (frame(BINARY, b"x", announced=2**31), 1009),
    "16 KiB and a byte": (frame(TEXT, b"x" * (2**14 + 1)), 1009),
    "16 KiB and a byte in pieces": (
        frame(TEXT, b"x" * 2**13, fin=False) + frame(CONTINUATION, b"x" * 2**13, fin=False) + frame(CONTINUATION, b"x"),
        1009,
    ),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 1002),
    "noise": (bytes(range(255, 0, -1)), 1002),
}


@pytest.mark.parametrize(("sent", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
async def test_a_violation_ends_the_connection(site, beside, alice, sent, code):
    server, before = site.server, site.server.log_size()
    async with await Raw.open(server, ticket=await alice.ticket()) as raw:
        connection = (await raw.hear("welcome"))["connection"]
        await raw.send(sent)
        end = await raw.end()
    assert end.code == (None if server.kind == "daphne" else code)
    assert not end.frames
    await given_back(server, before, connection)


@pytest.mark.parametrize("violation", ["unmasked", "2^63 bytes announced"])
async def test_before_anybody_is_known_it_ends_the_connection_too(site, beside, violation):
    sent = VIOLATIONS[violation][0]
    async with await Raw.open(site.server) as raw:
        await raw.send(sent)
        assert (await raw.end()).code in (None, 1002, 1009)


async def test_an_announcement_of_much_takes_no_memory(site, beside, alice):
    worker = psutil.Process(site.server.pid)
    before = worker.memory_info().rss
    for size in (2**63 - 1, 2**40, 2**31, 2**24):
        async with await Raw.open(site.server, ticket=await alice.ticket()) as raw:
            await raw.send(frame(TEXT, b"x" * 1000, announced=size))
            await raw.end()
    assert worker.memory_info().rss - before < 8 * 2**20


INVALID_TEXT = {
    "bytes": b"\xff\xfe",
    "an encoded surrogate": b'{"type":"ping","ref":"\xed\xa0\x80"}',
    "half a character": b'"\xc3',
    "an overlong slash": b"\xc0\xaf",
}


@pytest.mark.parametrize("server_kind", ["daphne"], indirect=True)
@pytest.mark.parametrize("sent", INVALID_TEXT.values(), ids=INVALID_TEXT)
async def test_text_that_is_none_ends_the_connection(site, beside, alice, sent):
    async with await Raw.open(site.server, ticket=await alice.ticket()) as raw:
        await raw.hear("welcome")
        await raw.send(frame(TEXT, sent))
        assert (await raw.end()).code is None


@pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True)
async def test_text_that_is_none_ends_the_connection_and_is_one_line_in_the_log(make_site):
    """uvicorn 0.54 closes with 1007 and logs the decoding error; `project/logs.py` takes the traceback from it. The
    application never sees the frame."""
    site = make_site()
    server = site.server
    alice = site.person("alice")
    for sent in INVALID_TEXT.values():
        before = server.log_size()
        async with await Raw.open(server, ticket=await alice.ticket()) as raw:
            connection = (await raw.hear("welcome"))["connection"]
            await raw.send(frame(TEXT, sent))
            assert (await raw.end()).code == 1007
        await given_back(server, before, connection)
    assert not server.complaints()
    assert server.log().count("Invalid UTF-8 sequence received from client.") == len(INVALID_TEXT)
    async with alice.connect() as socket:
        await socket.expect("welcome")


# What is allowed, however odd ------------------------------------------------------------------------------------

ALLOWED = {
    "in pieces of one byte": b"".join(
        frame(CONTINUATION if index else TEXT, bytes([byte]), fin=index == len(PING_TEXT) - 1)
        for index, byte in enumerate(PING_TEXT)
    ),
    "with a ping in between": frame(TEXT, PING_TEXT[:5], fin=False)
    + frame(PING, b"x" * 125)
    + frame(CONTINUATION, PING_TEXT[5:]),
    "with empty pieces": frame(TEXT, b"", fin=False)
    + frame(CONTINUATION, b"", fin=False) * 100
    + frame(CONTINUATION, PING_TEXT),
    "after pongs that nobody asked for": frame(PONG, b"") + frame(PONG, b"x" * 125) + frame(TEXT, PING_TEXT),
    "after an empty ping": frame(PING) + frame(TEXT, PING_TEXT),
    "a letter cut in two": frame(TEXT, b'{"type":"ping","ref":"\xc3', fin=False) + frame(CONTINUATION, b'\xa9"}'),
}


@pytest.mark.parametrize("sent", ALLOWED.values(), ids=ALLOWED)
async def test_what_is_odd_but_allowed_is_heard(site, beside, alice, sent):
    async with await Raw.open(site.server, ticket=await alice.ticket()) as raw:
        await raw.hear("welcome")
        await raw.send(sent)
        assert (await raw.hear("pong"))["ref"] in ("1", "é")


@pytest.mark.parametrize("code", [None, 1000, 1001, 1003, 3000, 4402, 4999])
async def test_a_client_may_leave_for_any_reason_it_is_allowed_to_name(site, beside, alice, code):
    server, before = site.server, site.server.log_size()
    async with await Raw.open(server, ticket=await alice.ticket()) as raw:
        connection = (await raw.hear("welcome"))["connection"]
        await raw.send(close_frame(code))
        # uvicorn repeats the code, as RFC 6455 suggests; daphne always says 1000.
        assert (await raw.end()).code == (1000 if server.kind == "daphne" else code or 1005)
    await given_back(server, before, connection)


async def given_back(server, before: int, connection: str) -> None:
    """The application knows that the connection is over: it says so where it gives everything back."""
    said = f"close connection={connection} "
    await until(lambda: said in server.log_since(before), f"{said!r} in the log")
