"""STOMP's frames, cut anywhere."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.wire.codec import BadFrame
from notifications.wire.stomp_frames import FRAME_BYTES, MESSAGE_BYTES, Frame, FrameParser, is_plain, spell


def read(*messages, version="1.2"):
    parser = FrameParser(version)
    return [frame for message in messages for frame in parser.feed(message)]


def problem_with(*messages, version="1.2"):
    with pytest.raises(BadFrame) as caught:
        read(*messages, version=version)
    assert caught.value.ends, "STOMP cannot go on after a bad frame"
    return caught.value.code


def frame(command, body=b"", /, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Frame(command, headers, headers, body)


def test_a_frame():
    assert read("SEND\ndestination:/app/state\nreceipt:1\n\n{}\0") == [
        frame("SEND", b"{}", destination="/app/state", receipt="1")
    ]
    assert read(b"DISCONNECT\n\n\0") == [frame("DISCONNECT")]


def test_several_in_a_message_with_beats_around():
    assert read("\n\nACK\nid:1\n\n\0\n\nACK\nid:2\n\n\0\n") == [frame("ACK", id="1"), frame("ACK", id="2")]
    assert read("\n") == []


def test_one_over_several_messages_text_and_binary():
    parts = ["\nSE", b"ND\ndesti", "nation:é", b"\xc3", b"\xa9\n", "\n{", b"}", b"\0"]
    assert read(*parts) == [frame("SEND", b"{}", destination="éé")]


def test_a_body_may_hold_nul_where_its_length_is_told():
    assert read("SEND\ncontent-length:3\n\na\0b\0") == [frame("SEND", b"a\0b", content_length="3")]
    assert read("SEND\ncontent-length:0\n\n\0") == [frame("SEND", content_length="0")]
    assert problem_with("SEND\ncontent-length:2\n\na\0b\0") == "malformed"


def test_line_ends():
    text = "SEND\r\ndestination:/a\r\n\r\nbody\r\n\0\r\n"
    assert read(text, version="1.2") == [frame("SEND", b"body\r\n", destination="/a")]
    assert read(text, version=None) == read(text, version="1.2"), "CONNECT comes before the version is known"
    assert problem_with(text, version="1.1") == problem_with(text, version="1.0") == "malformed"
    assert problem_with("SEND\na:b\rc\n\n\0", version="1.2") == "malformed"


@pytest.mark.parametrize(
    ("version", "spelled", "meant"),
    [
        ("1.2", r"a\\b\cc\nd\re", "a\\b:c\nd\re"),
        ("1.1", r"a\\b\cc\nd", "a\\b:c\nd"),
        ("1.0", r"a\\b\cc\nd\q", r"a\\b\cc\nd\q"),
        (None, r"a\\b\cc\nd\q", r"a\\b\cc\nd\q"),
        ("1.2", "since:epoch:7", "since:epoch:7"),  # webstomp never escapes
        ("1.2", r"\\c", r"\c"),
    ],
)
def test_escapes(version, spelled, meant):
    (found,) = read(f"SEND\nname:{spelled}\n\n\0", version=version)
    assert found.headers == {"name": meant}
    assert found.spelled == {"name": spelled}, "to be said back as it was written"


@pytest.mark.parametrize(("version", "bad"), [("1.1", r"\r"), ("1.2", r"\t"), ("1.2", "\\"), ("1.1", r"\0")])
def test_escapes_that_a_version_does_not_know(version, bad):
    assert problem_with(f"SEND\nname:{bad}\n\n\0", version=version) == "malformed"


def test_the_first_of_repeated_headers_wins():
    (found,) = read("SEND\nid:1\nid:2\n\n\0")
    assert found.headers == found.spelled == {"id": "1"}


def test_only_1_0_trims():
    assert read("ACK\nid : 1 \n\n\0", version="1.0") == [frame("ACK", id="1")]
    assert read("ACK\nid : 1 \n\n\0", version="1.1")[0].headers == {"id ": " 1 "}


@pytest.mark.parametrize(
    "text",
    [
        "send\n\n\0",
        "SEND \n\n\0",
        "\0",
        "SEND\0",
        "SEND\nno colon\n\n\0",
        "SEND\n:no name\n\n\0",
        "SEND\na:b\0\n\n\0",
        b"SEND\na:\xff\n\n\0",
        "SEND\na:\ud800\n\n\0",
        "SEND\ncontent-length:-1\n\n\0",
        "SEND\ncontent-length:1.0\n\n\0",
        "SEND\ncontent-length:٣\n\n\0",
        "SEND\ncontent-length:\n\n\0",
        '{"type":"ping"}\n\n\0',
    ],
)
def test_what_is_no_frame(text):
    assert problem_with(text) == "malformed"


def test_the_largest_frame_and_message():
    body = "x" * (FRAME_BYTES - len("SEND\n\n\0"))
    assert len(read(f"SEND\n\n{body}\0")[0].body) == len(body)
    assert len(read(f"SEND\n\n{body}\0" * 2)) == 2
    assert problem_with(f"SEND\n\n{body}x\0") == "too_big"
    assert problem_with(f"SEND\n\n{body}x") == "too_big", "without waiting for its end"
    assert problem_with("SEND\n\n", *["x" * 1000] * 9) == "too_big"
    assert problem_with("S" * FRAME_BYTES) == "too_big"
    assert problem_with("SEND\ncontent-length:999999999\n\n") == "too_big", "at once"
    assert problem_with("\n" * (MESSAGE_BYTES + 1)) == "too_big"
    assert problem_with("é" * (MESSAGE_BYTES // 2 + 1)) == "too_big", "bytes, not characters"
    assert read("\n" * MESSAGE_BYTES) == []


def test_frames_before_a_bad_one_are_read():
    frames = FrameParser("1.2").feed("ACK\nid:1\n\n\0nonsense\n\n\0")
    assert next(frames) == frame("ACK", id="1")
    with pytest.raises(BadFrame):
        next(frames)


def test_a_version_holds_from_the_next_frame_on():
    parser = FrameParser()
    frames = parser.feed("CONNECT\na:\\c\n\n\0SEND\na:\\c\n\n\0")
    assert next(frames).headers == {"a": "\\c"}
    parser.version = "1.1"
    assert next(frames).headers == {"a": ":"}


def test_what_is_spelled_is_read_back():
    text = spell("MESSAGE", {"destination": "/a", "x-seq": 7}, "{}")
    assert text == "MESSAGE\ndestination:/a\nx-seq:7\n\n{}\0"
    assert read(text, version="1.1") == [frame("MESSAGE", b"{}", destination="/a", x_seq="7")]
    assert [is_plain(value) for value in ("ann@example.org", "a:b", "a\\b", "a\nb", "a\rb", "a\0b")] == [True] + [
        False
    ] * 5


# --- Whatever comes, however it is cut ---

PIECES = [
    *(b"SEND", b"ACK", b"CONNECT", b"\n", b"\n\n", b"\r\n", b"\r", b"\0", b"\0\n", b":", b"\\c", b"\\", b"\\r"),
    *(b"id:1", b"content-length:", b"content-length:3", b"destination:/app/state", "é".encode(), b"\xff", b" ", b"7"),
]


def an_input(random):
    """A few frames, mostly whole ones, now and then with something in them that is none."""
    data = bytearray()
    for _ in range(random.randint(1, 4)):
        end = random.choice([b"\n", b"\n", b"\r\n"])
        body = random.choice([b"", b"{}", random.randbytes(random.randint(0, 8)).replace(b"\0", b"")])
        lines = [random.choice([b"SEND", b"ACK", b"MESSAGE"])]
        lines += [random.choice([b"id:1", b"a:\\c\\n\\\\", b"since:e:1", "n:é".encode()]) for _ in range(3)]
        if random.random() < 0.4:
            body += random.choice([b"", b"\0", b"\0\n\n"])
            lines.append(b"content-length:%d" % (len(body) + (random.random() < 0.05)))
        data += random.choice([b"", b"", b"\n", end * 3]) + end.join(lines) + end + end + body + b"\0"
    if random.random() < 0.4:
        place = random.randrange(len(data))
        data[place : place + random.randint(0, 3)] = random.choice(PIECES)
    if random.random() < 0.05:
        data += b"SEND\n\n" + b"x" * random.randint(FRAME_BYTES - 8, FRAME_BYTES) + random.choice([b"", b"\0"])
    return bytes(data)


def cut(random, data):
    places = sorted({0, len(data), *(random.randrange(len(data) + 1) for _ in range(random.choice([1, 3, 30])))})
    return [data[start:end] for start, end in pairwise(places)]


def outcome(messages, version):
    """The frames, and how it ended."""
    parser, frames = FrameParser(version), []
    try:
        for message in messages:
            frames.extend(parser.feed(message))  # also those before a bad one
    except BadFrame as problem:
        return frames, problem.code
    return frames, None


@settings(max_examples=100, deadline=None)
@given(st.integers(min_value=0, max_value=2**64), st.sampled_from(["1.0", "1.1", "1.2", None]))
def test_twenty_thousand_inputs_are_read_alike_however_they_are_cut(seed, version):
    random = Random(seed)
    for _ in range(200):
        data = an_input(random)
        assert outcome(cut(random, data), version) == outcome([data], version), data


@given(st.lists(st.one_of(st.binary(max_size=64), st.text(max_size=64), st.sampled_from(PIECES)), max_size=20))
def test_garbage_is_a_bad_frame_and_nothing_else(messages):
    for version in ("1.0", "1.1", "1.2", None):
        frames, problem = outcome(messages, version)
        assert problem in (None, "malformed", "too_big")
        assert all(isinstance(each, Frame) for each in frames)
