"""Node.js, for the tests of what browsers run. Without it they are skipped, loudly; with CI=true they fail."""

import os
import shutil
import subprocess
from collections.abc import Callable
from typing import NoReturn

import pytest

from tests.support.processes import ROOT

RunNode = Callable[..., str]


def _without(what: str) -> NoReturn:
    message = f"LEFT OUT, no {what}: the JavaScript goes untested. It needs Node.js 20 or newer, and `npm ci`."
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def node() -> str:
    """The path of a Node.js that is new enough."""
    path = shutil.which("node")
    if path is None:
        _without("Node.js")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < 20:
        _without(f"Node.js 20 but {version}")
    return path


@pytest.fixture(scope="session")
def run_node(node) -> RunNode:
    """`run_node("--version")`: what it printed; a failure fails the test with it."""

    def run(*arguments: str, timeout: float = 100) -> str:
        done = subprocess.run(
            [node, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"node {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}", pytrace=False)
        return done.stdout

    return run


@pytest.fixture(scope="session")
def packages(node) -> None:
    """What package-lock.json names is installed."""
    for name in ("typescript", "ws"):
        if not (ROOT / "node_modules" / name / "package.json").is_file():
            _without(f"node_modules/{name}")
