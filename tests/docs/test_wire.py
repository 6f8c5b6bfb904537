"""docs/wire.md says what the code does: its tables are read and held against it, both ways."""

import re

import pytest
from drf_spectacular.generators import SchemaGenerator

from notifications.wire import vocabulary
from notifications.wire.closing import CloseCode
from tests.support.processes import ROOT

PAGE = (ROOT / "docs" / "wire.md").read_text()


def table(heading):
    """The rows of the first table after a heading, as lists of cells without back-quotes."""
    section = PAGE.split(f"\n{heading}\n", 1)[1]
    rows = re.search(r"\|---.*\n((?:\|.*\n)+)", section)
    assert rows, f"no table under {heading}"
    return [[cell.strip().replace("`", "") for cell in row.strip("|\n ").split("|")] for row in rows[1].splitlines()]


def spelled(base):
    return {kind.__struct_config__.tag: set(kind.__struct_fields__) for kind in base.__subclasses__()}


def test_events():
    assert {name: set(fields.split()) for name, fields in table("### Server to client")} == spelled(vocabulary.Event)


def test_commands():
    assert {name: set(fields.split()) for name, fields in table("### Client to server")} == {
        name: fields for name, fields in spelled(vocabulary.Command).items() if name not in ("follow", "unfollow")
    }  # which other protocols' clients say in their own words


def test_close_codes():
    rows = [(int(code), reason, need) for code, reason, need, _means in table("### Close codes")]
    assert rows == [(int(code), code.reason, str(code.need)) for code in CloseCode]


def test_error_codes():
    """Every code that the connection or a codec answers with is named on the page."""
    sources = [ROOT / "notifications/live/connection.py", *(ROOT / "notifications/wire").glob("*.py")]
    said = set()
    for source in sources:
        said |= set(re.findall(r'(?:self\._error\(\s*steps,\s*|BadFrame\()"([a-z_]+)"', source.read_text()))
    assert len(said) > 8, "the pattern finds them"
    page = re.search(r"`error\.code` is one of (.*?)\. The connection lives on", PAGE, re.DOTALL)
    assert page
    named = set(re.findall(r"`([a-z_]+)`", page[1])) - {"retry_after_ms"}
    assert said - {"too_big"} == named  # too_big is answered by the close code 4506


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator().get_schema(request=None, public=True)


def resolved(schema, part):
    while "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    return (part.get("oneOf") and resolved(schema, part["oneOf"][0])) or part


def test_rest(schema):
    rows = {call: (takes, answers) for call, takes, answers in table("## REST")}
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if path != "/api/schema/"
    }
    assert set(rows) == set(operations)
    for call, operation in operations.items():
        takes, answers = rows[call]
        status, *fields = answers.split()
        answer = operation["responses"][status].get("content", {}).get("application/json", {}).get("schema", {})
        assert set(fields) == set(resolved(schema, answer).get("properties", {})), call
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        asked = set(resolved(schema, body).get("properties", {}))
        asked |= {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}
        assert set(takes.split()) == asked, call
