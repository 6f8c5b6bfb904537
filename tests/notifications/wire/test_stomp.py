"""The STOMP codec: what frames ask for, and how events are spelled."""

import json
from datetime import UTC, datetime
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.wire import vocabulary
from notifications.wire.closing import CloseCode
from notifications.wire.codec import BadFrame
from notifications.wire.native import NativeCodec
from notifications.wire.stomp import VERSIONS, StompCodec, tail_of
from notifications.wire.stomp_frames import FrameParser
from notifications.wire.vocabulary import UNSET, Ack, Authenticate, Follow, Ping, Reauth, State, Unfollow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NATIVE = NativeCodec()
OWN, CONTROL = "/user/queue/notifications", "/user/queue/control"


def welcome(username="ann"):
    return vocabulary.Welcome(
        connection="c1",
        user=vocabulary.User(7, username),
        epoch="e",
        head=4,
        cursor=4,
        recovered=False,
        state_version=0,
        unread=0,
        unseen=0,
        expires_at=NOW,
        grace_seconds=60.0,
        window=64,
        ping_seconds=25.0,
        server_time=NOW,
    )


def notification(seq, stream="u.7", **fields):
    said = dict.fromkeys(("id", "kind", "level", "title", "body", "url"), "")
    return vocabulary.Notification(**{"stream": stream, "seq": seq, "data": None, "created_at": NOW, **said, **fields})


def bye(code):
    return vocabulary.Bye(
        code=int(code), reason=code.reason, reconnect=code.reconnect, need=code.need, retry_after_ms=0
    )


class Line:
    """A codec with a client's hand at one end and a connection's at the other."""

    def __init__(self, agreed="v12.stomp", *, carrier=""):
        self.codec = StompCodec(agreed, tail=tail_of(NATIVE.encode))
        self.codec.carried(carrier)
        self.heard = []

    @classmethod
    def connected(cls, version="1.2", control=False):
        line = cls(next(name for name, spoken in VERSIONS.items() if spoken == version), carrier="header")
        line.say(welcome())
        line.send("CONNECT", accept_version=version)
        if control:
            line.send("SUBSCRIBE", id="control", destination=CONTROL)
        line.hear()
        return line

    def send(self, command, body="", /, **headers):
        """The commands that come of it."""
        lines = [command, *(f"{name.replace('_', '-')}:{value}" for name, value in headers.items())]
        return self.receive("\n".join([*lines, "", f"{body}\0"]))

    def receive(self, message):
        """The commands that come of it, but for pings, which are answered at once."""
        commands = self.codec.decode(message)
        self._flush()
        for command in commands:
            if isinstance(command, Ping):
                self.say(vocabulary.Pong(ref=command.ref))
        return [command for command in commands if not isinstance(command, Ping)]

    def say(self, event):
        said = self.codec.encode(event)
        self.heard += [] if said is None else [said]
        self._flush()

    def _flush(self):
        self.heard += self.codec.outbox
        self.codec.outbox.clear()

    def hear(self):
        """What was said since the last time, as frames."""
        said, self.heard = "".join(self.heard), []
        return list(FrameParser("1.0").feed(said))

    def hear_one(self):
        (frame,) = self.hear()
        return frame

    def subscribe(self, **headers):
        """To the person's own stream, which stands at number 4."""
        (follow,) = self.send("SUBSCRIBE", **{"id": "s", "destination": OWN, **headers})
        self.say(vocabulary.Subscribed(stream="u.7", epoch="e", head=4, cursor=4, ref=follow.ref))
        return self.hear()

    def error(self):
        """The ERROR with which the connection then ends, and its code."""
        assert self.codec.over is not None
        self.say(bye(self.codec.over))
        frame = self.hear()[-1]
        assert (frame.command, frame.headers["content-type"]) == ("ERROR", "text/plain")
        return frame.headers, self.codec.over


# --- CONNECT ---


