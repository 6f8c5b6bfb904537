"""The types of the JavaScript client name the server's frames and their fields, and which may be missing."""

import re

from msgspec import UNSET
from msgspec.structs import fields

from notifications.wire import vocabulary
from tests.support.processes import ROOT

TYPES = (ROOT / "static" / "usher" / "frames.d.ts").read_text()


def declared():
    """{type: {field: may be missing}}"""
    found = {}
    for body in re.findall(r"^export interface \w+ \{\n(.*?)^\}", TYPES, re.MULTILINE | re.DOTALL):
        lines = dict(re.findall(r"^  (\w+\??): (.*);$", body, re.MULTILINE))
        tag = lines.pop("type").strip('"')
        found[tag] = {name.rstrip("?"): name.endswith("?") for name in lines}
    return found


def test_the_frames():
    assert declared() == {
        kind.__struct_config__.tag: {field.name: field.default is UNSET for field in fields(kind)}
        for kind in vocabulary.Event.__subclasses__()
    }


def test_every_one_of_them_may_be_heard():
    union = TYPES.partition("export type Frame =")[2]
    assert set(re.findall(r"\| (\w+)", union)) == set(re.findall(r"^export interface (\w+)", TYPES, re.MULTILINE))
