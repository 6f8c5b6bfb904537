"""The pure connection and its topics: who hears what under changing rules, and each number once."""

import random
from datetime import UTC, datetime
from uuid import UUID

import pytest

from notifications.live.connection import Limits, Phase
from notifications.live.steps import Ask, Check, Listen, Load, Unlisten
from notifications.wire.closing import CloseCode
from notifications.wire.codec import BadFrame, Manner
from notifications.wire.streams import Announcement, Page, Position
from notifications.wire.vocabulary import (
    UNSET,
    Ack,
    CaughtUp,
    Denied,
    Error,
    Follow,
    Notification,
    Reauthenticated,
    Reset,
    Subscribe,
    Subscribed,
    Unfollow,
    Unsubscribe,
    Unsubscribed,
)

from .life import START, Life


class Town(Life):
    """A life with topics in it: their logs, and who may listen."""

    def __post_init__(self):
        super().__post_init__()
        self.heads, self.fences, self.floors, self.epochs = {}, {}, {}, {}
        self.lets_in = set()
        self.broken = False
        self.joined = set()

    def do(self, steps):
        for step in steps:
            if isinstance(step, Unlisten):  # at once, and in order
                self.joined.discard(step.topic)
            else:
                super().do([step])
        return self

    def place(self, topic):
        return Position(
            stream=f"t.{topic}",
            epoch=self.epochs.get(topic, "t1"),
            head=self.heads.get(topic, 0),
            floor=self.floors.get(topic, 0),
            fence=self.fences.get(topic, 0),
            state_version=0,
        )

    def speak(self, topic, *, heard=True):
        self.heads[topic] = self.heads.get(topic, 0) + 1
        if heard and topic in self.joined:
            self.tell(topic)
        return self

    def tell(self, topic):
        said = Announcement(self.place(topic).epoch, self.fences.get(topic, 0), tnote(topic, self.heads[topic]))
        return self.do(self.connection.announced(said, self.now))

    def change(self, topic, *, may, heard=True):
        (self.lets_in.add if may else self.lets_in.discard)(topic)
        self.fences[topic] = self.fences.get(topic, 0) + 1
        if heard and topic in self.joined:
            self.do(self.connection.topic_fenced((f"t.{topic}", self.fences[topic]), self.now))
        return self

    def end_a_session(self):
        """Of the person, and not this one."""
        self.fence += 1
        return self.do(self.connection.fenced(self.fence, self.now))

    def look(self, topic):
        return self.do(self.connection.positioned(self.place(topic), self.now))

    def settle(self, *, rounds=200):
        """Answer all that was asked for."""
        for _ in range(rounds):
            if not self.asked:
                return self
            self.answer_one(0)
        raise AssertionError("it never stops asking")

    def answer_one(self, nth):
        step = self.asked.pop(nth)
        match step:
            case Listen():
                self._listen(step)
            case Ask(topic=topic):
                self._decide(step, lambda: self.do(self.connection.allowed(step, self.fences.get(topic, 0), self.now)))
            case Load(stream=stream) if stream.startswith("t."):
                topic = stream[2:]
                page = self.topic_page(topic, step)
                if self.broken:
                    self.do(self.connection.load_failed(stream, self.now))
                else:
                    self._decide(step, lambda: self.do(self.connection.page(page, self.now)))
            case Load():
                self.do(self.connection.page(self.page(step), self.now))
            case Check():
                self.do(self.connection.check_answered(self.session_state(), self.now))
            case _:
                raise AssertionError(f"nobody answers {step}")

    def _decide(self, step, then):
        topic = step.topic if isinstance(step, Ask) else step.stream[2:]
        if self.broken:
            self.do(self.connection.ask_failed(step, self.now))
        elif topic in self.lets_in:
            then()
        else:
            self.do(self.connection.denied(step, self.now))

    def _listen(self, step):
        if self.broken:
            self.do(self.connection.listen_failed(step, self.now))
        elif step.topic not in self.lets_in:
            self.do(self.connection.denied(step, self.now))
        else:
            self.admit(step, self.fences.get(step.topic, 0))

    def admit(self, step, fence):
        """They may listen, as of that fence."""
        self.joined.add(step.topic)
        return self.do(self.connection.subscribed(step, self.place(step.topic), fence, self.now))

    def topic_page(self, topic, load):
        wanted = range(max(load.after, self.floors.get(topic, 0)) + 1, self.heads.get(topic, 0) + 1)
        rows = tuple(tnote(topic, seq) for seq in wanted[: load.limit])
        through = rows[-1].seq if len(rows) == load.limit else self.heads.get(topic, 0)
        return Page(self.place(topic), rows, through, load.after)

    def all(self, kind):
        return [event for event in self.said if isinstance(event, kind)]

    def numbers(self, topic):
        return [event.seq for event in self.said if isinstance(event, Notification) and event.stream == f"t.{topic}"]