def test_connect_with_a_ticket():
    line = Line()
    (asked,) = line.send("CONNECT", accept_version="1.0,1.1,1.2", heart_beat="4000,2500", login="ann", passcode="T")
    assert asked == Authenticate(ticket="T", ref=asked.ref)
    assert line.hear() == []
    assert line.codec.beat_seconds == inf, "not before CONNECTED"
    line.say(welcome())
    answer = line.hear_one()
    assert answer.command == "CONNECTED"
    assert answer.headers == {
        "version": "1.2",
        "heart-beat": "1000,0",
        "session": "c1",
        "server": "usher",
        "user-name": "ann",
        "x-epoch": "e",
        "x-seq": "4",
    }
    assert line.codec.beat_seconds == 2.5
    assert line.codec.beat(0.0) == "\n"


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({"Authorization": "Bearer a.b.c"}, {"token": "a.b.c"}),
        ({"authorization": "bearer  a.b.c "}, {"token": "a.b.c"}),
        ({"Authorization": "Ticket T"}, {"ticket": "T"}),
        ({"login": "", "passcode": "T"}, {"ticket": "T"}),
    ],
)
@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_ways_to_carry_a_credential(command, headers, credential):
    (asked,) = Line().send(command, accept_version="1.2", **headers)
    assert asked == Authenticate(**credential, ref=asked.ref)


def test_the_handshake_may_have_carried_it():
    """Then the person is known before the client has said anything, or after."""
    early, late = Line(carrier="subprotocol"), Line(carrier="subprotocol")
    early.say(welcome())
    assert early.hear() == []
    assert early.send("CONNECT", accept_version="1.2") == []
    assert late.send("CONNECT", accept_version="1.2") == []
    assert late.hear() == []
    late.say(welcome())
    assert early.hear_one() == late.hear_one()


def test_one_credential_and_no_more():
    line = Line()
    assert line.send("CONNECT", accept_version="1.2", passcode="T", Authorization="Bearer a.b.c") == []
    headers, code = line.error()
    assert (headers["message"], code) == ("ticket_refused", CloseCode.TICKET_REFUSED)

    line = Line(carrier="bearer")
    assert line.send("CONNECT", accept_version="1.2", passcode="T") == []
    assert line.error()[1] is CloseCode.TICKET_REFUSED

    line = Line()
    twice = {"Authorization": "Bearer a.b.c", "authorization": "Bearer d.e.f"}
    assert line.send("CONNECT", accept_version="1.2", **twice) == []
    assert line.error()[1] is CloseCode.TICKET_REFUSED

    line = Line()
    assert line.send("CONNECT", accept_version="1.2") == []
    assert line.error()[1] is CloseCode.TICKET_REFUSED, "without waiting for a credential that will not come"


def test_a_credential_that_this_site_takes_by_other_ways_only():
    line = Line()
    (asked,) = line.send("CONNECT", accept_version="1.2", passcode="T")
    line.say(vocabulary.Error(code="not_accepted", detail="Not in a frame.", ref=asked.ref))
    headers, code = line.error()
    assert (headers["message"], code) == ("not_accepted", CloseCode.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    ("agreed", "accepted", "version"),
    [
        ("v12.stomp", "1.0,1.1,1.2", "1.2"),
        ("v11.stomp", "1.2,1.1,1.0", "1.1"),
        ("v10.stomp", "1.2, 1.1, 1.0", "1.0"),
        ("v12.stomp", "1.1", "1.1"),
        ("v12.stomp", "1.3,1.0", "1.0"),
        ("v10.stomp", "1.2", "1.2"),
        ("v12.stomp", None, "1.0"),
    ],
)
def test_the_version(agreed, accepted, version):
    line = Line(agreed, carrier="header")
    line.say(welcome())
    line.send("CONNECT", **({} if accepted is None else {"accept_version": accepted}))
    assert line.hear_one().headers["version"] == version
    assert VERSIONS[line.codec.subprotocol] == version


def test_no_common_version():
    line = Line()
    line.send("CONNECT", accept_version="2.0", passcode="T")
    headers, code = line.error()
    assert (headers["message"], headers["version"]) == ("unsupported_version", "1.0,1.1,1.2")
    assert code is CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("version", "asked", "answered", "seconds"),
    [
        ("1.2", "0,0", "0,0", inf),
        ("1.2", "10000,0", "0,0", inf),
        ("1.2", "0,10000", "1000,0", 10),
        ("1.1", "0,1", "1000,0", 1),
        ("1.0", "0,10000", "0,0", inf),
    ],
)
def test_beats(version, asked, answered, seconds):
    line = Line(carrier="header")
    line.say(welcome())
    line.send("CONNECT", accept_version=version, heart_beat=asked)
    assert line.hear_one().headers["heart-beat"] == answered
    assert line.codec.beat_seconds == seconds


