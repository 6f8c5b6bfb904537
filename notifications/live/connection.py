"""
One live socket's state: everything a client of any protocol may ever hear is decided in this file.

    AUTHENTICATING ──► OPEN ◄──► REAUTH_REQUIRED
           └────────────┴──────────────┴──────► CLOSED

Rules of this file:

* No I/O and no clock. Every method takes what happened and `now` (POSIX seconds) and returns the steps to carry out.
  After each call `wake_at` tells when `woken` must be called if nothing else happens before.
* For one stream each number is said once and in order, or named in a `skipped`. `cursor` is the last number said. It
  moves in exactly three places: an announced number that is the next one, a page from the log, a `reset`.
* An announcement is only speed: one that is too new, comes too early or finds the window full leaves nothing behind
  but a higher `head`, and the log is read from the cursor on.
* Of a topic nothing is said while it is asked whether the person may listen to it, which is asked anew under each newer
  fence of the topic or of the person, after each re-authentication and with each page.
* Nothing private is said unless the phase is OPEN and no check of the session is under way. A fence newer than the one
  the session was last checked under starts such a check, whatever carried it; so does the moment at which the session
  is to end, where the end of a grant is ignored.
* Once CLOSED, every call returns no steps.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from math import inf
from operator import attrgetter
from typing import Final, Literal

from tickets.grants import EndReason, Grant, Purpose, SessionState

from .. import figures
from ..wire.closing import CloseCode
from ..wire.codec import BadFrame, Manner
from ..wire.doorbell import Asked, Kicked, stream_of_topic
from ..wire.streams import Announcement, Change, Opening, Page, Position
from ..wire.vocabulary import (
    UNSET,
    Ack,
    AnyCommand,
    Authenticate,
    Bye,
    CaughtUp,
    Denied,
    Error,
    Event,
    Follow,
    Notification,
    Ping,
    Pong,
    Reauth,
    Reauthenticated,
    ReauthFailed,
    ReauthRequired,
    Reset,
    Skipped,
    State,
    StateChanged,
    Subscribe,
    Subscribed,
    Unfollow,
    UnsetType,
    Unsubscribe,
    Unsubscribed,
    User,
    Vouched,
    Welcome,
)
from .bucket import Bucket
from .proving import Proof, Prover
from .steps import Ask, Check, Close, Listen, Load, Mark, Open, Redeem, Send, Step, Unlisten, Verify


class Phase(Enum):
    """Where a connection is in its life."""

    AUTHENTICATING = "authenticating"
    OPEN = "open"
    REAUTH_REQUIRED = "reauth_required"
    CLOSED = "closed"


OnExpiry = Literal["reauth", "close", "ignore"]
ReauthReason = Literal["session_expired", "credentials_changed", "requested"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers a connection lives by, in seconds or counts. `notifications/conf.py` has the reasons."""

    authentication_seconds: float = 5.0
    on_expiry: OnExpiry = "reauth"
    grace_seconds: float = 60.0
    lifetime_seconds: float = inf
    authenticate_each_message: bool = False
    frame_credentials: frozenset[str] = frozenset({"ticket", "token"})
    reauth_attempts: int = 3
    reauth_spacing: float = 1.0
    window: int = 64
    paced_per_second: float = 100.0
    topics: int = 50
    ack_stall_seconds: float = 30.0
    replay_page: int = 200
    ping_seconds: float = 25.0
    commands_per_second: float = 10.0
    command_burst: int = 60


# An ack that releases this many is always heard; smaller ones are worth a frame's cost only so often.
FREE_ACK: Final = 16
SMALL_ACKS_PER_SECOND: Final = 20.0
# After this many refused commands within as many seconds the client is not mistaken, it is hostile or broken.
REFUSED_COMMANDS: Final = 100
REFUSED_SECONDS: Final = 10.0
BAD_FRAMES: Final = 5
BAD_FRAME_SECONDS: Final = 60.0
# Of the greatest lifetime, so much is left to chance: a process that filled up in a minute is not emptied in one.
LIFETIME_JITTER: Final = 0.2
# What could not be read from the database is asked for again after this long.
RETRY_SECONDS: Final = 1.0
# What a client that does not ack is told at once is some of them; then it is given time to read.
PACE_SECONDS: Final = 0.2
NATIVE_MANNER: Final = Manner()
# What a client is asked to wait before it comes back; its own back-off where nothing stands here.
RETRY_AFTER_SECONDS: Final = {CloseCode.UNAVAILABLE: 1.0, CloseCode.TOO_SLOW: 1.0, CloseCode.RATE_LIMITED: 10.0}
_KICKS: Final = {int(code): code for code in (CloseCode.DISCONNECTED_BY_STAFF, CloseCode.TOO_MANY_CONNECTIONS)}
# `state` commands waiting for the one that is being carried out, and `subscribe` commands for the same decision.
WAITING_MARKS: Final = 50
WAITING_REFS: Final = 50


@dataclass(frozen=True, slots=True)
class Since:
    """The position a client asks to resume from: `<epoch>:<seq>`."""

    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> "Since | None":
        """None if the text is no position. An epoch never contains a colon, a number has at most 16 ASCII digits."""
        epoch, colon, number = text.partition(":")
        if not (colon and 0 < len(epoch) <= 32 and 0 < len(number) <= 16 and number.isascii() and number.isdigit()):
            return None
        return cls(epoch, int(number))


@dataclass(slots=True)
class _Stream:
    """How far this connection is in one stream."""

    name: str
    epoch: str
    cursor: int  # the last number said or skipped on this connection
    head: int  # the highest number known to exist
    loading: int = 0  # how many the log was asked for
    load: int = 0  # which question that was: those that have waited longest come first
    # Something contradicts the cursor (another epoch, a head below it): only a page read from the log can tell.
    doubted: bool = False
    # While set, notifications up to this number are a replay; reaching it is said as `caught_up`.
    replay_to: int | None = None
    unacked: list[int] = field(default_factory=list)  # ascending
    acked: int = 0  # by an ack that is to count when small ones may again
    not_before: float = 0.0  # when to try again what failed, or must be paced
    topic: str | None = None  # None: the person's own
    # Of a topic: the newest fence under which the person was found to be allowed to listen.
    fence: int = 0
    turn: int = 0  # of the `Ask` whose answer counts
    ask_failed: bool = False
    # The answer that is under way may be older than what the person may do now: one more is needed.
    ask_again: bool = False
    refs: list[str | None] = field(default_factory=list)  # of `Follow` while it is asked
    # Nothing may be said now: the person is asked about, or has not asked for their own yet.
    shut: bool = False
    paced: bool = False

    @property
    def behind(self) -> bool:
        return self.head > self.cursor or self.doubted


@dataclass(slots=True)
class _Wish:
    """A topic that is asked for."""

    topic: str
    since: Since | None
    refs: list[str | None]
    paced: bool
    turn: int = 0  # of the `Listen` whose answer counts; 0: none is under way
    fence: int = -1  # the newest one met meanwhile
    ask_again: bool = False  # as in a stream


