"""
One contract for all protocols: what a connection decides reaches its client, whatever that speaks.

Each dialect below says what its client says and reads what it is told; everything else is the same for all of them. No
test here knows which protocol it runs on.
"""

import json
import re
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.live.connection import Connection, Limits, Phase
from notifications.live.steps import Open, Redeem, Send
from notifications.wire import native
from notifications.wire import vocabulary as words
from notifications.wire.closing import CloseCode
from notifications.wire.codec import BadFrame
from notifications.wire.protocols import SPOKEN
from notifications.wire.streams import Announcement
from tickets.grants import EndReason

from .life import note
from .test_connection_topics import Town, tnote

OWN = None
"""In the place of a topic: the person's own stream."""


class Talk(Town):
    """A connection, its codec and its client."""

    def __init__(self, dialect, **limits):
        self.dialect = dialect
        self.codec = dialect.spoken.codec()
        self.frames, self.read = [], 0
        super().__init__(limits=Limits(commands_per_second=1e9, **limits))
        self.connection = Connection(name="c1", limits=self.limits, now=self.now, manner=self.codec.manner)
        self.lets_in.add("a")

    def do(self, steps):
        for step in steps:
            if isinstance(step, Send):
                self._say(self.codec.encode(step.event))
            super().do([step])
        if self.codec.due:
            due, self.codec.due[:] = list(self.codec.due), []
            for command in due:
                self.do(self.connection.received(command, self.now))
        if self.codec.over is not None and self.code is None:
            self.do(self.connection.rejected(self.codec.over, self.now))
        return self

    def hears(self, *frames):
        """The client says these."""
        for frame in frames:
            try:
                commands = self.codec.decode(frame)
            except BadFrame as problem:
                self.do(self.connection.bad_frame(problem, self.now))
                continue
            self._say(None)
            for command in commands:
                self.do(self.connection.received(command, self.now))
            self.do([])
        return self

    def _say(self, frame):
        more = list(self.codec.outbox)
        if more:
            self.codec.outbox[:] = []
        for each in [*([] if frame is None else [frame]), *more]:
            assert isinstance(each, str)
            self.frames.append(each)

    def come(self):
        """Connect, with a ticket."""
        if self.dialect.in_frame:
            self.do(self.connection.connected(ticket=None, since=None, now=self.now))
            self.hears(self.dialect.hello())
        else:
            self.codec.carried("subprotocol")
            self.do(self.connection.connected(ticket="t", since=None, now=self.now))
        self.taken(Redeem)
        self.do(self.connection.redeemed(self.grant(), self.now))
        self.taken(Open)
        self.open()
        assert self.phase is Phase.OPEN
        return self

    def follow(self, topic=OWN, since=None):
        return self.hears(*self.dialect.follow(topic, since)).settle()

    def reauth(self, **_):
        self.hears(self.dialect.reauth())
        self.taken(Redeem)
        return self.do(self.connection.redeemed(self.grant(), self.now)).settle()

    @property
    def told(self):
        """(stream, number, title) of each notification so far."""
        return [found for frame in self.frames for found in self.dialect.told(frame)]

    def seqs(self, stream="u.7"):
        return [seq for where, seq, _title in self.told if where == stream]

    def says(self, word):
        """Whether the client was told this, in its words."""
        return any(word in frame for frame in self.frames)


class Native:
    """usher.v1."""

    in_frame = False
    silent = ()
    acks = True
    unknown, oversized = '{"type":"dance"}', json.dumps({"type": "ping", "ref": "x" * 9000})
    garbage = (
        "",
        "null",
        "[]",
        "{",
        '{"type":7}',
        '{"type":"ping","x":1}',
        b"\x00",
        "\ud800",
        '{"type":"ping","type":"ping"}',
    )

    def follow(self, topic, since):
        if topic is OWN:  # which is said from the start; from where, the handshake tells
            return
        yield json.dumps({"type": "subscribe", "topic": topic} | ({"since": since} if since else {}))

    def unfollow(self, topic):
        return json.dumps({"type": "unsubscribe", "topic": topic})

    def reauth(self):
        return '{"type":"reauth","ticket":"t"}'

    def ack(self, talk, seq):
        return [json.dumps({"type": "ack", "seq": seq})]

    def told(self, frame):
        said = json.loads(frame)
        if said["type"] == "notification":
            yield said["stream"], said["seq"], said["title"]


