import inspect
from math import inf

import pytest

from notifications.wire import protocols
from notifications.wire.codec import Manner
from notifications.wire.native import NativeCodec
from notifications.wire.protocols import NAMES, SPOKEN, choose, first


def test_each_protocol_is_named_once_and_makes_a_codec_that_says_so():
    assert len(set(NAMES)) == len(SPOKEN)
    for spoken in SPOKEN:
        codec = spoken.codec()
        assert codec.subprotocol == spoken.subprotocol
        assert isinstance(codec.manner, Manner)
        assert (list(codec.outbox), codec.over) == ([], None)
        assert codec.beat_seconds == inf or codec.beat_seconds > 0


def test_the_native_one_is_shared_and_others_are_a_connections_own():
    for spoken in SPOKEN:
        assert (spoken.codec() is spoken.codec()) == (spoken.subprotocol == NativeCodec.subprotocol)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_offered_is_answered(name):
    answered, codec = choose(["something", name], spoken=NAMES)
    assert answered == codec.subprotocol == name


def test_our_order_counts_and_not_that_of_the_offer():
    assert choose(list(reversed(NAMES)), spoken=NAMES)[0] == NAMES[0]


def test_what_a_site_does_not_speak_is_not_answered():
    assert choose(["usher.v1"], spoken=["other"]) is None
    assert choose(["graphql-ws"], spoken=NAMES) is None


def test_who_offers_nothing_speaks_the_first():
    answered, codec = choose([], spoken=["usher.v1"])
    assert (answered, codec.subprotocol) == (None, "usher.v1")
    assert first([]).subprotocol == "usher.v1"


def test_a_codec_needs_no_more_than_its_file():
    assert "django" not in inspect.getsource(protocols)