@pytest.mark.parametrize("beats", ["", "1", "1,2,3", "-1,0", "a,b", "1.5,0", "٣,0", "0,9999999999"])
def test_beats_that_are_none(beats):
    with pytest.raises(BadFrame):
        Line().send("CONNECT", accept_version="1.2", heart_beat=beats)


def test_a_name_that_would_have_to_be_escaped_is_left_out():
    line = Line(carrier="header")
    line.say(welcome("ann:b"))
    line.send("CONNECT", accept_version="1.2")
    assert "user-name" not in line.hear_one().headers


def test_nothing_else_is_heard_before():
    for line in (Line(), Line()):
        with pytest.raises(BadFrame, match="Wait for CONNECTED"):
            line.send("SUBSCRIBE", id="1", destination=OWN)
    line = Line()
    line.send("CONNECT", accept_version="1.2", passcode="T")
    with pytest.raises(BadFrame, match="Wait for CONNECTED"):
        line.send("SUBSCRIBE", id="1", destination=OWN)
    with pytest.raises(BadFrame, match="is connected"):
        Line.connected().send("CONNECT", accept_version="1.2")


# --- SUBSCRIBE, MESSAGE ---


def test_the_persons_own_stream():
    line = Line.connected()
    (follow,) = line.send("SUBSCRIBE", id="s", destination=OWN, receipt="r")
    assert follow == Follow(topic=None, since=None, paced=True, ref=follow.ref)
    assert line.hear() == [], "a receipt says that it was done"
    line.say(vocabulary.Subscribed(stream="u.7", epoch="e", head=4, cursor=4, ref=follow.ref))
    assert line.hear_one().headers == {"receipt-id": "r", "x-epoch": "e", "x-seq": "4"}

    event = notification(5, title="Hé")
    line.say(event)
    frame = line.hear_one()
    assert (frame.command, frame.body.decode()) == ("MESSAGE", NATIVE.encode(event))
    assert frame.headers == {
        "subscription": "s",
        "destination": OWN,
        "message-id": "1-5",
        "x-epoch": "e",
        "x-seq": "5",
        "content-type": "application/json",
        "content-length": str(len(frame.body)),
    }


def test_nothing_that_is_said_of_a_notification_needs_an_escape():
    line = Line.connected()
    line.subscribe(ack="client")
    line.say(notification(5, title='a\\b:c"\n', data={"x": "\0\r\n"}))
    (said,) = line.heard
    head, _, body = said.partition("\n\n")
    assert body.count("\0") == 1
    assert body.endswith("\0")
    assert all(line.count(":") == 1 and "\\" not in line for line in head.split("\n")[1:])


def test_a_topic():
    line = Line.connected()
    (follow,) = line.send("SUBSCRIBE", id="t", destination="/topic/orders.7", ack="client", receipt="r")
    assert follow == Follow(topic="orders.7", since=None, paced=False, ref=follow.ref)
    line.say(vocabulary.Subscribed(stream="t.orders.7", epoch="f", head=2, cursor=2, topic="orders.7", ref=follow.ref))
    line.say(notification(3, "t.orders.7"))
    receipt, message = line.hear()
    assert receipt.headers["receipt-id"] == "r"
    assert message.headers["destination"] == "/topic/orders.7"
    assert message.headers["ack"] == message.headers["message-id"] == "1-3"
    line.say(notification(5, "u.7"))
    assert line.hear() == [], "that was not subscribed to"


def test_a_durable_subscription_goes_on_from_a_position():
    line = Line.connected()
    (follow,) = line.send("SUBSCRIBE", id="a", destination=OWN, durable="true", since=r"e\c3")
    assert follow.since == "e:3"
    (follow,) = line.send("SUBSCRIBE", id="b", destination="/topic/a", durable="true", since="e:3")
    assert follow.since == "e:3", "webstomp does not escape"
    (follow,) = line.send("SUBSCRIBE", id="c", destination="/topic/b", since="e:3")
    assert follow.since is None, "it was not asked to be durable"


