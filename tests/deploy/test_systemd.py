"""The units, read by systemd where that is installed, and the rolling restart with a stand-in for systemctl."""

import configparser
import os
import re
import shutil
import socketserver
import subprocess
import threading

import pytest

from notifications.conf import conf
from tests.deploy.fleet import DEPLOY
from tests.deploy.test_ready import Probe
from tests.support.processes import ROOT

UNITS = sorted(path for path in (DEPLOY / "systemd").iterdir() if path.suffix)
SERVER = (DEPLOY / "systemd" / "usher@.service").read_text()

SYSTEMCTL = """#!/bin/sh
case "$1" in
    list-units) printf 'usher@1.service loaded active running Usher\\nusher@2.service loaded active running Usher\\n' ;;
    restart) echo "restart $2" >> "$CALLS" ;;
esac
"""


@pytest.fixture
def laid_out(tmp_path):
    """The units, naming what is here instead of /srv/usher."""
    for unit in UNITS:
        text = unit.read_text().replace("/srv/usher/.venv/bin/python", shutil.which("python3"))
        (tmp_path / unit.name).write_text(text.replace("/srv/usher", str(ROOT)))
    return tmp_path


@pytest.fixture
def analyze():
    # Not a service of its own and so not asked for on CI: containers have no systemd, and apt would bring all of it.
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("LEFT OUT, no systemd-analyze: the units were not read by systemd itself")
    return program


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_understands_it(analyze, laid_out, unit):
    name = unit.name.replace("@.", "@1.")
    if name != unit.name:
        (laid_out / name).symlink_to(laid_out / unit.name)
    done = subprocess.run([analyze, "verify", laid_out / name], capture_output=True, text=True, timeout=60, check=False)
    # It reads what is installed on this machine as well; that is not ours to judge.
    ours = [line for line in done.stderr.splitlines() if "usher" in line]
    assert not ours, done.stderr


def test_systemd_would_complain(analyze, laid_out):
    broken = laid_out / "usher-broken.service"
    broken.write_text(
        (laid_out / "usher-prune.service").read_text().replace("ProtectSystem=strict", "ProtectSystem=maybe")
    )
    done = subprocess.run([analyze, "verify", broken], capture_output=True, text=True, timeout=60, check=False)
    assert "usher-broken" in done.stderr


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda path: path.name)
def test_little_is_exposed(analyze, laid_out, unit):
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", laid_out / unit.name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "nrecognized option" in done.stderr:
        pytest.skip("LEFT OUT: this systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_a_server_has_time_to_drain():
    graceful = int(re.search(r"--timeout-graceful-shutdown (\d+)", (DEPLOY / "serve").read_text())[1])
    (patience,) = re.findall(r"^TimeoutStopSec=(\d+)$", SERVER, re.MULTILINE)
    assert int(patience) >= conf.DRAIN_SECONDS + graceful


def test_what_they_start_exists():
    for unit in UNITS:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read(unit)
        if parser.has_option("Service", "ExecStart"):
            program, *rest = parser["Service"]["ExecStart"].split()
            path = ROOT / program.removeprefix("/srv/usher/")
            assert os.access(path, os.X_OK) or ".venv" in program, program
            if "manage.py" in rest:
                assert list(ROOT.glob(f"*/management/commands/{rest[rest.index('manage.py') + 1]}.py"))
        assert parser["Unit"]["Documentation"] == "file:///srv/usher/docs/operations.md"


def test_nginx_looks_where_systemd_puts_them():
    processes = (DEPLOY / "nginx" / "usher" / "processes.conf").read_text()
    (place,) = re.findall(r"--uds (\S+)", SERVER)
    assert re.findall(r"server unix:(\S+)", processes) == [place.replace("%i", number) for number in "12"]
    assert place == f"/run/{re.findall(r'RuntimeDirectory=(.*)', SERVER)[0]}/http.sock"


# The rolling restart ------------------------------------------------------------------------------------------------


@pytest.fixture
def roll(tmp_path):
    """`roll("1", "2")`: the script, with a stand-in for systemctl that only writes down what it was asked."""
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    calls = tmp_path / "calls"
    calls.touch()
    (tmp_path / "usher.env").write_text("DEBUG=0\nALLOWED_HOSTS=usher.example,other.example\n")

    def run(*numbers: str) -> tuple[subprocess.CompletedProcess, list[str]]:
        done = subprocess.run(
            [DEPLOY / "systemd" / "roll", *numbers],
            env={
                "PATH": f"{systemctl.parent}:{os.environ['PATH']}",
                "CALLS": str(calls),
                "SOCKETS": str(tmp_path),
                "ENVIRONMENT": str(tmp_path / "usher.env"),
                "PATIENCE": "1",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done, calls.read_text().splitlines()

    return run


@pytest.fixture
def processes(tmp_path):
    """`processes("1")`: that one is ready."""
    servers = []

    def start(number: str) -> None:
        (tmp_path / number).mkdir()
        server = socketserver.ThreadingUnixStreamServer(str(tmp_path / number / "http.sock"), Probe)
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        servers.append(server)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_one_after_the_other(roll, processes):
    processes("1")
    processes("2")
    done, calls = roll()
    assert (done.returncode, calls) == (0, ["restart usher@1.service", "restart usher@2.service"]), done.stderr
    assert roll("2")[1][2:] == ["restart usher@2.service"]


def test_the_next_one_is_spared_if_one_does_not_come_back(roll, processes):
    processes("2")
    done, calls = roll()
    assert (done.returncode, calls) == (1, ["restart usher@1.service"])
    assert "usher@1 is not ready" in done.stderr