def tnote(topic, seq):
    return Notification(
        stream=f"t.{topic}",
        seq=seq,
        id=str(UUID(int=seq)),
        kind="",
        level="info",
        title=f"{topic} {seq}",
        body="",
        url="",
        data={},
        created_at=datetime.fromtimestamp(START, UTC),
    )


@pytest.fixture
def town():
    town = Town()
    town.connect()
    town.heard()
    town.lets_in.add("a")
    town.heads["a"] = 3
    return town


def subscribed(town, topic="a", **how):
    town.says(Subscribe(topic=topic, **how)).settle()
    return town


# --- Subscribing ---


def test_what_may_be_heard_is_heard_from_now_on(town):
    subscribed(town, ref="r1")
    answer = town.last(Subscribed)
    assert (answer.topic, answer.stream, answer.epoch, answer.head, answer.cursor, answer.ref) == (
        *("a", "t.a", "t1", 3, 3),
        "r1",
    )
    town.speak("a").speak("a")
    assert town.numbers("a") == [4, 5]


def test_what_was_missed_is_replayed_and_then_it_is_live(town):
    subscribed(town, since="t1:1")
    assert town.last(Subscribed).cursor == 1
    assert town.heard() == ["subscribed", "2*", "3*", "caught_up 3"]
    town.speak("a")
    assert town.heard() == ["4"]


@pytest.mark.parametrize(
    ("since", "floor", "reason"), [("old:1", 0, "epoch"), ("t1:9", 0, "ahead"), ("t1:1", 2, "expired")]
)
def test_what_cannot_be_resumed_is_reset(town, since, floor, reason):
    town.floors["a"] = floor
    subscribed(town, since=since)
    reset = town.last(Reset)
    assert (reset.stream, reset.reason, reset.head, reset.oldest) == ("t.a", reason, 3, floor + 1)
    assert town.speak("a").numbers("a") == [4]


def test_a_position_that_is_none_is_an_error(town):
    town.says(Subscribe(topic="a", since="x", ref="r"))
    assert (town.last(Error).code, town.last(Error).ref) == ("invalid", "r")
    assert town.asked == []


def test_what_may_not_be_heard_is_denied_and_why_is_not_said(town):
    subscribed(town, "secret", ref="r")
    assert town.last(Denied) == Denied(stream="t.secret", topic="secret", code="forbidden", ref="r")
    town.joined.add("secret")  # whatever still comes of it
    town.speak("secret")
    assert town.numbers("secret") == []


def test_a_database_that_is_away_is_no_denial(town):
    town.broken = True
    subscribed(town, ref="r")
    assert (town.last(Error).code, town.last(Error).ref) == ("unavailable", "r")
    town.broken = False
    assert subscribed(town).last(Subscribed).topic == "a"


def test_asking_twice_is_answered_twice_and_heard_once(town):
    town.says(Subscribe(topic="a", ref="r1")).says(Subscribe(topic="a", ref="r2"))
    assert len(town.asked) == 1
    town.settle()
    town.says(Subscribe(topic="a", ref="r3"))
    assert [event.ref for event in town.said if isinstance(event, Subscribed)] == ["r1", "r2", "r3"]
    assert town.speak("a").numbers("a") == [4]


