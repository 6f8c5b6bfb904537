"""What the README shows is run."""

import json
import re
import subprocess
import sys

import pytest

from tests.support.processes import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def test_its_commands_exist():
    console = "".join(code for kind, code in BLOCKS if kind == "console")
    made = set(re.findall(r"^\$ make (\w+)$", console, re.MULTILINE))
    assert made == {"run", "test"}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert made <= targets


def test_its_links_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
def test_its_ten_lines(make_site):
    site = make_site()
    (code,) = (code for kind, code in BLOCKS if "httpx" in code)
    assert len(code.strip().splitlines()) <= 12
    code = code.replace("http://127.0.0.1:8000", site.server.http).replace("print(", "print(json.dumps(", 2)
    code = code.replace("recv()))", "recv())))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    welcome, notification = map(json.loads, done.stdout.splitlines())
    assert (welcome["type"], welcome["user"]["username"]) == ("welcome", "demo")
    assert (notification["type"], notification["seq"], notification["title"]) == ("notification", 1, "Hello")
