"""The codec beside a real connection where order matters, else by itself."""

import contextlib
import dataclasses
import json
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from notifications.live.connection import Connection
from notifications.wire import actioncable
from notifications.wire.actioncable import OF_ONE_STREAM, SUBSCRIPTIONS, ActionCableCodec
from notifications.wire.actioncable_frames import HISTORY_STREAMS
from notifications.wire.codec import BadFrame
from notifications.wire.native import NativeCodec
from notifications.wire.remembering import remembering
from notifications.wire.vocabulary import (
    UNSET,
    CaughtUp,
    Denied,
    Error,
    Follow,
    Ping,
    Pong,
    Reauth,
    ReauthFailed,
    Reset,
    State,
    Subscribed,
    Unfollow,
    User,
    Welcome,
)
from tests.notifications.live.life import STREAM, Life, note

MINE = '{"channel":"NotificationsChannel"}'
MINE_TOO = '{"channel":"NotificationsChannel","of":"the bell"}'
ORDERS = '{"channel":"TopicChannel","topic":"orders.7"}'
ORDERS_TOO = '{"topic":"orders.7","channel":"TopicChannel"}'
CONTROL = '{"channel":"ControlChannel"}'
NAMES = {
    MINE: "mine",
    MINE_TOO: "mine too",
    ORDERS: "orders",
    ORDERS_TOO: "orders too",
    CONTROL: "control",
    "usher": "bare",
}


def short(frame: str) -> str:
    """`welcome`, `confirm_subscription mine`, `mine 3`, `mine 4*`, `bare caught_up`, `control state`."""
    said = json.loads(frame)
    whose = NAMES.get(said.get("identifier"), said.get("identifier", ""))
    if "message" in said and isinstance(said["message"], dict):
        message = said["message"]
        replayed = "*" if message.get("replayed") else ""
        return f"{whose} {message.get('seq') if message['type'] == 'notification' else message['type']}{replayed}"
    return f"bare {said['type']}" if whose == "bare" else f"{said['type']} {whose}".strip()


@dataclass
class Cable(Life):
    """A life whose client speaks Action Cable."""

    extended: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.codec = ActionCableCodec(extended=self.extended)
        self.connection = Connection(name="c1", limits=self.limits, now=self.now, manner=self.codec.manner)
        self.frames: list[str] = []

    def do(self, steps):
        before = len(self.said)
        super().do(steps)
        for event in self.said[before:]:
            frame = self.codec.encode(event)
            self.frames += [*([frame] if frame is not None else []), *self.codec.outbox]
            self.codec.outbox.clear()
        due, self.codec.due[:] = [*self.codec.due], []
        for command in due:
            self.says(command)
        return self

    def client(self, command: str, identifier: str = MINE, **fields):
        frame = {"command": command, "identifier": identifier, **fields}
        for said in self.codec.decode(json.dumps(frame)):
            self.says(said)
        return self

    def page(self, load):
        return dataclasses.replace(super().page(load), after=load.after)

    def resume(self, identifier: str = MINE, **place):
        return self.client("subscribe", identifier, history={"since": 1, "streams": {STREAM: place} if place else {}})

    def perform(self, action: str, **data):
        return self.client("message", data=json.dumps({"action": action, **data}))

    def told(self) -> list[str]:
        frames, self.frames = self.frames, []
        return [short(frame) for frame in frames]


@pytest.fixture
def plain():
    return opened(Cable(extended=False))


@pytest.fixture
def cable():
    return opened(Cable())


def opened(life):
    life.head = 5
    life.connect()
    assert life.told() == ["welcome"]
    return life


def codec(extended=True):
    """A codec by itself, which has said welcome."""
    made = ActionCableCodec(extended=extended)
    life = opened(Cable())
    made.encode(life.last(Welcome))
    return made


def decode(codec, command, identifier=MINE, **fields):
    return codec.decode(json.dumps({"command": command, "identifier": identifier, **fields}))


def encode(codec, event):
    first = codec.encode(event)
    frames = [*([first] if first is not None else []), *codec.outbox]
    codec.outbox.clear()
    return [short(frame) for frame in frames]


def ref(command):
    (only,) = command
    return only.ref


# --- Opening ---