class ActionCable:
    """Both of its protocols."""

    in_frame = False
    silent = (words.Unsubscribed,)
    acks = False
    unknown, oversized = '{"command":"dance"}', json.dumps({"command": "subscribe", "identifier": "x" * 9000})
    garbage = (
        "",
        "null",
        "[]",
        "{",
        '{"command":7}',
        b"\x00",
        "\ud800",
        '{"command":"message","identifier":"x","data":"{"}',
    )

    @staticmethod
    def identifier(topic, since=None):
        channel = {"channel": "NotificationsChannel"} if topic is OWN else {"channel": "TopicChannel", "topic": topic}
        return json.dumps(channel | ({"since": since} if since else {}))

    def follow(self, topic, since):
        yield json.dumps({"command": "subscribe", "identifier": self.identifier(topic, since)})

    def unfollow(self, topic):
        return json.dumps({"command": "unsubscribe", "identifier": self.identifier(topic)})

    def reauth(self):
        data = json.dumps({"action": "reauth", "ticket": "t"})
        return json.dumps({"command": "message", "identifier": self.identifier(OWN), "data": data})

    def told(self, frame):
        said = json.loads(frame)
        message = said.get("message")
        if isinstance(message, dict) and message.get("type") == "notification":
            yield message["stream"], message["seq"], message["title"]


class Stomp:
    """All of its versions."""

    in_frame = True
    silent = (words.Pong,)
    acks = True
    unknown, oversized = "DANCE\n\n\0", f"SEND\ndestination:/app/state\n\n{'x' * 9000}\0"
    garbage = (
        "x\n\n\0",
        "SEND\n\n\0",
        "SUBSCRIBE\nid:1\n\n\0",
        b"\xff\n\n\0",
        "SEND\nno colon\n\n\0",
        "ACK\nid:9-9\n\n\0",
    )

    def __init__(self):
        self.ids = {}

    def hello(self):
        return f"CONNECT\naccept-version:{self.version}\npasscode:t\n\n\0"

    @property
    def version(self):
        return {"v10": "1.0", "v11": "1.1", "v12": "1.2"}[self.spoken.subprotocol[:3]]

    def follow(self, topic, since):
        if topic is OWN:
            yield "SUBSCRIBE\nid:control\ndestination:/user/queue/control\n\n\0"
        where = "/user/queue/notifications" if topic is OWN else f"/topic/{topic}"
        since = (
            f"durable:true\nsince:{since.replace(':', chr(92) + 'c') if self.version != '1.0' else since}\n"
            if since
            else ""
        )
        yield f"SUBSCRIBE\nid:{topic or 'own'}\ndestination:{where}\nack:client\n{since}\n\0"

    def unfollow(self, topic):
        return f"UNSUBSCRIBE\nid:{topic or 'own'}\n\n\0"

    def reauth(self):
        return "SEND\ndestination:/app/reauth\nticket:t\n\n\0"

    def ack(self, talk, seq):
        for frame in reversed(talk.frames):
            if f"x-seq:{seq}\n" in frame:
                mark = re.search(r"^message-id:(.*)$", frame, re.MULTILINE)[1]
                subscription = re.search(r"^subscription:(.*)$", frame, re.MULTILINE)[1]
                name = "id" if self.version == "1.2" else "message-id"
                return [f"ACK\n{name}:{mark}\nsubscription:{subscription}\n\n\0"]
        raise AssertionError(f"number {seq} was never said")

    def told(self, frame):
        for each in filter(None, frame.split("\0")):
            head, _, body = each.partition("\n\n")
            if head.startswith("MESSAGE\n") and "destination:/user/queue/control" not in head:
                said = json.loads(body)
                yield said["stream"], said["seq"], said["title"]


FAMILIES = {"usher": Native, "actio": ActionCable, "v10.s": Stomp, "v11.s": Stomp, "v12.s": Stomp}


@pytest.fixture(params=SPOKEN, ids=lambda spoken: spoken.subprotocol)
def dialect(request):
    return dialect_of(request.param)


def dialect_of(spoken):
    made = FAMILIES[spoken.subprotocol[:5]]()
    made.spoken = spoken
    return made


@pytest.fixture
def talk(dialect):
    return Talk(dialect).come()


# --- What is said ---


def test_there_is_nobody_who_is_left_out():
    assert {spoken.subprotocol[:5] for spoken in SPOKEN} == set(FAMILIES)


def test_what_a_person_is_told_arrives(talk):
    talk.follow().publish(3)
    assert talk.told == [("u.7", seq, f"number {seq}") for seq in (1, 2, 3)]


