"""Reading JSON bodies strictly."""

import math
from typing import Any, NoReturn

from rest_framework.parsers import BaseParser
from rest_framework.utils import json

from tickets.problems import Problem

LARGEST_BODY = 64 * 1024
"""Bytes. The largest honest request, one publication to many people, stays well below."""
DEEPEST = 8
"""Arrays and objects within each other."""
LARGEST_INTEGER = 2**53 - 1
"""Beyond it JavaScript rounds, so two ends would mean different numbers (RFC 8259, section 6)."""


class StrictJSONParser(BaseParser):
    """JSON that means the same to everybody (I-JSON, RFC 7493), or a 400.

    Refused are NaN, infinities and numbers that overflow to them, integers beyond 2**53 - 1, duplicate names, lone
    surrogates, NUL, nesting deeper than DEEPEST, anything that is not UTF-8; and with 413 more than LARGEST_BODY.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        body = stream.read(LARGEST_BODY + 1)
        if len(body) > LARGEST_BODY:
            raise too_large()
        return parse_json(body)


def parse_json(body: bytes) -> Any:
    """The value that `body` spells; raises `Problem` (400, `malformed_json`) with the reason."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except RecursionError:
        _refuse("nested too deeply")
    except ValueError as error:  # includes UnicodeDecodeError and JSONDecodeError
        _refuse(f"not JSON: {error}")
    _check(value, DEEPEST)
    return value


def _refuse(why: str) -> NoReturn:
    raise Problem(status=400, code="malformed_json", detail=f"The body is {why}."[:200])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse("ambiguous: a name comes twice in one object")
    return found


def _integer(digits: str) -> int:
    # The length first: converting thousands of digits is slow, and Python refuses it with an error of its own.
    if len(digits) > 17 or abs(int(digits)) > LARGEST_INTEGER:
        _refuse("not portable: an integer is beyond 2**53 - 1")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        _refuse("not portable: a number is too large")
    return value


def _constant(name: str) -> NoReturn:
    _refuse(f"not JSON: {name}")


def _check(value: Any, depth: int) -> None:
    """Refuse what is nested deeper than `depth`, and text that PostgreSQL or UTF-8 cannot hold."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            _refuse("not text: NUL or a lone surrogate in a string")
    elif isinstance(value, dict | list):
        if depth == 0:
            _refuse("nested too deeply")
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            _check(part, depth - 1)


def too_large() -> Problem:
    """The answer to a body that is over the limit, announced or read."""
    return Problem(status=413, code="body_too_large", detail=f"A body may have at most {LARGEST_BODY} bytes.")
