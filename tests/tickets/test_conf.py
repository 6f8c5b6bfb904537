from django.test import override_settings

from tickets.conf import Conf, conf


def test_settings_are_read_when_used():
    assert conf.TICKET_SECONDS == 30
    with override_settings(TICKETS={"TICKET_SECONDS": 7}):
        assert conf.TICKET_SECONDS == 7
    assert conf.TICKET_SECONDS == 30


def test_every_setting_says_why_its_default_is_what_it_is():
    properties = [member for name, member in vars(Conf).items() if name.isupper()]
    assert properties
    assert all(member.__doc__ for member in properties)