def test_a_position_that_cannot_be_resumed():
    line = Line.connected(control=True)
    line.subscribe()
    line.say(vocabulary.Reset(stream="u.7", reason="epoch", epoch="f", head=9, oldest=1))
    assert json.loads(line.hear_one().body)["reason"] == "epoch"
    line.say(notification(10))
    assert line.hear_one().headers["x-epoch"] == "f"


def test_two_subscriptions_to_one_destination_get_each_message_each():
    line = Line.connected()
    line.subscribe(id="a")
    line.subscribe(id="b", ack="client")
    line.say(notification(5))
    first, second = line.hear()
    assert (first.headers["subscription"], second.headers["subscription"]) == ("a", "b")
    assert first.headers["message-id"] != second.headers["message-id"]
    assert ("ack" in first.headers, "ack" in second.headers) == (False, True)
    assert first.body == second.body

    assert line.send("UNSUBSCRIBE", id="a", receipt="u") == []
    assert line.hear_one().headers == {"receipt-id": "u"}
    line.say(notification(6))
    assert line.hear_one().headers["subscription"] == "b"
    (unfollow,) = line.send("UNSUBSCRIBE", id="b", receipt="u")
    assert unfollow == Unfollow(topic=None, ref=unfollow.ref)
    line.say(vocabulary.Unsubscribed(stream="u.7", ref=unfollow.ref))
    assert line.hear_one().headers == {"receipt-id": "u"}
    line.say(notification(7))
    assert line.hear() == []


def test_when_the_last_that_acks_is_gone_the_others_are_paced():
    line = Line.connected()
    line.subscribe(id="a", ack="client")
    line.subscribe(id="b")
    line.say(notification(5))
    line.say(vocabulary.Skipped(stream="u.7", through=6))
    line.hear()
    unfollow, follow = line.send("UNSUBSCRIBE", id="a", receipt="u")
    assert (unfollow, follow) == (
        Unfollow(topic=None, ref=unfollow.ref),
        Follow(topic=None, since="e:6", paced=True, ref=follow.ref),
    )
    line.say(vocabulary.Unsubscribed(stream="u.7", ref=unfollow.ref))
    line.say(vocabulary.Subscribed(stream="u.7", epoch="e", head=6, cursor=6, ref=follow.ref))
    assert line.hear_one().headers == {"receipt-id": "u"}
    line.say(notification(7))
    assert line.hear_one().headers["subscription"] == "b"


def test_an_id_is_said_back_as_it_was_spelled():
    for spelled in (r"a\cb", "a:b"):
        line = Line.connected()
        line.subscribe(id=spelled)
        line.say(notification(5))
        assert line.hear_one().headers["subscription"] == spelled


def test_1_0_needs_no_id():
    line = Line.connected("1.0")
    (follow,) = line.send("SUBSCRIBE", destination=OWN)
    line.say(vocabulary.Subscribed(stream="u.7", epoch="e", head=4, cursor=4, ref=follow.ref))
    line.say(notification(5))
    assert "subscription" not in line.hear_one().headers
    assert isinstance(line.send("UNSUBSCRIBE", destination=OWN)[0], Unfollow)
    with pytest.raises(BadFrame, match="id"):
        Line.connected("1.1").send("SUBSCRIBE", destination=OWN)


def test_a_push_has_no_number():
    line = Line.connected()
    line.subscribe(ack="client")
    line.say(notification(None))
    headers = line.hear_one().headers
    assert not {"x-seq", "x-epoch"} & set(headers)
    assert line.send("ACK", id=headers["ack"]) == []


@pytest.mark.parametrize(
    "destination",
    [
        *("/queue/a", "/user/ann/queue/notifications", "/user/queue/other", "/topic/", "/topic/" + "a" * 81),
        *("/app/state", "/exchange/usher.notifications/user.7", "/topicorders", "x"),
    ],
)
def test_other_destinations_are_denied(destination):
    line = Line.connected()
    assert line.send("SUBSCRIBE", id="1", destination=destination, receipt="r") == []
    headers, code = line.error()
    assert (headers["message"], headers["receipt-id"]) == ("access_denied", "r")
    assert code is CloseCode.FORBIDDEN