def test_there_are_only_so_many():
    town = Town(limits=Limits(topics=2))
    town.connect()
    town.lets_in |= {"a", "b", "c"}
    town.says(Subscribe(topic="a")).says(Subscribe(topic="b")).says(Subscribe(topic="c"))
    assert town.last(Denied).code == "too_many_topics"
    town.settle()
    town.says(Unsubscribe(topic="a")).says(Subscribe(topic="c")).settle()
    assert town.last(Subscribed).topic == "c"


def test_unsubscribing_ends_it_and_is_answered_whatever_was(town):
    subscribed(town).says(Unsubscribe(topic="a", ref="r"))
    assert town.last(Unsubscribed) == Unsubscribed(stream="t.a", topic="a", ref="r")
    assert town.joined == set()
    town.speak("a")
    assert town.numbers("a") == []
    town.settle().says(Unsubscribe(topic="never", ref="s"))
    assert town.last(Unsubscribed).ref == "s" and town.asked == []


def test_unsubscribing_before_the_answer(town):
    town.says(Subscribe(topic="a", ref="r1")).says(Unsubscribe(topic="a", ref="r2")).settle()
    assert [event.ref for event in town.said if isinstance(event, Unsubscribed)] == ["r1", "r2"]
    assert not [event for event in town.said if isinstance(event, Subscribed)]
    assert town.joined == set(), "the answer that nobody waited for left the group again"


def test_a_page_for_whoever_left_and_came_back_is_not_taken_for_theirs(town):
    town.says(Subscribe(topic="a", since="t1:0"))
    town.answer_one(0)
    late = town.asked.pop(0)
    town.says(Unsubscribe(topic="a")).settle()
    town.speak("a").speak("a")
    subscribed(town)
    town.said.clear()
    town.do(town.connection.page(town.topic_page("a", late), town.now))
    assert town.numbers("a") == []
    town.speak("a").settle()
    assert town.numbers("a") == [6]


def test_two_topics_and_the_own_stream_are_counted_apart(town):
    town.lets_in.add("b")
    subscribed(town), subscribed(town, "b")
    town.speak("a").speak("b").publish().speak("a")
    assert (town.numbers("a"), town.numbers("b")) == ([4, 5], [1])
    town.says(Ack(seq=5, stream="t.a", ref="x")).says(Ack(seq=1, stream="t.b")).ack(1)
    assert not [event for event in town.said if isinstance(event, Error)]
    town.says(Ack(seq=6, stream="t.a", ref="x"))
    assert town.last(Error).code == "invalid_ack"


def test_the_window_is_one_for_all_streams():
    town = Town(limits=Limits(window=4))
    town.connect()
    town.lets_in.add("a")
    subscribed(town)
    town.publish(2).speak("a").speak("a").speak("a").settle()
    assert town.numbers("a") == [1, 2]
    town.says(Ack(seq=2, stream="t.a")).settle()
    assert town.numbers("a") == [1, 2, 3]


def test_every_ack_counts_however_many_streams_there_are():
    topics = [f"n{nth}" for nth in range(45)]
    town = Town()
    town.connect()
    town.lets_in |= set(topics)
    for topic in topics:
        subscribed(town.after(0.2), topic)
    for _ in range(4):
        for topic in topics:
            town.speak(topic)
        for topic in topics:
            town.says(Ack(stream=f"t.{topic}", seq=town.heads[topic]))
        town.settle().after(5)
    assert town.after(31).settle().phase is Phase.OPEN
    assert {topic: town.numbers(topic) for topic in topics} == {topic: [1, 2, 3, 4] for topic in topics}


def test_many_that_are_behind_cost_no_more_reading_than_one_and_none_waits_for_ever():
    topics = [f"n{nth}" for nth in range(10)]
    town = Town()
    town.connect()
    town.lets_in |= set(topics)
    for topic in topics:
        subscribed(town, topic)
        town.heads[topic] = 100
        town.look(topic)
    loads = 0
    while len(town.all(Notification)) < 1000:
        assert sum(step.limit for step in town.asked) <= 64
        loads += len(town.asked)
        town.heads["n0"] += 100  # one of them is told more than anybody can ack
        town.settle()
        for topic in topics:
            if numbers := town.numbers(topic):
                town.says(Ack(stream=f"t.{topic}", seq=numbers[-1]))
    assert loads < 40
    assert all(len(town.numbers(topic)) > 60 for topic in topics)


