import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from tickets import checks
from tickets.checks import check_deployment, check_settings, check_tokens, check_user_model


def found(messages):
    for message in messages:
        assert message.hint, f"{message.id} does not say what to write instead"
    return [message.id for message in messages]


def test_the_sites_own_settings_pass():
    assert found([*check_settings(), *check_tokens(), *check_user_model(), *check_deployment()]) == []


@pytest.mark.parametrize(
    ("ours", "number"),
    [
        ({"TICKET_SECOND": 30}, "tickets.E001"),
        ({"NETWORK_POLICY": "strict"}, "tickets.E002"),
        *(({name: 0}, "tickets.E003") for name in checks._POSITIVE),
        ({"OUTSTANDING": -1}, "tickets.E003"),
        ({"AUDIT_DAYS": -1}, "tickets.E003"),
        ({"AUDIT_DAYS": "90"}, "tickets.E003"),
        ({"OUTSTANDING": "10"}, "tickets.E003"),
        ({"OUTSTANDING": True}, "tickets.E003"),
        ({"GRANT_SECONDS": float("inf")}, "tickets.E003"),
        ({"GRANT_SECONDS": float("nan")}, "tickets.E003"),
        ({"ALLOWED_ORIGINS": ["https://good.example/"]}, "tickets.E004"),
        ({"ALLOWED_ORIGINS": ["good.example"]}, "tickets.E004"),
        ({"ALLOWED_ORIGINS": ["*"]}, "tickets.E004"),
        ({"ALLOWED_ORIGINS": "null"}, "tickets.E004"),
        ({"ALLOWED_ORIGINS": [7]}, "tickets.E004"),
        ({"TRUSTED_PROXIES": ["proxy.example"]}, "tickets.E005"),
        ({"TRUSTED_PROXIES": ["10.0.0.1/8"]}, "tickets.E005"),
        ({"TRUSTED_PROXIES": "*"}, "tickets.E005"),
        ({"SOCKET_PATH": "ws/"}, "tickets.E006"),
        ({"PROTOCOLS": []}, "tickets.E006"),
        ({"CARRIERS": []}, "tickets.E011"),
        ({"CARRIERS": ["frame", "query"]}, "tickets.E011"),
        ({"CARRIERS": "frame"}, "tickets.E011"),
        ({"CARRIERS": [["frame"]]}, "tickets.E011"),
        ({"TICKET_SECONDS": 1}, "tickets.W001"),
        ({"TICKET_SECONDS": 3600}, "tickets.W001"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense(ours, number):
    with override_settings(TICKETS=ours):
        assert found(check_settings()) == [number]


@pytest.mark.parametrize(
    ("ours", "number"),
    [
        ({"JID_KEY": "k" * 40, "JID_USER_FIELD": "first_name"}, "tickets.E014"),
        ({"JID_KEY": "k" * 40, "JID_USER_FIELD": "nickname"}, "tickets.E014"),
        ({"JID_NAME": ""}, "tickets.E015"),
        ({"JID_NAME": "ticket"}, "tickets.E015"),
        ({"JID_NAME": "jid token"}, "tickets.E015"),
    ],
    ids=str,
)
def test_names_that_somebody_elses_tokens_cannot_have(ours, number):
    with override_settings(TICKETS=ours):
        assert found(check_tokens()) == [number]


@pytest.mark.parametrize("field", ["pk", "username"])
def test_fields_that_name_one_person(field):
    with override_settings(TICKETS={"JID_KEY": "k" * 40, "JID_USER_FIELD": field}):
        assert found(check_tokens()) == []


@pytest.mark.parametrize(
    "ours",
    [
        {"ALLOWED_ORIGINS": ["https://good.example", "capacitor://localhost"]},
        {"TRUSTED_PROXIES": ["10.0.0.1", "10.0.0.0/8", "2001:db8::/32", "unix"]},
        {"TICKET_SECONDS": 5},
        {"TICKET_SECONDS": 300},
        {"CARRIERS": ["bearer"]},
        {"SOCKET_PATH": "/live/"},
    ],
    ids=str,
)
def test_settings_that_do(ours):
    with override_settings(TICKETS=ours):
        assert found(check_settings()) == []


@pytest.fixture
def keys(settings):
    """Those that a site has for other things."""
    settings.SECRET_KEY = "s" * 50
    settings.SIMPLE_JWT = {"SIGNING_KEY": "t" * 50}


@pytest.mark.parametrize(
    ("own", "numbers"),
    [
        ({}, []),
        ({"TOKEN_KEY": "k" * 32}, []),
        ({"TOKEN_KEY": "é" * 16}, []),  # bytes count
        ({"TOKEN_KEY": "s" * 50}, ["tickets.E007"]),
        ({"TOKEN_KEY": "t" * 50}, ["tickets.E007"]),
        ({"TOKEN_KEY": "k" * 31}, ["tickets.E008"]),
    ],
    ids=str,
)
def test_the_key_of_tokens(keys, own, numbers):
    with override_settings(TICKETS=own):
        assert found(check_tokens()) == numbers


@pytest.mark.parametrize(
    ("ours", "numbers"),
    [
        ({"JID_KEY": "j" * 32}, []),
        ({"JID_KEY": "é" * 16}, []),  # bytes count
        ({"JID_KEY": "j" * 31}, ["tickets.E012"]),
        ({"JID_KEY": "k" * 32}, ["tickets.E012"]),
        ({"JID_KEY": "s" * 50}, ["tickets.E012"]),
        ({"JID_KEY": "t" * 50}, ["tickets.E012"]),
        ({"JID_KEY": "j" * 32, "JID_ENFORCE": True}, []),
        ({"JID_ENFORCE": True}, ["tickets.E013"]),
    ],
    ids=str,
)
def test_the_key_shared_with_another_application(keys, ours, numbers):
    with override_settings(TICKETS={"TOKEN_KEY": "k" * 32, **ours}):
        assert found(check_tokens()) == numbers
        assert found(check_settings()) == []


def test_a_user_model_that_cannot_be_closed(monkeypatch):
    from django.contrib.auth.models import Group

    monkeypatch.setattr(checks, "get_user_model", lambda: Group)
    assert found(check_user_model()) == ["tickets.E010", "tickets.E016"]


@pytest.mark.parametrize(
    ("ours", "number"),
    [
        ({"ALLOW_QUERY": True}, "tickets.W002"),
        ({"NETWORK_POLICY": "off"}, "tickets.W003"),
        ({"NETWORK_POLICY": "report"}, "tickets.W003"),
        ({"JID_KEY": "j" * 32, "JID_ALLOW_QUERY": True}, "tickets.W004"),
    ],
)
def test_what_is_unwise_in_production(ours, number):
    with override_settings(TICKETS=ours):
        assert found(check_deployment()) == [number]
        assert found(check_settings()) == []


def test_what_is_never_read_from_an_address_needs_no_warning():
    for ours in ({"JID_KEY": "j" * 32}, {"JID_ALLOW_QUERY": True}):
        with override_settings(TICKETS=ours):
            assert found(check_deployment()) == []


def test_they_are_registered():
    with (
        override_settings(TICKETS={"NETWORK_POLICY": "strict"}),
        pytest.raises(SystemCheckError, match=r"tickets\.E002"),
    ):
        call_command("check")
