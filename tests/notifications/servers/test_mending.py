import tomllib

import pytest
from packaging.requirements import Requirement

from notifications.servers import daphne_sockets, mending, uvicorn_sockets
from tests.support.processes import ROOT


@pytest.fixture
def mended(monkeypatch):
    """The servers that were mended."""
    names = []
    for module in (daphne_sockets, uvicorn_sockets):
        name = module.__name__.rpartition(".")[2].removesuffix("_sockets")
        monkeypatch.setattr(module, "install", lambda name=name: names.append(name))
    return names


mend = mending.mend.__wrapped__  # as in a new process


def test_all_that_are_installed_are_mended(mended):
    mend()
    assert mended == ["daphne", "uvicorn"]


def test_a_site_need_not_have_both(mended, monkeypatch):
    monkeypatch.setattr(mending, "KNOWN", {"daphne": "4.2.", "no-such-server": "1."})
    assert set(mending.installed()) == {"daphne"}
    mend()
    assert mended == ["daphne"]


def test_what_nobody_has_tried_is_left_alone_and_said(mended, monkeypatch, caplog):
    monkeypatch.setattr(mending, "installed", lambda: {"daphne": "4.20.0", "uvicorn": "0.54.1"})
    mend()
    assert mended == ["uvicorn"]
    assert "daphne 4.20.0 is not one that Usher knows" in caplog.text


def test_those_that_are_installed_with_it_are_known():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, known in mending.KNOWN.items():
        (wanted,) = (each for each in map(Requirement, extras[name]) if each.name == name)
        versions = wanted.specifier
        assert f"{known}99" in versions
        major, minor = map(int, known.strip(".").split("."))
        assert f"{major}.{minor + 1}.0" not in versions
