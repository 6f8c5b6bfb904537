import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.wire.codec import BadFrame
from notifications.wire.native import FRAME_BYTES, NativeCodec
from notifications.wire.vocabulary import Ack, Authenticate, CaughtUp, Error, Ping, Reauth, State


@pytest.fixture
def codec():
    return NativeCodec()


def refusal(frame):
    with pytest.raises(BadFrame) as refused:
        NativeCodec().decode(frame)
    return refused.value


@pytest.mark.parametrize(
    ("frame", "command"),
    [
        ('{"type":"authenticate","ticket":"t","since":"e:1"}', Authenticate(ticket="t", since="e:1")),
        ('{"type":"reauth","ticket":"t","ref":"r"}', Reauth(ticket="t", ref="r")),
        ('{"type":"ack","seq":5}', Ack(seq=5)),
        ('{"type":"ack","stream":"u.1","seq":9007199254740991}', Ack(stream="u.1", seq=2**53 - 1)),
        (' {"seq" : -1, "type":"ack"}\n', Ack(seq=-1)),
        ('{"type":"state","state":"read","ids":["a"]}', State(state="read", ids=["a"])),
        ('{"type":"state","state":"seen","through":3}', State(state="seen", through=3)),
        ('{"type":"ping"}', Ping()),
    ],
)
def test_commands(codec, frame, command):
    assert codec.decode(frame) == [command]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        " ",
        "not json",
        "[]",
        '"x"',
        "1",
        "null",
        "true",
        "{",
        '{"type":"ping"}{"type":"ping"}',
        '{"type":"ping",}',
        "{'type':'ping'}",
        "[" * 8000,
        "�",
        '{"type":"ping","ref":"\\ud800"}',
        '{"type":"ack","seq":NaN}',
        b"",
        b"\x00\x01",
        b'{"type":"ping"}',
    ],
)
def test_what_is_no_object_is_malformed(frame):
    assert refusal(frame).code == "malformed"


@pytest.mark.parametrize(
    "type_",
    [
        "",
        "PING",
        "ping ",
        "welcome",
        "notification",
        "websocket.disconnect",
        "__class__",
        "usher.announced",
        1,
        None,
        ["ping"],
    ],
)
def test_unknown_types(type_):
    problem = refusal(json.dumps({"type": type_, "ref": "mine"}))
    assert (problem.code, problem.ref) == ("unknown_type", "mine")


@pytest.mark.parametrize("frame", ["{}", '{"ref":"mine"}'])
def test_no_type(frame):
    assert refusal(frame).code == "unknown_type"


@pytest.mark.parametrize(
    "fields",
    [
        '"type":"ack"',
        '"type":"ack","seq":true',
        '"type":"ack","seq":1.0',
        '"type":"ack","seq":"1"',
        '"type":"ack","seq":null',
        '"type":"ack","seq":9007199254740992',
        '"type":"ack","seq":-9007199254740992',
        '"type":"ack","seq":1e999',
        '"type":"ack","seq":1,"extra":2',
        '"type":"ack","seq":1,"seq":2',
        '"type":"ack","seq":1,"s\\u0065q":2',
        '"type":"ack","seq":1,"type":"ack"',
        '"type":"ack","seq":1,"stream":5',
        '"type":"ack","seq":1,"stream":"u.1\\u0000"',
        '"type":"ping","ref":5',
        f'"type":"ping","ref":"{"x" * 65}"',
        '"type":"reauth"',
        '"type":"reauth","ticket":5',
        '"type":"reauth","ticket":"\\u0000"',
        '"type":"state","state":"gone","through":1',
        '"type":"state","state":"read"',
        '"type":"state","state":"read","through":1,"ids":["a"]',
        '"type":"state","state":"read","ids":[]',
        '"type":"state","state":"read","ids":[1]',
        '"type":"state","state":"read","ids":["a\\u0000"]',
        '"type":"state","state":"read","ids":"a"',
        '"type":"state","state":"read","through":true',
        f'"type":"state","state":"read","ids":[{",".join(["1"] * 201)}]',
    ],
)
def test_fields_that_are_wrong(fields):
    assert refusal(f"{{{fields}}}").code == "invalid"


def test_an_integer_of_five_thousand_digits():
    assert refusal(f'{{"type":"ack","seq":{"9" * 5_000}}}').code == "invalid"


def test_a_wrong_field_is_answered_with_the_ref():
    assert refusal('{"type":"ack","seq":true,"ref":"mine"}').ref == "mine"
    assert refusal('{"type":"ack","seq":true,"ref":5}').ref is None


@pytest.mark.parametrize("pad", ["x", "é", "😀"])
def test_the_size_is_counted_in_bytes(codec, pad):
    empty = '{"type":"ping","ref":"a"' + " " * 0 + "}"
    room = FRAME_BYTES - len(empty.encode())
    assert codec.decode(empty + " " * room) == [Ping(ref="a")]
    assert refusal(empty + " " * (room + 1)).code == "too_big"
    too_big = json.dumps({"type": "ping", "ref": pad * FRAME_BYTES}, ensure_ascii=False)
    assert refusal(too_big).code == "too_big"


@given(
    st.one_of(
        st.text(),
        st.binary(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(json.dumps),
    )
)
def test_nothing_raises_anything_else(frame):
    with contextlib.suppress(BadFrame):
        NativeCodec().decode(frame)


@given(
    st.dictionaries(
        st.sampled_from(["type", "seq", "stream", "ref", "ids", "through", "state", "ticket"]),
        st.one_of(st.integers(), st.text(), st.sampled_from(["ack", "state", "read", "ping"]), st.lists(st.text())),
        max_size=6,
    )
)
def test_whatever_is_accepted_says_what_was_sent(fields):
    try:
        (command,) = NativeCodec().decode(json.dumps(fields))
    except BadFrame:
        return
    assert command.__struct_config__.tag == fields.pop("type")
    assert {name: getattr(command, name) for name in fields} == fields


def test_events_are_one_object_and_leave_out_what_is_not_set(codec):
    assert json.loads(codec.encode(CaughtUp(stream="u.1", cursor=5))) == {
        "type": "caught_up",
        "stream": "u.1",
        "cursor": 5,
    }
    assert json.loads(codec.encode(Error(code="c", detail="d"))) == {"type": "error", "code": "c", "detail": "d"}


def test_one_event_is_spelled_once_for_all_sockets(codec):
    event = CaughtUp(stream="u.1", cursor=5)
    assert codec.encode(event) is codec.encode(event)
    assert codec.encode(CaughtUp(stream="u.1", cursor=6)) != codec.encode(event)
