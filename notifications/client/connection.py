"""One connection that is kept, by whatever it takes: what to do on which frame, close and time.

     IDLE ──► CONNECTING ──► CONNECTED       open(), and by itself for as long as there is reason to hope
                 ▲    └─ WAITING ◄┘           a back-off, or what the server asked for
                 └────── PAUSED ◄┘            nobody reads: until somebody does
               UNAUTHORIZED                   the person must sign in
               CLOSED                         by close(), or nothing to be done: see `failure`

Rules of this file:

* No I/O and no clock. Every method takes what happened and `now` (seconds of any steady clock) and returns the steps to
  carry out. After each call `wake_at` tells when `woken` must be called if nothing else happens before.
* One socket at a time, and after a `Drop` nothing more is heard of what was under way.
* A ticket is used once, so every attempt gets its own.
* `position` is what the reader was given, not what has arrived: whoever keeps it loses nothing by dying. It moves when
  an event is taken, and never back but by a `Reset`.
* Of topics the same holds, each by itself: `topics.py`.
* Only what the reader was given is acked. Who does not read fills the server's window, and the inbox no further.
"""

import random
from math import inf
from typing import Final
from urllib.parse import quote

from ..wire.closing import CloseCode, Need
from ..wire.doorbell import stream_of_topic, topic_of
from ..wire.vocabulary import (
    Bye,
    CaughtUp,
    Error,
    Notification,
    Pong,
    Reauthenticated,
    ReauthFailed,
    Skipped,
    Welcome,
)
from .errors import ClientError, ConnectionEnded, Refused, SignInRequired, Unreachable
from .inbox import Event, Inbox
from .line import Line, Sending
from .position import Position
from .reauth import Reauth
from .spelling import Denied, Frame, ReauthRequired, Reset, StateChanged, Subscribed, Unsubscribed
from .steps import Dial, Drop, FetchTicket, Purpose, Send, StateChange, StateName, Step, Tell, Ticket
from .timing import Chance, back_off
from .topics import OfTopic, Topics

ATTEMPT: Final = 15.0
"""Seconds for the ticket, and again from there to `welcome`; the server itself gives up after 5 s."""
PROVEN: Final = 5.0
"""A connection that lasted so long was a good one: the back-off starts anew."""

_CODES: Final = {int(code): code for code in CloseCode}
_VOUCHED: Final = ("ack", "subscribe", "unsubscribe")
"""What carries a token where the site wants one in each message; a `reauth` is one itself."""
_LIVE: Final = (StateName.CONNECTING, StateName.CONNECTED)
_OVER: Final = (StateName.UNAUTHORIZED, StateName.CLOSED)


