import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model

from tickets import api


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
def audited(caplog):
    """Calling it returns the audit log's lines so far, parsed."""
    caplog.set_level(logging.INFO, logger="tickets.audit")

    def lines(event=None):
        found = [json.loads(record.getMessage()) for record in caplog.records if record.name == "tickets.audit"]
        return [line for line in found if event in (None, line["event"])]

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