def test_welcome_starts_the_pings():
    for extended, fields in ((True, {"type": "welcome", "sid": "c1"}), (False, {"type": "welcome"})):
        life = Cable(extended=extended)
        assert life.codec.beat_seconds == float("inf")
        life.connect()
        assert [json.loads(frame) for frame in life.frames] == [fields]
        assert life.codec.beat_seconds == 3
        assert json.loads(life.codec.beat(1_800_000_000.9)) == {"type": "ping", "message": 1_800_000_000}


def test_nothing_is_told_before_it_is_asked_for(plain):
    plain.publish(2)
    assert plain.told() == []
    plain.client("subscribe")
    plain.publish()
    assert plain.answer().told() == ["confirm_subscription mine", "mine 8"]


def test_what_is_subscribed_before_welcome_is_kept_and_no_more_than_that():
    life = Cable(extended=False)
    life.client("subscribe").client("subscribe").client("subscribe", MINE_TOO).client("unsubscribe", MINE_TOO)
    for number in range(2 * SUBSCRIPTIONS):
        life.client("subscribe", str(number))
    life.connect()
    assert life.told()[:3] == ["welcome", "confirm_subscription mine", "reject_subscription 0"]
    assert len(life.codec.due) == 0
    assert len(life.codec._early) == 0


def test_little_is_kept_of_what_is_subscribed_before_welcome():
    made = ActionCableCodec(extended=True)
    decode(made, "subscribe", data="x" * 4000)
    assert len(msgspec.json.encode(made._early[MINE])) < 200
    streams = {f"u.{number}": {"epoch": "e", "offset": 1} for number in range(HISTORY_STREAMS + 1)}
    with pytest.raises(BadFrame, match="history"):
        decode(made, "subscribe", MINE_TOO, history={"streams": streams})
    assert MINE_TOO not in made._early
    decode(made, "subscribe", MINE_TOO, history={"streams": dict(list(streams.items())[1:])})
    assert MINE_TOO in made._early


def test_what_is_subscribed_while_it_is_held_waits_for_the_new_ticket(plain):
    plain.after(900)
    plain.client("subscribe").client("subscribe")
    assert plain.told() == ["bare reauth_required"]
    plain.reauth()
    assert plain.told() == ["bare reauthenticated", "confirm_subscription mine"]


# --- Subscriptions ---


def test_rails_asks_until_it_is_told_and_is_told_each_time(plain):
    plain.client("subscribe").client("subscribe")
    assert plain.told() == ["confirm_subscription mine"] * 2
    plain.publish()
    assert plain.told() == ["mine 6"]


def test_anycable_is_told_once(cable):
    cable.client("subscribe").client("subscribe").client("subscribe", CONTROL).client("subscribe", CONTROL)
    assert cable.told() == ["confirm_subscription mine", "confirm_subscription control"]


def test_several_identifiers_of_one_stream_hear_the_same(plain):
    plain.client("subscribe")
    plain.publish()
    plain.client("subscribe", MINE_TOO)
    plain.publish()
    assert plain.told() == [
        *("confirm_subscription mine", "mine 6", "confirm_subscription mine too"),
        *("mine 7", "mine too 7"),
    ]
    plain.client("unsubscribe").publish()
    assert plain.told() == ["mine too 8"]
    plain.client("unsubscribe", MINE_TOO).publish()
    assert plain.told() == []
    plain.client("subscribe").publish()
    assert plain.told() == ["confirm_subscription mine", "mine 10"]


def test_the_identifier_comes_back_as_it_was(plain):
    odd = '{"x":"\\u00e9é😀\\"\\\\", "channel" :\t"NotificationsChannel" }'
    plain.client("subscribe", odd).publish()
    assert [json.loads(frame)["identifier"] for frame in plain.frames] == [odd, odd]


def test_a_message_is_the_frame_of_the_native_protocol(plain, cable):
    native = json.loads(NativeCodec().encode(note(6)))
    for life, beside in ((plain, {}), (cable, {"stream_id": STREAM, "epoch": "e1", "offset": 6})):
        life.client("subscribe").publish()
        assert json.loads(life.frames[-1]) == {"identifier": MINE, "message": native, **beside}


