import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model

from tickets import api, audit


@pytest.fixture
def now():
    return datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def user(db):
    return get_user_model().objects.create_user("alice")  # no password: hashing one takes longer than most tests


@pytest.fixture
def other(db):
    return get_user_model().objects.create_user("bob")


@pytest.fixture
def session_id(user, now):
    return api.open_session(user, method="test", now=now)


@pytest.fixture
def later(now):
    return lambda **how: now + timedelta(**how)


@pytest.fixture
def audited(caplog, monkeypatch):
    """Calling it returns the audit log's lines so far, parsed: what they say of the act, without when and how it is
    spelled. The transaction that a test is in is never committed; what is logged then is logged at once."""
    caplog.set_level(logging.INFO, logger="tickets.audit")
    monkeypatch.setattr(audit, "on_commit", lambda then, robust: then())
    spelling = {"datetime", "appid", "event", "level", "description"}

    def lines(act=None):
        found = [json.loads(record.getMessage()) for record in caplog.records if record.name == "tickets.audit"]
        acts = [{name: line[name] for name in line if name not in spelling} for line in found]
        return [line for line in acts if act in (None, line["act"])]

    return lines


@pytest.fixture
def heard():
    """What `session_ended` announced."""
    calls = []

    def listen(user_id, session_ids, reason, **_):
        calls.append((user_id, session_ids, reason))

    from tickets.signals import session_ended

    session_ended.connect(listen)
    yield calls
    session_ended.disconnect(listen)
