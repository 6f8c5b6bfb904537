import sys

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from notifications.servers import mending
from notifications.site_checks import check_asgi, check_serving, check_templates, check_urls


def found(messages):
    for message in messages:
        assert message.hint, f"{message.id} does not say what to write instead"
    return [message.id for message in messages]


def test_this_site_passes():
    checks = (check_urls, check_templates, check_asgi, check_serving)
    assert [number for check in checks for number in found(check(None))] == []


@pytest.mark.parametrize(
    ("urls", "numbers"),
    [
        ("tests.notifications.prefixed_urls", []),
        ("tickets.urls", ["notifications.E006"]),
        ("tests.notifications.translated_urls", ["notifications.E007"]),
    ],
)
def test_urls(urls, numbers):
    with override_settings(ROOT_URLCONF=urls):
        assert found(check_urls(None)) == numbers


def templates(**changes):
    return [{**settings.TEMPLATES[0], **changes}]


def with_processors(*names):
    return templates(OPTIONS={"context_processors": [f"django.{name}" for name in names]})


@pytest.mark.parametrize(
    ("backends", "numbers"),
    [
        ([], ["notifications.E008"]),
        (templates(DIRS=[], APP_DIRS=False), ["notifications.E008"]),
        (with_processors("template.context_processors.request"), ["notifications.E009"]),
        (with_processors("contrib.auth.context_processors.auth"), ["notifications.E009"]),
        (with_processors(), ["notifications.E009", "notifications.E009"]),
    ],
)
def test_templates(backends, numbers):
    with override_settings(TEMPLATES=backends):
        assert found(check_templates(None)) == numbers


@pytest.mark.parametrize(
    ("application", "numbers"),
    [
        ("project.asgi.application", []),
        (None, ["notifications.E010"]),
        ("", ["notifications.E010"]),
        ("benchmarks.plain.asgi.application", ["notifications.W002"]),
        ("no.such.module.application", ["notifications.W002"]),
    ],
)
def test_the_application(application, numbers):
    with override_settings(ASGI_APPLICATION=application):
        assert found(check_asgi(None)) == numbers


def test_a_site_need_not_say_anything_of_asgi_to_be_told(settings):
    del settings.ASGI_APPLICATION
    assert found(check_asgi(None)) == ["notifications.E010"]


def test_the_application_is_not_imported_for_it():
    with override_settings(ASGI_APPLICATION="benchmarks.plain.asgi.application"):
        check_asgi(None)
    assert "benchmarks.plain.asgi" not in sys.modules


def test_a_server_that_nobody_has_tried(monkeypatch):
    monkeypatch.setattr(mending, "installed", lambda: {"daphne": "4.2.9", "uvicorn": "1.0.0"})
    (message,) = check_serving(None)
    assert found([message]) == ["notifications.W003"]
    assert message.msg.startswith("uvicorn 1.0.0 ")


def test_a_site_without_a_layer():
    with override_settings(CHANNEL_LAYERS={}):
        assert found(check_serving(None)) == ["notifications.W004"]


def test_they_are_registered():
    with override_settings(ASGI_APPLICATION=None), pytest.raises(SystemCheckError, match=r"notifications\.E010"):
        call_command("check")
    with override_settings(CHANNEL_LAYERS={}), pytest.raises(SystemCheckError, match=r"notifications\.W004"):
        call_command("check", deploy=True, fail_level="WARNING")