@pytest.mark.parametrize(
    "identifier",
    [
        *("", "x", "{}", "[]", '{"channel":"ChatChannel"}', '{"channel":7}', '{"channel":"TopicChannel"}'),
        *('{"channel":"TopicChannel","topic":"Orders"}', '{"channel":"TopicChannel","topic":""}'),
        *('{"channel":"NotificationsChannel","since":"now"}', '{"channel":"NotificationsChannel","since":7}'),
        '{"channel":' * 80,
    ],
)
def test_what_is_no_channel_is_rejected_and_costs_a_command(plain, identifier):
    assert [type(command) for command in decode(plain.codec, "subscribe", identifier)] == [Ping]
    plain.client("subscribe", identifier)
    assert plain.told() == [f"reject_subscription {identifier}".strip()]
    plain.client("unsubscribe", identifier)
    assert plain.told() == []


def test_a_connection_has_so_many_identifiers_and_no_more():
    made = codec()
    for number in range(SUBSCRIPTIONS):
        topic = json.dumps({"channel": "TopicChannel", "topic": f"orders.{number}"})
        assert [type(each) for each in decode(made, "subscribe", topic)] == [Follow]
    too_many = ref(decode(made, "subscribe", MINE_TOO))
    assert encode(made, Pong(ref=too_many)) == ["reject_subscription mine too"]


def test_and_so_many_of_one_stream():
    made = codec()
    for number in range(OF_ONE_STREAM):
        assert [type(each) for each in decode(made, "subscribe", MINE[:-1] + f',"n":{number}}}')] == [Follow]
    too_many = ref(decode(made, "subscribe", MINE_TOO))
    assert encode(made, Pong(ref=too_many)) == ["reject_subscription mine too"]
    assert [type(each) for each in decode(made, "subscribe", ORDERS)] == [Follow]


def test_a_topic_is_allowed_or_denied_and_may_be_lost_again():
    made = codec()
    (follow,) = decode(made, "subscribe", ORDERS)
    assert (follow.topic, follow.since, follow.paced) == ("orders.7", None, True)
    denied = Denied(stream="t.orders.7", topic="orders.7", code="forbidden", ref=follow.ref)
    assert encode(made, denied) == ["reject_subscription orders"]
    assert decode(made, "unsubscribe", ORDERS) == []

    again = ref(decode(made, "subscribe", ORDERS))
    subscribed = Subscribed(stream="t.orders.7", epoch="e", head=3, cursor=3, topic="orders.7", ref=again)
    assert encode(made, subscribed) == ["confirm_subscription orders"]
    assert encode(made, replace(note(4), stream="t.orders.7")) == ["orders 4"]
    lost = replace(denied, ref=UNSET)
    assert encode(made, lost) == ["reject_subscription orders", "bare denied"]
    assert encode(made, replace(note(5), stream="t.orders.7")) == []


def test_what_was_given_up_is_not_confirmed_and_what_others_want_is_kept():
    made = codec()
    mine = ref(decode(made, "subscribe"))
    too = ref(decode(made, "subscribe", MINE_TOO))
    assert decode(made, "unsubscribe") == [], "another one waits for the same stream"
    subscribed = Subscribed(stream=STREAM, epoch="e", head=3, cursor=3, ref=mine)
    assert encode(made, subscribed) == []
    assert encode(made, replace(subscribed, ref=too)) == ["confirm_subscription mine too"]
    assert [type(each) for each in decode(made, "unsubscribe", MINE_TOO)] == [Unfollow]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (4, ["orders too 5", "orders too 6", "confirm_history orders too"]),
        (6, ["confirm_history orders too"]),
        (1, ["reject_history orders too"]),
    ],
)
def test_the_second_of_a_stream_goes_on_from_its_own_place_when_the_first_is_gone(place, told):
    made = codec()
    first, second = (
        ref(decode(made, "subscribe", each, history={"streams": {"t.orders.7": {"epoch": "e", "offset": offset}}}))
        for each, offset in ((ORDERS, 3), (ORDERS_TOO, place))
    )
    decode(made, "unsubscribe", ORDERS)
    subscribed = Subscribed(stream="t.orders.7", epoch="e", head=6, cursor=3, topic="orders.7", ref=first)
    frames = encode(made, subscribed) + encode(made, replace(subscribed, ref=second))
    for seq in (4, 5, 6):
        frames += encode(made, replace(note(seq), stream="t.orders.7"))
    frames += encode(made, CaughtUp(stream="t.orders.7", cursor=6))
    assert frames == ["confirm_subscription orders too", *told, "bare caught_up"]
    assert made._wishes == {}


