"""What a server says, for tests that hear it."""

from datetime import UTC, datetime
from typing import Any

from notifications.client.spelling import Denied, ReauthRequired, Reset, StateChanged, Subscribed, Unsubscribed
from notifications.wire.closing import CloseCode
from notifications.wire.vocabulary import Bye, Notification, Reauthenticated, User, Welcome

EPOCH = "e1"
STREAM = "u.1"


def when(seconds: float) -> datetime:
    """By the server's clock, which is an hour ahead of the client's."""
    return datetime.fromtimestamp(seconds + 3600, UTC)


def welcome(now: float = 0.0, **fields: Any) -> Welcome:
    said: dict[str, Any] = {
        "connection": "c",
        "user": User(1, "demo"),
        "epoch": EPOCH,
        "head": 0,
        "cursor": 0,
        "recovered": False,
        "state_version": 0,
        "unread": 0,
        "unseen": 0,
        "expires_at": when(now + 900),
        "grace_seconds": 60.0,
        "window": 64,
        "ping_seconds": 25.0,
        "server_time": when(now),
    }
    return Welcome(**said | fields)


def notification(seq: int | None, **fields: Any) -> Notification:
    said: dict[str, Any] = {
        "stream": STREAM,
        "seq": seq,
        "id": f"id-{seq}",
        "kind": "",
        "level": "info",
        "title": f"number {seq}",
        "body": "",
        "url": "",
        "data": {},
        "created_at": when(0),
    }
    return Notification(**said | fields)


def changed(version: int, **fields: Any) -> StateChanged:
    return StateChanged(**{"state": "read", "state_version": version, "unread": version, "unseen": 0} | fields)


def reset(head: int, epoch: str = "e2", stream: str = STREAM) -> Reset:
    return Reset(stream=stream, reason="epoch", epoch=epoch, head=head, oldest=1)


def subscribed(topic: str, ref: str, head: int = 0, epoch: str = EPOCH, cursor: int | None = None) -> Subscribed:
    cursor = head if cursor is None else cursor
    return Subscribed(stream=f"t.{topic}", topic=topic, epoch=epoch, head=head, cursor=cursor, ref=ref)


def unsubscribed(topic: str, ref: str) -> Unsubscribed:
    return Unsubscribed(stream=f"t.{topic}", topic=topic, ref=ref)


def denied(topic: str, **fields: Any) -> Denied:
    return Denied(**{"stream": f"t.{topic}", "topic": topic, "code": "forbidden"} | fields)


def bye(code: CloseCode, retry_after_ms: int = 0) -> Bye:
    return Bye(
        code=int(code), reason=code.reason, reconnect=code.reconnect, need=code.need, retry_after_ms=retry_after_ms
    )


def required(reason: str = "session_expired") -> ReauthRequired:
    return ReauthRequired(reason=reason, deadline="", grace_seconds=60.0)


def reauthenticated() -> Reauthenticated:
    return Reauthenticated(expires_at=when(900), held=0, state_version=0)