def test_a_topic_is_denied():
    line = Line.connected(control=True)
    (follow,) = line.send("SUBSCRIBE", id="1", destination="/topic/a")
    line.say(vocabulary.Denied(stream="t.a", topic="a", code="forbidden", ref=follow.ref))
    assert line.error()[0]["message"] == "access_denied"

    line = Line.connected(control=True)
    (follow,) = line.send("SUBSCRIBE", id="1", destination="/topic/a")
    line.say(vocabulary.Denied(stream="t.a", topic="a", code="too_many_topics", ref=follow.ref))
    headers, code = line.error()
    assert (headers["message"], code) == ("too_many_topics", CloseCode.PROTOCOL_ERROR)


def test_a_topic_is_lost_later():
    line = Line.connected(control=True)
    (follow,) = line.send("SUBSCRIBE", id="1", destination="/topic/a")
    line.say(vocabulary.Subscribed(stream="t.a", epoch="e", head=0, cursor=0, topic="a", ref=follow.ref))
    line.say(vocabulary.Denied(stream="t.a", topic="a", code="forbidden"))
    frame = line.hear_one()
    assert frame.headers["destination"] == CONTROL
    assert json.loads(frame.body) == {"type": "denied", "stream": "t.a", "topic": "a", "code": "forbidden"}
    line.say(notification(1, "t.a"))
    assert line.hear() == []
    assert line.send("UNSUBSCRIBE", id="1", receipt="u") == []
    assert line.hear_one().headers == {"receipt-id": "u"}
    assert line.codec.over is None


# --- ACK ---


@pytest.mark.parametrize(("version", "header"), [("1.2", "id"), ("1.1", "message-id"), ("1.0", "message-id")], ids=str)
@pytest.mark.parametrize("command", ["ACK", "NACK"])
def test_acks(version, header, command):
    line = Line.connected(version)
    line.subscribe(ack="client")
    for seq in (5, 6, 7):
        line.say(notification(seq))
    marks = [frame.headers["ack" if version == "1.2" else "message-id"] for frame in line.hear()]
    assert line.send(command, **{header: marks[1], "subscription": "s", "receipt": "a"}) == [Ack(seq=6, stream="u.7")]
    assert line.hear_one().headers == {"receipt-id": "a"}
    assert line.send(command, **{header: marks[0], "subscription": "s"}) == []
    assert line.send(command, **{header: marks[2]}) == [Ack(seq=7, stream="u.7")]


def test_individual_acks_close_gaps_from_the_bottom():
    line = Line.connected()
    line.subscribe(ack="client-individual")
    for seq in (5, 6, 7):
        line.say(notification(seq))
    marks = [frame.headers["ack"] for frame in line.hear()]
    assert line.send("ACK", id=marks[1]) == []
    assert line.send("ACK", id=marks[0]) == [Ack(seq=6, stream="u.7")]
    assert line.send("NACK", id=marks[2]) == [Ack(seq=7, stream="u.7")]


def test_when_the_slowest_unsubscribes_what_it_held_up_is_acked():
    line = Line.connected()
    line.subscribe(id="a", ack="client")
    line.subscribe(id="b", ack="client")
    line.say(notification(5))
    assert line.send("ACK", id=line.hear()[0].headers["ack"]) == []
    assert line.send("UNSUBSCRIBE", id="b") == [Ack(seq=5, stream="u.7")]


def test_an_ack_of_what_was_never_said():
    line = Line.connected()
    line.subscribe(ack="client")
    with pytest.raises(BadFrame, match="No such message"):
        line.send("ACK", id="1-5")


# --- SEND ---


@pytest.mark.parametrize("credential", [{"ticket": "T"}, {"token": "a.b.c"}])
def test_reauth(credential):
    line = Line.connected(control=True)
    (reauth,) = line.send("SEND", destination="/app/reauth", receipt="again", **credential)
    assert reauth == Reauth(**credential, ref=reauth.ref)
    line.say(vocabulary.Reauthenticated(expires_at=NOW, held=3, state_version=1, ref=reauth.ref))
    message, receipt = line.hear()
    assert receipt.headers == {"receipt-id": "again"}
    told = json.loads(message.body)
    assert (told["type"], told["held"], told["ref"]) == ("reauthenticated", 3, "again")


