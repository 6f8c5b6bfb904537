import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.wire.content import (
    BODY_LENGTH,
    DATA_BYTES,
    TITLE_LENGTH,
    URL_LENGTH,
    InvalidContent,
    Level,
    content,
    parse_data,
    url_problem,
)
from tests.support.processes import ROOT


def problem(field, **what):
    with pytest.raises(InvalidContent) as refused:
        content(**{"title": "t", **what})
    assert set(refused.value.errors) == {field}
    return refused.value.errors[field]


def test_a_title_is_all_it_takes():
    said = content(title="Hello")
    assert (said.title, said.body, said.kind, said.level, said.url, said.data) == ("Hello", "", "", Level.INFO, "", {})


def test_text_is_kept_as_it_is():
    hostile = "<script>alert(1)</script> \u202e‮ &amp; 😀 line\nbreak\ttab"
    assert content(title="t", body=hostile).body == hostile


@pytest.mark.parametrize(
    "title", ["", "   ", "\n", 5, None, b"x", ["x"], "x" * (TITLE_LENGTH + 1), "a\x00b", "\ud800", "\x1b[1m"]
)
def test_titles_that_are_none(title):
    assert problem("title", title=title)


@pytest.mark.parametrize("body", [5, None, "x" * (BODY_LENGTH + 1), "a\x00b", "\udfff"])
def test_bodies_that_are_none(body):
    assert problem("body", body=body)


@pytest.mark.parametrize("kind", ["CI", "-x", ".", "a b", "a\n", "ü", "x" * 81, 5, None])
def test_kinds_that_are_none(kind):
    assert problem("kind", kind=kind)


@pytest.mark.parametrize("level", ["loud", "", None, 1, ["info"], "INFO"])
def test_levels_that_are_none(level):
    assert problem("level", level=level) == "must be one of info, success, warning, error."


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "/builds/7/?a=b&c=d#e",
        "https://example.org",
        "http://example.org:8000/a%20b",
        "HTTPS://EXAMPLE.org/",
        "https://[::1]/",
    ],
)
def test_links_that_are_fine(url):
    assert content(title="t", url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "\x01javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "ftp://example.org/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/a\\b",
        "https:evil.example",
        "https:/evil.example",
        "https://",
        "https:///path",
        "http://[",
        "http://a:99999/",
        "https://exa mple.org",
        "https://example.org\n",
        "relative/path",
        "?query",
        "#fragment",
        "x" * (URL_LENGTH + 1),
        "/" + "x" * URL_LENGTH,
        "/\x00",
        "/\ud800",
        5,
        None,
        ["/"],
    ],
)
def test_links_that_are_refused(url):
    assert problem("url", url=url)


@given(st.text(max_size=40))
def test_no_text_is_a_link_that_leaves_the_site_unannounced(text):
    if url_problem(text) is None and text:
        assert text.startswith("/") or text.lower().startswith(("http://", "https://"))
        assert not text.startswith("//")
        assert "\\" not in text
        assert text.isprintable() or not text.isascii()


def nested(depth):
    data = {}
    for _ in range(depth):
        data = {"d": data}
    return data


@pytest.mark.parametrize("data", [{}, {"a": [1, 2.5, None, True, "x", {"b": []}]}, {"n": 2**53 - 1}, nested(8)])
def test_data_that_is_fine(data):
    assert content(title="t", data=data).data == data


@pytest.mark.parametrize(
    "data",
    [
        [],
        "x",
        5,
        {"n": 2**53},
        {"n": -(2**53)},
        {"n": float("nan")},
        {"n": float("inf")},
        {"s": "a\x00"},
        {"s": "\ud800"},
        {"a\x00": 1},
        {5: 1},
        {"x": object()},
        {"x": {1, 2}},
        {"x": datetime.now(UTC)},
        {"x": "y" * DATA_BYTES},
        nested(9),
        nested(5_000),
    ],
    ids=lambda data: type(data).__name__,
)
def test_data_that_is_refused(data):
    assert problem("data", data=data)


@pytest.mark.parametrize("moment", ["2030-01-01", 5, datetime(2030, 1, 1)])  # noqa: DTZ001
def test_moments_that_are_none(moment):
    assert problem("expires_at", expires_at=moment) == "must be a date and time with a time zone."


@pytest.mark.parametrize(("year", "hours"), [(1, 14), (9999, -14)])
def test_moments_that_have_no_date_in_utc(year, hours):
    first_or_last = (1, 1, 0) if year == 1 else (12, 31, 23)
    moment = datetime(year, *first_or_last, tzinfo=timezone(timedelta(hours=hours)))
    assert problem("expires_at", expires_at=moment) == "must have a date in UTC."


def test_everything_wrong_is_said_at_once():
    with pytest.raises(InvalidContent) as refused:
        content(title="", body=1, kind="!", level="x", url="x", data=1, expires_at=1)
    assert list(refused.value.errors) == ["title", "body", "kind", "level", "url", "data", "expires_at"]
    assert "title: must not be empty." in str(refused.value)


def test_fingerprints_tell_contents_apart_and_not_spellings():
    one = content(title="t", data={"a": 1, "b": [2]})
    assert one.fingerprint() == content(title="t", data={"b": [2], "a": 1}).fingerprint()
    others = [
        content(title="u", data={"a": 1, "b": [2]}),
        content(title="t", data={"a": 1, "b": [3]}),
        content(title="t", body="u", data={"a": 1, "b": [2]}),
        content(title="t", data={"a": 1, "b": [2]}, expires_at=datetime(2030, 1, 1, tzinfo=UTC)),
    ]
    assert len({one.fingerprint(), *(other.fingerprint() for other in others)}) == 5


def test_data_given_as_text():
    assert parse_data('{"a": 1}') == {"a": 1}
    for text in ("", "{", "NaN", "[" * 100_000, "\ud800"):
        with pytest.raises(InvalidContent, match="data: is not JSON"):
            parse_data(text)


class Safe(str):
    """As templates make them."""

    __slots__ = ()


class Ratio(float):
    __slots__ = ()


def test_subclasses_of_text_and_numbers_become_plain():
    said = content(title=Safe("t"), body=Safe("b"), data={Safe("k"): [Safe("v"), Ratio(0.5), (1, True, None)]})
    assert (type(said.title), type(said.body)) == (str, str)
    assert said.data == {"k": ["v", 0.5, [1, True, None]]}
    ((key, (value, ratio, _rest)),) = said.data.items()
    assert [type(key), type(value), type(ratio)] == [str, str, float]
    said.fingerprint()


# --- The first use ---

FIRST_USES = """
import os, sys, threading
from pathlib import Path
from types import ModuleType

sys.setswitchinterval(1e-6)
LEARNING = chr(10) + "msgspec.json.Decoder(Content)" + chr(10)
source = Path("notifications/wire/content.py").read_text()
assert LEARNING in source
module = ModuleType("notifications.wire.content")
sys.modules[module.__name__] = module
exec(source if sys.argv[1] == "as it is" else source.replace(LEARNING, chr(10)), vars(module))

crashed = 0
for _ in range(100):
    child = os.fork()
    if not child:
        start = threading.Barrier(20)
        threads = [threading.Thread(target=lambda: (start.wait(), module.content(title="x"))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0)
    crashed += os.waitpid(child, 0)[1] != 0
print(crashed)
"""


def crashes(use):
    done = subprocess.run([sys.executable, "-c", FIRST_USES, use], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return int(done.stdout)


def test_many_threads_may_be_the_first_to_say_something():
    assert crashes("as it is") == 0


def test_without_what_is_done_about_it_they_crash_the_process():
    assert crashes("unlearnt") > 0
