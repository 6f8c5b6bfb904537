from notifications.client.inbox import ROOM, Inbox
from notifications.wire.vocabulary import Skipped

from . import said


def taken(inbox):
    events = []
    while (event := inbox.take()) is not None:
        events.append(event)
    return events


def full():
    inbox = Inbox()
    for number in range(ROOM):
        inbox.put(said.notification(number))
    assert inbox.is_full
    return inbox


def test_in_order():
    inbox = Inbox()
    events = [said.welcome(), said.notification(1), said.changed(1), said.notification(None), said.reset(9)]
    for event in events:
        inbox.put(event)
    assert taken(inbox) == events
    assert inbox.take() is None


def test_what_is_skipped_in_a_row_is_one():
    inbox = Inbox()
    for event in (Skipped("u.1", 1), Skipped("u.1", 5), said.notification(6), Skipped("u.1", 7)):
        inbox.put(event)
    assert taken(inbox) == [Skipped("u.1", 5), said.notification(6), Skipped("u.1", 7)]


def test_what_is_skipped_of_different_streams_is_not():
    inbox = Inbox()
    for event in (Skipped("u.1", 1), Skipped("t.a", 5), Skipped("t.a", 6)):
        inbox.put(event)
    assert taken(inbox) == [Skipped("u.1", 1), Skipped("t.a", 6)]


def test_a_stream_is_forgotten():
    inbox = Inbox()
    of_topic = [said.notification(1, stream="t.a"), said.reset(3, stream="t.a"), said.denied("a")]
    for event in (said.welcome(), said.notification(1), *of_topic, said.changed(1)):
        inbox.put(event)
    inbox.forget("t.a")
    assert taken(inbox) == [said.welcome(), said.notification(1), said.changed(1)]


def test_there_is_only_so_much_room_for_what_no_window_bounds():
    inbox = full()
    for version in range(10_000):
        inbox.put(said.changed(version, ids=["a"]))
        inbox.put(said.notification(None))
        inbox.put(Skipped("u.1", 100 + version))
    assert len(inbox) < ROOM + 10_000
    inbox = full()
    for version in range(10_000):
        inbox.put(said.changed(version, ids=["a"]))
        inbox.put(said.notification(None))
    assert len(inbox) == ROOM + 1
    assert inbox.pushes_dropped == 10_000
    *notifications, change = taken(inbox)
    assert [event.seq for event in notifications] == list(range(ROOM))
    assert (change.state, change.state_version, change.ids) == ("changed", 9_999, [])
