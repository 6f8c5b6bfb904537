"""What a notification may say: one set of rules for `notify()`, the REST call and pushes through the channel layer.

Everything here ends up in somebody's browser, log and database, so it is refused at the door with a word for each field
instead of being cleaned: nothing is cut, escaped or guessed.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import msgspec

TITLE_LENGTH = 200
BODY_LENGTH = 4_000
KIND_LENGTH = 80
URL_LENGTH = 2_000
DATA_BYTES = 4 * 1024
DATA_DEPTH = 8
GREATEST_INTEGER = 2**53 - 1  # above it a JavaScript client reads another number than was sent

_KIND = re.compile(r"[a-z0-9][a-z0-9._-]*\Z", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Line breaks and tabs are text; the other control characters only ever hide something.
_TEXT_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Level(StrEnum):
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class InvalidContent(ValueError):
    """The content breaks a rule; `errors` has a sentence for each field that does."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__("; ".join(f"{field}: {sentence}" for field, sentence in self.errors.items()))


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is said, whoever it is said to. Make it with `content()`, which checks it."""

    title: str
    body: str
    kind: str
    level: Level
    url: str
    data: dict[str, Any]
    expires_at: datetime | None

    def fingerprint(self) -> str:
        """SHA-256 over a canonical spelling: equal for equal content, whatever the order of keys in `data`."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def content(
    *,
    title: object,
    body: object = "",
    kind: object = "",
    level: object = Level.INFO,
    url: object = "",
    data: object = None,
    expires_at: object = None,
) -> Content:
    """
    Check everything at once and return it as `Content`.

    Raises:
        InvalidContent: with a sentence for every field that is wrong, not only for the first.
    """
    errors: dict[str, str] = {}
    data = {} if data is None else data
    checks = {
        "title": text_problem(title, TITLE_LENGTH) or ("must not be empty." if not str(title).strip() else None),
        "body": text_problem(body, BODY_LENGTH),
        "kind": kind_problem(kind),
        "level": None if level in list(Level) else f"must be one of {', '.join(Level)}.",
        "url": url_problem(url),
        "data": data_problem(data),
        "expires_at": _expiry_problem(expires_at),
    }
    errors = {field: problem for field, problem in checks.items() if problem}
    if errors:
        raise InvalidContent(errors)
    said = {"title": title, "body": body, "kind": kind, "level": str(level), "url": url, "data": data}
    return msgspec.convert({**_plain(said), "expires_at": expires_at}, Content)


# msgspec learns a type when it is first used, and crashes the process if several threads are first at once (0.22: seen
# in workers that had just been started, under twenty threads). So it learns this one while the module is imported.
msgspec.json.Decoder(Content)


def _plain(value: Any) -> Any:
    """The same without subclasses, which encoders refuse: a template's SafeString is a `str` to whoever passes it."""
    match value:
        case str():
            return str.__str__(value)
        case None | bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case dict():
            return {_plain(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value]


def parse_data(text: str) -> Any:
    """JSON text to what `content(data=…)` checks; raises InvalidContent if it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidContent({"data": "is not JSON."}) from None


def text_problem(value: object, longest: int) -> str | None:
    if not isinstance(value, str):
        return "must be a string."
    if len(value) > longest:
        return f"must have at most {longest} characters."
    if _TEXT_CONTROL.search(value):
        return "must not contain control characters."
    if _has_lone_surrogate(value):
        return "must not contain lone surrogates."
    return None


def url_problem(value: object) -> str | None:
    """
    A notification's link is `http(s)://host…` or an absolute path on the same site.

    Browsers read `//host` and `/\\host` as another site, drop tabs and line breaks inside a scheme (`java\\tscript:`)
    and run `javascript:` and `data:`; so what is allowed is listed, not what is forbidden.
    """
    if value == "":
        return None
    problem = text_problem(value, URL_LENGTH)
    if problem or not isinstance(value, str):
        return problem
    if _CONTROL.search(value) or "\\" in value or value != value.strip() or " " in value:
        return "must not contain spaces, backslashes or control characters."
    if value.startswith("/"):
        return "must not begin with //." if value.startswith("//") else None
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a valid URL."
    # Checked on the text as well: urlsplit also takes `https:path` and `https:/path`, which browsers repair
    # differently.
    if parts.scheme not in ("http", "https") or not value.lower().startswith(f"{parts.scheme}://") or not host:
        return "must be an http(s) URL or a path that begins with /."
    return None


def data_problem(value: object) -> str | None:
    if not isinstance(value, dict):
        return "must be an object."
    problem = _json_problem(value, DATA_DEPTH)
    if problem:
        return problem
    if len(msgspec.json.encode(_plain(value))) > DATA_BYTES:
        return f"must have at most {DATA_BYTES} bytes as JSON."
    return None


def kind_problem(value: object) -> str | None:
    if value == "":
        return None
    if not isinstance(value, str) or len(value) > KIND_LENGTH or not _KIND.match(value):
        return f"must be at most {KIND_LENGTH} of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit."
    return None


def _expiry_problem(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        return "must be a date and time with a time zone."
    try:
        value.astimezone(UTC)
    except OverflowError:
        return "must have a date in UTC."
    return None


def _json_problem(value: object, depth: int) -> str | None:
    """Exactly what JSON can say and every client can read back; recursion ends at `depth`."""
    if depth < 0:
        return f"must be nested at most {DATA_DEPTH} deep."
    match value:
        case None | bool():
            return None
        case str():
            if "\x00" in value:
                return "must not contain NUL characters."
            return "must not contain lone surrogates." if _has_lone_surrogate(value) else None
        case int():
            return None if abs(value) <= GREATEST_INTEGER else "must not contain integers beyond 2^53-1."
        case float():
            return None if value - value == 0 else "must not contain NaN or infinities."
        case list() | tuple():
            return next(filter(None, (_json_problem(item, depth - 1) for item in value)), None)
        case dict():
            if not all(isinstance(key, str) for key in value):
                return "must have strings as keys."
            items = (*value.keys(), *value.values())
            return next(filter(None, (_json_problem(item, depth - 1) for item in items)), None)
    return f"must be plain JSON, not {type(value).__name__}."


def _has_lone_surrogate(value: str) -> bool:
    return not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)