class Connection:
    def __init__(self, *, position: Position | None = None, chance: Chance = random.random) -> None:
        self.state = StateName.IDLE
        self.position = position
        self.failure: ClientError | None = None
        """Why it is over, if not by `close()`."""
        self.chance = chance

        # The attempt, or the wait for it.
        self._alarm = inf
        self._failures = 0  # in a row, for the back-off
        self._refusals = 0  # tickets refused without a welcome in between
        self._ever_welcomed = False

        # The connection.
        self._line: Line | None = None
        self._reauth: Reauth | None = None
        self._welcomed_at = inf
        self._vouching = False  # the site wants a token in each message
        self._unauthorized: SignInRequired | None = None  # what ends it once the server does

        # What arrived.
        self._inbox = Inbox()
        self._heard = position  # of the newest that is in the inbox
        self._topics = Topics(chance)
        self._resets = 0  # in the inbox: what lies before one has numbers of another epoch, which nobody waits for

    @property
    def is_over(self) -> bool:
        """For good."""
        return self.state in _OVER

    @property
    def wake_at(self) -> float:
        """When `woken` must be called at the latest; infinity for never."""
        line = self._line.wake_at if self._line else inf
        return min(self._alarm, line, self._reauth.wake_at if self._reauth else inf, self._topics.wake_at)

    @property
    def positions(self) -> dict[str, Position]:
        """Those of the topics that are listened to, by their names."""
        return self._topics.positions

    # --- What its owner asks for ---

    def open(self, now: float) -> list[Step]:
        """Connect, if nobody has yet."""
        return self._connect(now) if self.state is StateName.IDLE else []

    def begin_after(self, position: Position) -> None:
        """Where nobody has connected yet."""
        if self.state is StateName.IDLE:
            self.position = self._heard = position

    def subscribe(self, topic: str, since: Position | None) -> list[Step]:
        """Listen to a topic, from now or from a position on. One that is listened to already is left as it is."""
        return self._saying(self._topics.subscribe(topic, since))

    def unsubscribe(self, topic: str) -> list[Step]:
        """Nothing of it is told any more, nor what has arrived."""
        stream = stream_of_topic(topic)
        self._inbox.forget(stream)
        if self._line:
            self._line.forget(stream)
        return self._saying(self._topics.unsubscribe(topic))

    def close(self) -> list[Step]:
        """Disconnect, and stay so. What has arrived can still be taken."""
        return [] if self.is_over else self._stop(StateChange(StateName.CLOSED, reason="normal"), None)

    def take(self, now: float) -> tuple[Event | None, list[Step]]:
        """The next event for the reader, who has dealt with all before; None if nothing is there yet."""
        event = self._inbox.take()
        steps: list[Step] = []
        if event is None:
            return None, steps
        awaited = self._move(event)
        if isinstance(event, Notification) and event.seq is not None and self._line and awaited:
            stream = "" if topic_of(event.stream) is None else event.stream
            self._say(steps, self._line.took(event.seq, now, stream))
        if self.state is StateName.PAUSED and not self._inbox.is_full:
            steps += self._connect(now)
        return event, steps

    # --- What became of a step ---

    def ticketed(self, ticket: Ticket, purpose: Purpose, now: float) -> list[Step]:
        if purpose == "reauth":
            return self._reauth.ticketed(ticket.ticket) if self._reauth else []
        if self.state is not StateName.CONNECTING:
            return []
        self._alarm = now + ATTEMPT
        self._heard = self._heard or self.position
        return [Dial(_with_position(ticket.url, self._heard), ticket.protocols)]

    def ticket_failed(self, error: ClientError, purpose: Purpose, now: float) -> list[Step]:
        retry_after = error.retry_after if isinstance(error, Unreachable) else 0.0
        if purpose == "connect":
            if isinstance(error, SignInRequired):
                return self._stop(StateChange(StateName.UNAUTHORIZED, error=error), error)
            if isinstance(error, Refused) and not self._ever_welcomed:  # a wrong address, most likely
                return self._stop(StateChange(StateName.CLOSED, error=error), error)
            return self._retry(StateChange(StateName.WAITING, error=error), now, retry_after)
        if self._reauth is None:
            return []
        if isinstance(error, SignInRequired):
            # The connection is let live until the server ends it: the grant may have minutes left.
            self._unauthorized = error
            self._reauth.stop()
        else:
            self._reauth.ticket_failed(retry_after, now)
        return []

    def received(self, frame: Frame, now: float) -> list[Step]:
        """A frame arrived."""
        if self.state not in _LIVE:
            return []
        if self._line:
            self._line.heard(now)
        match frame:
            case Bye():
                return self._ended(frame.code, frame, now)
            case Welcome():
                return self._welcomed(frame, now)
            case ReauthRequired() | Reauthenticated() | ReauthFailed() | Error():
                return self._hear_of_grant(frame, now)
            case Pong():
                return []  # that it came is all it says
            case Subscribed() | Unsubscribed() | Denied():
                return self._hear_of_topic(frame)
            case Notification() | Skipped() | CaughtUp() | Reset() if topic_of(frame.stream) is not None:
                return self._hear_of_topic(frame)
        self._put(frame)
        return []

    def ended(self, code: int | None, now: float, *, error: ClientError | None = None) -> list[Step]:
        """The socket is gone, or could not be opened. None: without a close frame."""
        return self._ended(code, None, now, error)

    def woken(self, now: float) -> list[Step]:
        """`wake_at` has come."""
        steps: list[Step] = []
        if now >= self._alarm:
            self._alarm = inf
            if self.state is StateName.WAITING:
                return self._connect(now)
            late = Unreachable("The site did not answer in time.")
            return self._retry(StateChange(StateName.WAITING, error=late), now)
        if self._line:
            sending = self._line.due(now)
            if sending is None:
                return self._ended(None, None, now, Unreachable("The connection was found dead."))
            self._say(steps, sending)
        if self._reauth:
            steps += self._reauth.due(now)
        self._say(steps, self._topics.due(now))
        return steps

    # --- Attempts ---

    def _connect(self, now: float) -> list[Step]:
        if self._inbox.is_full:
            self._alarm = inf
            return self._become(StateChange(StateName.PAUSED))
        self._alarm = now + ATTEMPT
        return [*self._become(StateChange(StateName.CONNECTING)), FetchTicket("connect")]

    def _retry(self, why: StateChange, now: float, floor: float = 0.0, delay: float | None = None) -> list[Step]:
        """`floor`: what the server asked for. All who were told the same wait differently on top."""
        steps = self._abandon()
        wait = floor + (back_off(self._failures, self.chance) if delay is None else delay)
        self._failures += 1
        self._alarm = now + wait
        return steps + self._become(StateChange(StateName.WAITING, wait, why.code, why.reason, why.error))

    def _abandon(self) -> list[Step]:
        """Let go of the connection or of the attempt, whichever there is."""
        self._alarm = inf
        self._line = None
        self._reauth = None
        self._welcomed_at = inf
        self._topics.disconnected()
        return [Drop()]

    # --- Ends ---

    def _ended(self, code: int | None, bye: Bye | None, now: float, error: ClientError | None = None) -> list[Step]:
        if self.state not in _LIVE:
            return []
        if now - self._welcomed_at >= PROVEN:
            self._failures = 0
        reason, reconnect, need = _verdict(code, bye)
        why = StateChange(StateName.WAITING, code=code, reason=reason, error=error)
        floor = bye.retry_after_ms / 1000 if bye else 0.0
        if self._unauthorized:  # it was only listened to until here
            return self._stop(StateChange(StateName.UNAUTHORIZED, error=self._unauthorized), self._unauthorized)
        if not reconnect:
            return self._stay_away(code, reason, need)
        if code != CloseCode.TICKET_REFUSED:
            return self._retry(why, now, floor)
        if self._refusals == 0:
            # A ticket may have been too old, or from before a change of networks. The next one must be good.
            self._refusals += 1
            return self._retry(why, now, floor, 0.0)
        return self._stay_away(code, reason, Need.NOTHING)

    def _stay_away(self, code: int | None, reason: str, need: str) -> list[Step]:
        failure: ClientError
        if need == Need.LOGIN:
            failure = SignInRequired(f"Sign in again: {_sentence(code, reason)}", close_code=code, reason=reason)
            return self._stop(StateChange(StateName.UNAUTHORIZED, code=code, reason=reason), failure)
        failure = ConnectionEnded(_sentence(code, reason), close_code=code, reason=reason)
        return self._stop(StateChange(StateName.CLOSED, code=code, reason=reason), failure)

    def _stop(self, change: StateChange, failure: ClientError | None) -> list[Step]:
        steps = self._abandon()
        self.failure = failure
        return steps + self._become(change)

    def _become(self, change: StateChange) -> list[Step]:
        self.state = change.state
        return [Tell(change)]

    # --- What is heard ---

    def _welcomed(self, frame: Welcome, now: float) -> list[Step]:
        self._alarm = inf
        self._refusals = 0
        self._welcomed_at = now
        self._ever_welcomed = True
        # If a position was asked for it stands: either it is being resumed, or `reset` follows. Should the connection
        # end before that came, the next one must be told it as well.
        self._heard = self._heard or Position(frame.epoch, frame.cursor)
        self.position = self.position or self._heard
        self._line = Line(frame, now)
        self._reauth = Reauth(frame, now, self.chance)
        self._inbox.put(frame)
        return [*self._become(StateChange(StateName.CONNECTED)), *self._saying(self._topics.connected())]

    def _hear_of_grant(self, frame: ReauthRequired | Reauthenticated | ReauthFailed | Error, now: float) -> list[Step]:
        if self._reauth is None:
            return []
        match frame:
            case ReauthRequired():
                self._vouching = self._vouching or frame.reason == "requested"
                return self._reauth.required()
            case Reauthenticated():
                self._reauth.done(frame, now)
                return self._saying(self._topics.reauthenticated())
            case ReauthFailed():
                self._reauth.failed(frame, now)
            case Error():
                # Also the answer to an ack without a token, where each must have one.
                self._vouching = self._vouching or frame.code == "reauth_required"
                self._reauth.erred(frame, now)
                if denied := self._topics.erred(frame, now):
                    self._inbox.put(denied)
        return []

    def _hear_of_topic(self, frame: OfTopic) -> list[Step]:
        told, sending = self._topics.received(frame)
        if told is not None:
            self._inbox.put(told)
        if isinstance(frame, Reset | Denied) and self._line:
            self._line.forget(frame.stream)
        return self._saying(sending)

    def _put(self, frame: Notification | Skipped | CaughtUp | Reset | StateChanged) -> None:
        """For the reader, unless it was said before."""
        match frame:
            case Notification(seq=int(seq)) | Skipped(through=seq) if self._heard:
                if seq <= self._heard.seq:
                    return
                self._heard = self._heard.at(seq)
            case Reset():
                self._heard = Position(frame.epoch, frame.head)
                self._resets += 1
                if self._line:
                    self._line.forget()
        self._inbox.put(frame)

    def _move(self, event: Event) -> bool:
        """The reader has this now. Whether the server waits to hear so."""
        match event:
            case Subscribed() | Denied():
                return self._topics.took(event)
            case Notification() | Skipped() | CaughtUp() | Reset() if topic_of(event.stream) is not None:
                return self._topics.took(event)
            case Reset():
                self.position = Position(event.epoch, event.head)
                self._resets -= 1
            case Notification(seq=int(seq)) | Skipped(through=seq) if self.position:
                self.position = self.position.at(seq)
        return not self._resets

    def _say(self, steps: list[Step], sending: Sending) -> None:
        steps += self._saying(sending)

    def _saying(self, sending: Sending) -> list[Step]:
        return [Send(frame, vouched=self._vouching and frame["type"] in _VOUCHED) for frame in sending]


def _verdict(code: int | None, bye: Bye | None) -> tuple[str, bool, str]:
    """What the end of a socket asks of its client: by the table, else by the server's own words. An end without a
    reason, and a 1000 that nobody said `bye` to (a proxy's, or a server's that stops), mean: come back."""
    known = _CODES.get(code or 0) if bye or code != CloseCode.NORMAL else None
    if known is not None:
        return known.reason, known.reconnect, known.need
    return (bye.reason, bye.reconnect, bye.need) if bye else ("", True, Need.TICKET)


def _sentence(code: int | None, reason: str) -> str:
    known = _CODES.get(code or 0)
    return f"{known.sentence if known else 'The server closed the connection.'} ({code} {reason})"


def _with_position(url: str, position: Position | None) -> str:
    if position is None:
        return url
    return f"{url}{'&' if '?' in url else '?'}since={quote(str(position), safe=':')}"
