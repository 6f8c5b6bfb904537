import pytest

from notifications.wire.stomp_subscriptions import OPEN, OWN, Subscriptions, UnknownMessage, destination_of, topic_at


def subscribed(*modes, at=0):
    """Subscriptions `1`, `2`, … to the person's own stream, each with its way to ack."""
    subscriptions = Subscriptions()
    for number, mode in enumerate(modes, 1):
        subscriptions.add(str(number), OWN, str(number), mode)
        subscriptions.begin(str(number), "u.7", "e", at)
    return subscriptions


def tell(subscriptions, *seqs):
    for seq in seqs:
        subscriptions.move("u.7", seq)
        for each in subscriptions.to(OWN):
            each.told(seq)


def test_destinations():
    assert destination_of("u.7") == OWN
    assert destination_of("t.orders.7") == "/topic/orders.7"
    assert topic_at("/topic/orders.7") == "orders.7"
    assert topic_at(OWN) is None


def test_client_acks_everything_up_to_a_message():
    subscriptions = subscribed("client", at=10)
    tell(subscriptions, 11, 12, 13)
    assert subscriptions.acked("1-12") == ("u.7", 12)
    assert subscriptions.acked("1-11") is None, "known already"
    assert subscriptions.acked("1-13") == ("u.7", 13)


def test_client_individual_acks_what_has_no_gap_below_it():
    subscriptions = subscribed("client-individual")
    tell(subscriptions, 1, 2, 4, 5)
    assert subscriptions.acked("1-2") is None
    assert subscriptions.acked("1-4") is None
    assert subscriptions.acked("1-1") == ("u.7", 4), "3 was skipped"
    assert subscriptions.acked("1-1") is None
    assert subscriptions.acked("1-5") == ("u.7", 5)


def test_what_is_left_unacked_beside_one_that_acks_nothing_is_not_kept_for_ever():
    subscriptions = subscribed("auto", "client-individual")
    tell(subscriptions, *range(1, OPEN + 3))
    assert len(subscriptions.to(OWN)[1]._open) == OPEN
    assert subscriptions.acked("2-1") == ("u.7", 2), "too old to be waited for"
    assert subscriptions.acked("2-3") == ("u.7", 3)


def test_the_slowest_that_acks_decides():
    subscriptions = subscribed("auto", "client", "client-individual")
    tell(subscriptions, 1, 2)
    assert subscriptions.acked("1-2") is None, "what needs no ack may be acked"
    assert subscriptions.acked("2-2") is None
    assert subscriptions.acked("3-1") == ("u.7", 1)
    subscriptions.remove("3")
    assert subscriptions.due(OWN) == ("u.7", 2)
    assert subscriptions.due(OWN) is None


@pytest.mark.parametrize("mark", ["", "1", "1-", "x-1", "1-1-1", "2-1", "1-3", "1-٣", "1:1", "1-99999999999999999"])
def test_what_was_never_said_cannot_be_acked(mark):
    subscriptions = subscribed("client")
    tell(subscriptions, 1, 2)
    with pytest.raises(UnknownMessage):
        subscriptions.acked(mark)


def test_what_has_no_number_may_be_acked():
    assert subscribed("client").acked("1-x1") is None


def test_after_a_reset_old_acks_ack_nothing():
    subscriptions = subscribed("client", "client-individual")
    tell(subscriptions, 7, 8)
    subscriptions.restart("u.7", "f", 2)
    assert subscriptions.places[OWN].position == "f:2"
    tell(subscriptions, 3)
    assert subscriptions.acked("1-8") is None
    assert subscriptions.acked("2-8") is None
    first, second = subscriptions.to(OWN)
    assert subscriptions.acked(f"{first.number}-3") is None
    assert subscriptions.acked(f"{second.number}-3") == ("u.7", 3)


def test_what_is_gone_is_gone():
    subscriptions = subscribed("client", "client")
    tell(subscriptions, 1)
    assert subscriptions.remove("1").destination == OWN
    assert subscriptions.remove("1") is None
    assert "1" not in subscriptions
    assert subscriptions.acked("1-1") is None
    subscriptions.forget(OWN)
    assert (subscriptions.to(OWN), subscriptions.places) == ([], {})
    subscriptions.begin("1", "u.7", "e", 1)  # the answer came too late
    subscriptions.move("u.7", 2)
    subscriptions.restart("u.7", "f", 2)
    assert subscriptions.places == {}


def test_the_answer_to_one_subscription_is_not_that_to_the_next_of_its_id():
    subscriptions = Subscriptions()
    subscriptions.add("a", "/topic/orders.7", "a", "client")
    subscriptions.add("b", "/topic/orders.7", "b", "client")
    subscriptions.remove("a")
    subscriptions.add("a", "/topic/orders.8", "a", "client")
    subscriptions.begin("a", "t.orders.7", "e", 40)
    assert subscriptions.places == {}
    subscriptions.begin("a", "t.orders.8", "f", 3)
    assert subscriptions.places["/topic/orders.8"].position == "f:3"
