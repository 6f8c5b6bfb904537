"""What the doctor finds by asking the layer, the system, and whatever answers at an address."""

import http.server
import json
import resource
import threading

import pytest
from django.core import checks
from django.test import override_settings

from notifications import probes
from tests.support.processes import free_port


def wrong(found):
    messages = [each for each in found if isinstance(each, checks.CheckMessage)]
    assert all(message.hint for message in messages)
    return [message.id.removeprefix("notifications.") for message in messages]


def on(url):
    backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
    return override_settings(CHANNEL_LAYERS={"default": {"BACKEND": backend, "CONFIG": {"hosts": [url]}}})


# The layer ------------------------------------------------------------------------------------------------------------


def test_what_is_published_comes_back(own_valkey, monkeypatch):
    with on(own_valkey.url):
        (fact,) = probes.layer()
        assert fact.startswith("layer: valkey ")
        assert fact.endswith(" ms")
        monkeypatch.setattr(probes, "SLOW", 0)
        assert wrong(probes.layer()) == ["W012"]
        monkeypatch.undo()
        monkeypatch.setattr(probes, "server_hole", lambda kind, version: "99.1")
        assert wrong(probes.layer()) == ["W013"]


def test_one_that_is_away_or_hangs(own_valkey, monkeypatch):
    monkeypatch.setattr(probes, "PATIENCE", 0.3)
    with on(own_valkey.url):
        own_valkey.pause()
        assert wrong(probes.layer()) == ["E012"]
        own_valkey.resume()
    with on(f"redis://127.0.0.1:{free_port()}/0"):
        (only,) = probes.layer()
        assert only.id == "notifications.E012"
        assert "127.0.0.1" not in only.msg, "an address may have a password in it"


def test_one_in_memory_goes_nowhere():
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}):
        assert list(probes.layer()) == ["layer: in memory, for this process alone"]


# Descriptors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("may", "numbers"), [(10_199, ["W011"]), (10_200, []), (resource.RLIM_INFINITY, [])], ids=["few", "enough", "any"]
)
def test_descriptors(monkeypatch, may, numbers):
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (may, may))
    with override_settings(NOTIFICATIONS={"SOCKETS_PER_PROCESS": 10_000}):
        assert wrong(probes.descriptors()) == numbers


# What answers at an address -------------------------------------------------------------------------------------------


@pytest.fixture
def answering():
    """A web server with `answers`: {path: (status, object)}."""
    servers = []

    def start(answers):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status, body = answers.get(self.path, (404, {}))
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        return server.server_port

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize(
    "answers",
    [{}, {"/.well-known/usher": (500, {})}, {"/.well-known/usher": (200, [])}, {"/.well-known/usher": (200, {})}],
    ids=["nothing", "500", "a list", "no socket"],
)
def test_what_is_no_usher(answering, answers):
    assert wrong(probes.site(f"http://127.0.0.1:{answering(answers)}/")) == ["E013"]


def test_nobody():
    assert wrong(probes.site(f"http://127.0.0.1:{free_port()}")) == ["E013"]
    assert wrong(probes.site("nonsense")) == ["E013"]


@pytest.mark.parametrize(("status", "numbers"), [(404, ["E014", "E015"]), (403, ["E014"])])
def test_a_proxy_that_passes_no_socket_on(answering, status, numbers):
    answers = {"/ws/": (status, {})}
    port = answering(answers)
    answers["/.well-known/usher"] = (200, {"socket": f"ws://127.0.0.1:{port}/ws/"})
    assert wrong(probes.site(f"http://127.0.0.1:{port}")) == numbers


def test_a_socket_in_the_clear_behind_https(monkeypatch):
    monkeypatch.setattr(probes, "_well_known", lambda url: {"socket": "ws://usher.example/ws/"})
    monkeypatch.setattr(probes, "_knock", lambda url, *, origin: "403" if origin else "close 4402")
    assert wrong(probes.site("https://usher.example")) == ["W014"]