def test_a_reauth_that_fails_is_told_to_who_listens_and_may_be_tried_again():
    failed = vocabulary.ReauthFailed(code="ticket_refused", attempts_left=2, retry_after_ms=0)
    line = Line.connected(control=True)
    (reauth,) = line.send("SEND", destination="/app/reauth", ticket="T", receipt="again")
    line.say(vocabulary.replace(failed, ref=reauth.ref))
    told = json.loads(line.hear_one().body)
    assert (told["type"], told["code"], told["ref"]) == ("reauth_failed", "ticket_refused", "again")
    assert line.codec.over is None

    line = Line.connected()
    (reauth,) = line.send("SEND", destination="/app/reauth", ticket="T")
    line.say(vocabulary.replace(failed, ref=reauth.ref))
    assert (line.hear(), line.codec.over) == ([], None), "nobody waits for an answer"
    (reauth,) = line.send("SEND", destination="/app/reauth", ticket="T", receipt="again")
    line.say(vocabulary.replace(failed, ref=reauth.ref))
    headers, code = line.error()
    assert (headers["message"], headers["receipt-id"], code) == ("ticket_refused", "again", CloseCode.TICKET_REFUSED)


def test_state():
    line = Line.connected(control=True)
    body = '{"state":"read","ids":["a"]}'
    (state,) = line.send("SEND", body, destination="/app/state", receipt="r", content_length=len(body))
    assert state == State(state="read", ids=["a"], ref=state.ref)
    changed = vocabulary.StateChanged(state="read", state_version=2, unread=0, unseen=0, ids=["a"])
    line.say(changed.answering(state.ref))
    message, receipt = line.hear()
    assert receipt.headers == {"receipt-id": "r"}
    assert json.loads(message.body)["ref"] == "r"
    (state,) = line.send("SEND", '{"type":"state","state":"seen","through":4}', destination="/app/state")
    assert state == State(state="seen", through=4, ref=state.ref)
    line.say(changed.answering(state.ref))
    assert "ref" not in json.loads(line.hear_one().body)
    line.say(changed)
    assert json.loads(line.hear_one().body)["type"] == "state", "somebody else did it"


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "{", '{"state":"read"}', '{"state":"read","ids":[],"through":1}', '{"state":"x","through":1}'),
        *('{"state":"read","through":1,"through":2}', '{"state":"read","through":1.0}', '{"type":"ack","seq":1}'),
        *('{"state":"read","ids":["\\u0000"]}', '{"\\u0000":1}', "[" * 5000),
    ],
)
def test_a_state_that_is_none(body):
    with pytest.raises(BadFrame) as caught:
        Line.connected().send("SEND", body, destination="/app/state", receipt="r")
    assert (caught.value.code, caught.value.ref) == ("invalid", "r")
    assert "\0" not in caught.value.detail


@pytest.mark.parametrize("headers", [{}, {"ticket": "T", "token": "a.b.c"}, {"ticket": ""}])
def test_a_reauth_that_is_none(headers):
    with pytest.raises(BadFrame, match="Exactly one"):
        Line.connected().send("SEND", destination="/app/reauth", **headers)


@pytest.mark.parametrize("destination", [OWN, CONTROL, "/topic/a", "/app/other", "/queue/a"])
def test_nobody_sends_anything_else(destination):
    line = Line.connected()
    assert line.send("SEND", "{}", destination=destination) == []
    assert line.error()[0]["message"] == "access_denied"


def test_a_command_that_was_refused():
    """Who listens is told and goes on; who waits for a receipt, or was to be subscribed, is told by an ERROR."""
    refused = vocabulary.Error(code="unavailable", detail="Not now.")
    line = Line.connected(control=True)
    (state,) = line.send("SEND", '{"state":"seen","through":4}', destination="/app/state", receipt="r")
    line.say(vocabulary.replace(refused, ref=state.ref))
    assert json.loads(line.hear_one().body) == {
        "type": "error",
        "code": "unavailable",
        "detail": "Not now.",
        "ref": "r",
    }
    (follow,) = line.send("SUBSCRIBE", id="1", destination="/topic/a")
    line.say(vocabulary.replace(refused, ref=follow.ref))
    headers, code = line.error()
    assert (headers["message"], code) == ("unavailable", CloseCode.UNAVAILABLE)


