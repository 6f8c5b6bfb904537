from datetime import UTC, datetime

import pytest

from notifications.client import StateChange, StateName, Unreachable, printing

from . import said

AT = datetime(2026, 3, 1, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Grüße, 你好, a\xa0b", "plain, Grüße, 你好, a\xa0b"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
        ("\x1b[2J\x07\x00\x7f", r"\x1b[2J\x07\x00\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("a\r\n\tb\u2028c\x85d", r"a\r\n\tb\u2028c\x85d"),
        ("\ud800\ufeff\U000e0041", r"\ud800\ufeff\U000e0041"),
        (7, "7"),
    ],
)
def test_what_is_no_text_is_spelled_out(text, shown):
    assert printing.plain(text) == shown


def test_a_notification():
    frame = said.notification(
        7,
        title="Build\nfinished",
        body="All\n\x1b[31mgreen",
        url="/b/7/",
        level="success",
        created_at=AT,
        replayed=True,
    )
    assert printing.notification(frame, UTC).split("\n") == [
        r"2026-03-01 09:05:00 [success] Build\nfinished /b/7/ (missed)",
        "    All",
        r"    \x1b[31mgreen",
    ]
    assert printing.notification(said.notification(8, created_at=AT), UTC) == "2026-03-01 09:05:00 [info] number 8"


def test_what_a_topic_says():
    frame = said.notification(8, stream="t.orders.7", created_at=AT)
    assert printing.notification(frame, UTC) == "2026-03-01 09:05:00 [info] orders.7: number 8"
    assert printing.gap(said.reset(7, stream="t.orders.7")).startswith("What was missed of orders.7 cannot be told")


def test_a_gap():
    assert printing.gap(said.reset(7)) == "What was missed cannot be told (epoch); it goes on after number 7."


def test_states():
    waiting = StateChange(StateName.WAITING, 1.26, error=Unreachable("no\x1broute"))
    assert printing.state(waiting) == r"Not connected (no\x1broute); trying again in 1.3 s."
    gone = StateChange(StateName.WAITING, 0.5, code=4400, reason="going_away")
    assert printing.state(gone) == "Not connected (going_away); trying again in 0.5 s."
    assert printing.state(StateChange(StateName.CONNECTING)) == "Connecting."


def test_a_session():
    row = {
        "id": "0b6e",
        "last_seen": "2026-03-01T09:05:00Z",
        "method": "token",
        "network": "127.0.0.0/24",
        "device": "evil\x1b]0;\x07",
        "current": True,
        "connections": [{"protocol": "usher.v1", "network": "127.0.0.0/24"}],
    }
    assert printing.session(row, UTC).split("\n") == [
        r"0b6e  2026-03-01 09:05  token  127.0.0.0/24  evil\x1b]0;\x07  (this one)",
        "    usher.v1 from 127.0.0.0/24",
    ]