def test_a_topic_that_cannot_be_read_now_holds_up_no_other_stream(town):
    subscribed(town)
    town.speak("a", heard=False).look("a")
    (load,) = town.asked
    town.asked.clear()
    town.do(town.connection.load_failed(load.stream, town.now))
    town.publish(300, heard=False).sync()
    for nth in range(1, 11):
        town.answer().ack(30 * nth)
    assert town.numbers("a") == []
    assert len(town.all(Notification)) == 300
    town.after(1.1).settle()
    assert town.numbers("a") == [4]


def test_who_leaves_a_topic_gives_its_part_of_the_window_back():
    town = Town(limits=Limits(window=2))
    town.connect()
    town.lets_in.add("a")
    subscribed(town)
    town.speak("a").speak("a").publish(1).settle()
    town.says(Unsubscribe(topic="a")).settle()
    town.after(31)
    assert town.code is None, "nobody waits for an ack that will not come"
    assert [event.seq for event in town.said if isinstance(event, Notification) and event.stream == "u.7"] == [1]


# --- Rules that change ---


def test_a_right_that_is_lost_ends_it_at_once(town):
    subscribed(town).change("a", may=False)
    town.speak("a")
    assert town.numbers("a") == []
    town.settle()
    assert town.last(Denied) == Denied(stream="t.a", topic="a", code="forbidden", ref=UNSET)
    assert town.joined == set()


def test_a_change_that_was_not_heard_of_is_met_with_the_next_number(town):
    subscribed(town).change("a", may=False, heard=False)
    town.speak("a")
    assert town.numbers("a") == []
    assert town.settle().numbers("a") == []
    assert town.last(Denied).topic == "a"


def test_or_found_by_the_sync(town):
    subscribed(town).change("a", may=False, heard=False).look("a").settle()
    assert town.last(Denied).topic == "a"


def test_a_right_that_stays_loses_nothing(town):
    subscribed(town).change("a", may=True)
    town.speak("a").speak("a")
    assert town.numbers("a") == []
    assert town.settle().numbers("a") == [4, 5]


def test_a_change_while_it_is_asked_is_asked_again(town):
    subscribed(town).change("a", may=True)
    town.change("a", may=False)
    (step,) = town.asked
    town.asked.clear()
    town.do(town.connection.allowed(step, 1, town.now))  # the answer to the first
    assert [type(asked) for asked in town.asked] == [Ask]
    town.speak("a").settle()
    assert town.numbers("a") == []


@pytest.mark.parametrize("heard", [True, False])
def test_a_change_between_the_decision_and_the_first_word(town, heard):
    town.says(Subscribe(topic="a", since="t1:0"))
    decided = town.asked.pop()
    town.joined.add("a")
    town.change("a", may=False, heard=heard).speak("a", heard=heard)
    town.admit(decided, 0).settle()
    assert town.last(Denied).topic == "a" and town.joined == set()
    assert town.numbers("a") == [] and town.all(Subscribed) == [], "nor where it stands"


def test_a_change_of_the_person_between_the_decision_and_the_first_word(town):
    town.says(Subscribe(topic="a", since="t1:0"))
    decided = town.asked.pop()
    town.lets_in.discard("a")
    town.end_a_session().settle()
    town.admit(decided, 0).settle()
    assert town.last(Denied).topic == "a"
    assert town.numbers("a") == [] and town.all(Subscribed) == []


def test_nobody_is_told_where_a_topic_stands_while_their_session_is_in_doubt(town):
    town.says(Subscribe(topic="a", ref="r"))
    town.end_a_session().answer_one(0)
    assert town.all(Subscribed) == []
    assert town.settle().last(Subscribed).ref == "r"
    town.speak("a").settle()
    assert town.numbers("a") == [4]


