"""A pure connection with a clock of its own and a small log behind it: tests read like what happened to a client."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from msgspec.structs import replace

from notifications.live.connection import Connection, Limits, Phase
from notifications.live.steps import Check, Close, Load, Mark, Open, Redeem, Send
from notifications.wire.closing import CloseCode
from notifications.wire.streams import Announcement, Change, Opening, Page, Position
from notifications.wire.vocabulary import Ack, Bye, Event, Notification, Reauth, StateChanged
from tickets.grants import EndReason, Grant, SessionState

STREAM = "u.7"
START = 1_800_000_000.0


def note(seq: int | None, title: str = "") -> Notification:
    return Notification(
        stream=STREAM,
        seq=seq,
        id=str(UUID(int=seq or 0)),
        kind="",
        level="info",
        title=title or f"number {seq}",
        body="",
        url="",
        data={},
        created_at=datetime.fromtimestamp(START, UTC),
    )


@dataclass
class Life:
    """
    One connection and what surrounds it.

    `log` is the truth (numbers of `stream`, minus `gone`); steps that read are collected in `asked` and answered from
    it by `answer()`, so that a test decides when an answer comes.
    """

    limits: Limits = field(default_factory=Limits)
    epoch: str = "e1"
    floor: int = 0
    fence: int = 0
    state_version: int = 0
    grant_seconds: float = 900.0

    def __post_init__(self) -> None:
        self.now = START
        self.head = 0
        self.gone: set[int] = set()
        self.said: list[Event] = []
        self.asked: list[object] = []
        self.code: CloseCode | None = None
        self.session = uuid4()
        self.session_reason: EndReason | None = None
        self.connection = Connection(name="c1", limits=self.limits, now=self.now)

    # --- What happens ---

    def do(self, steps) -> "Life":
        for step in steps:
            match step:
                case Send(event=event):
                    assert self.code is None, f"{event} was said after the close"
                    self.said.append(event)
                case Close(code=code):
                    assert self.code is None, "closed twice"
                    self.code = code
                case _:
                    assert self.code is None, f"{step} was asked for after the close"
                    self.asked.append(step)
        return self

    def grant(self, *, user_id: int = 7, session: UUID | None = None, seconds: float | None = None) -> Grant:
        end = self.now + (self.grant_seconds if seconds is None else seconds)
        return Grant(user_id, "ann", session or self.session, end, end + 86_400, issued_at=self.now)

    def connect(self, *, since: str | None = None) -> "Life":
        """Handshake with a ticket, up to and including `welcome`."""
        self.do(self.connection.connected(ticket="t", since=since, now=self.now))
        self.taken(Redeem)
        self.do(self.connection.redeemed(self.grant(), self.now))
        self.taken(Open)
        return self.open()

    def open(self) -> "Life":
        opening = Opening(self.position(), unread=self.head, unseen=self.head)
        return self.do(self.connection.opened(opening, self.session_state(), self.now))

    def publish(self, count: int = 1, *, heard: bool = True) -> "Life":
        """Number some notifications; `heard=False` loses their announcements."""
        for _ in range(count):
            self.head += 1
            if heard:
                self.announce(self.head)
        return self

    def announce(self, seq: int, *, fence: int | None = None, epoch: str | None = None, muted: bool = False) -> "Life":
        event = replace(note(seq), archived=muted)
        said = Announcement(epoch or self.epoch, self.fence if fence is None else fence, event)
        return self.do(self.connection.announced(said, self.now))

    def sync(self) -> "Life":
        return self.do(self.connection.positioned(self.position(), self.now))

    def says(self, command) -> "Life":
        return self.do(self.connection.received(command, self.now))

    def ack(self, seq: int) -> "Life":
        return self.says(Ack(seq=seq))

    def reauth(self, *, user_id: int = 7, session: UUID | None = None, seconds: float | None = None) -> "Life":
        """The client sends a fresh ticket, and it is good."""
        self.says(Reauth(ticket="t"))
        self.taken(Redeem)
        if session:
            self.session = session
        return self.do(self.connection.redeemed(self.grant(user_id=user_id, seconds=seconds), self.now))

    def after(self, seconds: float) -> "Life":
        """Time passes, with every wake-up at its moment."""
        end = self.now + seconds
        while self.connection.wake_at <= end:
            before = self.connection.wake_at
            self.now = max(self.now, before)
            self.do(self.connection.woken(self.now))
            assert self.connection.wake_at > before or self.code, "a wake-up must change something"
        self.now = end
        return self

    def changed(self, version: int, *, fence: int | None = None, ref=None, **named) -> "Life":
        return self.do(self.connection.changed(self.change(version, fence=fence, **named), self.now))

    def change(self, version: int, *, fence: int | None = None, **named) -> Change:
        event = StateChanged(state="read", state_version=version, unread=0, unseen=0, **(named or {"through": 1}))
        return Change(STREAM, self.fence if fence is None else fence, event)

    # --- What surrounds it ---

    def position(self) -> Position:
        return Position(STREAM, self.epoch, self.head, self.floor, self.fence, self.state_version)

    def session_state(self) -> SessionState:
        return SessionState(self.session, self.session_reason is None, self.session_reason, START + 30 * 86_400)

    def page(self, load: Load) -> Page:
        wanted = [seq for seq in range(load.after + 1, self.head + 1) if seq > self.floor and seq not in self.gone]
        rows = tuple(note(seq) for seq in wanted[: load.limit])
        through = rows[-1].seq if len(rows) == load.limit else self.head
        return Page(self.position(), rows, through)

    def answer(self, *, rounds: int = 100) -> "Life":
        """Answer what was asked for, until nothing more is asked."""
        for _ in range(rounds):
            if not self.asked:
                return self
            match self.asked.pop(0):
                case Load() as load:
                    self.do(self.connection.page(self.page(load), self.now))
                case Check():
                    self.do(self.connection.check_answered(self.session_state(), self.now))
                case step:
                    raise AssertionError(f"answer() does not answer {step}")
        raise AssertionError("it never stops asking")

    def taken(self, kind: type):
        """The one thing that was asked for is of this kind."""
        assert [type(step) for step in self.asked] == [kind], self.asked
        return self.asked.pop()

    # --- What was heard ---

    @property
    def phase(self) -> Phase:
        return self.connection.phase

    def heard(self) -> list[str]:
        """What was said since the last call, in short: `welcome`, `3`, `4*` (a replay), `skipped 6`, `error busy`."""
        said, self.said = self.said, []
        return [_short(event) for event in said]

    def last(self, kind: type):
        found = [event for event in self.said if isinstance(event, kind)]
        assert found, f"no {kind.__name__} among {[_short(event) for event in self.said]}"
        return found[-1]


def _short(event: Event) -> str:
    kind = event.__struct_config__.tag
    match kind:
        case "notification":
            return f"{event.seq}{'*' if event.replayed else ''}"
        case "skipped":
            return f"skipped {event.through}"
        case "caught_up":
            return f"caught_up {event.cursor}"
        case "reset":
            return f"reset {event.reason} {event.head}"
        case "error" | "reauth_failed":
            return f"{kind} {event.code}"
        case "bye":
            assert isinstance(event, Bye)
            return f"bye {event.code}"
        case "state":
            return f"state {event.state_version}"
    return kind


__all__ = ["START", "STREAM", "Life", "Mark", "note"]
