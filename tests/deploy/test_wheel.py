"""What others install: nothing of it missing, nothing else in it. In a project: tests/browser/test_embedding.py."""

import ast
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.embedding import build_wheel
from tests.support.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = f"usher-{PROJECT['version']}"
ROOMS = ("tickets", "notifications")

# What only this repository's own site is made with.
OF_THE_SITE = {"django-environ", "servestatic", "django-csp", "drf-spectacular-sidecar"}

# Where what is outside of the packages here is inside of them.
INSIDE = {
    "static/usher": "notifications/static/usher",
    "templates/usher": "notifications/templates/usher",
    "templates/admin": "tickets/templates/admin",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel"))) as opened:
        yield opened


def files_of(top):
    found = (path for path in (ROOT / top).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT / top).as_posix() for path in found}


def test_it_has_the_rooms_with_their_files_and_nothing_else(wheel):
    ours = {f"{room}/{path}" for room in ROOMS for path in files_of(room)}
    ours |= {f"{inside}/{path}" for top, inside in INSIDE.items() for path in files_of(top)}
    metadata_of_it = {f"{NAME}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    assert set(wheel.namelist()) == ours | metadata_of_it
    assert {path.partition("/")[0] for path in wheel.namelist()} == {*ROOMS, f"{NAME}.dist-info"}


@pytest.mark.parametrize(
    "path",
    [
        "notifications/migrations/0001_initial.py",
        "notifications/management/commands/notify.py",
        "notifications/templatetags/usher.py",
        "notifications/client/__main__.py",
        "notifications/static/usher/worker.js",
        "notifications/templates/usher/elements/bell.html",
        "tickets/migrations/0001_initial.py",
        "tickets/management/commands/prune.py",
    ],
)
def test_among_them_are(wheel, path):
    """Else the comparison would hold for nothing as well."""
    assert wheel.getinfo(path).file_size > 0


def test_it_has_a_command(wheel):
    assert (
        wheel.read(f"{NAME}.dist-info/entry_points.txt") == b"[console_scripts]\nusher = notifications.command:main\n"
    )


# What it depends on -------------------------------------------------------------------------------------------------


def declared():
    extras = [each for extra in PROJECT["optional-dependencies"].values() for each in extra]
    return {canonicalize_name(each.name): each for each in map(Requirement, [*PROJECT["dependencies"], *extras])}


def pinned():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def test_it_takes_the_versions_that_everything_was_run_with():
    assert set(pinned()) - OF_THE_SITE == set(declared())
    for name, wanted in declared().items():
        (pin,) = pinned()[name].specifier
        assert pin.version in wanted.specifier, f"{wanted} does not admit {pin}"
        assert pinned()[name].extras == wanted.extras


def test_what_it_imports_is_declared():
    providers = metadata.packages_distributions()
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    undeclared = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in sources
        for name in imported_by(path)
        if name not in sys.stdlib_module_names
        and name not in ROOMS
        and not {canonicalize_name(each) for each in providers.get(name, ())} & THEIR_OWN.get(name, set(declared()))
    }
    assert undeclared == set()


# These come with something that is declared.
THEIR_OWN = {"asgiref": {"asgiref"}, "autobahn": {"autobahn"}, "psycopg_pool": {"psycopg-pool"}}


def imported_by(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found
