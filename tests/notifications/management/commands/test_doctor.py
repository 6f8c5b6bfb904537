import io
import json

import pytest
from django.core.management import call_command

from notifications.doctor import Finding
from notifications.management.commands import doctor

WARNING = Finding("tickets.W001", "warning", "Something is odd.", "It may break.", "Mend it.")
ERROR = Finding("tickets.E001", "error", "Something is wrong.", "It breaks.", "Mend it now.")


@pytest.fixture
def run(monkeypatch):
    """What was found, and the arguments; answers what it said and the exit code."""

    def call(found, *arguments):
        asked = []
        monkeypatch.setattr(doctor, "examine", lambda **how: asked.append(how) or iter(found))
        out = io.StringIO()
        try:
            call_command("doctor", *arguments, stdout=out)
        except SystemExit as end:
            return out.getvalue(), end.code, asked
        return out.getvalue(), 0, asked

    return call


def test_each_finding_says_what_why_and_how(run):
    said, _code, asked = run(["all is well", WARNING, ERROR], "--url", "https://usher.example")
    assert said == (
        "ok       all is well\n"
        "warning  tickets.W001: Something is odd.\n         why:  It may break.\n         mend: Mend it.\n"
        "error    tickets.E001: Something is wrong.\n         why:  It breaks.\n         mend: Mend it now.\n"
        "1 errors, 1 warnings\n"
    )
    assert asked == [{"url": "https://usher.example"}]


def test_as_json(run):
    said, _code, _asked = run(["all is well", WARNING], "--json")
    assert [json.loads(line) for line in said.splitlines()] == [
        {"level": "ok", "what": "all is well"},
        {
            "id": "tickets.W001",
            "level": "warning",
            "what": "Something is odd.",
            "why": "It may break.",
            "mend": "Mend it.",
        },
    ]


@pytest.mark.parametrize(
    ("found", "level", "code"),
    [
        (["fine"], "warning", 0),
        ([WARNING], "error", 0),
        ([WARNING], "warning", 1),
        ([ERROR, WARNING], "error", 2),
        ([ERROR], "warning", 2),
    ],
)
def test_what_it_ends_with(run, found, level, code):
    assert run(found, f"--fail-level={level}")[1] == code
