import base64
import socket
import threading
import time
from urllib.error import HTTPError

import pytest

from notifications.rabbitmq import management
from notifications.rabbitmq.management import Enforcer, Management
from tests.support.processes import free_port
from tickets.api import (
    Purpose,
    end_session,
    forget_broker_logins,
    issue,
    log_in_to_broker,
    open_session,
    over_broker_logins,
)

pytestmark = pytest.mark.django_db


class Api:
    """In the place of the broker's, which tests/clients/rabbitmq has: what was closed; away if told so."""

    def __init__(self):
        self.closed = []
        self.away = 0
        self.disliked = set()

    def close_connections(self, username):
        if self.away:
            self.away -= 1
            raise OSError("refused")
        if username in self.disliked:
            raise HTTPError("http://127.0.0.1", 400, "Bad Request", None, None)
        self.closed.append(username)


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


def test_connections_are_closed_some_times_and_then_it_is_forgotten(session_id, clock):
    api = Api()
    enforcer = Enforcer(api)
    enforcer.look()
    assert api.closed == []
    end_session(session_id)
    began, when = clock[0], []
    for _ in range(11):
        before = len(api.closed)
        enforcer.look()
        when += [clock[0] - began] * (len(api.closed) - before)
        clock[0] += 1
    assert when == list(management.AGAIN_AFTER)
    assert over_broker_logins() == []
    enforcer.look()
    assert len(api.closed) == len(when)


def test_what_another_relay_has_forgotten_is_not_remembered_for_ever(session_id, clock):
    enforcer = Enforcer(Api())
    end_session(session_id)
    enforcer.look()
    forget_broker_logins([each.pk for each in over_broker_logins()])
    assert enforcer._closed
    clock[0] += management.REMEMBERED_SECONDS + 1
    enforcer.look()
    assert not enforcer._closed


def test_one_who_cannot_be_closed_does_not_save_the_others(session_id, people, clock):
    ben = people[1]
    of_ben = open_session(ben, method="test")
    assert log_in_to_broker("ben", issue(user=ben, session_id=of_ben, purpose=Purpose.BROKER).ticket, "/")
    end_session(session_id)
    end_session(of_ben)
    api = Api()
    api.disliked.add("ann")
    with pytest.raises(HTTPError):
        Enforcer(api).look()
    assert api.closed == ["ben"]


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
    type(ann).objects.filter(pk=ann.pk).update(password="another")
    enforcer.look()
    assert api.closed == []
    clock[0] += management.THOROUGH_SECONDS
    enforcer.look()
    assert api.closed == ["ann"]


def test_who_is_called_otherwise_or_is_no_more_loses_what_they_have_at_once(session_id, ann):
    api = Api()
    type(ann).objects.filter(pk=ann.pk).update(username="anna")
    Enforcer(api).look()
    assert api.closed == ["ann"], "as the broker knows them"
    ann.delete()
    Enforcer(api).look()
    assert api.closed == ["ann", "ann"]


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


@pytest.fixture
def peer():
    """In the place of the API: what it was asked; answers with what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def answer(answers):
            asked = []
            thread = threading.Thread(target=_answer, args=(listening, answers, asked))
            thread.start()
            return asked, thread

        answer.place = f"127.0.0.1:{listening.getsockname()[1]}"
        yield answer


def _answer(listening, answers, asked):
    for each in answers:
        connection, _ = listening.accept()
        with connection:
            asked.append(connection.recv(10_000).decode())
            connection.sendall(each)


def test_what_it_is_asked(peer):
    asked, thread = peer([b"HTTP/1.1 204 No Content\r\n\r\n"])
    Management(f"http://usher:p%40ss@{peer.place}/broker/").close_connections("ann/é")
    thread.join(10)
    first, *rest = asked[0].split("\r\n")
    assert first == "DELETE /broker/api/connections/username/ann%2F%C3%A9 HTTP/1.1"
    assert f"Authorization: Basic {base64.b64encode(b'usher:p@ss').decode()}" in rest
    assert f"Host: {peer.place}" in rest and f"X-Reason: {management.REASON}" in rest


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 503 Away\r\n\r\n"])
def test_an_api_that_breaks_off(peer, answer):
    _asked, thread = peer([answer])
    with pytest.raises(management.AWAY):
        Management(f"http://usher:secret@{peer.place}").close_connections("ann")
    thread.join(10)