def test_who_asks_once_more_while_it_is_asked_is_answered_when_that_is(town):
    subscribed(town).change("a", may=True).speak("a").says(Subscribe(topic="a", ref="r"))
    assert town.last(Subscribed).ref is UNSET, "how much was said meanwhile is not told either"
    assert town.settle().last(Subscribed).ref == "r"
    town.change("a", may=False).says(Subscribe(topic="a", ref="s")).settle()
    assert town.last(Denied).ref == "s"


def test_what_waits_for_a_decision_is_bounded(town):
    town.connection.limits = Limits(commands_per_second=1e9)
    for nth in range(60):
        town.after(0.2).says(Subscribe(topic="a", ref=f"r{nth}"))
    assert (town.last(Error).code, town.last(Error).ref) == ("busy", "r59")
    assert [event.ref for event in town.settle().all(Subscribed)] == [f"r{nth}" for nth in range(50)]


def test_an_answer_from_before_they_re_authenticated_counts_no_more(town):
    subscribed(town).change("a", may=True)
    late = town.asked.pop()
    town.after(901)
    town.lets_in.discard("a")
    town.reauth().do(town.connection.allowed(late, 1, town.now))
    town.speak("a")
    assert town.settle().numbers("a") == []
    assert town.last(Denied).topic == "a"


def test_an_answer_from_before_they_left_and_came_back_counts_no_more(town):
    town.says(Subscribe(topic="a"))
    late = town.asked.pop()
    town.says(Unsubscribe(topic="a")).says(Subscribe(topic="a", ref="r"))
    town.admit(late, 0)
    assert town.all(Subscribed) == []
    town.lets_in.discard("a")
    assert town.settle().last(Denied).ref == "r"
    town.says(Subscribe(topic="a")).says(Unsubscribe(topic="a"))
    town.joined.add("a")
    town.broken = True
    assert town.settle().joined == set(), "an answer that failed leaves the group as well"


def test_each_page_asks(town):
    town.limits = Limits(replay_page=1)
    town.connection.limits = town.limits
    town.says(Subscribe(topic="a", since="t1:0"))
    town.answer_one(0), town.answer_one(0)
    assert town.numbers("a") == [1]
    town.lets_in.discard("a")  # and nobody says so
    town.settle()
    assert town.numbers("a") == [1]
    assert town.last(Denied).topic == "a"


def test_who_re_authenticates_is_asked_about_again(town):
    subscribed(town).after(901)
    assert town.phase is Phase.REAUTH_REQUIRED
    town.speak("a")
    assert town.numbers("a") == []
    town.lets_in.discard("a")
    town.reauth().settle()
    assert town.numbers("a") == []
    assert town.last(Denied).topic == "a"


def test_what_was_held_is_handed_over_after_it(town):
    subscribed(town).after(901)
    town.speak("a").speak("a").reauth().settle()
    assert town.numbers("a") == [4, 5]
    assert [event.replayed for event in town.said if isinstance(event, Notification)] == [True, True]
    assert town.last(CaughtUp) == CaughtUp(stream="t.a", cursor=5)


def test_the_end_of_somebodys_session_asks_about_all_their_topics(town):
    subscribed(town)
    town.lets_in.discard("a")
    town.end_a_session().speak("a").settle()
    assert town.numbers("a") == []
    assert town.last(Denied).topic == "a"


def test_nobody_can_tell_now_is_no_answer_and_is_asked_again(town):
    subscribed(town)
    town.broken = True
    town.change("a", may=True).settle().speak("a")
    assert town.numbers("a") == []
    town.broken = False
    town.after(2).settle()
    assert town.numbers("a") == [4]


def test_who_is_held_subscribes_to_nothing(town):
    town.says(Subscribe(topic="a", ref="r1")).after(901).settle()
    assert (town.last(Error).code, town.last(Error).ref) == ("reauth_required", "r1")
    town.says(Subscribe(topic="a", ref="r2"))
    assert town.last(Error).ref == "r2"
    assert town.joined == set()


# --- Protocols in which the own stream is asked for, and clients that do not ack ---