def test_a_stream_that_could_not_be_left_is_left_before_it_is_asked_for_again():
    made = codec()
    mine = ref(decode(made, "subscribe"))
    encode(made, Subscribed(stream=STREAM, epoch="e", head=3, cursor=3, ref=mine))
    unfollow = ref(decode(made, "unsubscribe"))
    assert encode(made, Error(code="rate_limited", detail="", ref=unfollow)) == ["bare error"]
    assert [type(each) for each in decode(made, "subscribe")] == [Unfollow, Follow]
    assert [type(each) for each in decode(made, "subscribe")] == [Follow]


def test_nothing_is_kept_of_what_was_left():
    made = codec()
    for number in range(2 * SUBSCRIPTIONS):
        topic, stream = f"orders.{number}", f"t.orders.{number}"
        identifier = json.dumps({"channel": "TopicChannel", "topic": topic})
        follow = ref(decode(made, "subscribe", identifier))
        encode(made, Subscribed(stream=stream, epoch="e", head=3, cursor=3, topic=topic, ref=follow))
        unfollow = ref(decode(made, "unsubscribe", identifier))
        encode(made, Error(code="rate_limited", detail="", ref=unfollow))
        encode(made, Reset(stream=stream, reason="epoch", epoch="f", head=1, oldest=1))
    kept = (made._subscriptions, made._listeners, made._epochs, made._places, made._wishes)
    assert [len(each) for each in kept] == [0, 0, 0, 0, 0]
    assert len(made._left) <= SUBSCRIPTIONS


# --- History ---


def test_what_was_missed_comes_between_the_confirmations(cable):
    cable.resume(epoch="e1", offset=2)
    assert cable.told() == ["confirm_subscription mine"]
    cable.publish()
    assert cable.told() == []
    cable.answer()
    assert cable.told() == ["mine 3*", "mine 4*", "mine 5*", "confirm_history mine", "bare caught_up", "mine 6"]
    cable.publish()
    assert cable.told() == ["mine 7"]


def test_a_long_replay_is_no_faster_than_it_can_be_read_and_needs_no_ack(cable):
    cable.head = 500
    cable.sync().resume(epoch="e1", offset=0).answer()
    told = cable.told()
    assert len(told) == 1 + cable.limits.window
    for _ in range(50):
        cable.after(0.2).answer()
        told += cable.told()
    assert told[1:-2] == [f"mine {number}*" for number in range(1, 501)]
    assert told[-2:] == ["confirm_history mine", "bare caught_up"]


def test_a_transient_notification_waits_for_the_end_of_the_replay(cable):
    cable.resume(epoch="e1", offset=4)
    cable.do(cable.connection.pushed(note(None), cable.now))
    assert cable.told() == ["confirm_subscription mine"]
    cable.answer()
    frames = list(cable.frames)
    assert cable.told() == ["mine 5*", "confirm_history mine", "mine None", "bare caught_up"]
    assert set(json.loads(frames[2])) == {"identifier", "message"}, "it is no place to resume from"
    cable.do(cable.connection.pushed(note(None), cable.now))
    assert cable.told() == ["mine None"]


def test_nothing_missed_is_confirmed_as_well(cable):
    cable.resume(epoch="e1", offset=5)
    assert cable.told() == ["confirm_subscription mine"], "until the log was looked at"
    cable.answer().publish()
    assert cable.told() == ["confirm_history mine", "bare caught_up", "mine 6"]


@pytest.mark.parametrize(
    "place", [{"epoch": "e0", "offset": 5}, {"epoch": "e0", "offset": 2}, {"epoch": "e1", "offset": 9}]
)
def test_what_cannot_be_resumed_is_rejected_and_then_live(cable, place):
    cable.resume(**place)
    assert cable.told() == ["confirm_subscription mine"]
    cable.answer().publish()
    frame = json.loads(cable.frames[-1])
    assert (frame["epoch"], frame["offset"]) == ("e1", 6)
    assert cable.told() == ["reject_history mine", "bare reset", "mine 6"]


@pytest.mark.parametrize(
    "place", [{}, {"epoch": "", "offset": 1}, {"epoch": "e:1", "offset": 1}, {"epoch": "e1", "offset": -1}]
)
def test_without_a_place_there_is_no_history(cable, place):
    cable.resume(**place).publish()
    assert cable.told() == ["confirm_subscription mine", "reject_history mine", "mine 6"]


