"""What is counted of what is said, and that each frame is counted as what it is."""

import re
from datetime import UTC, datetime

import pytest

from notifications import figures
from notifications.wire import vocabulary
from notifications.wire.closing import CloseCode
from notifications.wire.vocabulary import AnyCommand, Event
from tests.support.processes import ROOT
from tickets.figures import OTHER, Counter, every

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def notification(**fields):
    said = dict.fromkeys(("id", "kind", "level", "title", "body", "url"), "")
    return vocabulary.Notification(**{"stream": "u.1", "seq": 1, "data": None, "created_at": NOW, **said, **fields})


@pytest.fixture
def risen():
    """Which counters have risen since the test began, by how much."""
    before = {figure.name: dict(figure.values) for figure in every() if isinstance(figure, Counter)}

    def rises():
        return {
            (figure.name, word): value - before[figure.name][word]
            for figure in every()
            if isinstance(figure, Counter)
            for word, value in figure.values.items()
            if value != before[figure.name][word]
        }

    return rises


@pytest.mark.parametrize(
    ("event", "way"),
    [
        (notification(), "live"),
        (notification().as_replay(), "replayed"),
        (notification(seq=None), "pushed"),
    ],
)
def test_notifications_by_their_way(event, way, risen):
    live = figures.said_live()
    figures.count_sent(event)
    assert risen() == {("notifications_sent", way): 1}
    assert figures.said_live() - live == (way == "live")


def welcome(*, recovered):
    numbers = dict.fromkeys(("head", "cursor", "state_version", "unread", "unseen", "window"), 0)
    return vocabulary.Welcome(
        connection="c",
        user=vocabulary.User(1, "demo"),
        epoch="e",
        recovered=recovered,
        expires_at=NOW,
        server_time=NOW,
        grace_seconds=1.0,
        ping_seconds=1.0,
        **numbers,
    )


@pytest.mark.parametrize(
    ("event", "also"),
    [
        (welcome(recovered=False), None),
        (welcome(recovered=True), ("replays", "resumed")),
        (vocabulary.Reauthenticated(expires_at=NOW, held=0, state_version=0), None),
        (vocabulary.Reauthenticated(expires_at=NOW, held=3, state_version=0), ("replays", "reauthenticated")),
        (vocabulary.Reset(stream="u.1", reason="ahead", epoch="e", head=1, oldest=1), ("resets", "ahead")),
        (
            vocabulary.ReauthRequired(reason="requested", deadline=NOW, grace_seconds=1.0),
            ("connections_held", "requested"),
        ),
        (vocabulary.Error(code="rate_limited", detail=""), ("errors", "rate_limited")),
        (vocabulary.Error(code="of tomorrow", detail=""), ("errors", OTHER)),
        (vocabulary.Skipped(stream="u.1", through=3), None),
        (vocabulary.Pong(), None),
    ],
)
def test_other_frames(event, also, risen):
    figures.count_sent(event)
    assert risen() == {("frames_sent", figures.word_of(event)): 1} | ({also: 1} if also else {})


def test_every_word_of_the_wire_has_a_place():
    frames = {kind.__struct_config__.tag for kind in Event.__subclasses__()}
    assert frames - {"notification"} == set(figures.FRAMES.values) - {OTHER}
    for kind in AnyCommand.__args__:
        assert kind.__struct_config__.tag in figures.COMMANDS.values
    assert {str(int(code)) for code in CloseCode} < set(figures.CLOSED.values)


def test_every_error_that_is_said_has_a_place():
    said = set()
    for source in (ROOT / "notifications/live/connection.py", *(ROOT / "notifications/wire").glob("*.py")):
        said |= set(re.findall(r'(?:self\._error\(\s*steps,\s*|BadFrame\()"([a-z_]+)"', source.read_text()))
    assert said - {"too_big"} == set(figures.ERRORS.values) - {OTHER}


def test_loops_that_fail(risen):
    for work in ("_sync", "_sweep", "_keep_list"):
        figures.count_failed(work)
    assert risen() == {("syncs", "failed"): 1, ("sweeps", "failed"): 1}
