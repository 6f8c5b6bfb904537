from math import inf

from notifications.client.line import Line

from . import said

PING = {"type": "ping"}


def ack(seq):
    return {"type": "ack", "seq": seq}


def test_the_thirty_second_is_acked_at_once():
    line = Line(said.welcome(), 0.0)
    assert [line.took(seq, 0.0) for seq in range(1, 33)] == [[]] * 31 + [[ack(32)]]
    assert line.took(33, 0.0) == []


def test_fewer_are_acked_five_seconds_after_the_oldest():
    line = Line(said.welcome(), 0.0)
    line.took(1, 10.0)
    line.took(2, 14.0)
    assert line.wake_at == 15.0
    assert line.due(14.9) == []
    assert line.due(15.0) == [ack(2)]
    assert line.due(16.0) == []


def test_a_small_window_is_acked_before_it_is_full():
    line = Line(said.welcome(window=4), 0.0)
    assert (line.took(1, 0.0), line.took(2, 0.0)) == ([], [ack(2)])


def test_what_is_forgotten_is_not_acked():
    line = Line(said.welcome(), 0.0)
    line.took(1, 0.0)
    line.forget()
    line.heard(4.0)
    assert line.wake_at == 29.0
    assert line.due(10.0) == []


def test_streams_are_acked_each_by_itself_and_counted_together():
    line = Line(said.welcome(), 0.0)
    for seq in range(1, 16):
        line.took(seq, 0.0)
    sending = [line.took(seq, 0.0, "t.a") for seq in range(1, 18)]
    assert sending == [[]] * 16 + [[{"type": "ack", "seq": 17, "stream": "t.a"}, ack(15)]]


def test_of_many_streams_no_faster_than_the_server_hears_them():
    line = Line(said.welcome(), 0.0)
    for number in range(30):
        line.took(1, 0.0, f"t.{number}")
    streams, at = [], []
    for _ in range(4):
        sent = line.due(line.wake_at)
        at.append((line.wake_at, len(sent)))
        streams += [frame["stream"] for frame in sent]
    assert at == [(5.5, 8), (6.0, 8), (6.5, 8), (25.0, 6)]
    assert sorted(streams) == sorted(f"t.{number}" for number in range(30))


def test_what_makes_much_room_is_always_heard():
    line = Line(said.welcome(), 0.0)
    for number in range(8):
        line.took(1, 0.0, f"t.{number}")
    assert len(line.due(5.0)) == 8
    assert [line.took(seq, 5.0) for seq in range(1, 33)][-1] == [ack(32)]


def test_one_stream_is_forgotten_and_the_others_are_not():
    line = Line(said.welcome(), 0.0)
    line.took(1, 0.0)
    line.took(1, 0.0, "t.a")
    line.forget("t.a")
    assert line.due(5.0) == [ack(1)]


def test_silence_is_asked_about_and_then_taken_for_an_end():
    line = Line(said.welcome(), 0.0)
    assert line.wake_at == 25.0
    assert line.due(25.0) == [PING]
    assert line.wake_at == 35.0
    assert line.due(30.0) == []
    assert line.due(35.0) is None


def test_any_word_is_an_answer():
    line = Line(said.welcome(), 0.0)
    line.due(25.0)
    line.heard(34.0)
    assert line.wake_at == 59.0
    assert line.due(35.0) == []
    assert line.due(59.0) == [PING]


def test_who_was_held_up_itself_asks_once_more():
    """The answer may be there, unread."""
    line = Line(said.welcome(), 0.0)
    line.due(25.0)
    assert line.due(300.0) == [PING]
    assert line.due(310.0) is None


def test_how_often_the_server_wants_it():
    assert Line(said.welcome(ping_seconds=3.0), 0.0).wake_at == 3.0
    assert 1.0 <= Line(said.welcome(ping_seconds=0.0), 0.0).wake_at < inf
