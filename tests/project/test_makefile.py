"""What `make run` hands to the site, with a stand-in for Python that only says how it was called."""

import shutil
import subprocess

import pytest

from tests.support.processes import ROOT
from tests.support.stack import site_environment

STAND_IN = """#!/bin/sh
[ "$1" = manage.py ] && echo "$2 $3 $4 $5 <$ALLOWED_HOSTS>"
exit 0
"""


@pytest.fixture
def checkout(tmp_path):
    """Installed, as `make` sees it."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN)
    python.chmod(0o755)
    (tmp_path / ".venv" / ".runtime").touch()
    return tmp_path


def make_run(checkout, *arguments, **env):
    """What each of the three commands was handed: {command: (arguments, allowed hosts)}."""
    done = subprocess.run(
        ["make", "run", *arguments],
        cwd=checkout,
        env=site_environment() | {"MAKEFLAGS": "", "MAKELEVEL": ""} | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = {}
    for line in done.stdout.splitlines():
        if line.endswith(">"):
            words, _, hosts = line.rstrip(">").partition(" <")
            command, *rest = words.split()
            said[command] = (rest, hosts.split(",") if hosts else [])
    assert list(said) == ["migrate", "demo", "runserver"], done.stdout + done.stderr
    return said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_on_a_loopback_address_the_sites_own_default_stands(checkout, host):
    said = make_run(checkout, f"HOST={host}", "PORT=8123")
    assert said["demo"] == (["--host", host], [])
    assert said["runserver"] == (["--noreload", f"{host}:8123"], [])


@pytest.mark.parametrize("how", ["argument", "environment"])
@pytest.mark.parametrize("host", ["192.0.2.7", "usher.example", "[2001:db8::7]"])
def test_elsewhere_the_site_answers_to_the_name_it_is_served_on(checkout, host, how):
    said = make_run(checkout, f"HOST={host}") if how == "argument" else make_run(checkout, HOST=host)
    assert said["demo"] == (["--host", host], ["localhost", "127.0.0.1", "[::1]", host])
    assert said["runserver"] == (["--noreload", f"{host}:8000"], ["localhost", "127.0.0.1", "[::1]", host])


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_on_all_addresses_it_answers_to_this_machines_names_and_no_other(checkout, host):
    _, hosts = make_run(checkout, f"HOST={host}")["runserver"]
    name = subprocess.run(["uname", "-n"], capture_output=True, text=True, check=True).stdout.strip()
    assert hosts[:5] == ["localhost", "127.0.0.1", "[::1]", host, name]
    assert not any("*" in each or not each for each in hosts)


def test_what_the_caller_allows_is_what_is_allowed(checkout):
    assert make_run(checkout, "HOST=192.0.2.7", ALLOWED_HOSTS="a.example")["runserver"][1] == ["a.example"]
    assert make_run(checkout, "HOST=192.0.2.7", "ALLOWED_HOSTS=b.example")["runserver"][1] == ["b.example"]


def test_what_the_file_allows_is_left_to_the_site(checkout):
    (checkout / ".env").write_text("DEBUG=1\nALLOWED_HOSTS=c.example\n")
    assert make_run(checkout, "HOST=192.0.2.7")["runserver"][1] == []
    (checkout / ".env").write_text("#ALLOWED_HOSTS=c.example\n")
    assert "192.0.2.7" in make_run(checkout, "HOST=192.0.2.7")["runserver"][1]


def test_what_was_compiled_is_kept_for_the_next_process(checkout):
    """A container's PYTHONDONTWRITEBYTECODE would have each of the hundreds of processes of a run compile Django."""
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(STAND_IN.replace("<$ALLOWED_HOSTS>", "<${PYTHONDONTWRITEBYTECODE-not set}>"))
    said = make_run(checkout, PYTHONDONTWRITEBYTECODE="1")
    assert {hosts[0] for _arguments, hosts in said.values()} == {"not set"}
