"""Just enough of RFC 6455 for a load generator: pure, and cheap enough to hold thousands of sockets in one process."""

from base64 import b64encode

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10

_MASK = b"\x5a\x1c\x93\x6e"
_KEY = b64encode(b"a load generator").decode()


class Violation(Exception):
    """A server sent what it may not send, or what this reader does not know."""


def upgrade_request(path: str, *, host: str, headers: dict[str, str]) -> bytes:
    """The opening handshake (RFC 6455, section 4.1)."""
    fields = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": _KEY,
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """A client's frame: final and masked, always with the same key, since no proxy stands between."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = (_MASK * (size // 4 + 1))[:size]
    return head + _MASK + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


class Reader:
    """Cuts a server's bytes into frames."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Whole frames so far: (opcode, payload)."""
        if self._rest:
            data = self._rest + data
        frames = []
        at, end = 0, len(data)
        while end - at >= 2:
            first, size = data[at], data[at + 1]
            start = at + 2
            if size == 126:
                start += 2
                size = int.from_bytes(data[at + 2 : start], "big")
            elif size == 127:
                start += 8
                size = int.from_bytes(data[at + 2 : start], "big")
            elif size > 127:
                raise Violation("a server's frame is masked")
            if start + size > end:
                break
            if first & 0xF0 != 0x80:
                raise Violation(f"fragmented or compressed: {first:#x}")
            frames.append((first & 15, data[start : start + size]))
            at = start + size
        self._rest = data[at:]
        return frames
