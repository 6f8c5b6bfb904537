from datetime import UTC, datetime
from uuid import uuid4

import msgpack
import pytest

from notifications.wire.doorbell import Announced, Changed, Ended, Kicked, Push, group_of, pack, stream_of, unpack
from notifications.wire.streams import Announcement, Change
from notifications.wire.vocabulary import Notification, StateChanged

NOTE = Notification(
    stream="u.1",
    seq=3,
    id=str(uuid4()),
    kind="k",
    level="info",
    title="t",
    body="b",
    url="/",
    data={"a": [1, None, {"b": 2.5}]},
    created_at=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
)
MESSAGES = [
    Announced("me", [Announcement("e", 2, NOTE)]),
    Changed("me", Change("u.1", 2, StateChanged(state="read", state_version=4, unread=1, unseen=0, ids=["x"]))),
    Changed("me", Change("u.1", 2, StateChanged(state="changed", state_version=4, unread=1, unseen=0, through=7))),
    Ended("me", "u.1", 5),
    Kicked("me", "u.1", ["c1", "c2"]),
    Push(title="t", data={"a": 1}),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_packed_is_unpacked_the_same_after_a_trip_through_a_layer(message):
    assert unpack(msgpack.unpackb(msgpack.packb(pack(message)))) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_layer_wants_a_type(message):
    ours = [f"usher.{what}" for what in ("announced", "changed", "ended", "kicked")]
    assert pack(message)["type"] in (*ours, "notification.push")


@pytest.mark.parametrize(
    "packed",
    [
        None,
        5,
        "usher.ended",
        [],
        {},
        {"type": "websocket.disconnect"},
        {"type": "usher.ended"},
        {"type": "usher.ended", "origin": "o", "stream": 5, "fence": 1},
        {"type": "usher.ended", "origin": "o", "stream": "u.1", "fence": True},
        {"type": "usher.announced", "origin": "o", "items": [{"epoch": "e", "fence": 0, "event": {"type": "bye"}}]},
        {"type": "usher.kicked", "origin": "o", "stream": "u.1", "names": "c1"},
        {"type": "usher.kicked", "origin": "o", "stream": "u.1", "names": [1]},
        {"type": "notification.push"},
        {"type": "notification.push", "title": "x", "sql": "y"},
    ],
)
def test_everything_else_is_refused(packed):
    with pytest.raises(ValueError, match=r".+"):
        unpack(packed)


def test_names_are_made_of_integers_and_digests_only():
    assert stream_of(7) == "u.7"
    assert group_of("u.7") == "usher.u.7"
    key = uuid4()
    assert stream_of(key) == stream_of(str(key)), "as a key and as it crosses between the rooms"
    for hostile in ("7", "7\n", "*", "u.7", "../x", "é"):
        name = stream_of(hostile)
        assert name != "u.7"
        assert name[:2] == "u."
        assert len(name) == 34
        assert all(character in "0123456789abcdef" for character in name[2:])
