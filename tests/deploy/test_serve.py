"""The server as production starts it: one script, and the tests' own servers hold to it."""

import os
import re
import signal
import subprocess

import pytest

from tests.deploy.fleet import DEPLOY, Place
from tests.support.client import Person
from tests.support.processes import Process, free_port, wait_until
from tests.support.servers import OPTIONS

SERVE = (DEPLOY / "serve").read_text()
STAND_IN = """#!/bin/sh
echo "pid $$"
for word in "$@"; do echo "word $word"; done
pwd
"""


def flags_of(text: str) -> dict[str, str | None]:
    """{"--ws": "websockets-sansio", "--no-server-header": None, …} of a command line in several lines."""
    command = text[text.index("exec ") :]
    return {
        flag: value or None for flag, value in re.findall(r"^ +(--[\w-]+)(?: ([\w-]+))? \\$", command, re.MULTILINE)
    }


def test_the_tests_drive_the_server_that_is_shipped():
    shipped = flags_of(SERVE)
    tested: dict[str, str | None] = {}
    for option in OPTIONS["uvicorn"]:
        flag, _, value = option.partition("=")
        tested[flag] = value or None
    # Where it listens; how patient it is at its end; and what it says, for tests that read the log.
    assert {*shipped.items()} ^ {*tested.items()} == {
        ("--host", "127.0.0.1"),
        ("--timeout-graceful-shutdown", tested["--timeout-graceful-shutdown"]),
        ("--timeout-graceful-shutdown", "30"),
        ("--log-level", "warning"),
    }


def test_it_becomes_the_server_and_passes_on_where_to_listen(tmp_path):
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    process = subprocess.Popen(
        [DEPLOY / "serve", "--uds", "/a place/http.sock"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHON": str(python)},
        stdout=subprocess.PIPE,
        text=True,
    )
    pid, *words, directory = process.communicate(timeout=20)[0].splitlines()
    assert pid == f"pid {process.pid}"
    assert words[:3] == ["word -m", "word uvicorn", "word project.asgi:application"]
    assert words[-2:] == ["word --uds", "word /a place/http.sock"]
    assert directory == str(DEPLOY.parent)


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_its_log_has_no_address_of_a_socket(stack):
    port = free_port()
    command = [str(DEPLOY / "serve"), "--host", "127.0.0.1", "--port", str(port)]
    with Process(command, log_path=stack.log_path("serve"), env=stack.env) as process:
        demo = Person(Place(f"http://127.0.0.1:{port}"), "demo")
        ready(port, stack.env)
        async with demo.connect(path="/ws/?canary=in-the-mine") as socket:
            await socket.expect("welcome")
        process.terminate()
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert "canary" not in process.log()


def ready(port: int, env: dict[str, str]) -> None:
    def is_ready() -> bool:
        done = subprocess.run([DEPLOY / "ready", str(port)], env=env, capture_output=True, timeout=20, check=False)
        return done.returncode == 0

    wait_until(is_ready, timeout=60, what="answer to deploy/ready")