def test_who_leaves_and_comes_back_while_the_log_is_read_is_resumed_all_the_same(cable):
    cable.resume(epoch="e1", offset=1)
    cable.client("unsubscribe").resume(epoch="e1", offset=4)
    cable.answer().publish()
    assert cable.told() == [
        *("confirm_subscription mine", "confirm_subscription mine"),
        *("mine 5*", "confirm_history mine", "bare caught_up", "mine 6"),
    ]


def test_two_identifiers_resume_together(cable):
    cable.resume(epoch="e1", offset=4).resume(MINE_TOO, epoch="e1", offset=5)
    assert cable.told() == ["confirm_subscription mine", "confirm_subscription mine too"]
    cable.answer().publish()
    assert cable.told() == [
        *("mine 5*", "confirm_history mine", "confirm_history mine too", "bare caught_up"),
        *("mine 6", "mine too 6"),
    ]


def test_a_later_identifier_resumes_only_where_the_stream_is(cable):
    cable.client("subscribe").publish()
    cable.told()
    cable.resume(MINE_TOO, epoch="e1", offset=6)
    assert cable.told() == ["confirm_subscription mine too", "confirm_history mine too"]
    cable.client("unsubscribe", MINE_TOO).resume(MINE_TOO, epoch="e1", offset=5).publish()
    assert cable.told() == ["confirm_subscription mine too", "reject_history mine too", "mine 7", "mine too 7"]


def test_history_of_what_is_subscribed_already(cable):
    ask = {"history": {"since": 1, "streams": {STREAM: {"epoch": "e1", "offset": 6}}}}
    cable.client("history", **ask)
    assert cable.told() == ["reject_history mine"], "it is not"
    cable.client("subscribe").publish().client("history", **ask)
    assert cable.told() == ["confirm_subscription mine", "mine 6", "confirm_history mine"]
    cable.publish().client("history", **ask)
    assert cable.told() == ["mine 7", "reject_history mine"]


def test_numbers_that_were_taken_back_are_told_to_whoever_listens(cable, plain):
    for life, told in ((cable, ["reject_history mine", "bare reset"]), (plain, ["bare reset"])):
        life.client("subscribe")
        life.told()
        life.head, life.epoch = 2, "e2"
        life.sync().answer()
        assert life.told() == told
        life.publish()
        assert life.told() == ["mine 3"]


def test_in_the_plain_protocol_the_identifier_says_where_to_resume(plain):
    since = '{"channel":"NotificationsChannel","since":"e1:3"}'
    plain.client("subscribe", since).answer().publish()
    frames = [json.loads(frame) for frame in plain.frames]
    numbers = [frame["message"]["seq"] for frame in frames if frame.get("identifier") == since and "message" in frame]
    assert numbers == [4, 5, 6]
    assert not {"confirm_history", "reject_history"} & {frame.get("type") for frame in frames}


# --- What else is said ---


def test_commands_that_are_performed(cable):
    made = codec()
    perform = {
        '{"action":"reauth","ticket":"t","ref":"a"}': Reauth(ticket="t", ref="ra"),
        '{"action":"reauth","token":"j"}': Reauth(token="j"),
        '{"action":"state","state":"read","ids":["x"]}': State(state="read", ids=["x"]),
    }
    for data, command in perform.items():
        assert decode(made, "message", data=data) == [command]
    assert encode(made, ReauthFailed(code="c", attempts_left=1, retry_after_ms=0, ref="ra")) == ["bare reauth_failed"]
    cable.client("subscribe").perform("reauth", ticket="t", ref="mine")
    cable.taken(type(cable.asked[0]))
    cable.do(cable.connection.refused(cable.now))
    assert json.loads(cable.frames[-1])["ref"] == "mine"


def test_control_messages_are_heard_by_who_asks_for_them(cable):
    cable.client("subscribe", CONTROL).client("subscribe")
    cable.after(900)
    frames = [json.loads(frame) for frame in cable.frames]
    assert cable.told() == ["confirm_subscription control", "confirm_subscription mine", "control reauth_required"]
    assert frames[-1]["message"]["grace_ms"] == 60_000
    cable.reauth().changed(1).client("unsubscribe", CONTROL).changed(2)
    assert cable.told() == ["control reauthenticated", "control state", "bare state"]
    assert "message" not in json.loads(codec().encode(CaughtUp(stream=STREAM, cursor=1)))


def test_pings_of_the_client(cable, plain):
    cable.client("ping").client("pong")
    assert cable.told() == ["pong"]
    for command in ("ping", "pong", "history", "whisper", "join", "", "__class__"):
        with pytest.raises(BadFrame, match="command"):
            plain.client(command)


