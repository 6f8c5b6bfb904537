from datetime import UTC, datetime
from uuid import uuid4

import msgpack
import pytest
from msgspec.structs import replace

from notifications.wire.doorbell import (
    ENVELOPE,
    Announced,
    AnnouncedToMany,
    Asked,
    Changed,
    Ended,
    Kicked,
    Probe,
    Push,
    group_of,
    pack,
    stream_of,
    unpack,
)
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
SAME = [replace(NOTE, stream=f"u.{number}", seq=number, id=str(uuid4())) for number in (1, 2, 3)]
MESSAGES = [
    Announced("me", [Announcement("e", 2, NOTE)]),
    AnnouncedToMany.of("me", [Announcement(f"e{event.seq}", 2, event) for event in SAME]),
    Changed("me", Change("u.1", 2, StateChanged(state="read", state_version=4, unread=1, unseen=0, ids=["x"]))),
    Changed("me", Change("u.1", 2, StateChanged(state="changed", state_version=4, unread=1, unseen=0, through=7))),
    Ended("me", "u.1", 5),
    Asked("me", "u.1", ["c1", "c2"], "2030-01-01T12:00:00+00:00"),
    Kicked("me", "u.1", ["c1", "c2"]),
    Kicked("me", "u.1", ["c1", "c2"], 4504),
    Probe("me", 3),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_packed_is_unpacked_the_same_after_a_trip_through_a_layer(message):
    assert unpack(msgpack.unpackb(msgpack.packb(pack(message)))) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_layer_wants_a_type(message):
    assert pack(message)["type"] == ENVELOPE


def test_what_many_are_told_is_what_each_of_them_would_be_told():
    announcements = [Announcement(f"e{event.seq}", event.seq, event) for event in SAME]
    message = unpack(pack(AnnouncedToMany.of("me", announcements)))
    assert [message.announcement(recipient) for recipient in message.recipients] == announcements


def test_the_words_for_many_travel_once():
    one, hundred = (
        len(pack(AnnouncedToMany.of("me", [Announcement("e", 0, NOTE)] * many))["packed"]) for many in (1, 100)
    )
    assert hundred - one < 99 * 60


def test_a_push_is_what_anybody_may_send():
    assert unpack({"type": "notification.push", "title": "t", "data": {"a": 1}}) == Push(title="t", data={"a": 1})


def envelope(**fields):
    return {"type": ENVELOPE, "packed": msgpack.packb(fields)}


@pytest.mark.parametrize(
    "packed",
    [
        None,
        5,
        "usher.told",
        [],
        {},
        {"type": "websocket.disconnect"},
        {"type": ENVELOPE},
        {"type": ENVELOPE, "packed": "text"},
        {"type": ENVELOPE, "packed": b""},
        {"type": ENVELOPE, "packed": b"\xc1"},
        envelope(type="ended"),
        envelope(type="ended", origin="o", stream=5, fence=1),
        envelope(type="ended", origin="o", stream="u.1", fence=True),
        envelope(type="announced", origin="o", items=[{"epoch": "e", "fence": 0, "event": {"type": "bye"}}]),
        envelope(type="announced_to_many", origin="o", recipients=[]),
        envelope(type="kicked", origin="o", stream="u.1", names="c1"),
        envelope(type="kicked", origin="o", stream="u.1", names=[1]),
        envelope(type="kicked", origin="o", stream="u.1", names=["c1"], code=1000),
        envelope(type="websocket.disconnect"),
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
