import pytest

from notifications import figures
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