@pytest.mark.parametrize("command", ["BEGIN", "COMMIT", "ABORT"])
def test_transactions(command):
    with pytest.raises(BadFrame, match="not supported"):
        Line.connected().send(command, transaction="t")
    with pytest.raises(BadFrame, match="not supported"):
        Line.connected().send("SEND", "{}", destination="/app/state", transaction="t")


@pytest.mark.parametrize(
    ("command", "headers"),
    [
        ("MESSAGE", {}),
        ("SUBSCRIBE", {"id": "1"}),
        ("SUBSCRIBE", {"destination": OWN}),
        ("SUBSCRIBE", {"id": "1", "destination": OWN, "ack": "later"}),
        ("SUBSCRIBE", {"id": "control", "destination": OWN}),
        ("SUBSCRIBE", {"id": "1", "destination": OWN, "durable": "true", "since": r"e\nmore:4"}),
        ("SUBSCRIBE", {"id": "x" * 129, "destination": OWN}),
        ("SUBSCRIBE", {"id": "1", "destination": OWN, "receipt": "x" * 129}),
        ("UNSUBSCRIBE", {}),
        ("ACK", {}),
        ("SEND", {}),
    ],
)
def test_what_makes_no_sense(command, headers):
    with pytest.raises(BadFrame) as caught:
        Line.connected(control=True).send(command, **headers)
    assert caught.value.ends
    assert caught.value.code in ("invalid", "unknown_type")


def test_a_receipt_costs_a_command():
    line = Line.connected()
    (ping,) = line.codec.decode(f"SUBSCRIBE\nid:1\ndestination:{CONTROL}\nreceipt:r\n\n\0")
    assert ping == Ping(ref=ping.ref)
    line.say(vocabulary.Error(code="rate_limited", detail="Too many commands.", ref=ping.ref))
    headers, code = line.error()
    assert (headers["message"], headers["receipt-id"], code) == ("rate_limited", "r", CloseCode.RATE_LIMITED)


def test_a_destination_has_so_many_subscriptions():
    line = Line.connected()
    for number in range(8):
        line.send("SUBSCRIBE", id=number, destination=CONTROL)
    with pytest.raises(BadFrame, match="at most 8"):
        line.send("SUBSCRIBE", id=8, destination=CONTROL)


def test_no_credential_is_kept():
    line = Line()
    line.send("CONNECT", accept_version="1.2", passcode="a-ticket")
    line.say(welcome())
    line.send("SEND", destination="/app/reauth", ticket="a-ticket", receipt="r")
    held = [getattr(line.codec, name) for name in StompCodec.__slots__]
    assert "a-ticket" not in repr([held, line.codec._parser._buffer, line.codec._parser._head])


# --- The control queue ---


