import pytest

from notifications.figures import PROTOCOLS
from notifications.wire.protocols import NAMES, choose
from tickets.conf import conf

RAILS = ["actioncable-v1-json", "actioncable-unsupported"]
EXTENDED = "actioncable-v1-ext-json"


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ([], None),
        (["usher.v1"], "usher.v1"),
        (RAILS, RAILS[0]),
        ([EXTENDED], EXTENDED),
        ([*RAILS, EXTENDED], EXTENDED),
        ([*RAILS, "usher.v1"], "usher.v1"),
    ],
)
def test_what_is_answered(offered, answer):
    answered, codec = choose(offered, spoken=NAMES)
    assert answered == answer
    assert codec.subprotocol == (answer or "usher.v1")


def test_what_is_not_spoken_is_not_answered():
    assert choose(["actioncable-unsupported"], spoken=NAMES) is None
    assert choose(RAILS, spoken=["usher.v1"]) is None
    assert choose([EXTENDED, *RAILS], spoken=["usher.v1", *RAILS])[0] == RAILS[0]


def test_only_a_codec_without_memory_is_shared():
    assert choose([], spoken=NAMES)[1] is choose([], spoken=NAMES)[1]
    for name in (EXTENDED, RAILS[0]):
        assert choose([name], spoken=NAMES)[1] is not choose([name], spoken=NAMES)[1]


def test_all_of_them_are_offered_and_counted():
    assert set(conf.PROTOCOLS) == set(NAMES) == set(PROTOCOLS)
