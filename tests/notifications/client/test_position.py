import pytest

from notifications.client import Position
from notifications.client.errors import Misused


def test_it_is_spelled_as_the_wire_spells_it():
    assert str(Position("ab12", 7)) == "ab12:7"
    assert Position.parse(" ab12:7\n") == Position("ab12", 7)


@pytest.mark.parametrize("text", ["", "7", ":7", "e:", "e:x", "e:-1", "e:1:2", "e:٣", "e" * 33 + ":1", "e:" + "1" * 17])
def test_what_is_none(text):
    with pytest.raises(Misused, match="<epoch>:<number>"):
        Position.parse(text)


def test_it_never_goes_back():
    assert Position("e", 7).at(6) == Position("e", 7)
    assert Position("e", 7).at(8) == Position("e", 8)
