"""What systemd's rolling restart and the container's health check ask."""

import json
import os
import socketserver
import subprocess
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from tests.deploy.fleet import DEPLOY


class Probe(BaseHTTPRequestHandler):
    """Answers 200 under one name and 503 under others, as no site does, and so tells whom it was called."""

    def do_GET(self) -> None:
        self.send_response(200 if (self.path, self.headers["Host"]) == ("/readyz", "usher.example") else 503)
        self.end_headers()
        self.wfile.write(json.dumps({"host": self.headers["Host"], "path": self.path}).encode())

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return ""


@pytest.fixture(params=["port", "unix socket"])
def place(request, tmp_path):
    if request.param == "port":
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Probe)
        name = str(server.server_address[1])
    else:
        name = str(tmp_path / "http.sock")
        server = socketserver.ThreadingUnixStreamServer(name, Probe)
    with server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield name
        server.shutdown()


def ask(place: str, allowed: str = "") -> subprocess.CompletedProcess:
    env = {"PATH": os.environ["PATH"], "ALLOWED_HOSTS": allowed}
    return subprocess.run([DEPLOY / "ready", place], env=env, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(
    "allowed", ["usher.example", "usher.example,other.example", ".usher.example", " usher.example "]
)
def test_ready(place, allowed):
    done = ask(place, allowed)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("allowed", "called"), [("", "localhost"), ("*", "localhost"), ("other.example", "other.example")]
)
def test_not_ready_says_what_it_was_told(place, allowed, called):
    done = ask(place, allowed)
    assert done.returncode == 1
    assert f'503 {{"host": "{called}", "path": "/readyz"}}' in done.stderr


def test_nobody_there(tmp_path):
    for place in (str(tmp_path / "none.sock"), "1"):
        done = ask(place)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert place in done.stderr
    assert subprocess.run([DEPLOY / "ready"], capture_output=True, timeout=20, check=False).returncode == 2
