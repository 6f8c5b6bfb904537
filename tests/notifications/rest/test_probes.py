import threading
from types import SimpleNamespace

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client, override_settings
from django.urls import resolve

from notifications import fanout
from notifications.live import drain
from notifications.live.hub import Hub
from notifications.rest import probes


@pytest.fixture(autouse=True)
def forgotten():
    """Whether the migrations are done is asked again by each test, and by whoever comes after it."""
    probes._known_migrated.cache_clear()
    yield
    probes._known_migrated.cache_clear()


def ready(client):
    response = client.get("/readyz")
    assert response.headers["Cache-Control"] == "no-store"
    assert set(response.json()) == {"database", "migrations", "layer", "draining"}
    return response.status_code, response.json()


# --- /healthz ---


def test_healthz_asks_nobody(client):
    # No database mark: a query would fail the test.
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")


async def test_healthz_answers_on_the_event_loop(async_client):
    assert (await async_client.get("/healthz")).status_code == 200


# --- /readyz ---


@pytest.mark.everywhere
@pytest.mark.django_db(transaction=True)
def test_ready(client):
    status, answer = ready(client)
    assert status == 200
    assert answer["layer"] in ("in-memory", "ok")
    assert answer | {"layer": ""} == {"database": "ok", "migrations": "ok", "layer": "", "draining": False}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_database_that_is_away(client, monkeypatch, error):
    def fail():
        raise error("connection refused to usher@secret-host")

    monkeypatch.setattr(probes, "connection", SimpleNamespace(cursor=fail))
    status, answer = ready(client)
    assert (status, answer["database"], answer["migrations"]) == (503, "unavailable", "unknown")
    assert "secret-host" not in str(answer)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_away_in_between(client, monkeypatch):
    def fail(*_):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(probes, "MigrationExecutor", fail)
    status, answer = ready(client)
    assert (status, answer["database"], answer["migrations"]) == (503, "unavailable", "unknown")


@pytest.mark.django_db(transaction=True)
def test_migrations_that_are_still_to_come(client, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(probes.MigrationExecutor, "migration_plan", lambda self, targets: [("0002", False)])
        status, answer = ready(client)
        assert (status, answer["migrations"]) == (503, "pending")
    assert ready(client)[0] == 200, "they are asked for again until they are done"


@pytest.mark.django_db(transaction=True)
def test_once_migrated_the_migrations_are_not_read_again(client, monkeypatch):
    ready(client)
    monkeypatch.setattr(probes, "MigrationExecutor", lambda connection: 1 / 0)
    assert ready(client)[0] == 200


@pytest.mark.django_db(transaction=True)
def test_a_database_that_hangs_is_not_waited_for(client, monkeypatch):
    asked, let_go = threading.Event(), threading.Event()

    def hang():
        asked.set()
        assert let_go.wait(10)

    monkeypatch.setattr(probes, "_ask", hang)
    monkeypatch.setattr(probes, "ANSWER_SECONDS", 0.05)
    status, answer = ready(client)
    let_go.set()
    assert asked.is_set()
    assert (status, answer["database"], answer["migrations"]) == (503, "unavailable", "unknown")


@pytest.mark.django_db(transaction=True)
def test_a_process_that_is_leaving_gets_nobody_new(client, monkeypatch):
    monkeypatch.setattr(drain, "draining", lambda: True)
    status, answer = ready(client)
    assert (status, answer["draining"], answer["database"]) == (503, True, "ok")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("deaf", ["fanout", "hub"])
def test_a_lost_layer_is_degraded_and_ready(client, monkeypatch, deaf):
    who = {"fanout": fanout, "hub": Hub}[deaf]
    monkeypatch.setattr(who, "state", lambda: "degraded")
    status, answer = ready(client)
    assert (status, answer["layer"]) == (200, "degraded")


# --- /.well-known/usher ---


def test_where_things_are(client):
    answer = client.get("/.well-known/usher").json()
    assert set(answer) == {"tickets", "socket", "protocols", "limits"}
    assert answer["tickets"] == "http://testserver/api/tickets/"
    assert resolve("/api/tickets/").url_name == "tickets"
    assert answer["socket"] == "ws://testserver/ws/"
    assert answer["protocols"][:2] == ["usher.v1", "v12.stomp"]
    with override_settings(TICKETS={"PROTOCOLS": ["v11.stomp", "unheard.of"]}):
        assert client.get("/.well-known/usher").json()["protocols"] == ["v11.stomp"]


def test_limits_are_those_in_force(client):
    with override_settings(NOTIFICATIONS={"WINDOW": 7, "RETENTION_DAYS": 1.5}):
        limits = client.get("/.well-known/usher").json()["limits"]
    assert limits == {
        "frame_bytes": 8192,
        "window": 7,
        "ping_seconds": 25.0,
        "grace_seconds": 60.0,
        "replay_days": 1.5,
        "replay_count": 10_000,
    }


@override_settings(ALLOWED_HOSTS=["a.example"])
def test_behind_tls_everything_is(client):
    answer = client.get("/.well-known/usher", secure=True, headers={"host": "a.example:8443"}).json()
    assert answer["tickets"] == "https://a.example:8443/api/tickets/"
    assert answer["socket"] == "wss://a.example:8443/ws/"


def test_a_host_that_is_not_ours_is_not_repeated(client):
    response = client.get("/.well-known/usher", headers={"host": "evil.example"})
    assert response.status_code == 400
    assert b"evil.example/ws" not in response.content


@pytest.mark.parametrize("path", ["/readyz", "/.well-known/usher"])
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_probes_are_only_read(client, path, method):
    assert getattr(client, method)(path).status_code == 405


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/.well-known/usher"])
def test_probes_need_no_credential_and_set_no_cookie(path):
    response = Client(enforce_csrf_checks=True).get(path)
    assert response.status_code == 200
    assert not response.cookies
