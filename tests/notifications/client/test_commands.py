"""What the commands print, keep and answer, with a client that says what the test wants."""

import asyncio
import io
import json
import os
from argparse import Namespace

import pytest

from notifications.client import Position, Refused, SignInRequired, StateChange, StateName
from notifications.client.commands import Exit, Terminal, send, sessions, tail
from notifications.wire.vocabulary import Skipped

from . import said


class FakeClient:
    """Tells its events, then waits for ever or ends with an error."""

    def __init__(self, *events, end: Exception | None = None, state: StateName = StateName.CONNECTED) -> None:
        self.told, self.end, self.state = events, end, state
        self.position: Position | None = None
        self.asked: list = []
        self.closed = False
        self.positions: dict[str, Position] = {}

    def __call__(self, position=None, on_state=None) -> "FakeClient":
        self.position = position
        return self

    async def events(self):
        for event in self.told:
            if isinstance(event, StateChange):
                continue
            seq = getattr(event, "seq", None) or getattr(event, "through", None)
            self.position = Position("e1", 0) if self.position is None else self.position
            self.position = self.position if seq is None else self.position.at(seq)
            yield event
        if self.end:
            raise self.end
        await asyncio.Event().wait()

    async def rewind(self, seq) -> None:
        self.position = Position("now", seq)

    def subscribe(self, topic, *, since) -> None:
        self.asked.append((topic, since))

    async def send(self, user, **said) -> dict:
        self.asked.append((user, said))
        return {"id": "0b6e\x1b"}

    async def sessions(self) -> list:
        row = {"id": "s1", "last_seen": "2026-03-01T09:05:00Z", "method": "token", "network": "", "device": "d"}
        return [row | {"current": False, "connections": []}]

    async def end_session(self, which) -> None:
        self.asked.append(which)

    async def end_other_sessions(self) -> int:
        return 2

    async def __aenter__(self) -> "FakeClient":
        return self

    async def __aexit__(self, *_) -> None:
        self.closed = True


class Screen:
    def __init__(self, **how) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.terminal = Terminal(self.out, self.err, **how)


def asked(**options):
    return Namespace(
        **{"json": False, "resume": None, "since": None, "topic": [], "count": None, "timeout": 5.0} | options
    )


HEARD = (said.welcome(), said.notification(1, title="one"), said.notification(2, title="two"))


async def test_tail_prints_so_many_and_ends():
    screen, client = Screen(), FakeClient(*HEARD, said.notification(3))
    assert await tail(client, asked(count=2), screen.terminal) == Exit.DONE
    assert [line.split("] ")[1] for line in screen.out.getvalue().splitlines()] == ["one", "two"]
    assert screen.err.getvalue() == "Connected.\n"
    assert client.closed


async def test_tail_in_json_tells_of_a_gap_too():
    screen = Screen()
    await tail(FakeClient(*HEARD, said.reset(9), said.notification(10)), asked(count=3, json=True), screen.terminal)
    lines = [json.loads(line) for line in screen.out.getvalue().splitlines()]
    assert [(line["type"], line.get("seq")) for line in lines] == [
        ("notification", 1),
        ("notification", 2),
        ("reset", None),
        ("notification", 10),
    ]
    assert "What was missed cannot be told (epoch)" in screen.err.getvalue()


async def test_the_position_is_kept_only_after_printing(tmp_path):
    """Who is killed in between prints one twice, and misses none."""
    file = tmp_path / "position"

    class Killed(Terminal):
        def print(self, text: str) -> None:
            seen.append(file.read_text())
            if "two" in text:
                raise RuntimeError("killed")

    seen: list[str] = []
    with pytest.raises(RuntimeError):
        await tail(FakeClient(*HEARD), asked(resume=file), Killed(io.StringIO(), io.StringIO()))
    assert seen == ["e1:0\n", "e1:1\n"]
    assert file.read_text() == "e1:1\n"


async def test_what_is_skipped_moves_the_position(tmp_path):
    file = tmp_path / "position"
    await tail(FakeClient(said.welcome(), Skipped("u.1", 8)), asked(resume=file, timeout=0.05), Screen().terminal)
    assert file.read_text() == "e1:8\n"