@pytest.mark.parametrize(("extended", "carrier", "reason"), [
    (True, "", "token_expired"),
    (False, "jid", "token_expired"),
    (False, "jid_query", "token_expired"),
    (False, "jid_subprotocol", "token_expired"),
    (False, "subprotocol", "session_expired"),
])  # fmt: skip
def test_whose_token_can_be_renewed_is_told_to(extended, carrier, reason):
    life = Cable(extended=extended)
    life.codec.carried(carrier)
    life.connect().after(960)
    said = {"type": "disconnect", "reason": reason, "reconnect": reason != "token_expired", "code": 4401}
    assert json.loads(life.frames[-1]) == said


def test_a_fan_out_spells_an_event_once(monkeypatch):
    spelled = []
    monkeypatch.setattr(actioncable, "_spelled", remembering(lambda event: spelled.append(event) or "{}"))
    lives = [opened(Cable(extended=extended)).client("subscribe") for extended in (True, False, True)]
    event = note(6)
    assert len([life.codec.encode(event) for life in lives]) == 3
    assert spelled == [event]


# --- Whatever else is sent ---

IDENTIFIERS = st.sampled_from([*NAMES, "", "nobody", MINE[:-1] + ',"since":"e1:3"}'])
PLACES = st.fixed_dictionaries({"epoch": st.sampled_from(["e1", "e0", ""]), "offset": st.integers(-1, 9)})
FRAMES = st.fixed_dictionaries(
    {"command": st.sampled_from(["subscribe", "unsubscribe", "message", "history", "ping", "pong", "x"])},
    optional={
        "identifier": IDENTIFIERS,
        "data": st.sampled_from(['{"action":"reauth","ticket":"t"}', '{"action":"state"}', "", "[]", '{"action":{}}']),
        "history": st.fixed_dictionaries({"streams": st.dictionaries(st.just(STREAM), PLACES)}),
    },
).map(json.dumps)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.one_of(st.text(), st.binary(), ANYTHING.map(json.dumps), FRAMES))
def test_nothing_raises_anything_else(frame):
    for made in (codec(), ActionCableCodec(extended=False)):
        with contextlib.suppress(BadFrame):
            made.decode(frame)


@given(st.booleans(), st.lists(FRAMES | st.sampled_from(["publish", "answer", "sync", "wait"]), max_size=30))
def test_whatever_happens_each_identifier_hears_each_number_once_and_in_order(extended, happens):
    life = opened(Cable(extended=extended))
    for what in happens:
        match what:
            case "publish":
                life.publish()
            case "answer":
                life.asked = [step for step in life.asked if type(step).__name__ in ("Load", "Check")]
                life.answer()
            case "sync":
                life.sync()
            case "wait":
                life.after(1)
            case frame:
                with contextlib.suppress(BadFrame):
                    for command in life.codec.decode(frame):
                        life.says(command)
    heard: dict[str, int] = {}
    for frame in map(json.loads, life.frames):
        identifier = frame.get("identifier")
        if frame.get("type") in ("confirm_subscription", "reject_subscription", "reject_history"):
            heard.pop(identifier, None)  # where it stands then is said by what follows
        elif isinstance(frame.get("message"), dict) and frame["message"].get("seq"):
            assert frame["message"]["seq"] == heard.get(identifier, frame["message"]["seq"] - 1) + 1
            heard[identifier] = frame["message"]["seq"]


def test_a_reset_ends_a_replay():
    made = codec()
    place = {"history": {"streams": {STREAM: {"epoch": "e", "offset": 1}}}}
    mine = ref(decode(made, "subscribe", **place))
    encode(made, Subscribed(stream=STREAM, epoch="e", head=3, cursor=1, ref=mine))
    reset = Reset(stream=STREAM, reason="expired", epoch="e", head=3, oldest=3)
    assert encode(made, reset) == ["reject_history mine", "bare reset"]
    assert encode(made, CaughtUp(stream=STREAM, cursor=3)) == ["bare caught_up"]


def test_user_keys_that_are_no_integers_have_a_stream_too():
    made, life = ActionCableCodec(extended=True), opened(Cable())
    made.encode(replace(life.last(Welcome), user=User("ann", "ann")))
    (follow,) = decode(made, "subscribe", history={"streams": {made._personal: {"epoch": "e", "offset": 1}}})
    assert follow.since == "e:1"
