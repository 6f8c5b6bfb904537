"""The doctor on sites on which all is wrong, and on the one that is shipped, on which nothing is."""

import asyncio
import contextlib
import json
import re
import secrets
import subprocess
import sys

import pytest

from notifications.doctor import WHY
from tests.deploy.fleet import NAME, make_certificate
from tests.deploy.test_environment import EXAMPLE
from tests.support.processes import ROOT, free_port
from tests.support.servers import Server
from tests.support.stack import site_environment
from tests.support.wires import Wire

SAID = re.compile(r"(?:tickets|notifications)\.[EW]\d{3}")


def expected():
    """What bad_settings.py says that is found: {site: ids}."""
    source = (ROOT / "tests" / "project" / "bad_settings.py").read_text()
    _head, *parts = re.split(r'^if _BAD == "(\w+)":', source, flags=re.MULTILINE)
    return {name: sorted(SAID.findall(text)) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def doctor(*arguments, **env):
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json", *arguments],
        cwd=ROOT,
        env=site_environment(**env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


@pytest.fixture
def place(tmp_path):
    """Where bad sites keep their files."""
    (tmp_path / "usher").mkdir()
    (tmp_path / "usher" / "client.js").touch()
    with (tmp_path / "large.jsonl").open("wb") as large:
        large.truncate((1 << 30) + 1)
    return tmp_path


def of_old(said):
    """No Redis with the hole is to be had: one that has none says that it is of then."""
    return re.sub(rb"valkey_version:\d\.\d\.\d", b"valkey_version:8.0.0", said)


@contextlib.asynccontextmanager
async def around(name, stacks, tmp_path):
    """What a bad site stands among: its environment, and what else the doctor is asked."""
    nobody = f"127.0.0.1:{free_port()}"
    env = {"DATABASE_URL": f"postgresql://usher@{nobody}/usher", "REDIS_URL": f"redis://{nobody}/0"}
    if name == "settings":
        async with Wire(stacks.valkey) as wire:
            wire.slow(0.15)
            wire.change = of_old
            database = stacks.make("scaled").env["DATABASE_URL"]
            yield env | {"BAD_REDIS": f"redis://127.0.0.1:{wire.port}/0", "DATABASE_URL": database}, ()
    elif name == "services":
        yield env, ("--url", f"http://{nobody}")
    elif name == "strangers":
        stack = stacks.make("embedded")
        certificate = make_certificate(tmp_path / "certificate")
        with Server("daphne", stack) as server:
            async with Wire(server, certificate=certificate) as wire:
                place = {"DATABASE_URL": stack.env["DATABASE_URL"], "SSL_CERT_FILE": str(certificate / "fullchain.pem")}
                yield env | place, ("--url", f"https://{NAME}:{wire.port}")
    else:
        yield env, ()


@pytest.mark.parametrize("name", expected())
async def test_what_is_wrong_is_found_once_each(name, place, stacks, tmp_path):
    settings = {"BAD": name, "BAD_PLACE": str(place), "DJANGO_SETTINGS_MODULE": "tests.project.bad_settings"}
    async with around(name, stacks, tmp_path) as (env, arguments):
        found, code = await asyncio.to_thread(doctor, *arguments, **settings, **env)
    ours = sorted(each["id"] for each in found if each["level"] != "ok" and SAID.fullmatch(each["id"]))
    assert ours == expected()[name]
    assert code == 2
    assert all(each["what"] and each["why"] and each["mend"] for each in found if each["level"] != "ok")


def test_that_is_every_finding_there_is():
    tripped = [number for numbers in expected().values() for number in numbers]
    assert sorted(tripped) == sorted(WHY), "each in one site alone"


def test_the_shipped_example_has_nothing_wrong_with_it(stacks, tmp_path):
    stack = stacks.make("scaled")
    keys = {name: secrets.token_urlsafe(50) for name in ("SECRET_KEY", "JWT_SIGNING_KEY")}
    services = {name: stack.env[name] for name in ("DATABASE_URL", "REDIS_URL")}
    shipped = {**EXAMPLE, **keys, **services, "DJANGO_SETTINGS_MODULE": "tests.project.shipped_settings"}
    shipped |= {"SHIPPED_STATIC_ROOT": str(tmp_path)}
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
    subprocess.run(collect, cwd=ROOT, env=site_environment(**shipped), check=True, timeout=60)
    found, code = doctor("--fail-level=warning", **shipped)
    assert [each for each in found if each["level"] != "ok"] == []
    assert code == 0
    facts = " ".join(each["what"] for each in found)
    assert all(word in facts for word in ("PostgreSQL", "clocks", "there and back in", "descriptors"))
