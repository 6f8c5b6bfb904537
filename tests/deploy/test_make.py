"""What `make run-scaled` and `make package` hand on, with a stand-in for Python that only says how it was called."""

import shutil
import subprocess

import pytest

from tests.support.processes import ROOT
from tests.support.stack import site_environment

STAND_IN = """#!/bin/sh
echo "called $* <$ALLOWED_HOSTS>"
"""


@pytest.fixture
def checkout(tmp_path):
    """Installed, as `make` sees it."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN)
    python.chmod(0o755)
    for stamp in (".runtime", ".dev"):
        (tmp_path / ".venv" / stamp).touch()
    return tmp_path


def make(checkout, *arguments):
    done = subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env=site_environment() | {"MAKEFLAGS": "", "MAKELEVEL": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if line.startswith("called")]


def run_scaled(checkout, *arguments):
    (called,) = make(checkout, "run-scaled", *arguments)
    return called


def test_by_itself(checkout):
    assert run_scaled(checkout) == "called -m deploy.local --host 127.0.0.1 --port 8000 --processes 2 <>"


def test_told_otherwise(checkout):
    assert run_scaled(checkout, "HOST=192.0.2.7", "PORT=8123", "PROCESSES=4") == (
        "called -m deploy.local --host 192.0.2.7 --port 8123 --processes 4 <localhost,127.0.0.1,[::1],192.0.2.7>"
    )


def test_both_packages_are_made_anew(checkout):
    """As tests/support/embedding.py and tests/js/test_npm.py make them, into one place."""
    (checkout / "npm").mkdir()
    for program in (checkout / "npm" / "pack", checkout / "node_modules" / ".bin" / "tsc"):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text('#!/bin/sh\nmkdir -p "$1"; echo "called pack $*"\n')
        program.chmod(0o755)
    (checkout / "dist").mkdir()
    (checkout / "dist" / "an older one").touch()
    for name in ("package.json", "package-lock.json"):
        (checkout / name).touch()
    (checkout / "node_modules" / ".installed").touch()
    wheel, npm = make(checkout, "package")
    assert wheel.startswith("called -m pip ") and wheel.endswith(
        " wheel --no-deps --no-build-isolation --wheel-dir=dist . <>"
    )
    assert npm == "called pack dist"
    assert list((checkout / "dist").iterdir()) == []
