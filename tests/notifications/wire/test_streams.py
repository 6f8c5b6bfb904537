import pytest

from notifications.wire.streams import Announcement
from tests.notifications.live.life import STREAM, note


def test_an_announcement_is_of_a_number_of_a_stream():
    announced = Announcement("e", 0, note(5))
    assert (announced.stream, announced.seq) == (STREAM, 5)


def test_a_push_is_never_announced():
    with pytest.raises(ValueError, match="never announced"):
        _ = Announcement("e", 0, note(None)).seq
