"""STOMP's frames (1.0, 1.1, 1.2), wherever messages cut them: read piece by piece, and spelled.

Rules of this file:

* A frame is read alike however it was cut, and nothing a peer sends raises anything but BadFrame.
* Before the version is agreed on, headers are taken as they stand and lines may end in CR LF (as CONNECT has it).
* A header that is said back is said as its client spelled it: of two clients that write a colon, one escapes it and
  understands only that, the other does not and understands only that.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from .codec import BadFrame

Version = Literal["1.0", "1.1", "1.2"]

MESSAGE_BYTES: Final = 16 * 1024
FRAME_BYTES: Final = 8 * 1024
"""From the command through the NUL at the end."""

_COMMAND: Final = re.compile(r"[A-Z]{1,20}\Z", re.ASCII)
_LENGTH: Final = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
_BLANK_LINE: Final = re.compile(rb"\n\n")
_BLANK_LINE_CRLF: Final = re.compile(rb"\r?\n\r?\n")
_EOLS: Final = re.compile(rb"\n*")
_EOLS_CRLF: Final = re.compile(rb"(?:\r?\n)*")
_ESCAPE: Final = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPES: Final[dict[str, dict[str, str]]] = {
    "1.1": {"\\": "\\", "c": ":", "n": "\n"},
    "1.2": {"\\": "\\", "c": ":", "n": "\n", "r": "\r"},
}
_NOT_PLAIN: Final = re.compile(r"[\\:\r\n\0]")


@dataclass(frozen=True, slots=True)
class Frame:
    """`headers` as they are meant, `spelled` as they were written; of repeated ones the first."""

    command: str
    headers: Mapping[str, str]
    spelled: Mapping[str, str]
    body: bytes = b""


@dataclass(slots=True)
class _Head:
    command: str
    headers: dict[str, str]
    spelled: dict[str, str]
    body_at: int
    length: int | None


class FrameParser:
    """Of one connection. Set `version` as soon as it is agreed on: between two frames."""

    __slots__ = ("_buffer", "_head", "version")

    def __init__(self, version: Version | None = None) -> None:
        self.version = version
        self._buffer = bytearray()
        self._head: _Head | None = None

    def feed(self, message: str | bytes) -> Iterator[Frame]:
        """The frames that this message completes, each read when it is asked for; line ends between them are beats."""
        # Characters first: counting bytes makes a copy, which an oversized message is not worth.
        data = b"" if len(message) > MESSAGE_BYTES else _encoded(message)
        if len(message) > MESSAGE_BYTES or len(data) > MESSAGE_BYTES:
            raise BadFrame("too_big", f"A message has at most {MESSAGE_BYTES} bytes.", ends=True)
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if self._head is None:
            self._skip_eols()
            self._head = self._read_head()
        head = self._head
        if head is None:
            return None
        if head.length is None:
            end = self._buffer.find(b"\0", head.body_at, FRAME_BYTES)
        else:
            end = head.body_at + head.length
        if end < 0 or end >= len(self._buffer):
            self._check_size(end)
            return None
        if end >= FRAME_BYTES:
            raise _too_big()
        if self._buffer[end]:
            raise _malformed("No NUL where content-length says.")
        body = bytes(self._buffer[head.body_at : end])
        del self._buffer[: end + 1]
        self._head = None
        return Frame(head.command, head.headers, head.spelled, body)

    def _check_size(self, end: int = -1) -> None:
        """Whether there may be more of this frame."""
        if len(self._buffer) >= FRAME_BYTES or end >= FRAME_BYTES:
            raise _too_big()

    @property
    def _crlf(self) -> bool:
        return self.version in (None, "1.2")

    def _skip_eols(self) -> None:
        eols = (_EOLS_CRLF if self._crlf else _EOLS).match(self._buffer)
        if eols and eols.end():
            del self._buffer[: eols.end()]

    def _read_head(self) -> _Head | None:
        end = (_BLANK_LINE_CRLF if self._crlf else _BLANK_LINE).search(self._buffer, 0, FRAME_BYTES)
        nul = self._buffer.find(b"\0", 0, FRAME_BYTES)
        if nul >= 0 and (end is None or nul < end.end()):
            raise _malformed("A frame has a blank line behind its headers.")
        if end is None:
            self._check_size()
            return None
        try:
            command, *lines = self._buffer[: end.start()].decode().split("\n")
        except UnicodeDecodeError:
            raise _malformed("Headers are UTF-8.") from None
        if self._crlf:
            command, *lines = (line.removesuffix("\r") for line in (command, *lines))
        if not _COMMAND.match(command):
            raise _malformed("A frame begins with a command.")
        headers, spelled = self._read_headers(lines)
        return _Head(command, headers, spelled, end.end(), _length_of(headers))

    def _read_headers(self, lines: list[str]) -> tuple[dict[str, str], dict[str, str]]:
        headers: dict[str, str] = {}
        spelled: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or (self._crlf and "\r" in line):
                raise _malformed("A header is <name>:<value>.")
            if self.version == "1.0":  # the others forbid to trim
                name, value = name.strip(" "), value.strip(" ")
            name = self._unescaped(name)
            headers.setdefault(name, self._unescaped(value))
            spelled.setdefault(name, value)
        return headers, spelled

    def _unescaped(self, text: str) -> str:
        if "\\" not in text or self.version not in _ESCAPES:
            return text
        escapes = _ESCAPES[self.version]
        try:
            return _ESCAPE.sub(lambda found: escapes[found[1]], text)
        except KeyError:
            raise _malformed("A header has an escape that this version does not know.") from None


def spell(command: str, headers: Mapping[str, object], body: str = "") -> str:
    """The frame as text. Nothing is escaped: see `is_plain`, or say back what a client spelled."""
    return "\n".join([command, *(f"{name}:{value}" for name, value in headers.items()), "", f"{body}\0"])


def is_plain(value: str) -> bool:
    """Whether every client reads this header value as it stands, whatever it knows of escapes."""
    return not _NOT_PLAIN.search(value)


def _encoded(message: str | bytes) -> bytes:
    return message.encode("utf-8", "surrogatepass") if isinstance(message, str) else bytes(message)


def _length_of(headers: Mapping[str, str]) -> int | None:
    told = headers.get("content-length")
    if told is None:
        return None
    if not _LENGTH.match(told):
        raise _malformed("content-length is a number of bytes.")
    return int(told)


def _malformed(detail: str) -> BadFrame:
    return BadFrame("malformed", detail, ends=True)


def _too_big() -> BadFrame:
    return BadFrame("too_big", f"A frame has at most {FRAME_BYTES} bytes.", ends=True)