class Connection:
    """See the rules above. `name` stands for the connection in logs and in `welcome`."""

    # Ten thousand of these live in a process: no dict, and nothing kept for what most of them never do.
    __slots__ = (
        "_answered",
        "_attempts_left",
        "_authentication_deadline",
        "_bad_frames",
        "_changes",
        "_check_failed",
        "_checking",
        "_checking_under",
        "_commands",
        "_deadline",
        "_early",
        "_end",
        "_fence",
        "_fence_at_redeem",
        "_follows",
        "_grant_end",
        "_marking",
        "_marks",
        "_met_fence",
        "_next_attempt_at",
        "_paces",
        "_prover",
        "_proving",
        "_reauth_ref",
        "_redeeming",
        "_refused",
        "_retry_at",
        "_session_end",
        "_since",
        "_small_acks",
        "_stalled_since",
        "_state_version",
        "_streams",
        "_token",
        "_turn",
        "_unacked",
        "_wishes",
        "code",
        "frames_sent",
        "grant",
        "limits",
        "name",
        "phase",
        "pushes_dropped",
    )

    def __init__(
        self, *, name: str, limits: Limits, now: float, jitter: float = 0.0, manner: Manner = NATIVE_MANNER
    ) -> None:
        """`jitter` in [0, 1): how much earlier than others of its age it ends, so that not all come back at once.
        `manner`: that of the protocol."""
        self.name = name
        self._follows = manner.follows
        self.limits = limits
        self.phase = Phase.AUTHENTICATING
        self.code: CloseCode | None = None
        self.frames_sent = 0
        self.pushes_dropped = 0

        # What the client may do, and until when.
        self.grant: Grant | None = None
        self._redeeming = False  # a credential is being judged
        self._token: str | None = None  # which, if it is no ticket
        self._proving = False  # it is one that a command must be proven by
        self._prover = Prover() if limits.authenticate_each_message else None
        self._since: Since | None = None
        self._end = now + limits.lifetime_seconds * (1 - LIFETIME_JITTER * jitter)
        self._authentication_deadline = now + limits.authentication_seconds
        self._grant_end = inf
        self._session_end = inf  # as far as is known: it may have been prolonged
        self._deadline = inf  # of the re-authentication that is required
        self._attempts_left = limits.reauth_attempts
        self._next_attempt_at = 0.0
        self._reauth_ref: str | None = None

        # The fence: `_fence` is the newest one the session is known to have been alive under.
        self._fence = -1
        self._met_fence = -1
        self._checking = False
        self._checking_under = -1
        self._check_failed = False
        self._fence_at_redeem = -1

        # Delivery.
        self._streams: dict[str, _Stream] = {}
        self._early: dict[str, Announcement] = {}  # announced between joining and `opened`: the newest of each stream
        self._wishes: dict[str, _Wish] = {}  # topics that are asked for, by their streams
        self._turn = 0  # of the last `Listen`, `Ask` or `Load`
        self._unacked = 0  # of all streams together
        self._paces: Bucket | None = None  # of streams whose client does not ack
        self._stalled_since = inf
        self._retry_at = inf

        # seen / read / archived.
        self._state_version = 0
        self._marks: list[State] = []
        self._marking: State | None = None
        self._changes: list[StateChanged] = []  # not sayable yet
        self._answered = -1  # the version among them that answers a command of this client

        # What the client may ask for.
        self._commands = Bucket(rate=limits.commands_per_second, burst=limits.command_burst, now=now)
        self._small_acks = Bucket(rate=SMALL_ACKS_PER_SECOND, burst=SMALL_ACKS_PER_SECOND, now=now)
        self._refused: list[float] = []  # when, the last REFUSED_COMMANDS of them
        self._bad_frames: list[float] = []  # when, the last BAD_FRAMES of them

    @property
    def place(self) -> tuple[str, int] | None:
        """The person's own stream and how far this connection is in it; None before it was opened."""
        stream = next(iter(self._streams.values()), None)
        return (stream.name, stream.cursor) if stream else None

    # --- Opening ---

    def connected(self, *, ticket: str | None, since: str | None, now: float, token: str | None = None) -> list[Step]:
        """The socket was accepted. Without a ticket or a token the first frame must be `authenticate`."""
        steps: list[Step] = []
        if not self._take_since(since):
            return self._bye(steps, CloseCode.PROTOCOL_ERROR)
        if ticket is not None or token is not None:
            self._present(steps, ticket, token, frozenset({Purpose.CONNECT}))
        return steps

    def rejected(self, code: CloseCode, now: float) -> list[Step]:
        """The handshake's content rules the connection out; said after accept, so that a browser can read it."""
        return self._bye([], code)

    def redeemed(self, grant: Grant, now: float) -> list[Step]:
        """The ticket or the token was good."""
        steps = self._due(now)
        if self.phase is Phase.CLOSED:
            return steps
        self._redeeming = False
        if self._prover:
            self._prover.forget()
            # Not if a fence was met meanwhile: the end under it may be that of the token's session, whatever it is.
            if self._token is not None and self._met_fence <= self._fence_at_redeem:
                self._prover.believe(self._token, grant.expires_at)
        if self.grant is None:
            self._live_by(grant)
            steps.append(Open(grant))
        elif grant.user_id != self.grant.user_id:
            self._bye(steps, CloseCode.FORBIDDEN)
        elif self._proving:
            self._proven(steps, grant, now)
        else:
            self._reauthenticate(steps, grant, now)
        self._prove_next(steps)
        return steps

    def _live_by(self, grant: Grant) -> None:
        self.grant = grant
        self._grant_end = grant.expires_at
        self._session_end = grant.session_expires_at

    def refused(self, now: float) -> list[Step]:
        """The ticket or the token was not good; why is nobody's business but the audit log's."""
        steps = self._due(now)
        if self.phase is Phase.CLOSED:
            return steps
        self._redeeming = False
        if self.phase is Phase.AUTHENTICATING:
            return self._bye(steps, CloseCode.TICKET_REFUSED)
        if self._proving:
            self._hold(steps, now, "requested")
            self._settle(steps, now)
            self._prove_next(steps)
            return self._missed_deadline(steps, now)
        self._prove_next(steps)
        self._attempts_left -= 1
        self._reauth_failed(steps, "ticket_refused", now)
        if self._attempts_left <= 0:
            return self._bye(steps, CloseCode.TICKET_REFUSED)
        return self._missed_deadline(steps, now)

    def undecided(self, now: float) -> list[Step]:
        """Nobody can tell now (no database): not the client's fault, so a `reauth` costs no attempt."""
        steps = self._due(now)
        if self.phase is Phase.CLOSED:
            return steps
        self._redeeming = False
        if self.phase is Phase.AUTHENTICATING:
            return self._bye(steps, CloseCode.UNAVAILABLE)
        if self._proving:
            self._settle(steps, now, "unavailable", "The token could not be verified now.")
            self._prove_next(steps)
            return self._missed_deadline(steps, now)
        self._prove_next(steps)
        self._reauth_failed(steps, "unavailable", now)
        return self._missed_deadline(steps, now)

    def opened(self, opening: Opening, session: SessionState, now: float) -> list[Step]:
        """
        The stream and the session were read as of one moment, after the ticket was redeemed; the group has been joined.

        That one moment is what makes the fence complete: a session that stood when the fence was read can only end
        under a newer one, which every later announcement and page carries.
        """
        steps = self._due(now)
        if self.phase is not Phase.AUTHENTICATING or self.grant is None:
            return steps
        if not session.alive:
            return self._bye(steps, _code_for(session.reason))
        position = opening.position
        self.phase = Phase.OPEN
        self._fence = position.fence
        self._state_version = position.state_version
        stream = _Stream(position.stream, position.epoch, position.head, position.head, shut=self._follows)
        self._streams[position.stream] = stream
        reason = _resume(stream, self._since, position)
        self._send(steps, self._welcome(self.grant, stream, opening, now))
        if reason:
            self._send(steps, _reset(reason, position))
        self._hear_early(stream)
        # What was heard since the group was joined may be newer than what was read: also a fence, also a state.
        self._note_fence(steps, position.fence)
        self._outdated(steps, session, now)
        self._say_changes(steps)
        self._advance(steps, now)
        return steps

    def _welcome(self, grant: Grant, stream: _Stream, opening: Opening, now: float) -> Welcome:
        return Welcome(
            connection=self.name,
            user=User(grant.user_id, grant.username),
            epoch=stream.epoch,
            head=opening.position.head,
            cursor=stream.cursor,
            recovered=stream.replay_to is not None,
            state_version=opening.position.state_version,
            unread=opening.unread,
            unseen=opening.unseen,
            expires_at=_utc(self._grant_end),
            grace_seconds=self.limits.grace_seconds,
            window=self.limits.window,
            ping_seconds=self.limits.ping_seconds,
            server_time=_utc(now),
        )

    def _hear_early(self, stream: _Stream) -> None:
        early = self._early.pop(stream.name, None)
        if early is not None:
            self._learn(stream, early.epoch, early.seq)
            self._met_fence = max(self._met_fence, early.fence)

    def _take_since(self, text: str | None) -> bool:
        if text is None:
            return True
        self._since = Since.parse(text)
        return self._since is not None

    def _present(self, steps: list[Step], ticket: str | None, token: str | None, purposes: frozenset[Purpose]) -> None:
        """Have a credential judged: exactly one of the two. Answered by `redeemed`, `refused` or `undecided`."""
        self._redeeming = True
        self._proving = False
        self._fence_at_redeem = self._met_fence
        self._token = token
        if token is not None:
            steps.append(Verify(token))
        elif ticket is not None:
            steps.append(Redeem(ticket, purposes))

    # --- What the client says ---

    def received(self, command: AnyCommand, now: float) -> list[Step]:
        """A well-formed command arrived."""
        steps = self._due(now)
        if self.phase is Phase.CLOSED:
            return steps
        if not isinstance(command, Ack) and not self._allowed(steps, command, now):
            return steps
        if self.phase is Phase.AUTHENTICATING:
            self._first_words(steps, command)
            return steps
        match command:
            case Ack() | State() | Subscribe() | Unsubscribe():
                self._vouched(steps, command, now)
            case Follow():
                self._follow(steps, command, now)
            case Unfollow():
                self._unfollow(steps, command, now)
            case Ping():
                self._send(steps, Pong(ref=_ref(command.ref)))
            case Reauth():
                self._reauth(steps, command, now)
            case Authenticate():
                self._error(steps, "already_authenticated", "The connection is authenticated.", command.ref)
        return steps

    def bad_frame(self, problem: BadFrame, now: float) -> list[Step]:
        """Something arrived that is no command."""
        steps = self._due(now)
        if self.phase is Phase.CLOSED:
            return steps
        if problem.code == "too_big":
            return self._bye(steps, CloseCode.MESSAGE_TOO_BIG)
        if problem.ends:
            return self._bye(steps, CloseCode.PROTOCOL_ERROR)
        self._error(steps, problem.code, problem.detail, problem.ref)
        if _often(self._bad_frames, BAD_FRAMES, BAD_FRAME_SECONDS, now):
            return self._bye(steps, CloseCode.PROTOCOL_ERROR)
        return steps

    def _allowed(self, steps: list[Step], command: AnyCommand, now: float) -> bool:
        wait = self._commands.take(now)
        if not wait:
            return True
        self._error(steps, "rate_limited", "Too many commands.", command.ref, retry_after_ms=_milliseconds(wait))
        if _often(self._refused, REFUSED_COMMANDS, REFUSED_SECONDS, now):
            self._bye(steps, CloseCode.RATE_LIMITED)
        return False

    def _first_words(self, steps: list[Step], command: AnyCommand) -> None:
        if not isinstance(command, Authenticate) or self._redeeming or self.grant is not None:
            self._error(steps, "not_authenticated", "Wait for welcome.", command.ref)
        elif not self._take_since(command.since):
            self._error(steps, "invalid", "since is <epoch>:<seq>.", command.ref)
        elif self._accepts(steps, command):
            self._present(steps, command.ticket, command.token, frozenset({Purpose.CONNECT}))

    def _accepts(self, steps: list[Step], command: Authenticate | Reauth) -> bool:
        """Whether this site takes such a credential in a frame."""
        kind = "ticket" if command.token is None else "token"
        if kind not in self.limits.frame_credentials:
            self._error(steps, "not_accepted", f"A {kind} is not accepted in a frame here.", command.ref)
            return False
        return True

    # --- Authentication in each message ---

    def _vouched(self, steps: list[Step], command: Vouched, now: float) -> None:
        """Carry the command out, if need be when its token was verified."""
        if self._prover is None and command.token is None:
            self._carry_out(steps, command, now)
            return
        if self._prover is not None and self.phase is Phase.OPEN and self._prover.believes(command, now):
            self._carry_out(steps, command, now)
            return
        # An ack is no command while it costs nothing: this one costs an answer, or somebody's look at its token.
        if isinstance(command, Ack) and not self._allowed(steps, command, now):
            return
        if self._prover is None:
            self._error(steps, "invalid", "token is not used here.", command.ref)
            return
        if self.phase is not Phase.OPEN:
            self._error(steps, "reauth_required", "Re-authenticate first.", command.ref)
            return
        match self._prover.judge(command, now):
            case Proof.NONE:
                self._hold(steps, now, "requested")
                self._error(steps, "reauth_required", "The command carries no token that is good.", command.ref)
            case Proof.TOO_MANY:
                self._error(steps, "busy", "Too many commands are waiting.", command.ref)
            case Proof.UNKNOWN:
                self._prove_next(steps)

    def _prove_next(self, steps: list[Step]) -> None:
        """Have the token judged that the oldest waiting command carries, unless another credential is under way."""
        if self._prover and self._prover.asked is not None and not self._redeeming and self.phase is not Phase.CLOSED:
            self._present(steps, None, self._prover.asked, frozenset())
            self._proving = True

    def _carry_out(self, steps: list[Step], command: Vouched, now: float) -> None:
        match command:
            case Ack():
                self._ack(steps, command, now)
            case State():
                self._state(steps, command)
            case Subscribe():
                self._follow(steps, Follow(command.topic, command.since, ref=command.ref), now)
            case Unsubscribe():
                self._unfollow(steps, Unfollow(command.topic, command.ref), now)

    def _proven(self, steps: list[Step], grant: Grant, now: float) -> None:
        if grant.expires_at > self._grant_end:
            self._live_by(grant)
            self._fence = self._fence_at_redeem  # as in `_reauthenticate`
            self._note_fence(steps, self._met_fence)
        self._settle(steps, now, was_good=True)
        self._advance(steps, now)

    def _settle(
        self,
        steps: list[Step],
        now: float,
        code: str = "reauth_required",
        detail: str = "The command carries no token that is good.",
        *,
        was_good: bool = False,
    ) -> None:
        """Answer the commands that waited for the token that was judged: carried out, or `code`."""
        if self._prover is None:
            return
        for command, good in self._prover.settle(now, was_good=was_good):
            if self.phase is Phase.CLOSED:
                return
            if good and self.phase is Phase.OPEN:
                self._carry_out(steps, command, now)
            else:
                self._error(steps, code, detail, command.ref)

    def _ack(self, steps: list[Step], command: Ack, now: float) -> None:
        stream = self._streams.get(command.stream or self._personal)
        if stream is None:
            if self._allowed(steps, command, now):  # a wrong ack costs an answer, so it counts as a command
                self._error(steps, "unknown_stream", "Nothing is delivered from this stream.", command.ref)
        elif command.seq < 0 or command.seq > stream.cursor:
            if self._allowed(steps, command, now):  # so does this one
                self._error(steps, "invalid_ack", f"seq is not between 0 and {stream.cursor}.", command.ref)
        else:
            releases = bisect_right(stream.unacked, command.seq)
            # A quarter at most: in a small window fewer than FREE_ACK could be all that will ever be acked.
            free = min(FREE_ACK, max(1, self.limits.window // 4))
            if releases == 0:
                return
            if releases < free and (wait := self._small_acks.take(now)):
                # Not forgotten: of many streams with one notification each, none may ever be acked again.
                stream.acked = max(stream.acked, command.seq)
                self._retry_by(now + wait)
                return
            self._count_ack(stream, command.seq)
            self._advance(steps, now)

    def _count_ack(self, stream: _Stream, seq: int) -> None:
        releases = bisect_right(stream.unacked, seq)
        if releases:
            del stream.unacked[:releases]
            self._unacked -= releases
            self._stalled_since = inf

    def _count_late_acks(self, now: float) -> None:
        late = [stream for stream in self._streams.values() if stream.acked]
        if late and (wait := self._small_acks.take(now)):
            self._retry_by(now + wait)
            return
        for stream in late:
            self._count_ack(stream, stream.acked)
            stream.acked = 0

    @property
    def _personal(self) -> str:
        return next(iter(self._streams))  # the person's own stream is the first that is opened

    # --- What is listened to ---

    def _follow(self, steps: list[Step], command: Follow, now: float) -> None:
        name = self._personal if command.topic is None else stream_of_topic(command.topic)
        since = None
        if command.since is not None and (since := Since.parse(command.since)) is None:
            self._error(steps, "invalid", "since is <epoch>:<seq>.", command.ref)
        elif self.phase is not Phase.OPEN:
            self._error(steps, "reauth_required", "Re-authenticate first.", command.ref)
        elif (wish := self._wishes.get(name)) is not None:
            wish.paced = wish.paced or command.paced  # whoever acks may leave before it is there
            self._wait(steps, wish.refs, command.ref)
        elif (stream := self._streams.get(name)) is not None:
            self._follow_again(steps, stream, since, command, now)
        elif command.topic is None:
            raise RuntimeError("the person's own stream is there from the start")
        elif len(self._streams) + len(self._wishes) > self.limits.topics:
            self._deny(steps, command.topic, "too_many_topics", [command.ref])
        else:
            wish = self._wishes[name] = _Wish(command.topic, since, [command.ref], command.paced)
            self._listen(steps, wish)

    def _follow_again(
        self, steps: list[Step], stream: _Stream, since: Since | None, command: Follow, now: float
    ) -> None:
        if stream.topic is not None and (stream.shut or self._checking):
            if not stream.shut:  # the session is in doubt, after which it is asked
                self._ask(steps, stream)
            self._wait(steps, stream.refs, command.ref)
            return
        if stream.shut:
            self._begin(stream, since, command, now)
        if self._checking:  # where the stream stands is for nobody whose session may have ended
            self._wait(steps, stream.refs, command.ref)
            return
        self._say_subscribed(steps, stream, command.ref)
        self._advance(steps, now)

    def _wait(self, steps: list[Step], refs: list[str | None], ref: str | None) -> None:
        """For an answer that will be the same."""
        if len(refs) < WAITING_REFS:
            refs.append(ref)
        else:
            self._error(steps, "busy", "Too many subscribe commands are waiting.", ref)

    def _listen(self, steps: list[Step], wish: _Wish) -> None:
        # All that was met so far is older than this question.
        wish.fence, wish.ask_again = -1, False
        self._early.pop(stream_of_topic(wish.topic), None)
        wish.turn = self._next_turn()
        steps.append(Listen(wish.topic, wish.turn))

    def _next_turn(self) -> int:
        self._turn += 1
        return self._turn

    def _begin(self, stream: _Stream, since: Since | None, command: Follow, now: float) -> None:
        """Say the person's own stream, to a client that had to ask for it."""
        stream.shut = False
        stream.loading = 0  # what is still read for who left is not for who came back: `page` drops it
        self._pace(stream, command.paced, now)
        if since is None:
            stream.cursor, stream.replay_to = stream.head, None
        else:  # the log will tell whether that can be resumed
            stream.epoch, stream.cursor, stream.doubted = since.epoch, since.seq, True
            stream.replay_to = stream.head

    def _unfollow(self, steps: list[Step], command: Unfollow, now: float) -> None:
        name = self._personal if command.topic is None else stream_of_topic(command.topic)
        wish = self._wishes.pop(name, None)
        waiting = wish or self._streams.get(name)
        for ref in [*(waiting.refs if waiting else []), command.ref]:
            topic = UNSET if command.topic is None else command.topic
            self._send(steps, Unsubscribed(stream=name, topic=topic, ref=_ref(ref)))
        if command.topic is None:
            stream = self._streams[name]
            stream.shut, stream.replay_to = True, None
            stream.refs.clear()
            self._release(steps, stream, now)
        elif wish or name in self._streams:
            self._forget(steps, command.topic, now)

    def subscribed(self, asked: Listen, position: Position, fence: int, now: float) -> list[Step]:
        """
        What `Listen` asked for: the person may listen, as of `fence`; the group was joined, and then `position` read.
        """
        steps = self._due(now)
        wish = self._wished(steps, asked, now)
        if wish is None:
            return steps
        if self.phase is not Phase.OPEN:
            self._fail_wish(steps, wish, "reauth_required", "Re-authenticate first.", now)
            return steps
        early = self._early.get(position.stream)
        met = max(position.fence, wish.fence, early.fence if early else -1)
        if self._checking:
            wish.turn = 0  # until it is known whether the session stands
        elif wish.ask_again or met > fence:  # where the topic stands is said to nobody who may not know it by now
            self._listen(steps, wish)
        else:
            self._begin_topic(steps, wish, position, fence, now)
        return steps

    def _begin_topic(self, steps: list[Step], wish: _Wish, position: Position, fence: int, now: float) -> None:
        del self._wishes[position.stream]
        stream = _Stream(position.stream, position.epoch, position.head, position.head, topic=wish.topic, fence=fence)
        self._pace(stream, wish.paced, now)
        self._streams[position.stream] = stream
        reason = _resume(stream, wish.since, position)
        for ref in wish.refs:
            self._say_subscribed(steps, stream, ref)
        if reason:
            self._send(steps, _reset(reason, position))
        early = self._early.pop(stream.name, None)
        if early is not None:
            self._learn(stream, early.epoch, early.seq)
        self._advance(steps, now)

    def _wished(self, steps: list[Step], asked: Listen, now: float) -> _Wish | None:
        """The wish that this question was asked for. Where nobody has it any more, the group is left."""
        name = stream_of_topic(asked.topic)
        wish = self._wishes.get(name)
        if self.phase is Phase.CLOSED:
            return None
        if wish is None and name not in self._streams:
            self._forget(steps, asked.topic, now)
        return wish if wish is not None and wish.turn == asked.turn else None

    def _fail_wish(self, steps: list[Step], wish: _Wish, code: str, detail: str, now: float) -> None:
        del self._wishes[stream_of_topic(wish.topic)]
        for ref in wish.refs:
            self._error(steps, code, detail, ref)
        self._forget(steps, wish.topic, now)

    def denied(self, asked: Listen | Ask | Load, now: float) -> list[Step]:
        """The person may not listen to the topic, or not any more."""
        steps = self._due(now)
        if self.phase is Phase.CLOSED:
            return steps
        if isinstance(asked, Listen):
            wish = self._wished(steps, asked, now)
            if wish is not None:
                del self._wishes[stream_of_topic(wish.topic)]
                self._deny(steps, wish.topic, "forbidden", wish.refs)
                self._forget(steps, wish.topic, now)
            return steps
        stream = self._asked(asked) if isinstance(asked, Ask) else self._streams.get(asked.stream)
        if stream is not None and stream.topic is not None:
            self._deny(steps, stream.topic, "forbidden", stream.refs or [None])
            self._forget(steps, stream.topic, now)
        return steps

    def listen_failed(self, asked: Listen, now: float) -> list[Step]:
        """Nobody can tell now whether the person may listen, or where the topic stands."""
        steps = self._due(now)
        wish = self._wished(steps, asked, now)
        if wish is not None:
            self._fail_wish(steps, wish, "unavailable", "The topic could not be opened now.", now)
        return steps

    def _asked(self, asked: Ask) -> _Stream | None:
        """The stream that this question was asked about, if no later one was."""
        stream = self._streams.get(stream_of_topic(asked.topic))
        return stream if stream is not None and stream.turn == asked.turn else None

    def allowed(self, asked: Ask, fence: int, now: float) -> list[Step]:
        """The answer to `Ask`: the person may listen, as of `fence`."""
        steps = self._due(now)
        stream = self._asked(asked)
        if stream is None or self.phase is Phase.CLOSED:
            return steps
        met, stream.shut, stream.fence = stream.fence, False, fence
        if stream.ask_again:
            self._ask(steps, stream)
        else:
            self._note_topic_fence(steps, stream, met)
        self._confirm(steps, stream)
        self._advance(steps, now)
        return steps

    def ask_failed(self, asked: Ask, now: float) -> list[Step]:
        """Nobody can tell now: what is held back stays so, and it is asked again."""
        steps = self._due(now)
        if stream := self._asked(asked):
            stream.ask_failed = True
            self._put_off(stream, now + RETRY_SECONDS)
        return steps

    def topic_fenced(self, fenced: tuple[str, int], now: float) -> list[Step]:
        """(stream, fence): others may listen to the topic than before."""
        steps = self._due(now)
        name, fence = fenced
        if wish := self._wishes.get(name):
            wish.fence = max(wish.fence, fence)
        elif (stream := self._streams.get(name)) is not None and self.phase is not Phase.CLOSED:
            self._note_topic_fence(steps, stream, fence)
        return steps

    def _note_topic_fence(self, steps: list[Step], stream: _Stream, fence: int) -> None:
        if fence > stream.fence:
            stream.fence = fence  # while it is asked, the newest that was met
            if not stream.shut:
                self._ask(steps, stream)

    def _ask(self, steps: list[Step], stream: _Stream) -> None:
        """Nothing of the topic until it is known that the person may listen."""
        if stream.topic is None:
            return
        if stream.shut:
            stream.ask_again = True
            return
        stream.shut = True
        self._put(steps, stream, stream.topic)

    def _put(self, steps: list[Step], stream: _Stream, topic: str) -> None:
        stream.ask_again = stream.ask_failed = False
        stream.turn = self._next_turn()
        steps.append(Ask(topic, stream.turn))

    def _ask_for_all(self, steps: list[Step]) -> None:
        for stream in self._streams.values():
            self._ask(steps, stream)
        for wish in self._wishes.values():
            wish.ask_again = True
            if not wish.turn:
                self._listen(steps, wish)

    def _forget(self, steps: list[Step], topic: str, now: float) -> None:
        """Nothing of the topic is said any more."""
        name = stream_of_topic(topic)
        self._early.pop(name, None)
        steps.append(Unlisten(topic))
        stream = self._streams.pop(name, None)
        if stream is not None:
            self._release(steps, stream, now)
            self._advance(steps, now)

    def _release(self, steps: list[Step], stream: _Stream, now: float) -> None:
        """Nobody will ack what was said of it."""
        if stream.unacked:
            self._count_ack(stream, stream.unacked[-1])
            self._advance(steps, now)
        stream.acked = 0

    def _pace(self, stream: _Stream, paced: bool, now: float) -> None:
        if paced and self._paces is None:
            self._paces = Bucket(rate=self.limits.paced_per_second, burst=self.limits.window, now=now)
        stream.paced = paced

    def _confirm(self, steps: list[Step], stream: _Stream) -> None:
        """Answer those who asked for it while it could not be said."""
        if not stream.shut and self._deliverable:
            for ref in stream.refs:
                self._say_subscribed(steps, stream, ref)
            stream.refs.clear()

    def _say_subscribed(self, steps: list[Step], stream: _Stream, ref: str | None) -> None:
        self._send(
            steps,
            Subscribed(
                stream=stream.name,
                epoch=stream.epoch,
                head=stream.head,
                cursor=stream.cursor,
                topic=UNSET if stream.topic is None else stream.topic,
                ref=_ref(ref),
            ),
        )

    def _deny(
        self, steps: list[Step], topic: str, code: Literal["forbidden", "too_many_topics"], refs: list[str | None]
    ) -> None:
        for ref in refs:
            self._send(steps, Denied(stream=stream_of_topic(topic), topic=topic, code=code, ref=_ref(ref)))

    # --- seen, read, archived ---

    def _state(self, steps: list[Step], command: State) -> None:
        if self.phase is not Phase.OPEN:
            self._error(steps, "reauth_required", "Re-authenticate first.", command.ref)
        elif self._marking is None:
            self._marking = command
            steps.append(Mark(command))
        elif len(self._marks) < WAITING_MARKS:
            self._marks.append(command)  # one at a time, so that they take effect in the order they were sent
        else:
            self._error(steps, "busy", "Too many state commands are waiting.", command.ref)

    def marked(self, change: Change | None, now: float) -> list[Step]:
        """The `state` command was carried out; None if no notification of the person was meant."""
        steps = self._due(now)
        if self.phase is Phase.CLOSED or self._marking is None:
            return steps
        ref = self._marking.ref
        self._next_mark(steps)
        if change is None:
            self._error(steps, "not_found", "No such notification.", ref)
        else:
            # The same change also arrives as an announcement; with the ref it is this client's answer.
            event = change.event.answering(_ref(ref))
            self._changes = [other for other in self._changes if other.state_version != event.state_version]
            self._changes.append(event)
            self._answered = event.state_version
            self._note_fence(steps, change.fence)
        self._say_changes(steps)
        return steps

    def mark_failed(self, now: float) -> list[Step]:
        """The `state` command could not be carried out now."""
        steps = self._due(now)
        if self.phase is Phase.CLOSED or self._marking is None:
            return steps
        ref = self._marking.ref
        self._next_mark(steps)
        self._error(steps, "unavailable", "The state could not be changed now.", ref)
        self._say_changes(steps)
        return steps

    def changed(self, change: Change, now: float) -> list[Step]:
        """This or another device set the state of notifications."""
        steps = self._due(now)
        if self.phase is Phase.CLOSED:
            return steps
        self._note_fence(steps, change.fence)
        self._changes.append(change.event)
        self._say_changes(steps)
        return steps

    def _next_mark(self, steps: list[Step]) -> None:
        self._marking = None
        if self.phase is not Phase.OPEN:  # what was still waiting when the grant ended is not carried out
            while self._marks:
                self._error(steps, "reauth_required", "Re-authenticate first.", self._marks.pop(0).ref)
        elif self._marks:
            self._marking = self._marks.pop(0)
            steps.append(Mark(self._marking))

    def _say_changes(self, steps: list[Step]) -> None:
        """Say what waits, oldest first. Held: only the version is kept, which `reauthenticated` tells, and the answer
        to a command of this client."""
        if self.phase is Phase.REAUTH_REQUIRED:
            self._state_version = max([self._state_version, *(event.state_version for event in self._changes)])
            self._changes = [event for event in self._changes if event.state_version == self._answered][:1]
        if not self._deliverable:
            return
        waiting = []
        for event in sorted(self._changes, key=lambda event: event.state_version):
            if self._marking is not None and event.state_version > self._answered:
                waiting.append(event)  # may be the announcement of the very command that is being carried out
            # An answer is said even if its version is not new: nothing may have changed, or another change overtook it.
            elif event.state_version > self._state_version or event.state_version == self._answered:
                self._state_version = max(self._state_version, event.state_version)
                self._send(steps, event)
        self._changes = waiting
        self._answered = -1

    # --- Delivery ---

    def announced(self, announcement: Announcement, now: float) -> list[Step]:
        """A notification of one of this connection's streams was numbered."""
        steps = self._due(now)
        event = announcement.event
        stream = self._streams.get(event.stream)
        if stream is None:
            self._remember_early(announcement)
            return steps
        if stream.topic is not None:
            self._note_topic_fence(steps, stream, announcement.fence)
        elif announcement.fence > self._met_fence:
            self._note_fence(steps, announcement.fence)
        # Not while a page is read: its answer would be older than the cursor, and look like numbers taken back.
        if (
            event.seq == stream.cursor + 1
            and announcement.epoch == stream.epoch
            and self._deliverable
            and not stream.loading
            and not stream.shut
            and self._room(stream, now) > 0
        ):
            if event.archived:  # from the start: its person has muted the kind
                self._catch_up(steps, stream)
                self._skip(steps, stream, announcement.seq)
            else:
                self._say(steps, stream, event, now)
            return steps
        self._learn(stream, announcement.epoch, announcement.seq)
        if stream.behind:
            self._advance(steps, now)
        return steps

    def positioned(self, position: Position, now: float) -> list[Step]:
        """
        The position sync looked. The guarantee behind every announcement that was lost.

        `position` must have been read after everything this connection has said: a head below the cursor means numbers
        that were taken back (a restored database).
        """
        steps = self._due(now)
        stream = self._streams.get(position.stream)
        if stream is None or self.phase is Phase.CLOSED:
            return steps
        self._meet(steps, stream, position.fence)
        self._learn(stream, position.epoch, position.head)
        if position.head < stream.cursor:
            stream.doubted = True
        self._advance(steps, now)
        return steps

    def page(self, page: Page, now: float) -> list[Step]:
        """What `Load` asked for."""
        steps = self._due(now)
        stream = self._streams.get(page.position.stream)
        if stream is None or self.phase is Phase.CLOSED or not stream.loading:
            return steps
        if page.after is not None and page.after != stream.cursor:
            return steps  # for whom unsubscribed and came back meanwhile: theirs is still under way
        stream.loading = 0
        if stream.topic is None:
            self._note_fence(steps, page.position.fence)
        elif not stream.shut:
            stream.fence = max(stream.fence, page.position.fence)  # the rule was asked after the page was read
        cursor = stream.cursor
        if self._deliverable and not stream.shut:  # else it is read again when it may be said
            self._say_page(steps, stream, page, now)
            if stream.cursor == cursor and stream.behind:
                self._put_off(stream, now + RETRY_SECONDS)  # no progress: asking at once would ask for ever
        self._advance(steps, now)
        return steps

    def load_failed(self, stream: str, now: float) -> list[Step]:
        """The log could not be read now: the cursor stands, and it is asked for again."""
        steps = self._due(now)
        if stream in self._streams:
            self._streams[stream].loading = 0
            self._put_off(self._streams[stream], now + RETRY_SECONDS)
            self._advance(steps, now)
        return steps

    def pushed(self, event: Notification, now: float) -> list[Step]:
        """A transient notification: said now or never."""
        steps = self._due(now)
        stream = self._streams[self._personal] if self._streams else None
        if self._deliverable and stream and not stream.shut and self._room(stream, now) > 0:
            self._send(steps, event)
        else:
            self.pushes_dropped += 1
            figures.PUSHES_DROPPED.add()
        return steps

    @property
    def told_and_acked(self) -> tuple[int, int] | None:
        """For people to look at: the last number of its person's stream that was said or skipped, and the last one that
        the client has acked."""
        stream = next(iter(self._streams.values()), None)
        if stream is None:
            return None
        return stream.cursor, stream.unacked[0] - 1 if stream.unacked else stream.cursor

    @property
    def _deliverable(self) -> bool:
        return self.phase is Phase.OPEN and not self._checking

    def _room(self, stream: _Stream, now: float) -> int:
        """How many more notifications may be said before an ack must come, or time must pass."""
        if stream.paced and self._paces is not None:
            return self._paces.left(now)
        return self.limits.window - self._unacked

    def _meet(self, steps: list[Step], stream: _Stream, fence: int) -> None:
        if stream.topic is None:
            self._note_fence(steps, fence)
        else:
            self._note_topic_fence(steps, stream, fence)

    def _remember_early(self, announcement: Announcement) -> None:
        if self.phase is not Phase.AUTHENTICATING and announcement.stream not in self._wishes:
            return
        known = self._early.get(announcement.stream)
        if known is None or known.epoch != announcement.epoch or known.seq < announcement.seq:
            self._early[announcement.stream] = announcement

    def _learn(self, stream: _Stream, epoch: str, head: int) -> None:
        if epoch != stream.epoch:
            stream.doubted = True
        else:
            stream.head = max(stream.head, head)

    def _advance(self, steps: list[Step], now: float) -> None:
        """Ask the log for what is missing, as far as the window has room: of many streams no more than of one."""
        if not self._deliverable:
            return
        waiting = []
        under_way = {True: 0, False: 0}
        for stream in self._streams.values():
            under_way[stream.paced] += stream.loading
            if stream.loading or stream.shut or now < stream.not_before:
                continue
            self._catch_up(steps, stream)
            if stream.behind:
                waiting.append(stream)
        for stream in sorted(waiting, key=attrgetter("load")):
            room = self._room(stream, now)
            free = room - under_way[stream.paced]
            if free > 0:
                self._load(steps, stream, min(free, self.limits.replay_page))
                under_way[stream.paced] += stream.loading
            elif room > 0:
                continue  # what is under way comes first
            elif stream.paced:
                self._put_off(stream, now + PACE_SECONDS)
            elif self._stalled_since == inf:
                self._stalled_since = now
                figures.WINDOW_STALLS.add()

    def _load(self, steps: list[Step], stream: _Stream, limit: int) -> None:
        stream.loading, stream.load = limit, self._next_turn()
        steps.append(Load(stream.name, stream.cursor, limit))

    def _put_off(self, stream: _Stream, at: float) -> None:
        """Leave the stream alone until then; the others go on."""
        stream.not_before = at
        self._retry_by(at)

    def _retry_by(self, at: float) -> None:
        self._retry_at = min(self._retry_at, at)

    def _say_page(self, steps: list[Step], stream: _Stream, page: Page, now: float) -> None:
        position = page.position
        stream.doubted = False
        reason = _broken(stream, position)
        if reason:
            self._send(steps, _reset(reason, position))
            stream.epoch = position.epoch
            stream.cursor = stream.head = position.head
            stream.replay_to = None
            self._unacked -= len(stream.unacked)
            stream.unacked.clear()
            stream.acked = 0
            return
        stream.head = max(stream.head, position.head)
        for event in page.events:
            if self._room(stream, now) <= 0:
                return
            self._skip(steps, stream, (event.seq or 0) - 1)
            self._say(steps, stream, event, now)
        self._skip(steps, stream, page.through)

    def _say(self, steps: list[Step], stream: _Stream, event: Notification, now: float) -> None:
        """`event` is the next number of the stream."""
        seq = event.seq
        if seq is None:
            raise ValueError("a transient push has no place in a stream")
        if stream.replay_to is not None:
            self._catch_up(steps, stream)
            if stream.replay_to is not None and seq <= stream.replay_to:
                event = event.as_replay()
        self._send(steps, event)
        stream.cursor = seq
        if seq > stream.head:
            stream.head = seq
        if stream.paced and self._paces is not None:
            self._paces.take(now)
        else:
            stream.unacked.append(seq)
            self._unacked += 1

    def _skip(self, steps: list[Step], stream: _Stream, through: int) -> None:
        if through > stream.cursor:
            self._send(steps, Skipped(stream=stream.name, through=through))
            stream.cursor = through
            stream.head = max(stream.head, through)

    def _catch_up(self, steps: list[Step], stream: _Stream) -> None:
        """Say that the replay is over if it is: before the first number that is news."""
        if stream.replay_to is not None and stream.cursor >= stream.replay_to and not stream.doubted:
            stream.replay_to = None
            self._send(steps, CaughtUp(stream=stream.name, cursor=stream.cursor))

    # --- The fence and the session's end ---

    def checked(self, session: SessionState, now: float) -> list[Step]:
        """The session was read: because `Check` asked, because somebody ended it, or in the regular sweep."""
        steps = self._due(now)
        if self.phase is Phase.CLOSED or self.grant is None or session.session_id != self.grant.session_id:
            return steps  # of a session that this connection has left
        if not session.alive:
            self._session_ended(steps, session, now)
        else:
            self._grant_end = min(self._grant_end, session.expires_at)
            self._session_end = session.expires_at
            self._outdated(steps, session, now)
        return steps

    def check_answered(self, session: SessionState, now: float) -> list[Step]:
        """The answer to `Check`: what was held back under the newer fence may go on, or never will."""
        self._checking = False
        checked_under = self._checking_under  # the next one may begin at once
        steps = self.checked(session, now)
        if self.phase is Phase.CLOSED or self.grant is None:
            return steps
        if session.session_id == self.grant.session_id:
            self._fence = max(self._fence, checked_under)
        self._go_on(steps, now)
        return steps

    def _go_on(self, steps: list[Step], now: float) -> None:
        """The session stands, as far as is known: on with all that was held back."""
        self._ask_for_all(steps)
        self._note_fence(steps, self._met_fence)
        self._say_changes(steps)
        self._confirm(steps, self._streams[self._personal])
        self._advance(steps, now)

    def check_failed(self, now: float) -> list[Step]:
        """Nobody can tell now: what is held back stays so, and it is asked again."""
        steps = self._due(now)
        self._check_failed = True
        self._retry_by(now + RETRY_SECONDS)
        return steps

    def fenced(self, fence: int, now: float) -> list[Step]:
        """Some session of the person ended under this fence: this connection's own may be among them."""
        steps = self._due(now)
        self._note_fence(steps, fence)
        return steps

    def _note_fence(self, steps: list[Step], fence: int) -> None:
        self._met_fence = max(self._met_fence, fence)
        if self.phase not in (Phase.OPEN, Phase.REAUTH_REQUIRED) or self._checking or self.grant is None:
            return
        if self._met_fence > self._fence:
            if self._prover:
                self._prover.forget()  # its session may be the one that has ended
            self._check(steps, self.grant)

    def _check(self, steps: list[Step], grant: Grant) -> None:
        """Nothing private until the session was read again."""
        self._checking = True
        self._checking_under = self._met_fence
        steps.append(Check(grant.session_id))

    def _session_ended(self, steps: list[Step], session: SessionState, now: float) -> None:
        # A session that merely ran out is an expiry: the same person may sign in again and go on where they were.
        if session.reason is not EndReason.EXPIRED:
            self._bye(steps, _code_for(session.reason))
        elif self.phase is Phase.OPEN:
            self._grant_end = min(self._grant_end, now)
            self._expire(steps, now, "close" if self.limits.on_expiry == "ignore" else self.limits.on_expiry)

    def _outdated(self, steps: list[Step], session: SessionState, now: float) -> None:
        """The password may have been changed by this very session: it stands, what was shown before counts no more."""
        if self.grant is None or self.phase is not Phase.OPEN or session.valid_from <= self.grant.issued_at:
            return
        if self.limits.on_expiry == "close":
            self._bye(steps, CloseCode.SESSION_EXPIRED)
        else:
            self._hold(steps, now, "credentials_changed")

    # --- Expiry ---

    def _expire(self, steps: list[Step], now: float, policy: OnExpiry) -> None:
        if policy == "close":
            self._bye(steps, CloseCode.SESSION_EXPIRED)
        elif policy == "reauth":
            self._hold(steps, now, "session_expired")
        elif now >= self._session_end and not self._checking and self.grant is not None:
            self._check(steps, self.grant)  # to see that it was prolonged, or is over

    def _hold(self, steps: list[Step], now: float, reason: ReauthReason) -> None:
        """Nothing private any more until the client proves anew who it is."""
        if self.phase is not Phase.OPEN:
            return
        self.phase = Phase.REAUTH_REQUIRED
        if self._prover:
            self._prover.forget()
        began = self._grant_end if reason == "session_expired" else now
        self._deadline = began + self.limits.grace_seconds
        if self._deadline <= now:  # the process slept through it: the client still gets its grace
            self._deadline = now + self.limits.grace_seconds
        self._stalled_since = inf
        self._say_changes(steps)
        self._send(
            steps,
            ReauthRequired(reason=reason, deadline=_utc(self._deadline), grace_seconds=self.limits.grace_seconds),
        )

    def _reauth(self, steps: list[Step], command: Reauth, now: float) -> None:
        if self._redeeming:
            self._error(steps, "reauth_pending", "The last reauth is not answered yet.", command.ref)
        elif now < self._next_attempt_at:
            self._reauth_failed(steps, "too_soon", now, ref=command.ref)
        elif self._accepts(steps, command):
            self._next_attempt_at = now + self.limits.reauth_spacing
            self._reauth_ref = command.ref
            self._present(steps, command.ticket, command.token, frozenset({Purpose.CONNECT, Purpose.REAUTH}))

    def _reauthenticate(self, steps: list[Step], grant: Grant, now: float) -> None:
        self._live_by(grant)
        # All that is known of a session just redeemed: it was alive under the fence met before the ticket was sent
        # off. Any newer one may be this session's end, even if the session before it has been read since.
        self._fence = self._fence_at_redeem
        self._deadline = inf
        self._attempts_left = self.limits.reauth_attempts
        self.phase = Phase.OPEN
        held = 0
        for stream in self._streams.values():
            own = stream.topic is None
            if stream.head > stream.cursor and not (own and stream.shut):
                held += stream.head - stream.cursor if own else 0
                stream.replay_to = stream.head
        self._send(
            steps,
            Reauthenticated(
                expires_at=_utc(self._grant_end),
                held=held,
                state_version=self._state_version,
                ref=_ref(self._reauth_ref),
            ),
        )
        self._go_on(steps, now)

    def _reauth_failed(self, steps: list[Step], code: str, now: float, ref: str | None = None) -> None:
        wait = max(0.0, self._next_attempt_at - now)
        failed = ReauthFailed(
            code=code,
            attempts_left=self._attempts_left,
            retry_after_ms=_milliseconds(wait),
            ref=_ref(ref or self._reauth_ref),
        )
        self._send(steps, failed)

    def _missed_deadline(self, steps: list[Step], now: float) -> list[Step]:
        """The deadline waits for a reauth under way (2 s at most); here it is over and was not good."""
        if now >= self._deadline:
            self._bye(steps, CloseCode.SESSION_EXPIRED)
        return steps

    # --- Time ---

    @property
    def wake_at(self) -> float:
        """When `woken` must be called at the latest; infinity for never."""
        if self.phase is Phase.OPEN:
            at = self._grant_end
            if self.limits.on_expiry == "ignore":
                at = inf if self._checking else self._session_end
            if self._stalled_since < inf:
                at = min(at, self._stalled_since + self.limits.ack_stall_seconds)
            if self._end < at:
                at = self._end
            return at if at < self._retry_at else self._retry_at
        if self.phase is Phase.AUTHENTICATING:
            return self._authentication_deadline
        if self.phase is Phase.REAUTH_REQUIRED:
            return min(inf if self._redeeming else self._deadline, self._retry_at, self._end)
        return inf

    def woken(self, now: float) -> list[Step]:
        """`wake_at` has come."""
        return self._due(now)

    def _due(self, now: float) -> list[Step]:
        """What time alone brings about, before anything else is looked at: no event overtakes an expiry."""
        steps: list[Step] = []
        if now < self.wake_at:
            return steps
        if self.phase is Phase.AUTHENTICATING:
            # Silent client, or a database that does not answer: only the first is the client's doing.
            waiting = self._redeeming or self.grant is not None
            return self._bye(steps, CloseCode.UNAVAILABLE if waiting else CloseCode.AUTHENTICATION_TIMEOUT)
        if self.phase is Phase.REAUTH_REQUIRED and now >= self._deadline and not self._redeeming:
            return self._bye(steps, CloseCode.SESSION_EXPIRED)
        if now >= self._end:
            return self._bye(steps, CloseCode.GOING_AWAY)
        if self.phase is Phase.OPEN and now >= self._grant_end:
            self._expire(steps, now, self.limits.on_expiry)
        if self.phase is Phase.OPEN and now >= self._stalled_since + self.limits.ack_stall_seconds:
            return self._bye(steps, CloseCode.TOO_SLOW)
        if now >= self._retry_at:
            self._retry_at = inf
            self._retry(steps, now)
        return steps

    def _retry(self, steps: list[Step], now: float) -> None:
        # Only one that failed: of two under way, the later answer could be the older one.
        if self._checking and self._check_failed and self.grant is not None:
            self._check_failed = False
            steps.append(Check(self.grant.session_id))
        for stream in self._streams.values():
            if now < stream.not_before:
                self._retry_by(stream.not_before)
            elif stream.ask_failed and stream.topic is not None:
                self._put(steps, stream, stream.topic)
        self._count_late_acks(now)
        self._advance(steps, now)

    # --- The end ---

    def replaced(self, now: float) -> list[Step]:
        """A newer connection of the same person takes this one's place."""
        return self._bye(self._due(now), CloseCode.TOO_MANY_CONNECTIONS)

    def drained(self, retry_after: float, now: float) -> list[Step]:
        """The process ends; the client is asked to come back after so many seconds, and will find another one."""
        return self._bye(self._due(now), CloseCode.GOING_AWAY, retry_after)

    def kicked(self, kick: Kicked, now: float) -> list[Step]:
        """
        The connections of these names are to close; one of the same person may be among them.

        If staff disconnected it: the login session lives on, and yet the client stays away until a person acts (4500
        needs a login): one that came back by itself would make staff's word worth a second.
        """
        steps = self._due(now)
        return self._bye(steps, _KICKS[kick.code]) if self.name in kick.names else steps

    def asked(self, asked: Asked, now: float) -> list[Step]:
        """Staff wants the connections of these names to prove anew who they are; one of the same person may be among
        them. One that is held already is asked by that."""
        steps = self._due(now)
        if self.name in asked.names:
            self._hold(steps, now, "requested")
        return steps

    def disconnected(self) -> None:
        """The client went away by itself."""
        self.phase = Phase.CLOSED

    def _bye(self, steps: list[Step], code: CloseCode, retry_after: float | None = None) -> list[Step]:
        if self.phase is not Phase.CLOSED:
            wait = RETRY_AFTER_SECONDS.get(code, 0.0) if retry_after is None else retry_after
            bye = Bye(
                code=int(code),
                reason=code.reason,
                reconnect=code.reconnect,
                need=code.need,
                retry_after_ms=_milliseconds(wait),
            )
            self._send(steps, bye)
            steps.append(Close(code))
            self.phase = Phase.CLOSED
            self.code = code
        return steps

    # --- Saying ---

    def _send(self, steps: list[Step], event: Event) -> None:
        self.frames_sent += 1
        steps.append(Send(event))

    def _error(
        self, steps: list[Step], code: str, detail: str, ref: str | None, *, retry_after_ms: int | UnsetType = UNSET
    ) -> None:
        self._send(steps, Error(code=code, detail=detail, ref=_ref(ref), retry_after_ms=retry_after_ms))


def _resume(stream: _Stream, since: Since | None, position: Position) -> Literal["epoch", "expired", "ahead"] | None:
    """Put the cursor where the client asks, or say why that cannot be resumed (and leave it at the head)."""
    if since is None:
        return None
    if since.epoch != position.epoch:
        return "epoch"
    if since.seq > position.head:
        return "ahead"
    if since.seq < position.floor:
        return "expired"
    stream.cursor = since.seq
    stream.replay_to = position.head
    return None


def _broken(stream: _Stream, position: Position) -> Literal["epoch", "expired", "ahead"] | None:
    """Why the cursor cannot be continued from, if it cannot."""
    if position.epoch != stream.epoch:
        return "epoch"
    if position.head < stream.cursor:
        return "ahead"
    return "expired" if stream.cursor < position.floor else None


def _reset(reason: Literal["epoch", "expired", "ahead"], position: Position) -> Reset:
    return Reset(
        stream=position.stream,
        reason=reason,
        epoch=position.epoch,
        head=position.head,
        oldest=position.floor + 1,
    )


def _code_for(reason: EndReason | None) -> CloseCode:
    """The reasons a session ends for are named like the codes they are told with."""
    if reason is None or reason is EndReason.EXPIRED:
        return CloseCode.SESSION_EXPIRED
    return CloseCode[reason.name]


def _often(times: list[float], many: int, seconds: float, now: float) -> bool:
    """Note that it happened once more; whether that makes it `many` times within `seconds`."""
    times.append(now)
    del times[:-many]
    return len(times) == many and now - times[0] <= seconds


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


def _ref(ref: str | None) -> str | UnsetType:
    return UNSET if ref is None else ref