@pytest.mark.parametrize(
    "event",
    [
        vocabulary.ReauthRequired(reason="session_expired", deadline=NOW, grace_seconds=60.0),
        vocabulary.CaughtUp(stream="u.7", cursor=4),
        vocabulary.Skipped(stream="u.7", through=4),
        vocabulary.Reset(stream="u.7", reason="ahead", epoch="e", head=1, oldest=1),
        vocabulary.Reauthenticated(expires_at=NOW, held=0, state_version=0),
        vocabulary.Error(code="malformed", detail="What?"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_is_said_to_the_control_queue(event):
    line = Line.connected()
    line.say(event)
    assert line.hear() == [], "nobody listens"
    line.send("SUBSCRIBE", id="c", destination=CONTROL, ack="client", receipt="r")
    assert line.hear_one().headers == {"receipt-id": "r"}
    line.say(event)
    frame = line.hear_one()
    assert (frame.headers["destination"], frame.headers["subscription"]) == (CONTROL, "c")
    assert frame.body.decode() == NATIVE.encode(event)
    assert line.send("ACK", id=frame.headers["ack"]) == []
    assert line.send("UNSUBSCRIBE", id="c") == []
    line.say(event)
    assert line.hear() == []


def test_events_without_a_word():
    line = Line.connected(control=True)
    line.say(vocabulary.Pong())
    line.say(vocabulary.Pong(ref="unknown"))
    line.say(vocabulary.Subscribed(stream="u.7", epoch="e", head=0, cursor=0))
    line.say(vocabulary.Unsubscribed(stream="u.7", ref=UNSET))
    assert line.hear() == []


# --- The end ---


def test_disconnect():
    line = Line.connected()
    assert line.send("DISCONNECT", receipt="bye") == []
    assert line.hear_one().headers == {"receipt-id": "bye"}
    assert line.codec.over is CloseCode.NORMAL
    line.say(bye(CloseCode.NORMAL))
    assert line.hear() == [], "that is no ERROR"
    assert line.send("SEND", "{}", destination="/queue/a") == [], "nothing is heard any more"


def test_disconnect_is_answered_after_what_came_before_it():
    line = Line.connected()
    frames = 'SEND\ndestination:/app/state\nreceipt:1\n\n{"state":"seen","through":4}\0DISCONNECT\nreceipt:2\n\n\0'
    (state,) = line.receive(frames)
    assert (line.hear(), line.codec.over) == ([], None)
    line.say(vocabulary.StateChanged(state="seen", state_version=1, unread=0, unseen=0, through=4, ref=state.ref))
    assert [frame.headers["receipt-id"] for frame in line.hear()] == ["1", "2"]
    assert line.codec.over is CloseCode.NORMAL


@pytest.mark.parametrize("code", [code for code in CloseCode if code is not CloseCode.NORMAL])
def test_why_it_ends(code):
    line = Line.connected()
    line.say(bye(code))
    frame = line.hear_one()
    assert frame.command == "ERROR"
    assert frame.headers["message"] == ("token_expired" if code == 4401 else code.reason)
    assert frame.headers["x-code"] == str(int(code))
    assert frame.headers["x-reconnect"] == ("true" if code < 4500 else "false")
    assert (frame.headers["x-need"], frame.body.decode()) == (code.need, code.sentence)


def test_a_bad_frame_is_told_with_its_receipt():
    line = Line.connected()
    with pytest.raises(BadFrame) as caught:
        line.send("SUBSCRIBE", destination=OWN, receipt="r")
    assert (caught.value.ends, caught.value.ref) == (True, "r")
    line.say(bye(CloseCode.PROTOCOL_ERROR))
    frame = line.hear_one()
    assert (frame.headers["message"], frame.headers["receipt-id"]) == ("invalid", "r")
    assert frame.body == b"SUBSCRIBE needs the header id."


def test_what_came_before_a_bad_frame_is_carried_out():
    line = Line.connected()
    good = f"SUBSCRIBE\nid:1\ndestination:{OWN}\n\n\0"
    (follow,) = line.receive(f"{good}nonsense\n\n\0")
    assert isinstance(follow, Follow)
    headers, code = line.error()
    assert (headers["message"], code) == ("malformed", CloseCode.PROTOCOL_ERROR)
    assert line.receive(good) == []


# --- Whatever comes ---

LINES = st.sampled_from(
    [
        *("CONNECT", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN", "DISCONNECT", "MESSAGE"),
        *("id:1", "id:2", f"destination:{OWN}", f"destination:{CONTROL}", "destination:/topic/a", "ack:client"),
        *("destination:/app/state", "destination:/app/reauth", "ticket:T", "receipt:r", "message-id:1-5"),
        *("durable:true", "since:e:4", "accept-version:1.2", "passcode:T", "heart-beat:1,1", "transaction:t"),
    ]
)


@given(
    st.sampled_from(["1.0", "1.1", "1.2"]), st.lists(st.lists(LINES, max_size=5), max_size=6), st.binary(max_size=20)
)
def test_it_raises_nothing_but_bad_frames(version, frames, garbage):
    line = Line.connected(version)
    for number, lines in enumerate(frames):
        try:
            commands = line.receive("\n".join([*lines, "", "\0"]))
        except BadFrame:
            break
        for command in commands:
            assert isinstance(command, vocabulary.AnyCommand)
            if isinstance(command, Follow):
                stream = "u.7" if command.topic is None else f"t.{command.topic}"
                line.say(vocabulary.Subscribed(stream=stream, epoch="e", head=4, cursor=4, ref=command.ref))
        line.say(notification(5 + number))
    with pytest.raises(BadFrame):
        Line.connected(version).receive(garbage + b"\n\n\0\0")