def test_and_what_is_said_on_a_topic(talk):
    talk.follow("a").speak("a").speak("a")
    assert talk.told == [("t.a", 1, "a 1"), ("t.a", 2, "a 2")]


@pytest.mark.parametrize("text", ["\n\n", 'a"b\\c', "MESSAGE\n\nx", "{}", "é✓🎉", "\u2028", "a:b", "%s", "\t", "\x7f"])
def test_any_words_arrive_as_they_are(talk, text):
    talk.follow()
    talk.head = 1
    said = words.replace(note(1), title=text, body=text, data={text: [text]})
    talk.do(talk.connection.announced(Announcement(talk.epoch, talk.fence, said), talk.now))
    assert talk.told == [("u.7", 1, text)]


SAMPLES = {
    words.Skipped: words.Skipped(stream="u.7", through=1),
    words.CaughtUp: words.CaughtUp(stream="u.7", cursor=1),
    words.Reset: words.Reset(stream="u.7", reason="epoch", epoch="e2", head=1, oldest=1),
    words.StateChanged: words.StateChanged(state="read", state_version=1, unread=0, unseen=0, ids=[str(UUID(int=1))]),
    words.Subscribed: words.Subscribed(stream="u.7", epoch="e1", head=1, cursor=1),
    words.Unsubscribed: words.Unsubscribed(stream="t.a", topic="a"),
    words.Denied: words.Denied(stream="t.a", topic="a", code="forbidden"),
    words.ReauthFailed: words.ReauthFailed(code="ticket_refused", attempts_left=2, retry_after_ms=0),
    words.Error: words.Error(code="busy", detail="Too many."),
    words.Pong: words.Pong(),
}


@pytest.mark.parametrize("kind", words.Event.__subclasses__(), ids=lambda kind: kind.__name__)
def test_each_event_has_a_word_or_is_known_to_have_none(dialect, kind):
    talk = Talk(dialect).come().follow()
    before = len(talk.frames)
    match kind:
        case words.Welcome:
            before = 0
        case words.Notification:
            talk.publish()
        case words.ReauthRequired:
            talk.after(901)
        case words.Reauthenticated:
            talk.after(901).reauth()
        case words.Bye:
            talk.do(talk.connection.replaced(talk.now))
        case words.Subscribed | words.Unsubscribed if dialect.in_frame:
            talk.hears("SUBSCRIBE\nid:a\ndestination:/topic/a\nreceipt:r\n\n\0").settle()
            talk.hears("UNSUBSCRIBE\nid:a\nreceipt:s\n\n\0")
        case words.Subscribed:
            talk.follow("a")
        case _:
            talk._say(talk.codec.encode(SAMPLES[kind]))
    assert (len(talk.frames) > before) != (kind in dialect.silent), talk.frames[before:]


# --- What is no command ---


def test_garbage_is_answered_and_then_it_ends(dialect):
    for garbage in dialect.garbage:
        talk = Talk(dialect).come().follow()
        for _ in range(5):
            if talk.code is None:
                talk.hears(garbage)
        assert talk.code is CloseCode.PROTOCOL_ERROR, garbage
        assert talk.frames, "it is told why"


def test_a_frame_too_big_ends_it_at_once(talk):
    assert talk.hears(talk.dialect.oversized).code is CloseCode.MESSAGE_TOO_BIG


def test_an_unknown_command_is_answered(talk):
    talk.follow().frames.clear()
    talk.hears(talk.dialect.unknown)
    assert talk.says("unknown_type")


@pytest.mark.parametrize("spoken", SPOKEN, ids=lambda spoken: spoken.subprotocol)
@settings(deadline=None)
@given(frames=st.lists(st.text(max_size=60) | st.binary(max_size=60), max_size=8))
def test_nothing_that_is_said_raises_anything(spoken, frames):
    talk = Talk(dialect_of(spoken)).come()
    for frame in frames:
        if talk.code is None:
            talk.hears(frame)
    assert talk.told == []


def test_nothing_is_heard_before_the_credential(dialect):
    talk = Talk(dialect)
    talk.do(talk.connection.connected(ticket=None, since=None, now=talk.now))
    talk.hears(*dialect.follow("a", None), dialect.reauth())
    assert talk.asked == []
    talk.after(6)
    assert talk.code is not None
    assert talk.told == []


# --- A connection's life ---


