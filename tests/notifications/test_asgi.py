"""What a site's own `asgi.py` is handed. Served by real servers: tests/browser/test_embedding.py and all the rest."""

import pytest
from django.test import override_settings

from notifications.asgi import patience, with_usher
from tickets.api import PATIENT_SECONDS, PROMPT_SECONDS

PREFIXED = "tests.notifications.prefixed_urls"


@pytest.mark.parametrize(
    ("settings", "path", "seconds"),
    [
        ({}, "/", PATIENT_SECONDS),
        ({}, "/admin/", PATIENT_SECONDS),
        ({}, "/api/tickets/", PROMPT_SECONDS),
        ({}, "/api/nowhere/", PROMPT_SECONDS),
        ({}, "/healthz", None),
        ({}, "/readyz", None),
        ({"ROOT_URLCONF": PREFIXED}, "/under/any/prefix/", PATIENT_SECONDS),
        ({"ROOT_URLCONF": PREFIXED}, "/under/any/prefix/api/tickets/", PROMPT_SECONDS),
        ({"ROOT_URLCONF": PREFIXED}, "/under/any/prefix/readyz", None),
        ({"ROOT_URLCONF": PREFIXED}, "/under/any/", None),
        ({"ROOT_URLCONF": PREFIXED}, "/api/tickets/", None),
        ({"ROOT_URLCONF": "tickets.urls"}, "/tickets/", None),
        ({"FORCE_SCRIPT_NAME": "/mounted"}, "/mounted/api/tickets/", PROMPT_SECONDS),
    ],
    ids=str,
)
def test_only_ours_wait_in_line(settings, path, seconds):
    """What a site's own views take their time for is their affair."""
    with override_settings(**settings):
        assert patience({"path": path}) == seconds


async def test_each_kind_of_connection_comes_to_whom_it_is_for():
    scopes = []

    async def theirs(scope, receive, send):
        scopes.append(scope["type"])

    application = with_usher(theirs, websocket=theirs)
    common = {"path": "/theirs/", "headers": [], "client": None}
    with override_settings(ROOT_URLCONF=PREFIXED):
        for kind in ("http", "websocket"):
            await application({"type": kind, **common}, None, None)
    assert scopes == ["http", "websocket"]
