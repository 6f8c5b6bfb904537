"""What a site is deployed with: each rule is tripped by what it is for, and by nothing beside it."""

import logging
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test import override_settings

from tickets import advisories, deployment_checks
from tickets.deployment_checks import check_deployed, pool_size

KEY = "k4x9-Zq81mVw_7tRb2Lc0pNs6YdHuEfA3gJi5oTzPQ"
WELL = {"TOKEN_KEY": KEY, "TRUSTED_PROXIES": ["unix"], "ALLOWED_ORIGINS": ["https://app.example"]}


def found(**tickets):
    site = {name: tickets.pop(name) for name in [*tickets] if name in ("ALLOWED_HOSTS", "SECURE_SSL_REDIRECT")}
    with override_settings(**{"SECURE_SSL_REDIRECT": True, **site, "TICKETS": {**WELL, **tickets}}):
        messages = check_deployed()
    assert all(message.hint for message in messages)
    return [message.id.removeprefix("tickets.") for message in messages]


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ({}, []),
        ({"ALLOWED_HOSTS": ["*"]}, ["W008"]),
        ({"ALLOWED_HOSTS": [".usher.example"]}, []),
        ({"ALLOWED_ORIGINS": ["http://app.example", "ws://app.example"]}, ["W009"]),
        ({"ALLOWED_ORIGINS": ["capacitor://localhost"]}, []),
        ({"ALLOWED_ORIGINS": "http://app.example"}, []),  # no list: E004
        ({"TRUSTED_PROXIES": ["0.0.0.0/0", "::/0"]}, ["W010"]),
        ({"TRUSTED_PROXIES": ["128.0.0.0/7"]}, ["W010"]),
        ({"TRUSTED_PROXIES": ["unix", "10.0.0.0/8", "2606:4700::/32", "104.16.0.0/13"]}, []),
        ({"TRUSTED_PROXIES": ["nonsense"]}, []),  # E005
        ({"TRUSTED_PROXIES": []}, ["W011"]),
        ({"TRUSTED_PROXIES": [], "SECURE_SSL_REDIRECT": False}, []),
        ({"TOKEN_KEY": "secretsecret" * 5}, ["W012"]),
        ({"JID_KEY": "a" * 50}, ["W012"]),
        ({"GRANT_SECONDS": 86_400, "SESSION_DAYS": 1}, ["W013"]),
        ({"GRANT_SECONDS": 86_399, "SESSION_DAYS": 1}, []),
        ({"REFRESH_GRACE": 900}, ["W014"]),
        ({"REFRESH_GRACE": "900"}, []),  # E003
    ],
    ids=str,
)
def test_settings(changes, numbers):
    assert found(**changes) == numbers


@pytest.mark.parametrize(
    ("pool", "size"), [({"max_size": 9}, 9), ({"min_size": 2}, 2), ({}, 4), (True, 4), (False, None), (None, None)]
)
def test_a_pool_s_size(monkeypatch, pool, size):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"pool": pool})
    assert pool_size() == size


@pytest.mark.parametrize(("size", "numbers"), [(7, ["W015"]), (8, [])])
def test_a_pool_has_room_for_every_thread(monkeypatch, size, numbers):
    options = {"OPTIONS": {"pool": {"max_size": size}}}
    monkeypatch.setattr(deployment_checks, "connection", SimpleNamespace(vendor="postgresql", settings_dict=options))
    assert found() == numbers


def test_versions_with_holes(monkeypatch):
    monkeypatch.setattr(advisories, "installed", lambda: {"PyJWT": "2.14.0", "Django": "5.2.17"})
    assert found() == ["W016"]


@pytest.mark.parametrize(("kind", "numbers"), [("logging.FileHandler", ["W017"]), ("tickets.logs.AuditFile", [])])
def test_a_file_that_is_rotated(tmp_path, kind, numbers):
    from django.utils.module_loading import import_string

    handler, log = import_string(kind)(tmp_path / "audit.jsonl", delay=True), logging.getLogger("tickets.audit")
    log.addHandler(handler)
    try:
        assert found() == numbers
    finally:
        log.removeHandler(handler)
        handler.close()
