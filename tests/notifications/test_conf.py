import pytest
from django.test import override_settings

from notifications.conf import Conf, conf

PROPERTIES = {name: value for name, value in vars(Conf).items() if isinstance(value, property)}

# Repeated here on purpose: who changes a default changes what other people's clients rely on (docs/wire.md).
PROMISED = {
    "AUTHENTICATION_SECONDS": 5,
    "ON_EXPIRY": "reauth",
    "GRACE_SECONDS": 60,
    "LIFETIME_SECONDS": 86_400,
    "AUTHENTICATE_EACH_MESSAGE": False,
    "REAUTH_ATTEMPTS": 3,
    "TOPICS_PER_CONNECTION": 50,
    "FIGURES_SECONDS": 10,
    "METRICS_TOKEN": "",
    "REAUTH_SPACING": 1,
    "WINDOW": 64,
    "ACK_STALL_SECONDS": 30,
    "PING_SECONDS": 25,
    "SYNC_SECONDS": 2,
    "SWEEP_SECONDS": 10,
    "PRESENCE_SECONDS": 15,
    "REPLAY_PAGE": 200,
    "RETENTION_DAYS": 7,
    "RETENTION_COUNT": 10_000,
    "SOCKETS_PER_USER": 20,
    "SOCKETS_PER_PROCESS": 10_000,
    "UNAUTHENTICATED_PER_ADDRESS": 50,
    "UNAUTHENTICATED_PER_PROCESS": 200,
    "DRAIN_SECONDS": 25,
    "COMMANDS_PER_SECOND": 10,
    "COMMAND_BURST": 60,
    "RABBITMQ_AUTH": False,
    "RABBITMQ_AUTH_NETWORKS": ["127.0.0.0/8", "::1/128"],
    "RABBITMQ_AUTH_TOKENS": False,
    "RABBITMQ_VHOST": "/",
    "RABBITMQ_URL": "",
    "RABBITMQ_MANAGEMENT_URL": "",
    "KINDS": {},
    "UNMUTABLE_KINDS": (),
}


@override_settings(NOTIFICATIONS={})
def test_defaults_are_those_promised():
    assert {name: getattr(conf, name) for name in PROPERTIES} == PROMISED


def test_a_site_needs_no_settings_at_all(settings):
    del settings.NOTIFICATIONS
    assert conf.WINDOW == 64


@pytest.mark.parametrize("name", PROPERTIES)
def test_settings_are_read_when_used_and_by_their_name(name):
    given = object()
    with override_settings(NOTIFICATIONS={name: given}):
        assert getattr(conf, name) is given
        assert [other for other in PROPERTIES if getattr(conf, other) is given] == [name]
    assert getattr(conf, name) is not given


def test_every_setting_says_why_its_default_is_what_it_is():
    assert all(member.__doc__ for member in PROPERTIES.values())
