"""What is asked about topics, and when. As part of a connection: at the end."""

from math import inf

import pytest

from notifications.client import Denied, Position, Subscribed
from notifications.client.errors import Misused
from notifications.client.topics import Topics, checked
from notifications.wire.vocabulary import CaughtUp, Error, Notification, Skipped

from . import said
from .test_connection import Life

A = "t.a"
SINCE = Position("e1", 4)


def of_a(*numbers, **fields):
    return [said.notification(seq, stream=A, **fields) for seq in numbers]


def subscribe(number, since=None):
    return {"type": "subscribe", "topic": "a", "ref": f"topic-{number}"} | ({"since": since} if since else {})


def unsubscribe(number):
    return {"type": "unsubscribe", "topic": "a", "ref": f"topic-{number}"}


def topics(since=None):
    """One topic, connected and asked for."""
    made = Topics(lambda: 0.5)
    assert made.subscribe("a", since) == []
    assert made.connected() == [subscribe(1, str(since) if since else None)]
    return made


def hear(made, *frames):
    """What the reader is told of them, and what is said at last."""
    answers = [made.received(frame) for frame in frames]
    return [told for told, _ in answers if told is not None], answers[-1][1]


def test_from_now_on():
    made = topics()
    begun = said.subscribed("a", "topic-1", head=10)
    assert hear(made, *of_a(9), begun, *of_a(11, 11)) == ([begun, *of_a(11)], [])
    assert made.positions == {"a": Position("e1", 10)}
    assert made.took(begun) is False
    assert made.took(*of_a(11)) is True
    assert made.positions == {"a": Position("e1", 11)}


def test_from_a_position_on_and_again_after_each_connection():
    made = topics(SINCE)
    hear(made, said.subscribed("a", "topic-1", head=6, cursor=4), *of_a(5, 6), CaughtUp(A, 6), Skipped(A, 8))
    made.disconnected()
    assert made.positions == {"a": SINCE}, "nothing was read yet"
    assert made.connected() == [subscribe(2, "e1:8")]
    assert hear(made, *of_a(9)) == ([], []), "before it was answered"


def test_a_position_that_cannot_be_resumed():
    made = topics(SINCE)
    hear(made, said.subscribed("a", "topic-1", head=9, epoch="e2"))
    assert made.positions == {"a": SINCE}
    (reset, *later), _ = hear(made, said.reset(9, stream=A), *of_a(10))
    assert made.took(later[0]) is False, "of an epoch the reader has not come to"
    assert made.took(reset) is False
    assert made.positions == {"a": Position("e2", 9)}
    assert made.took(*of_a(10)) is True


def test_nobody_listens_any_more():
    made = topics()
    hear(made, said.subscribed("a", "topic-1"))
    assert made.unsubscribe("a") == [unsubscribe(2)]
    assert made.unsubscribe("a") == made.unsubscribe("b") == []
    assert hear(made, *of_a(1)) == ([], [])
    assert made.took(*of_a(1)) is False
    hear(made, said.unsubscribed("a", "topic-2"))
    assert made.connected() == []
    assert made.positions == {}


@pytest.mark.parametrize("wanted_again", [True, False])
def test_nobody_listens_any_more_before_it_was_answered(wanted_again):
    made = topics()
    assert made.unsubscribe("a") == []
    if wanted_again:
        assert made.subscribe("a", SINCE) == []
    assert hear(made, said.subscribed("a", "topic-1", head=9)) == ([], [unsubscribe(2)])
    assert hear(made, *of_a(10)) == ([], [])
    then = [subscribe(3, "e1:4")] if wanted_again else []
    assert hear(made, said.unsubscribed("a", "topic-2")) == ([], then)


def test_who_leaves_and_comes_back_is_acked_as_ever():
    made = topics()
    hear(made, said.subscribed("a", "topic-1"), said.reset(9, stream=A))
    made.unsubscribe("a")
    made.subscribe("a", None)
    hear(made, said.unsubscribed("a", "topic-2"), said.subscribed("a", "topic-3", head=9), *of_a(10))
    assert made.took(*of_a(10)) is True


def test_who_left_and_came_back_while_it_could_not_be_decided_is_asked_about_once():
    made = topics()
    made.unsubscribe("a")
    made.subscribe("a", SINCE)
    made.erred(Error(code="unavailable", detail="", ref="topic-1"), 0.0)
    assert made.due(made.wake_at) == [subscribe(2, "e1:4")]
    begun = said.subscribed("a", "topic-2", head=4)
    assert hear(made, begun, *of_a(5)) == ([begun, *of_a(5)], [])


def test_what_is_listened_to_is_left_as_it_is():
    made = topics(SINCE)
    assert made.subscribe("a", Position("e1", 1)) == []
    assert made.positions == {"a": SINCE}


def test_a_refusal():
    made = topics(SINCE)
    denied = said.denied("a", ref="topic-1")
    assert hear(made, said.denied("a"), said.denied("a", ref="other"), denied) == ([denied], [])
    assert made.connected() == []
    assert made.took(denied) is False
    assert made.positions == {}
    assert made.subscribe("a", None) == [subscribe(2)], "who asks again is asked about again"


