import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test import override_settings

from tickets.site_checks import check_middleware, check_site, check_time

OURS = "tickets.middleware.UsherMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
PEOPLE = "django.contrib.auth.middleware.AuthenticationMiddleware"


def found(messages):
    for message in messages:
        assert message.hint, f"{message.id} does not say what to write instead"
    return [message.id for message in messages]


def test_this_site_passes():
    assert found([*check_middleware(), *check_time()]) == []


class TheirSessions:
    """Middleware may be a function, or anything that makes one."""

    def __init__(self, get_response):
        self.get_response = get_response


def plain(get_response):
    return get_response


@pytest.mark.parametrize(
    ("middleware", "numbers"),
    [
        ([OURS, SESSIONS, PEOPLE], []),
        ([SESSIONS, PEOPLE, "tickets.middleware.EndedSessionMiddleware"], []),
        ([f"{__name__}.plain", f"{__name__}.TheirSessions", OURS, SESSIONS, PEOPLE], []),
        ([SESSIONS, PEOPLE, "tickets.middleware.TooManySignInsMiddleware"], ["tickets.E017"]),
        ([OURS, PEOPLE], ["tickets.E018"]),
        ([OURS, SESSIONS], ["tickets.E018"]),
        ([], ["tickets.E017", "tickets.E018", "tickets.E018"]),
    ],
)
def test_middleware_that_is_missing(middleware, numbers):
    with override_settings(MIDDLEWARE=middleware):
        assert found(check_middleware()) == numbers


def test_times_without_a_zone():
    with override_settings(USE_TZ=False):
        assert found(check_time()) == ["tickets.E019"]


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ({}, []),
        ({"TICKETS": {}}, ["tickets.W005"]),
        ({"AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"]}, ["tickets.W006"]),
    ],
    ids=str,
)
def test_what_is_unwise_in_production(changes, numbers):
    with override_settings(**{"TICKETS": {"TOKEN_KEY": "k" * 40}, **changes}):
        assert found(check_site()) == numbers


@pytest.mark.parametrize(("mode", "warned"), [(None, True), ("DEFERRED", True), ("exclusive", False)])
def test_an_sqlite_whose_writers_fail_each_other(monkeypatch, mode, warned):
    monkeypatch.setattr(connection, "vendor", "sqlite")
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"transaction_mode": mode} if mode else {})
    with override_settings(TICKETS={"TOKEN_KEY": "k" * 40}):
        assert found(check_site()) == ["tickets.W007"] * warned


def test_they_are_registered():
    without = [name for name in settings.MIDDLEWARE if name != OURS]
    with override_settings(MIDDLEWARE=without), pytest.raises(SystemCheckError, match=r"tickets\.E017"):
        call_command("check")
    with override_settings(TICKETS={}), pytest.raises(SystemCheckError, match=r"tickets\.W005"):
        call_command("check", deploy=True, fail_level="WARNING")