def test_expiry_is_told_and_nothing_private_is_said_until_a_fresh_ticket_came(talk):
    talk.follow().follow("a").after(901)
    assert talk.phase is Phase.REAUTH_REQUIRED
    assert talk.says("reauth_required")
    talk.publish(3).speak("a")
    assert talk.told == []
    talk.reauth()
    assert talk.seqs() == [1, 2, 3]
    assert talk.seqs("t.a") == [1]
    assert talk.publish().seqs() == [1, 2, 3, 4]


def test_a_missed_deadline_ends_it_with_a_last_word(talk):
    talk.follow().after(901).frames.clear()
    talk.after(61)
    assert talk.code is CloseCode.SESSION_EXPIRED
    assert talk.frames


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (EndReason.LOGGED_OUT, CloseCode.LOGGED_OUT),
        (EndReason.ACCOUNT_DISABLED, CloseCode.ACCOUNT_DISABLED),
        (EndReason.DISCONNECTED_BY_STAFF, CloseCode.DISCONNECTED_BY_STAFF),
    ],
)
def test_a_session_that_ends_ends_it_and_nothing_more_is_said(talk, reason, code):
    talk.follow()
    talk.session_reason = reason
    talk.fence += 1
    talk.do(talk.connection.fenced(talk.fence, talk.now)).publish().settle()
    assert talk.code is code
    assert talk.told == []
    assert talk.says(code.reason) or talk.says("disconnect")


def test_whoever_comes_back_hears_what_they_missed_once_and_in_order(dialect):
    talk = Talk(dialect).come()
    talk.heads["a"] = 5
    talk.follow("a", since="t1:2")
    assert talk.seqs("t.a") == [3, 4, 5]
    assert talk.speak("a").seqs("t.a") == [3, 4, 5, 6]


def test_a_position_that_cannot_be_resumed_is_told_and_it_goes_on(talk):
    talk.heads["a"] = 5
    talk.follow("a", since="old:2")
    assert talk.seqs("t.a") == []
    assert talk.speak("a").seqs("t.a") == [6]


def test_what_may_not_be_heard_is_not(talk):
    talk.lets_in.clear()
    talk.follow("a")
    talk.joined.add("a")
    if talk.code is None:
        talk.speak("a")
    assert talk.told == []
    assert talk.says("denied") or talk.says("reject_subscription")


def test_a_right_that_is_lost_is_told_and_ends_it(talk):
    talk.follow().follow("a").speak("a").change("a", may=False).settle()
    talk.joined.add("a")
    talk.speak("a")
    assert talk.seqs("t.a") == [1]
    assert talk.code is None, "the rest lives on"
    assert talk.publish().seqs() == [1]
    assert talk.says("denied") or talk.says("reject_subscription")


def test_what_was_left_is_not_heard(talk):
    talk.follow("a").speak("a").hears(talk.dialect.unfollow("a")).settle()
    talk.joined.add("a")
    assert talk.speak("a").seqs("t.a") == [1]


# --- Whoever reads slowly ---


def test_nobody_is_told_more_at_once_than_they_can_read(dialect):
    talk = Talk(dialect, window=10).come().follow()
    talk.publish(50).settle()
    assert talk.seqs() == list(range(1, 11))
    if dialect.acks:
        for _ in range(4):
            talk.hears(*dialect.ack(talk, talk.seqs()[-1])).settle()
    else:
        for _ in range(20):
            talk.after(0.21).settle()
    assert talk.seqs() == list(range(1, 51))


def test_who_cannot_ack_is_never_called_slow(dialect):
    talk = Talk(dialect, window=10).come().follow()
    talk.publish(15).settle().after(35).settle()
    assert (talk.code is CloseCode.TOO_SLOW) == dialect.acks


# --- Many at once ---


def test_a_crowd_of_all_protocols_is_told_by_one_spelling_a_family(monkeypatch):
    spelled = []
    encoder = native._encoder

    class Counting:
        def encode(self, event):
            spelled.append(event)
            return encoder.encode(event)

    monkeypatch.setattr(native, "_encoder", Counting())
    talks = [Talk(dialect_of(spoken)).come().follow("a") for spoken in SPOKEN for _ in range(20)]
    spelled.clear()
    event = tnote("a", 1)
    for talk in talks:
        talk.heads["a"] = 1
        talk.do(talk.connection.announced(Announcement(talk.place("a").epoch, 0, event), talk.now))
    assert all(talk.seqs("t.a") == [1] for talk in talks)
    assert len(spelled) <= 3, "the native one, STOMP and Action Cable, however many connections"