@pytest.fixture
def follower():
    town = Town()
    town.connection = type(town.connection)(
        name="c1", limits=Limits(window=10), now=town.now, manner=Manner(follows=True)
    )
    town.connect()
    town.publish(3)
    assert town.heard() == ["welcome"], "nothing before it is asked for"
    return town


def own(town):
    return [event.seq for event in town.said if isinstance(event, Notification) and event.stream == "u.7"]


def test_the_own_stream_begins_when_it_is_asked_for(follower):
    follower.says(Follow(ref="r"))
    answer = follower.last(Subscribed)
    assert (answer.stream, answer.topic, answer.cursor, answer.ref) == ("u.7", UNSET, 3, "r")
    assert own(follower.publish()) == [4]


def test_or_from_a_position_on(follower):
    follower.says(Follow(since="e1:1")).settle()
    assert own(follower) == [2, 3]
    assert follower.last(CaughtUp).cursor == 3


@pytest.mark.parametrize(("since", "reason"), [("old:1", "epoch"), ("e1:9", "ahead")])
def test_or_from_one_that_is_none(follower, since, reason):
    follower.says(Follow(since=since)).settle()
    assert follower.last(Reset).reason == reason
    assert own(follower.publish()) == [4]


def test_it_ends_when_that_is_asked_for_and_begins_again(follower):
    follower.says(Follow()).publish()
    follower.says(Unfollow(ref="r")).publish()
    assert follower.last(Unsubscribed) == Unsubscribed(stream="u.7", ref="r")
    assert own(follower) == [4]
    follower.says(Follow(since="e1:4")).settle()
    assert own(follower) == [4, 5]


def test_what_was_said_while_it_was_not_asked_for_was_not_held(follower):
    follower.after(901).publish().reauth().settle()
    assert follower.last(Reauthenticated).held == 0
    follower.says(Follow()).publish().settle()
    assert own(follower) == [5] and follower.all(CaughtUp) == []


def test_who_does_not_ack_is_told_no_faster_than_they_can_read(follower):
    follower.says(Follow(paced=True)).publish(30).settle()
    assert own(follower) == list(range(4, 14)), "ten at once"
    follower.after(0.1).settle()
    assert len(own(follower)) == 10
    for _ in range(10):
        follower.after(0.21).settle()
    assert own(follower) == list(range(4, 34))
    follower.after(120)
    assert follower.code is None, "and is never called slow for not acking"


def test_one_that_acks_keeps_its_window_beside_one_that_is_paced(follower):
    follower.lets_in.add("a")
    follower.says(Follow(paced=False)).says(Follow(topic="a", paced=True)).settle()
    follower.publish(10)
    assert len(own(follower)) == 10
    follower.publish(1).speak("a").settle()
    assert follower.numbers("a") == [1], "its own window is another's"
    assert len(own(follower)) == 10
    follower.ack(13).settle()
    assert len(own(follower)) == 11


def test_whoever_acks_may_leave_before_the_decision(town):
    town.lets_in.add("a")
    town.says(Follow(topic="a", paced=False, ref="1")).says(Follow(topic="a", paced=True, ref="2")).settle()
    for _ in range(70):
        town.speak("a")
    town.after(1).settle()
    assert town.numbers("a") == list(range(4, 74)), "more than a window, and nobody acked"


def test_where_the_own_stream_stands_waits_for_the_check(follower):
    follower.end_a_session()
    follower.says(Follow(ref="1")).says(Follow(ref="2"))
    assert follower.all(Subscribed) == []
    follower.settle()
    assert [said.ref for said in follower.all(Subscribed)] == ["1", "2"]
    assert own(follower.publish()) == [4]


def test_and_who_leaves_meanwhile_is_answered_so(follower):
    follower.end_a_session()
    follower.says(Follow(ref="1")).says(Unfollow(ref="2")).settle().publish()
    assert [said.ref for said in follower.all(Unsubscribed)] == ["1", "2"]
    assert follower.all(Subscribed) == [] and own(follower) == []


def test_a_frame_after_which_nothing_can_follow_ends_it(follower):
    follower.do(follower.connection.bad_frame(BadFrame("invalid", "x", ends=True), follower.now))
    assert follower.code is CloseCode.PROTOCOL_ERROR


