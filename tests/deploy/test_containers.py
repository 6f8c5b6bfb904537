"""The container files, which no engine here has run: read, and held to what they start and copy."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from notifications.conf import conf
from tests.deploy.fleet import DEPLOY
from tests.support.processes import ROOT
from tests.support.stack import site_environment

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
INSIDE = "/srv/usher/"


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", DOCKERFILE.replace("\\\n", " "), re.MULTILINE)


def test_images_are_pinned():
    images = [*instructions("FROM"), *(each["image"] for each in SERVICES.values())]
    for image in images:
        assert re.search(r":\d+\.\d+(\.\d+)?(-\w+(-\w+)?)?$", image), image


def test_it_copies_what_it_needs_and_no_more():
    copied = {word.removeprefix("./") for line in instructions("COPY") for word in line.split()[:-1]}
    assert all((ROOT / each).exists() for each in copied), copied
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert copied >= rooms | {"manage.py", "requirements.txt", "templates", "static"}
    allowed = {
        line.removeprefix("!")
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert allowed == copied


def test_it_runs_what_systemd_runs_as_nobody_special():
    (entry,), (health,) = instructions("ENTRYPOINT"), re.findall(r"HEALTHCHECK .* CMD (.+)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(entry) == [f"{INSIDE}deploy/serve"]  # exec form: the signal reaches it
    where = json.loads(instructions("CMD")[0])
    assert where == ["--host", "0.0.0.0", "--port", "8000"]
    assert json.loads(health) == [f"{INSIDE}deploy/ready", "8000"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert re.fullmatch(r"\d{4,}:\d{4,}", instructions("USER")[0])
    assert instructions("EXPOSE") == ["8000"]


def test_the_static_files_are_collected_as_it_does(tmp_path):
    (command,) = re.findall(r"^RUN DEBUG=1 python (manage\.py collectstatic .+)$", DOCKERFILE, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, *command.split(), "--dry-run"],
        cwd=ROOT,
        env=site_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_two_processes_with_time_to_drain():
    servers = [name for name in SERVICES if name.startswith("web-")]
    assert len(servers) >= 2
    graceful = int(re.search(r"--timeout-graceful-shutdown (\d+)", (DEPLOY / "serve").read_text())[1])
    for name in servers:
        server = SERVICES[name]
        assert int(server["stop_grace_period"].removesuffix("s")) >= conf.DRAIN_SECONDS + graceful
        assert "entrypoint" not in server
        assert "command" not in server
        assert server["cap_drop"] == ["ALL"]
        assert server["read_only"]
    upstream = (DEPLOY / "nginx" / "processes.compose.conf").read_text()
    assert re.findall(r"server (\S+):8000", upstream) == servers


def test_proxies_are_trusted_that_are_there():
    (network,) = COMPOSE["networks"]["inside"]["ipam"]["config"]
    assert SERVICES["web-1"]["environment"]["TRUSTED_PROXIES"] == network["subnet"]
    assert all(service["networks"] == ["inside"] for service in SERVICES.values())
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]


def test_files_that_are_mounted_exist():
    for volume in SERVICES["nginx"]["volumes"]:
        source = volume.partition(":")[0]
        assert (DEPLOY / source).exists() or source == "./certificates", volume


def test_what_is_secret_is_not_committed():
    ignored = (DEPLOY / ".gitignore").read_text().splitlines()
    assert {f"/{SERVICES['web-1']['env_file']}", "/certificates/"} <= {*ignored}


def test_an_engine_reads_it(tmp_path):
    docker = shutil.which("docker")
    asked = docker and subprocess.run([docker, "compose", "version"], capture_output=True, timeout=30, check=False)
    if not asked or asked.returncode:
        pytest.skip("LEFT OUT, no docker compose: deploy/compose.yaml was read as YAML only")
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    (tmp_path / "deploy" / "usher.env").touch()
    done = subprocess.run(
        [docker, "compose", "-f", tmp_path / "deploy" / "compose.yaml", "config", "--quiet"],
        env=site_environment(POSTGRES_PASSWORD="secret"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
