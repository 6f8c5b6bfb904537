"""deploy/usher.env.example: with keys in it, a site that Django has nothing to say against."""

import re
import secrets
import subprocess
import sys

from tests.deploy.fleet import DEPLOY
from tests.support.processes import ROOT
from tests.support.stack import site_environment

EXAMPLE = dict(re.findall(r"^([A-Z_]+)=(.*)$", (DEPLOY / "usher.env.example").read_text(), re.MULTILINE))


def check(**env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=site_environment(**env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_lacks_keys_and_nothing_else():
    assert {name for name, value in EXAMPLE.items() if not value} == {"SECRET_KEY", "JWT_SIGNING_KEY"}
    assert "SECRET_KEY" in check(**EXAMPLE).stderr
    keys = {name: secrets.token_urlsafe(50) for name in ("SECRET_KEY", "JWT_SIGNING_KEY")}
    done = check(**EXAMPLE | keys)
    assert done.returncode == 0, done.stderr


def test_its_names_are_settings():
    settings = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(EXAMPLE) <= settings