async def test_tail_listens_to_topics_from_where_it_was(tmp_path):
    file = tmp_path / "position"
    file.write_text("e1:0\na e1:7\n")
    screen = Screen()
    client = FakeClient(said.welcome(), said.subscribed("a", "r"), said.notification(8, stream="t.a", title="of a"))
    client.positions = {"a": Position("e1", 8)}
    assert await tail(client, asked(resume=file, topic=["a", "b"], count=1), screen.terminal) == Exit.DONE
    assert client.asked == [("a", Position("e1", 7)), ("b", None)]
    assert "a: of a" in screen.out.getvalue()
    assert screen.err.getvalue() == "Connected.\nListening to a.\n"
    assert file.read_text() == "e1:8\na e1:8\n"


async def test_tail_ends_where_a_topic_is_refused():
    with pytest.raises(Refused, match=r"The topic a is not for you \(forbidden\)"):
        await tail(FakeClient(said.welcome(), said.denied("a")), asked(topic=["a"]), Screen().terminal)


@pytest.mark.parametrize(
    ("kept", "since", "begins"),
    [
        ("e:7", Position("e", 3), "e:7"),
        (None, Position("e", 3), "e:3"),
        ("e:7", 0, "e:7"),
        (None, 4, "now:4"),
        (None, None, None),
    ],
)
async def test_where_tail_begins(tmp_path, kept, since, begins):
    file = tmp_path / "position"
    if kept:
        file.write_text(kept)
    client = FakeClient()
    await tail(client, asked(resume=file, since=since, timeout=0.05), Screen().terminal)
    assert str(client.position) == str(begins)


@pytest.mark.parametrize(
    ("client", "count", "ended"),
    [
        (FakeClient(*HEARD), None, Exit.DONE),
        (FakeClient(*HEARD), 3, Exit.TOO_FEW),
        (FakeClient(state=StateName.WAITING), None, Exit.UNREACHABLE),
    ],
    ids=["all that came", "too few", "never there"],
)
async def test_the_time_is_up(client, count, ended):
    assert await tail(client, asked(count=count, timeout=0.05), Screen().terminal) == ended
    assert client.closed


async def test_what_ends_the_client_ends_tail():
    with pytest.raises(SignInRequired):
        await tail(FakeClient(*HEARD, end=SignInRequired("No.")), asked(), Screen().terminal)


async def test_a_pipe_that_nobody_reads_any_more_ends_tail():
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as out:
        task = asyncio.create_task(tail(FakeClient(*HEARD[:1]), asked(timeout=None), Terminal(out, io.StringIO())))
        await asyncio.sleep(0.05)
        assert not task.done()
        os.close(ours)
        async with asyncio.timeout(5):
            assert await task == Exit.DONE


@pytest.mark.parametrize(
    ("how", "heard"),
    [
        ({}, ["Not connected (x); trying again in 1.0 s."]),
        ({"quiet": True}, []),
        ({"verbose": True}, ["Connecting.", "Not connected (x); trying again in 1.0 s.", "Paused."]),
    ],
    ids=["plain", "quiet", "verbose"],
)
def test_what_is_said_of_the_connection(how, heard):
    screen = Screen(**how)
    for name in (StateName.CONNECTING, StateName.CONNECTED, StateName.WAITING, StateName.PAUSED, StateName.CLOSED):
        screen.terminal.state(StateChange(name, 1.0, reason="x" if name is StateName.WAITING else ""))
    assert screen.err.getvalue().splitlines() == heard


async def test_send():
    screen, client = Screen(), FakeClient()
    words = {"title": "t", "body": "b", "kind": "k", "level": "info", "data": {"a": 1}, "idempotency_key": "key"}
    assert await send(client, Namespace(user="demo", link="/l/", **words), screen.terminal) == Exit.DONE
    assert client.asked == [("demo", words | {"url": "/l/"})]
    assert screen.out.getvalue() == "0b6e\\x1b\n"


async def test_sessions():
    screen, client = Screen(), FakeClient()
    for options in ((None, False), ("s1", False), (None, True)):
        asking = Namespace(end=options[0], end_others=options[1])
        assert await sessions(client, asking, screen.terminal) == Exit.DONE
    assert screen.out.getvalue().startswith("s1  2026-03-01")
    assert screen.err.getvalue() == "Ended.\nEnded: 2.\n"
    assert client.asked == ["s1"]
