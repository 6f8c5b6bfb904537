import pytest
from django.test import override_settings

from tickets.conf import Conf, conf, once


def test_settings_are_read_when_used():
    assert conf.TICKET_SECONDS == 30
    with override_settings(TICKETS={"TICKET_SECONDS": 7}):
        assert conf.TICKET_SECONDS == 7
    assert conf.TICKET_SECONDS == 30


def test_every_setting_says_why_its_default_is_what_it_is():
    properties = [member for name, member in vars(Conf).items() if name.isupper()]
    assert properties
    assert all(member.__doc__ for member in properties)


def test_what_is_read_once_is_read_again_only_for_other_settings():
    reads = []

    @once("TICKETS")
    def answer():
        """What it is for."""
        reads.append(conf.TICKET_SECONDS)
        return reads[-1]

    assert [answer(), answer()] == [30, 30]
    with override_settings(TICKETS={"TICKET_SECONDS": 7}):
        assert [answer(), answer()] == [7, 7]
    with override_settings(TICKETS={"TICKET_SECONDS": 7}):
        assert answer() == 7
    assert [answer(), answer()] == [30, 30]
    assert reads == [30, 7, 7, 30]
    assert (answer.__name__, answer.__doc__) == ("answer", "What it is for.")


def test_a_site_without_settings_of_its_own_is_read_once_too(settings):
    del settings.TICKETS
    reads = []
    answer = once("TICKETS")(lambda: reads.append(conf.TICKET_SECONDS))
    assert [answer(), answer()] == [None, None]
    assert reads == [30]


def test_what_failed_to_be_read_is_read_again():
    answers = iter([ValueError, 7])

    def read():
        answer = next(answers)
        if answer is ValueError:
            raise answer
        return answer

    answer = once("TICKETS")(read)
    with pytest.raises(ValueError):
        answer()
    assert [answer(), answer()] == [7, 7]


def test_what_is_read_of_several_settings_is_read_again_for_either():
    reads = []

    @once("NOTIFICATIONS", "TICKETS")
    def answer():
        reads.append(conf.TICKET_SECONDS)
        return reads[-1]

    assert [answer(), answer()] == [30, 30]
    with override_settings(TICKETS={"TICKET_SECONDS": 7}):
        assert [answer(), answer()] == [7, 7]
        with override_settings(NOTIFICATIONS={}):
            assert [answer(), answer()] == [7, 7]
    assert reads == [30, 7, 7]
