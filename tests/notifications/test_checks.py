import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from notifications.checks import check_deployment, check_kinds, check_layer, check_rabbitmq, check_settings
from notifications.conf import Conf

NUMBERS = [
    name
    for name, value in vars(Conf).items()
    if isinstance(value, property)
    and name not in ("ON_EXPIRY", "AUTHENTICATE_EACH_MESSAGE", "KINDS", "UNMUTABLE_KINDS", "METRICS_TOKEN")
    and not name.startswith("RABBITMQ_")
]


def found(messages):
    for message in messages:
        assert message.hint, f"{message.id} does not say what to write instead"
    return [message.id for message in messages]


@pytest.mark.everywhere
def test_the_sites_own_settings_pass():
    assert found([*check_settings(None), *check_kinds(None), *check_layer(None), *check_deployment(None)]) == []


@pytest.mark.parametrize(
    ("ours", "number"),
    [
        ({"ON_EXPIRY": "explode"}, "notifications.E001"),
        ({"ON_EXPIRY": None}, "notifications.E001"),
        *(({name: 0}, "notifications.E002") for name in NUMBERS),
        ({"WINDOW": -1}, "notifications.E002"),
        ({"WINDOW": "64"}, "notifications.E002"),
        ({"WINDOW": True}, "notifications.E002"),
        ({"WINDOW": None}, "notifications.E002"),
        ({"GRACE_SECONDS": float("nan")}, "notifications.E002"),
        ({"METRICS_TOKEN": "short"}, "notifications.E012"),
        ({"METRICS_TOKEN": None}, "notifications.E012"),
        ({"METRICS_TOKEN": "ü" * 40}, "notifications.E012"),
        ({"WINDOWS": 64}, "notifications.E003"),
        ({"window": 64}, "notifications.E003"),
        ({"AUTHENTICATE_EACH_MESSAGE": "0"}, "notifications.E005"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense(ours, number):
    with override_settings(NOTIFICATIONS=ours):
        (message,) = check_settings(None)
        assert found([message]) == [number]
        assert all(repr(name) in message.msg for name in ours)


@pytest.mark.parametrize(
    ("ours", "number"),
    [
        ({"RABBITMQ_AUTH": "1"}, "notifications.E016"),
        ({"RABBITMQ_AUTH_NETWORKS": "127.0.0.1"}, "notifications.E016"),
        ({"RABBITMQ_AUTH_TOKENS": None}, "notifications.E016"),
        ({"RABBITMQ_VHOST": 1}, "notifications.E016"),
        ({"RABBITMQ_URL": None}, "notifications.E016"),
        ({"RABBITMQ_URL": "http://127.0.0.1:5672/"}, "notifications.E016"),
        ({"RABBITMQ_MANAGEMENT_URL": "127.0.0.1:15672"}, "notifications.E016"),
        ({"RABBITMQ_AUTH_NETWORKS": ["127.0.0.1/8"]}, "notifications.E017"),
        ({"RABBITMQ_AUTH_NETWORKS": ["localhost"]}, "notifications.E017"),
    ],
    ids=str,
)
def test_a_broker_that_makes_no_sense(ours, number):
    with override_settings(NOTIFICATIONS=ours):
        assert found(check_rabbitmq(None)) == [number]
        assert found(check_settings(None)) == []


def test_what_is_said_of_an_address_has_no_password_in_it():
    with override_settings(NOTIFICATIONS={"RABBITMQ_URL": "http://usher:secret@broker/"}):
        (message,) = check_rabbitmq(None)
        assert "secret" not in message.msg


def test_a_broker_that_does():
    with override_settings(NOTIFICATIONS={"RABBITMQ_AUTH": True, "RABBITMQ_AUTH_NETWORKS": ["10.0.0.0/8", "unix"]}):
        assert check_rabbitmq(None) == []


@pytest.mark.parametrize(
    "ours",
    [
        {"KINDS": ["ci.build"]},
        {"KINDS": {"CI": "Builds"}},
        {"KINDS": {"": "Others"}},
        {"KINDS": {5: "Five"}},
        {"UNMUTABLE_KINDS": "account"},
        {"UNMUTABLE_KINDS": ["account", "an account"]},
        {"UNMUTABLE_KINDS": None},
    ],
    ids=str,
)
def test_kinds_that_are_none(ours):
    with override_settings(NOTIFICATIONS=ours):
        (message,) = check_kinds(None)
        assert found([message]) == ["notifications.E011"]
        assert all(repr(name) in message.msg for name in ours)


def test_kinds_that_are_some():
    ours = {"KINDS": {"ci.build": "Builds"}, "UNMUTABLE_KINDS": {"account"}}
    with override_settings(NOTIFICATIONS=ours):
        assert check_kinds(None) == []


def test_every_mistake_is_told():
    with override_settings(NOTIFICATIONS={"ON_EXPIRY": "x", "WINDOW": 0, "SYNC_SECONDS": 0, "TYPO": 1}):
        assert sorted(found(check_settings(None))) == [
            "notifications.E001",
            "notifications.E002",
            "notifications.E002",
            "notifications.E003",
        ]


@pytest.mark.parametrize("policy", ["reauth", "close", "ignore"])
def test_policies(policy):
    with override_settings(NOTIFICATIONS={"ON_EXPIRY": policy, "GRACE_SECONDS": 0.5}):
        assert found(check_settings(None)) == []


REDIS = {"CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]}}  # only looked at, never connected to


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [
        ({"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}, []),
        ({"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", **REDIS}}, []),
        ({"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", **REDIS}}, ["notifications.E004"]),
        ({}, []),
    ],
    ids=["in-memory", "pub/sub", "core", "none"],
)
def test_layers(layers, numbers):
    with override_settings(CHANNEL_LAYERS=layers):
        assert found(check_layer(None)) == numbers


def test_what_is_unwise_in_production():
    with override_settings(NOTIFICATIONS={"ON_EXPIRY": "ignore"}):
        assert found(check_deployment(None)) == ["notifications.W001"]
        assert found(check_settings(None)) == []


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        ({"NOTIFICATIONS": {"ON_EXPIRY": "explode"}}, "E001"),
        ({"CHANNEL_LAYERS": {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", **REDIS}}}, "E004"),
    ],
)
def test_errors_stop_the_site(settings, number):
    with override_settings(**settings), pytest.raises(SystemCheckError, match=rf"notifications\.{number}"):
        call_command("check")


def test_warnings_are_for_deployments():
    with override_settings(NOTIFICATIONS={"ON_EXPIRY": "ignore"}):
        call_command("check", fail_level="WARNING")
        with pytest.raises(SystemCheckError, match=r"notifications\.W001"):
            call_command("check", deploy=True, fail_level="WARNING")
