import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications import figures
from notifications.wire import vocabulary
from notifications.wire.closing import CloseCode
from notifications.wire.codec import BadFrame
from notifications.wire.protocols import DIALECTS, NAMES, SPOKEN, choose, first
from tickets.conf import conf

RAILS = ["actioncable-v1-json", "actioncable-unsupported"]
EXTENDED = "actioncable-v1-ext-json"


def test_what_is_spoken_is_what_is_let_in_and_counted():
    assert tuple(conf.PROTOCOLS) == NAMES == figures.PROTOCOLS
    assert [each.codec().subprotocol for each in SPOKEN] == list(NAMES)
    assert {name for names in DIALECTS.values() for name in names} <= set(NAMES)


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        (["usher.v1"], "usher.v1"),
        (["v10.stomp", "v11.stomp", "v12.stomp"], "v12.stomp"),  # webstomp
        (["v10.stomp", "v11.stomp"], "v11.stomp"),
        (["unheard.of", "v10.stomp"], "v10.stomp"),
        (RAILS, RAILS[0]),
        ([EXTENDED], EXTENDED),
        ([*RAILS, EXTENDED], EXTENDED),
        ([*RAILS, "usher.v1"], "usher.v1"),
    ],
)
@pytest.mark.parametrize("place", ["socket", "stomp", "cable"])
def test_the_highest_that_is_offered_wherever(offered, answered, place):
    name, codec = choose(offered, spoken=NAMES, place=place)
    assert (name, codec.subprotocol) == (answered, answered)


def test_who_offers_nothing_speaks_what_is_spoken_there():
    chosen = {place: choose([], spoken=NAMES, place=place) for place in ("socket", "stomp", "cable", "")}
    assert {place: (answered, codec.subprotocol) for place, (answered, codec) in chosen.items()} == {
        "socket": (None, "usher.v1"),
        "stomp": (None, "v12.stomp"),
        "cable": (None, "actioncable-v1-json"),
        "": (None, "usher.v1"),
    }


def test_a_site_may_speak_less():
    assert choose(["v12.stomp", "v11.stomp"], spoken=["usher.v1", "v11.stomp"])[0] == "v11.stomp"
    assert choose(["v12.stomp"], spoken=["usher.v1"], place="stomp") is None
    assert choose(["actioncable-unsupported"], spoken=NAMES) is None
    assert choose([EXTENDED, *RAILS], spoken=["usher.v1", RAILS[0]])[0] == RAILS[0]
    assert first(["usher.v1"], place="stomp").subprotocol == "usher.v1"
    assert first(["v10.stomp"]).subprotocol == "v10.stomp"
    assert first(["unheard.of"]).subprotocol == "usher.v1"


def test_connections_share_no_state_but_what_was_spelled():
    native, *others = [[each.codec(), each.codec()] for each in SPOKEN]
    assert native[0] is native[1], "it has none"
    assert all(one is not other for one, other in others)
    assert len({codec._tail for codecs in others[:3] for codec in codecs}) == 1


# --- What every codec is ---

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = dict.fromkeys(("id", "kind", "level", "title", "body", "url"), "")
NUMBERS = dict.fromkeys(("head", "cursor", "state_version", "unread", "unseen", "window"), 0)
EVENTS = [
    vocabulary.Welcome(
        **{"connection": "c", "user": vocabulary.User(7, "ann"), "epoch": "e", "recovered": False, **NUMBERS},
        expires_at=NOW,
        grace_seconds=1.0,
        ping_seconds=1.0,
        server_time=NOW,
    ),
    vocabulary.Notification(stream="u.7", seq=1, data=None, created_at=NOW, **WORDS),
    vocabulary.Notification(stream="t.a", seq=None, data=None, created_at=NOW, **WORDS),
    vocabulary.Skipped(stream="u.7", through=1),
    vocabulary.CaughtUp(stream="t.a", cursor=1),
    vocabulary.Reset(stream="u.7", reason="epoch", epoch="f", head=1, oldest=1),
    vocabulary.StateChanged(state="read", state_version=1, unread=0, unseen=0, ids=[]),
    vocabulary.Subscribed(stream="t.a", epoch="e", head=1, cursor=1, topic="a", ref="1"),
    vocabulary.Unsubscribed(stream="t.a", topic="a", ref="1"),
    vocabulary.Denied(stream="t.a", topic="a", code="forbidden", ref="1"),
    vocabulary.ReauthRequired(reason="requested", deadline=NOW, grace_seconds=1.0),
    vocabulary.Reauthenticated(expires_at=NOW, held=0, state_version=0, ref="1"),
    vocabulary.ReauthFailed(code="ticket_refused", attempts_left=1, retry_after_ms=0, ref="1"),
    vocabulary.Error(code="invalid", detail="", ref="1"),
    vocabulary.Pong(ref="1"),
    *(
        vocabulary.Bye(code=int(c), reason=c.reason, reconnect=c.reconnect, need=c.need, retry_after_ms=0)
        for c in CloseCode
    ),
]


def test_no_event_is_forgotten():
    assert {type(event) for event in EVENTS} == set(vocabulary.Event.__subclasses__())


@pytest.mark.parametrize("spoken", SPOKEN, ids=NAMES)
@given(st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=40), st.sampled_from(EVENTS)), max_size=8))
def test_it_raises_nothing_but_bad_frames_whatever_is_said_and_when(spoken, what):
    codec = spoken.codec()
    codec.carried("subprotocol")
    for each in [*what, *EVENTS]:
        if isinstance(each, vocabulary.Event):
            assert isinstance(codec.encode(each), str | None)
        else:
            with contextlib.suppress(BadFrame):
                assert all(isinstance(command, vocabulary.AnyCommand) for command in codec.decode(each))
        assert all(isinstance(frame, str) for frame in codec.outbox)
        assert codec.over is None or isinstance(codec.over, CloseCode)
