import threading
import time

import pytest

from notifications.rabbitmq import management
from notifications.rabbitmq.management import Enforcer, Management
from tests.support.processes import free_port
from tickets.api import Purpose, end_session, issue, log_in_to_broker, open_session, over_broker_logins

pytestmark = pytest.mark.django_db


class Api:
    """In the place of the broker's, which tests/clients/rabbitmq has: what was closed; away if told so."""

    def __init__(self):
        self.closed = []
        self.away = 0

    def close_connections(self, username):
        if self.away:
            self.away -= 1
            raise OSError("refused")
        self.closed.append(username)
        return 1


@pytest.fixture
def clock(monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr(management.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def session_id(ann):
    session_id = open_session(ann, method="test")
    assert log_in_to_broker("ann", issue(user=ann, session_id=session_id, purpose=Purpose.BROKER).ticket, "/")
    return session_id


def test_connections_are_closed_for_a_while_and_then_it_is_forgotten(session_id, clock):
    api = Api()
    enforcer = Enforcer(api)
    enforcer.look()
    assert api.closed == []
    end_session(session_id)
    for _ in range(11):
        enforcer.look()
        clock[0] += 1
    assert api.closed == ["ann"] * 11
    assert over_broker_logins() == []
    enforcer.look()
    assert len(api.closed) == 11


def test_nothing_is_forgotten_while_it_is_away(session_id, clock):
    api = Api()
    enforcer = Enforcer(api)
    end_session(session_id)
    api.away = 3
    for _ in range(3):
        with pytest.raises(OSError, match="refused"):
            enforcer.look()
        clock[0] += 20
    assert len(over_broker_logins()) == 1
    enforcer.look()
    assert api.closed == ["ann"]


def test_what_only_a_look_at_each_says_is_found_a_little_later(session_id, ann, clock):
    api = Api()
    enforcer = Enforcer(api)
    enforcer.look()
    type(ann).objects.filter(pk=ann.pk).update(username="anna")
    enforcer.look()
    assert api.closed == []
    clock[0] += management.THOROUGH_SECONDS
    enforcer.look()
    assert api.closed == ["ann"], "as the broker knows them"


@pytest.mark.django_db(transaction=True)
def test_it_runs_until_it_is_told_to_stop(session_id, monkeypatch, caplog):
    monkeypatch.setattr(management, "LOOK_SECONDS", 0.01)
    end_session(session_id)
    api, stopped = Api(), threading.Event()
    api.away = 1
    thread = threading.Thread(target=management.run, args=(Enforcer(api), stopped))
    thread.start()
    deadline = time.monotonic() + 10
    while not api.closed and time.monotonic() < deadline:
        time.sleep(0.01)
    stopped.set()
    thread.join(5)
    assert not thread.is_alive() and api.closed
    assert "connections stay open at the broker: OSError: refused" in caplog.text


def test_an_api_that_is_not_there():
    with pytest.raises(OSError, match="refused"):
        Management(f"http://usher:secret@127.0.0.1:{free_port()}").close_connections("ann")
