import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickets.parsing import LARGEST_BODY, StrictJSONParser, parse_json, too_large
from tickets.problems import Problem


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, -2.5, true, null, "\xc3\xa9"]} ', {"a": [1, -2.5, True, None, "é"]}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"9007199254740991", 2**53 - 1),
        (b"-9007199254740991", -(2**53) + 1),
        (b"[[[[[[[[1]]]]]]]]", [[[[[[[[1]]]]]]]]),
    ],
)
def test_what_is_read(body, value):
    assert parse_json(body) == value


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"not json", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        ("{}".encode("utf-16"), "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"NaN", "not JSON: NaN"),
        (b"[Infinity]", "not JSON: Infinity"),
        (b"-Infinity", "not JSON: -Infinity"),
        (b"1e999", "number is too large"),
        (b"-1e999", "number is too large"),
        (b"9007199254740992", "beyond 2**53 - 1"),
        (b"-9007199254740992", "beyond 2**53 - 1"),
        (b"1" * 5000, "beyond 2**53 - 1"),
        (b'{"a": 1, "a": 1}', "a name comes twice"),
        (b'{"a": {"b": 1, "\\u0062": 2}}', "a name comes twice"),
        (b'"\\ud800"', "lone surrogate"),
        (b'{"\\udfff": 1}', "lone surrogate"),
        (b'["\\u0000"]', "NUL"),
        (b"[[[[[[[[[1]]]]]]]]]", "nested too deeply"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "nested too deeply"),
        (b"[" * 60_000, "nested too deeply"),
        (b'{"a":' * 10_000, "nested too deeply"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_what_is_refused_and_why(body, why):
    with pytest.raises(Problem) as refused:
        parse_json(body)
    assert (refused.value.status_code, refused.value.code) == (400, "malformed_json")
    assert why in str(refused.value.detail)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ud8019.e-+ aNtrueflsn', max_size=80).map(str.encode))
def test_any_body_is_read_or_refused(body):
    with suppress(Problem):
        parse_json(body)


def test_a_body_is_read_up_to_the_limit_and_no_further():
    whole = b'"' + b"x" * (LARGEST_BODY - 2) + b'"'
    assert len(StrictJSONParser().parse(io.BytesIO(whole))) == LARGEST_BODY - 2
    stream = io.BytesIO(b"x" * LARGEST_BODY * 4)
    with pytest.raises(Problem) as refused:
        StrictJSONParser().parse(stream)
    assert refused.value.status_code == 413
    assert stream.tell() == LARGEST_BODY + 1


def test_too_large_names_the_limit():
    assert "65536 bytes" in str(too_large().detail)
