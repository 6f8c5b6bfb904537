"""What `make run-scaled` hands on, with a stand-in for Python that only says how it was called."""

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


def run_scaled(checkout, *arguments):
    done = subprocess.run(
        ["make", "run-scaled", *arguments],
        cwd=checkout,
        env=site_environment() | {"MAKEFLAGS": "", "MAKELEVEL": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (called,) = (line for line in done.stdout.splitlines() if line.startswith("called"))
    return called


def test_by_itself(checkout):
    assert run_scaled(checkout) == "called -m deploy.local --host 127.0.0.1 --port 8000 --processes 2 <>"


def test_told_otherwise(checkout):
    assert run_scaled(checkout, "HOST=192.0.2.7", "PORT=8123", "PROCESSES=4") == (
        "called -m deploy.local --host 192.0.2.7 --port 8123 --processes 4 <localhost,127.0.0.1,[::1],192.0.2.7>"
    )
