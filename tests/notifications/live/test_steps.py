from notifications.live.steps import Redeem
from tickets.grants import Purpose


def test_a_ticket_on_its_way_to_be_redeemed_is_not_shown():
    step = Redeem("secret", frozenset({Purpose.CONNECT}))
    assert "secret" not in repr(step)
    assert "connect" in repr(step)