def test_a_right_that_was_lost():
    made = topics()
    hear(made, said.subscribed("a", "topic-1"), *of_a(1))
    assert hear(made, said.denied("a"), *of_a(2)) == ([said.denied("a")], [])
    assert made.took(*of_a(1)) is False
    assert made.positions == {"a": Position("e1", 1)}, "until the reader knows"


def test_what_cannot_be_decided_now_is_asked_again_ever_more_rarely():
    made = topics()
    for number, wait in ((1, 0.25), (2, 0.5), (3, 1.0)):
        assert made.erred(Error(code="unavailable", detail="", ref=f"topic-{number}"), 10.0) is None
        assert made.wake_at == 10.0 + wait
        assert made.due(made.wake_at - 0.01) == []
        assert made.due(made.wake_at) == [subscribe(number + 1)]
    made.erred(Error(code="rate_limited", detail="", ref="topic-4", retry_after_ms=700), 10.0)
    assert made.wake_at == 12.7
    made.disconnected()
    assert made.wake_at == inf


def test_an_end_that_came_too_fast_is_said_again():
    made = topics()
    hear(made, said.subscribed("a", "topic-1"))
    made.unsubscribe("a")
    made.erred(Error(code="rate_limited", detail="", ref="topic-2", retry_after_ms=700), 0.0)
    assert hear(made, *of_a(1)) == ([], [])
    assert made.due(made.wake_at) == [unsubscribe(3)]


def test_the_person_is_to_prove_anew_who_they_are():
    made = topics()
    made.erred(Error(code="reauth_required", detail="", ref="topic-1"), 0.0)
    assert (made.wake_at, made.due(99.0)) == (inf, [])
    assert made.reauthenticated() == [subscribe(2)]


def test_what_the_server_can_make_nothing_of():
    made = topics()
    denied = made.erred(Error(code="invalid", detail="", ref="topic-1"), 0.0)
    assert denied == said.denied("a", code="invalid")
    assert made.erred(Error(code="invalid", detail=""), 0.0) is None


@pytest.mark.parametrize("name", ["", "Orders", "a b", "a\n", "x" * 81, "ä"])
def test_names(name):
    with pytest.raises(Misused):
        checked(name)
    assert checked("orders.7_a-b") == "orders.7_a-b"


# In a connection ------------------------------------------------------------------------------------------------------


def test_a_life_with_a_topic():
    life = Life()
    life.did(life.connection.subscribe("a", SINCE))
    life.connected(window=4)
    assert life.sent == [subscribe(1, "e1:4")]
    life.hears(said.subscribed("a", "topic-1", head=6, cursor=4), *of_a(5, 6), CaughtUp(A, 6), said.notification(1))
    life.takes(), life.takes()
    assert (life.connection.positions, life.takes().seq, life.sent) == ({"a": SINCE}, 5, [])
    assert (life.takes().seq, life.sent) == (6, [{"type": "ack", "seq": 6, "stream": A}])
    assert life.connection.position.seq == 0, "that is the person's own"
    life.takes_all()
    assert (life.connection.position.seq, life.connection.positions) == (1, {"a": Position("e1", 6)})
    life.ends(1006).dialled()
    assert life.dialled_url.endswith("?since=e1:1")
    life.hears(said.welcome(life.now))
    assert life.sent == [subscribe(2, "e1:6")]


def test_a_life_tells_the_reader_of_everything():
    life = Life().connected()
    life.did(life.connection.subscribe("a", None))
    begun, reset, denied = said.subscribed("a", "topic-1"), said.reset(3, stream=A), said.denied("a")
    life.hears(begun, *of_a(1), reset, *of_a(4), denied)
    life.takes()
    assert life.takes_all() == [begun, *of_a(1), reset, *of_a(4), denied]
    assert life.at(20.0).sent == [], "nobody waits for acks of it"
    assert {Subscribed, Denied, Notification} >= {type(begun), type(denied)}


def test_a_reset_leaves_nothing_to_ack():
    life = Life().connected()
    life.did(life.connection.subscribe("a", None))
    life.hears(said.subscribed("a", "topic-1"), *of_a(1))
    life.takes_all()
    life.hears(said.reset(0, stream=A))
    assert life.at(6.0).sent == []


def test_who_leaves_is_told_nothing_of_what_has_arrived():
    life = Life().connected()
    life.did(life.connection.subscribe("a", None))
    life.hears(said.subscribed("a", "topic-1"), *of_a(1, 2), said.notification(1))
    life.takes(), life.takes(), life.takes()
    life.did(life.connection.unsubscribe("a"))
    assert life.sent == [unsubscribe(2)]
    assert life.takes_all() == [said.notification(1)]
    assert life.at(20.0).sent == [{"type": "ack", "seq": 1}]


def test_what_could_not_be_decided_is_asked_again_in_time():
    life = Life().connected()
    life.did(life.connection.subscribe("a", None))
    life.hears(Error(code="unavailable", detail="", ref="topic-1"))
    assert life.connection.wake_at == 0.25
    assert life.at(0.25).sent == [subscribe(2)]
    life.hears(Error(code="invalid", detail="", ref="topic-2"))
    assert life.takes_all()[-1] == said.denied("a", code="invalid")


def test_a_site_that_wants_a_token_in_each_message_gets_one_with_these():
    life = Life().connected().hears(said.required("requested"))
    life.hears(said.reauthenticated())
    life.did(life.connection.subscribe("a", None))
    assert [step.vouched for step in life.steps] == [True]
