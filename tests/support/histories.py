"""Judges a history: what was published against what each reader received. Pure, so that it can be judged itself.

A reader is one device: the sockets it opened one after another, each resuming where the last one stopped. Rules:

lost               a committed notification that a reader should have, or a number jumped over on a socket (numbers are
                   gapless), that no `skipped` or `reset` accounts for
phantom            received, but never published (or not under that number)
duplicate          a number said twice to a reader
reordered          a number after a higher one of the same stream, on one socket
others             something of a stream that the reader does not listen to
after_revocation   published after the call that ended the session had returned, and received all the same
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Frame = Mapping[str, Any]
Key = tuple[str, int]  # stream, seq


@dataclass(frozen=True, slots=True)
class Published:
    """One notification that a publisher was told is committed.

    `certain` is False where the publisher got an error instead of an answer: such a one may have been committed.
    `at` is when the publishing call began, on any clock shared with `Socket.revoked_at`.
    """

    stream: str
    seq: int | None
    id: str
    at: float = 0.0
    certain: bool = True


@dataclass(slots=True)
class Socket:
    """What one socket received, in order. `start`: the last seq of each stream before this socket's first frame."""

    frames: Sequence[Frame]
    start: Mapping[str, int] = field(default_factory=dict)
    revoked_at: float | None = None  # when the call that ended its session had returned


@dataclass(slots=True)
class Reader:
    """One device. `until`: the last seq it must have by now; None where all that was published is meant."""

    name: str
    streams: frozenset[str]
    sockets: Sequence[Socket]
    until: Mapping[str, int] | None = None


@dataclass(slots=True)
class Verdict:
    lost: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    duplicate: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    after_revocation: list[str] = field(default_factory=list)
    # Honest, but a test may want none of them.
    resets: int = 0
    skipped: int = 0

    @property
    def faults(self) -> dict[str, list[str]]:
        names = ("lost", "phantom", "duplicate", "reordered", "others", "after_revocation")
        return {name: found for name in names if (found := getattr(self, name))}

    @property
    def clean(self) -> bool:
        return not self.faults

    def __str__(self) -> str:
        if self.clean:
            return "clean"
        return "\n".join(
            f"{len(found)} {name}: {'; '.join(found[:5])}{' …' if len(found) > 5 else ''}"
            for name, found in self.faults.items()
        )


def judge(published: Iterable[Published], readers: Iterable[Reader]) -> Verdict:
    """Compare the two sides; `str()` of the verdict is what a failing assertion should show."""
    verdict = Verdict()
    history = _History(published)
    for reader in readers:
        _judge_reader(reader, history, verdict)
    return verdict


class _History:
    def __init__(self, published: Iterable[Published]) -> None:
        self.all = list(published)
        self.by_id = {each.id: each for each in self.all}
        self.by_stream: dict[str, list[Published]] = {}
        for each in self.all:
            self.by_stream.setdefault(each.stream, []).append(each)


class _Account:
    """What one reader has, over all its sockets."""

    def __init__(self) -> None:
        self.received: set[Key] = set()
        self.ids: set[str] = set()
        self.jumped: set[Key] = set()
        self.excused: dict[str, list[tuple[int, int]]] = {}  # stream -> numbers (after, through)

    def excuse(self, stream: str, after: int, through: int) -> None:
        self.excused.setdefault(stream, []).append((after, through))

    def has(self, stream: str, seq: int) -> bool:
        """Received, or accounted for."""
        return (stream, seq) in self.received or any(
            after < seq <= through for after, through in self.excused.get(stream, [])
        )


def _judge_reader(reader: Reader, history: _History, verdict: Verdict) -> None:
    account = _Account()
    for number, socket in enumerate(reader.sockets, 1):
        where = f"{reader.name}#{number}"
        position = dict(socket.start)
        for frame in socket.frames:
            stream = frame.get("stream", "")
            match frame["type"]:
                case "notification" if frame["seq"] is not None:
                    _judge_identity(frame, where, reader, socket, history, verdict)
                    _judge_order(frame, where, account, position, verdict)
                case "skipped":
                    _judge_skipped(frame, where, account, position, verdict)
                case "reset":
                    # Everything up to the head is fetched over REST instead; numbers may begin anew.
                    verdict.resets += 1
                    account.excuse(stream, 0, frame["head"])
                    position[stream] = frame["head"]
    if reader.sockets:
        _judge_losses(reader, history, account, verdict)


def _judge_identity(
    frame: Frame, where: str, reader: Reader, socket: Socket, history: _History, verdict: Verdict
) -> None:
    what = f"{where} {frame['stream']}:{frame['seq']} {frame['id']}"
    known = history.by_id.get(frame["id"])
    if frame["stream"] not in reader.streams:
        verdict.others.append(what)
    if known is None:
        verdict.phantom.append(f"{what} was never published")
    elif known.stream != frame["stream"] or known.seq not in (None, frame["seq"]):
        verdict.phantom.append(f"{what} was published as {known.stream}:{known.seq}")
    elif socket.revoked_at is not None and known.at > socket.revoked_at:
        verdict.after_revocation.append(f"{what} published {known.at - socket.revoked_at:.3f} s after the end")


def _judge_order(frame: Frame, where: str, account: _Account, position: dict[str, int], verdict: Verdict) -> None:
    stream, seq = frame["stream"], frame["seq"]
    before = position.get(stream, 0)
    if (stream, seq) in account.received:
        verdict.duplicate.append(f"{where} {stream}:{seq}")
    elif seq <= before:
        verdict.reordered.append(f"{where} {stream}:{seq} after {before}")
    account.jumped |= {(stream, missing) for missing in range(before + 1, seq)}
    account.received.add((stream, seq))
    account.ids.add(frame["id"])
    position[stream] = max(before, seq)


def _judge_skipped(frame: Frame, where: str, account: _Account, position: dict[str, int], verdict: Verdict) -> None:
    stream, through = frame["stream"], frame["through"]
    before = position.get(stream, 0)
    if through <= before:
        verdict.reordered.append(f"{where} {stream}: skipped through {through} after {before}")
        return
    verdict.skipped += through - before
    account.excuse(stream, before, through)
    position[stream] = through


def _judge_losses(reader: Reader, history: _History, account: _Account, verdict: Verdict) -> None:
    start = reader.sockets[0].start
    missing = {key: "jumped over" for key in account.jumped if key[1] > start.get(key[0], 0)}
    for stream in reader.streams:
        first = start.get(stream, 0)
        last = math.inf if reader.until is None else reader.until.get(stream, 0)
        for each in history.by_stream.get(stream, []):
            if not each.certain or each.id in account.ids:
                continue
            if each.seq is None:
                verdict.lost.append(f"{reader.name} {stream}: {each.id}, of unknown number")
            elif first < each.seq <= last:
                missing[stream, each.seq] = each.id
    verdict.lost += [
        f"{reader.name} {stream}:{seq} {what}"
        for (stream, seq), what in sorted(missing.items())
        if not account.has(stream, seq)
    ]
