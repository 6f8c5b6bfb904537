"""Pages turn with the direction of their language: no style has a left and a right, and what people wrote is apart."""

import re

import pytest
from django.template.loader import render_to_string

from tests.support.processes import ROOT

STYLES = {path.name: path.read_text() for path in (ROOT / "static" / "usher").glob("*.css")}
SIDES = re.compile(r"[\w-]*\b(left|right)\b[\w-]*|translateX")
# Four values are those of top, right, bottom and left; of a radius, those of corners.
FOUR = re.compile(r"\b(padding|margin|inset|border-width|border-radius): *([^\s;(]+) ([^\s;(]+) ([^\s;(]+) ([^\s;(]+);")


def one_sided(style):
    """What would stay where it is when the page turns."""
    plain = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    simple = re.sub(r" !important|\([^()]*\)", "", plain)
    found = [match[0] for match in SIDES.finditer(plain)]
    for match in FOUR.finditer(simple):
        name, *values = match.groups()
        pairs = [(0, 1), (2, 3)] if name == "border-radius" else [(1, 3)]
        if any(values[one] != values[other] for one, other in pairs):
            found.append(match[0])
    return found


@pytest.mark.parametrize("name", STYLES)
def test_no_style_has_a_side(name):
    assert not one_sided(STYLES[name])


@pytest.mark.parametrize(
    "style",
    [
        "a { margin-left: 1px; }",
        "a { text-align: right; }",
        "a { transform: translateX(1px); }",
        "a { padding: 0 1px 0 2px; }",
        "a { inset: 0 auto 1px 0 !important; }",
        "a { border-radius: 0 var(--x) 2px 2px; }",
    ],
)
def test_a_side_is_noticed(style):
    assert one_sided(style)


def test_what_people_wrote_keeps_its_punctuation():
    """In elements that are isolated from the direction of the page (`bdi`, `dir`)."""
    row = {"id": "1", "title": "a (b)!", "body": "c.", "kind": "d.e", "kind_name": "d.e", "url": ""}
    html = render_to_string("usher/elements/row.html", {"row": row})
    for text in ("a (b)!", "c.", "d.e"):
        around = re.findall(rf"<(\w+)([^>]*)>{re.escape(text)}<", html)
        assert around and all(tag == "bdi" or "dir=" in fields for tag, fields in around), text