# --- All of it, in any order ---


class Walk:
    """A town in which anything happens, and what its client was told."""

    topics = ("a", "b", "c", "d")

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.town = Town(limits=Limits(window=8, replay_page=3, commands_per_second=1e9, topics=3))
        self.town.connect()
        self.cursors, self.shut = {}, set()
        self.acts = [self.subscribe, self.unsubscribe, *[self.speak] * 3, self.change, *[self.answer] * 3]
        self.acts += [self.ack, self.wait, self.change_person, self.decide, self.hear_decision]
        self.decided = []  # decided, and not heard of yet

    def go(self):
        self.chance.choice(self.acts)(self.chance.choice(self.topics))
        self.check()

    def subscribe(self, topic):
        known = self.cursors.get(f"t.{topic}")
        since = f"t1:{known}" if known is not None and self.chance.random() < 0.3 else None
        self.town.says(Subscribe(topic=topic, since=since))

    def unsubscribe(self, topic):
        self.town.says(Unsubscribe(topic=topic))

    def speak(self, topic):
        self.town.speak(topic, heard=self.chance.random() < 0.7)

    def change(self, topic):
        may = self.chance.random() < 0.6
        self.town.change(topic, may=may)
        self.check()
        (self.shut.discard if may else self.shut.add)(topic)

    def change_person(self, topic):
        """Without a word about the topic."""
        may = self.chance.random() < 0.6
        (self.town.lets_in.add if may else self.town.lets_in.discard)(topic)
        self.town.end_a_session()
        self.check()
        (self.shut.discard if may else self.shut.add)(topic)

    def decide(self, topic):
        if decidable := [step for step in self.town.asked if isinstance(step, Ask | Listen)]:
            step = self.chance.choice(decidable)
            self.town.asked.remove(step)
            self.decided.append((step, step.topic in self.town.lets_in, self.town.fences.get(step.topic, 0)))

    def hear_decision(self, topic):
        if not self.decided:
            return
        step, may, fence = self.decided.pop(self.chance.randrange(len(self.decided)))
        if not may:
            self.town.do(self.town.connection.denied(step, self.town.now))
        elif isinstance(step, Listen):
            self.town.admit(step, fence)
        else:
            self.town.do(self.town.connection.allowed(step, fence, self.town.now))

    def answer(self, topic):
        if self.town.asked:
            self.town.broken = self.chance.random() < 0.1
            self.town.answer_one(self.chance.randrange(len(self.town.asked)) if self.chance.random() < 0.5 else 0)
            self.town.broken = False

    def ack(self, topic):
        for stream, cursor in self.cursors.items():
            self.town.says(Ack(seq=cursor, stream=stream))

    def wait(self, topic):
        self.town.after(self.chance.choice((0.01, 1.1)))
        for name in sorted(self.town.joined):
            self.town.look(name)

    def check(self):
        said, self.town.said = self.town.said, []
        for event in said:
            match event:
                case Subscribed() | Reset():
                    self.cursors[event.stream] = event.cursor if isinstance(event, Subscribed) else event.head
                case Denied() | Unsubscribed():
                    self.cursors.pop(event.stream, None)
                case Notification():
                    assert event.stream[2:] not in self.shut, f"{event.stream} was shut"
                    assert event.seq == self.cursors[event.stream] + 1
                    self.cursors[event.stream] = event.seq


@pytest.mark.parametrize("seed", range(60))
def test_a_walk(seed):
    """Nothing is said of a topic that was shut, as soon as the connection can know it; each number comes once and in
    order; and whoever acks has heard all in the end."""
    walk = Walk(seed)
    for _ in range(300):
        walk.go()
    town = walk.town
    for _ in range(60):
        town.settle()
        walk.hear_decision("")
        walk.check()
        walk.ack("")
        walk.wait("")
    assert {f"t.{topic}" for topic in town.joined} == set(walk.cursors)
    assert all(cursor == town.heads.get(stream[2:], 0) for stream, cursor in walk.cursors.items())
