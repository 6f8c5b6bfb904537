"""
STOMP 1.0, 1.1 and 1.2, as clients like stompjs, webstomp and stomp.py speak it.

    /user/queue/notifications   the person's own stream: MESSAGEs with the JSON of a native `notification`
    /topic/<name>               a topic, the same way
    /user/queue/control         everything else that is said, as native frames
    SEND /app/reauth            a fresh `ticket` or `token`, as a header
    SEND /app/state             seen, read, archived: the native command as JSON

Rules of this file:

* What a client asks is a command with a `ref` of ours; the event that carries it back is what the RECEIPT waits for. A
  frame that asks nothing of the connection, but for a RECEIPT, is a `Ping`: so every answer costs a command.
* No frame is kept longer than it takes to read it: some carry credentials.
* An ERROR is the last frame, as STOMP has it, so it is said where the connection says `bye`. Who can be told otherwise,
  because they listen to the control queue, keeps the connection.
* No header value that is chosen here needs an escape, and no body has a NUL: some clients know neither.
* A notification's body is spelled once for everybody who is told, whatever they speak.
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from .closing import CloseCode
from .codec import BadFrame, Manner
from .doorbell import TOPIC_LENGTH
from .native import UNREADABLE, keys_are_unique, problem_of
from .stomp_frames import Frame, FrameParser, Version, is_plain, spell
from .stomp_subscriptions import (
    CONTROL,
    OWN,
    TOPIC,
    Subscription,
    Subscriptions,
    UnknownMessage,
    destination_of,
    topic_at,
)
from .vocabulary import (
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
    Subscribed,
    Unfollow,
    UnsetType,
    Unsubscribed,
    Welcome,
)

VERSIONS: Final[dict[str, Version]] = {"v12.stomp": "1.2", "v11.stomp": "1.1", "v10.stomp": "1.0"}
"""By their subprotocols, the highest first."""

BEAT_MILLISECONDS: Final = 1_000
"""More often than that nobody is sent beats, whatever they ask for."""
MARK_LENGTH: Final = 128
"""Characters of an id or a receipt: they are said back, an id with each message."""
SUBSCRIPTIONS: Final = 8
"""To one destination: each is sent each message."""

REAUTH: Final = "/app/reauth"
STATE: Final = "/app/state"

# What stands in ERROR where STOMP's clients know another word than ours.
_MESSAGES: Final = {CloseCode.SESSION_EXPIRED: "token_expired"}
# What a refusal of ours means where it ends the connection; anything else is the program's fault.
_ENDS: Final = {
    "rate_limited": CloseCode.RATE_LIMITED,
    "busy": CloseCode.RATE_LIMITED,
    "too_soon": CloseCode.RATE_LIMITED,
    "unavailable": CloseCode.UNAVAILABLE,
    "reauth_required": CloseCode.SESSION_EXPIRED,
    "ticket_refused": CloseCode.TICKET_REFUSED,
    "access_denied": CloseCode.FORBIDDEN,
}
_ACK_MODES: Final = ("auto", "client", "client-individual")

_states: Final = msgspec.json.Decoder(State)


class _Asked(NamedTuple):
    """What is kept of a frame that waits for its answer."""

    command: str
    ref: str | UnsetType
    """Its receipt, as it is meant."""
    receipt: str | None
    """The same as the client spelled it."""
    key: str | None = None

    @property
    def must_be_told(self) -> bool:
        """Whether silence would leave the client waiting."""
        return self.receipt is not None or self.command != "SEND"


class _Problem(NamedTuple):
    """What ERROR says."""

    message: str
    detail: str
    receipt: str | None = None


def tail_of(spelled: Callable[[Event], str]) -> Callable[[Event], str]:
    """What MESSAGE says of an event to everybody; `spelled` is its JSON."""

    def tail(event: Event) -> str:
        body = spelled(event)
        seq = f"x-seq:{event.seq}\n" if isinstance(event, Notification) and event.seq is not None else ""
        return f"{seq}content-type:application/json\ncontent-length:{len(body.encode())}\n\n{body}\0"

    return tail


class StompCodec:
    """Of one connection. `tail` spells what `tail_of` does, and may remember it for others."""

    manner = Manner(follows=True, vouches=False)
    due: tuple[()] = ()

    __slots__ = (
        "_beat_seconds",
        "_carried",
        "_connecting",
        "_extra",
        "_leaving",
        "_parser",
        "_problem",
        "_refs",
        "_subscriptions",
        "_tail",
        "_waiting",
        "_welcome",
        "beat_seconds",
        "outbox",
        "over",
        "subprotocol",
    )

    def __init__(self, agreed: str, *, tail: Callable[[Event], str]) -> None:
        """`agreed`: the subprotocol that the handshake was answered with, or would have been."""
        self.subprotocol = agreed
        self.outbox: list[str] = []
        self.over: CloseCode | None = None
        self.beat_seconds = inf
        self._tail = tail
        self._parser = FrameParser()
        self._carried = False
        self._connecting = False  # CONNECT was read
        self._welcome: Welcome | None = None
        self._beat_seconds = inf
        self._leaving: _Asked | None = None
        self._problem: _Problem | None = None
        self._subscriptions = Subscriptions()
        self._waiting: dict[str, _Asked] = {}
        self._refs = 0
        self._extra = 0  # messages that have no number

    def carried(self, carrier: str) -> None:
        self._carried = bool(carrier)

    def beat(self, now: float) -> str:
        return "\n"

    # --- What the client says ---

    def decode(self, frame: str | bytes) -> list[AnyCommand]:
        commands: list[AnyCommand] = []
        if self._is_over():
            return commands
        try:
            for each in self._parser.feed(frame):
                if self._is_over():
                    break
                commands += self._read(each)
        except BadFrame as problem:
            self._problem = _Problem(problem.code, problem.detail, problem.ref)
            if not commands and not self.outbox:
                raise
            # Once what came before it was carried out.
            self.over = CloseCode.MESSAGE_TOO_BIG if problem.code == "too_big" else CloseCode.PROTOCOL_ERROR
        self._leave()
        return commands

    def _is_over(self) -> bool:
        """Whether nothing more is heard."""
        return self.over is not None or self._leaving is not None

    def _read(self, frame: Frame) -> list[AnyCommand]:
        reader = _READERS.get(frame.command)
        if reader is None:
            raise _bad(frame, "unknown_type", "The command is none of a client.")
        if frame.command not in ("CONNECT", "STOMP") and not (self._connecting and self._welcome):
            raise _bad(frame, "not_authenticated", "Wait for CONNECTED.")
        if "transaction" in frame.headers:
            raise _bad(frame, "invalid", "Transactions are not supported.")
        if any(len(frame.spelled.get(name, "")) > MARK_LENGTH for name in ("id", "receipt")):
            raise _bad(frame, "invalid", f"id and receipt have at most {MARK_LENGTH} characters.")
        return reader(self, frame)

    def _read_connect(self, frame: Frame) -> list[AnyCommand]:
        if self._connecting:
            raise _bad(frame, "invalid", "The connection is connected.")
        version = _version(self.subprotocol, frame.headers.get("accept-version"))
        if version is None:
            return self._fail(_asked(frame), "unsupported_version", "None of the versions is spoken here.")
        self._connecting, self._parser.version = True, version
        self.subprotocol = next(name for name, spoken in VERSIONS.items() if spoken == version)
        if version != "1.0":
            self._beat_seconds = _beat_seconds(frame)
        credentials = _credentials(frame)
        if len(credentials) + self._carried != 1:
            return self._fail(_asked(frame), "ticket_refused", "Exactly one credential.")
        if credentials:
            return [Authenticate(**credentials[0], ref=self._ask(frame))]
        if self._welcome is not None:
            self.outbox.append(self._connected(self._welcome))
        return []  # else the handshake's credential is being judged

    def _read_subscribe(self, frame: Frame) -> list[AnyCommand]:
        destination, key = _needed(frame, "destination"), self._key(frame)
        mode = frame.headers.get("ack", "auto")
        if mode not in _ACK_MODES:
            raise _bad(frame, "invalid", f"ack is one of {', '.join(_ACK_MODES)}.")
        if key in self._subscriptions:
            raise _bad(frame, "invalid", "A subscription has this id.")
        if len(self._subscriptions.to(destination)) >= SUBSCRIPTIONS:
            raise _bad(frame, "invalid", f"A destination has at most {SUBSCRIPTIONS} subscriptions.")
        since = frame.headers.get("since") if frame.headers.get("durable") == "true" else None
        if since is not None and not is_plain(since.partition(":")[0]):  # the epoch is said back
            raise _bad(frame, "invalid", "since is <epoch>:<seq>.")
        topic = topic_at(destination)
        if destination not in (OWN, CONTROL) and not 1 <= len(topic or "") <= TOPIC_LENGTH:
            return self._deny(_asked(frame))
        self._subscriptions.add(key, destination, frame.spelled.get("id"), mode)  # type: ignore[arg-type]  # see above
        if destination == CONTROL:
            return self._echo(frame)
        return [Follow(topic, since, paced=mode == "auto", ref=self._ask(frame, key))]

    def _read_unsubscribe(self, frame: Frame) -> list[AnyCommand]:
        key = self._key(frame)
        gone = self._subscriptions.remove(key)
        if gone is None or gone.destination == CONTROL:  # what was denied meanwhile may be unsubscribed, too
            return self._echo(frame)
        topic, rest = topic_at(gone.destination), self._subscriptions.to(gone.destination)
        place = self._subscriptions.places.get(gone.destination)
        if not rest:
            return [Unfollow(topic, ref=self._ask(frame))]
        if gone.acks and place is not None and not any(each.acks for each in rest):
            # Nobody is left who acks: the others go on from here, at a pace.
            again = Follow(topic, place.position, paced=True, ref=self._ask(frame))
            return [Unfollow(topic, ref=self._ask(frame)), again]
        due = self._subscriptions.due(gone.destination)
        return [*_acks(due), *self._echo(frame)]

    def _read_ack(self, frame: Frame) -> list[AnyCommand]:
        """NACK as well: the log gives nothing to another instead, so all it can say is that it has arrived."""
        mark = _needed(frame, "id" if self._parser.version == "1.2" else "message-id")
        try:
            due = self._subscriptions.acked(mark)
        except UnknownMessage:
            raise _bad(frame, "invalid", "No such message was sent.") from None
        return [*_acks(due), *self._echo(frame)]

    def _read_send(self, frame: Frame) -> list[AnyCommand]:
        destination = _needed(frame, "destination")
        if destination == REAUTH:
            ticket, token = frame.headers.get("ticket"), frame.headers.get("token")
            if bool(ticket) == bool(token):
                raise _bad(frame, "invalid", "Exactly one of ticket and token is needed.")
            return [Reauth(ticket=ticket or None, token=token or None, ref=self._ask(frame))]
        if destination == STATE:
            return [replace(_state(frame), ref=self._ask(frame))]
        return self._deny(_asked(frame))

    def _read_disconnect(self, frame: Frame) -> list[AnyCommand]:
        self._leaving = _asked(frame)
        return []

    def _refuse_transaction(self, frame: Frame) -> list[AnyCommand]:
        raise _bad(frame, "invalid", "Transactions are not supported.")

    def _key(self, frame: Frame) -> str:
        """What a subscription is known by."""
        if self._parser.version == "1.0" and "id" not in frame.headers:
            return _needed(frame, "destination")
        return _needed(frame, "id")

    # --- What waits for an answer ---

    def _ask(self, frame: Frame, key: str | None = None) -> str:
        """The `ref` of its command."""
        self._refs += 1
        ref = str(self._refs)
        self._waiting[ref] = _asked(frame, key)
        return ref

    def _echo(self, frame: Frame) -> list[AnyCommand]:
        """For a receipt of what was done here already."""
        return [Ping(ref=self._ask(frame))] if "receipt" in frame.headers else []

    def _answered(self, event: Any) -> _Asked | None:
        ref = event.ref
        return self._waiting.pop(ref, None) if isinstance(ref, str) else None

    def _confirm(self, asked: _Asked, **more: object) -> None:
        if asked.receipt is not None:
            self.outbox.append(spell("RECEIPT", {"receipt-id": asked.receipt, **more}))

    def _leave(self) -> None:
        """DISCONNECT is answered when all that came before it was."""
        if self._leaving is not None and not self._waiting and self.over is None:
            self._confirm(self._leaving)
            self.over = CloseCode.NORMAL

    def _fail(self, asked: _Asked, message: str, detail: str) -> list[AnyCommand]:
        """It ends with an ERROR."""
        self._problem = _Problem(message, detail, asked.receipt)
        self.over = _ENDS.get(message, CloseCode.PROTOCOL_ERROR)
        return []

    def _deny(self, asked: _Asked) -> list[AnyCommand]:
        return self._fail(asked, "access_denied", "The destination is not for this connection.")

    # --- What the server says ---

    def encode(self, event: Event) -> str | None:
        sayer = _SAYERS.get(type(event))
        said = sayer(self, event) if sayer else None
        self._leave()
        return said

    def _say_notification(self, event: Notification) -> str | None:
        destination = destination_of(event.stream)
        if event.seq is None:
            return self._say_to(destination, event)
        place = self._subscriptions.places.get(destination)
        if place is None:
            return None
        place.seq = event.seq
        tail = f"x-epoch:{place.epoch}\n{self._tail(event)}"
        frames = []
        for each in self._subscriptions.to(destination):
            each.told(event.seq)
            frames.append(_message(each, f"{each.number}-{event.seq}", tail))
        return self._first(frames)

    def _say_to(self, destination: str, event: Event) -> str | None:
        """What has no number."""
        frames = []
        for each in self._subscriptions.to(destination):
            self._extra += 1
            frames.append(_message(each, f"{each.number}-x{self._extra}", self._tail(event)))
        return self._first(frames)

    def _first(self, frames: list[str]) -> str | None:
        """The others follow it."""
        self.outbox += frames[1:]
        return frames[0] if frames else None

    def _say_control(self, event: Event) -> str | None:
        return self._say_to(CONTROL, event)

    def _say_answer(self, event: StateChanged | Reauthenticated) -> str | None:
        asked = self._answered(event)
        said = self._say_control(replace(event, ref=asked.ref) if asked else event)
        if asked:
            self._confirm(asked)
        return said

    def _say_failure(self, event: Error | ReauthFailed) -> str | None:
        asked = self._answered(event)
        if asked is None or (asked.command == "SEND" and self._subscriptions.to(CONTROL)):
            return self._say_control(replace(event, ref=asked.ref) if asked else event)
        if asked.must_be_told:
            detail = event.detail if isinstance(event, Error) else "The credential was refused."
            self._fail(asked, event.code, detail)
        return None

    def _say_welcome(self, event: Welcome) -> str | None:
        self._welcome = event
        self._waiting.clear()  # CONNECT, if it carried the credential
        return self._connected(event) if self._connecting else None

    def _connected(self, welcome: Welcome) -> str:
        self.beat_seconds = self._beat_seconds
        beats = 0 if self._beat_seconds == inf else BEAT_MILLISECONDS
        # There is none where it would have to be escaped: in CONNECTED nothing is.
        name = {"user-name": welcome.user.username} if is_plain(welcome.user.username) else {}
        return spell(
            "CONNECTED",
            {
                "version": self._parser.version,
                "heart-beat": f"{beats},0",
                "session": welcome.connection,
                "server": "usher",
                **name,
                "x-epoch": welcome.epoch,
                "x-seq": welcome.head,
            },
        )

    def _say_subscribed(self, event: Subscribed) -> None:
        asked = self._answered(event)
        if asked is not None and asked.key is not None:
            self._subscriptions.begin(asked.key, event.stream, event.epoch, event.cursor)
            self._confirm(asked, **{"x-epoch": event.epoch, "x-seq": event.cursor})

    def _say_done(self, event: Unsubscribed | Pong) -> None:
        asked = self._answered(event)
        if asked is not None:
            self._confirm(asked)

    def _say_denied(self, event: Denied) -> str | None:
        asked = self._answered(event)
        self._subscriptions.forget(TOPIC + event.topic)
        if asked is None:  # permissions were lost
            return self._say_control(event)
        if event.code == "forbidden":
            self._deny(asked)
        else:
            self._fail(asked, event.code, "That is one topic too many.")
        return None

    def _say_skipped(self, event: Skipped) -> str | None:
        self._subscriptions.move(event.stream, event.through)
        return self._say_control(event)

    def _say_reset(self, event: Reset) -> str | None:
        self._subscriptions.restart(event.stream, event.epoch, event.head)
        return self._say_control(event)

    def _say_bye(self, event: Bye) -> str | None:
        code = CloseCode[event.reason.upper()]
        if code is CloseCode.NORMAL:
            return None
        problem = self._problem or _Problem(_MESSAGES.get(code, event.reason), code.sentence)
        receipt = {} if problem.receipt is None else {"receipt-id": problem.receipt}
        versions = (
            {"version": ",".join(reversed(VERSIONS.values()))} if problem.message == "unsupported_version" else {}
        )
        return spell(
            "ERROR",
            {
                "message": problem.message,
                **receipt,
                **versions,
                "x-code": event.code,
                "x-reconnect": str(event.reconnect).lower(),
                "x-need": event.need,
                "x-retry-after-ms": event.retry_after_ms,
                "content-type": "text/plain",
                "content-length": len(problem.detail.encode()),
            },
            problem.detail,
        )


_READERS: Final[Mapping[str, Callable[[StompCodec, Frame], list[AnyCommand]]]] = {
    "CONNECT": StompCodec._read_connect,
    "STOMP": StompCodec._read_connect,
    "SUBSCRIBE": StompCodec._read_subscribe,
    "UNSUBSCRIBE": StompCodec._read_unsubscribe,
    "ACK": StompCodec._read_ack,
    "NACK": StompCodec._read_ack,
    "SEND": StompCodec._read_send,
    "DISCONNECT": StompCodec._read_disconnect,
    **dict.fromkeys(("BEGIN", "COMMIT", "ABORT"), StompCodec._refuse_transaction),
}
_SAYERS: Final[Mapping[type, Callable[[StompCodec, Any], str | None]]] = {
    Notification: StompCodec._say_notification,
    Welcome: StompCodec._say_welcome,
    Subscribed: StompCodec._say_subscribed,
    Denied: StompCodec._say_denied,
    Skipped: StompCodec._say_skipped,
    Reset: StompCodec._say_reset,
    Bye: StompCodec._say_bye,
    **dict.fromkeys((Unsubscribed, Pong), StompCodec._say_done),
    **dict.fromkeys((CaughtUp, ReauthRequired), StompCodec._say_control),
    **dict.fromkeys((StateChanged, Reauthenticated), StompCodec._say_answer),
    **dict.fromkeys((Error, ReauthFailed), StompCodec._say_failure),
}


def _message(to: Subscription, mark: str, tail: str) -> str:
    subscription = "" if to.spelled is None else f"subscription:{to.spelled}\n"
    ack = f"ack:{mark}\n" if to.acks else ""
    return f"MESSAGE\n{subscription}destination:{to.destination}\nmessage-id:{mark}\n{ack}{tail}"


def _asked(frame: Frame, key: str | None = None) -> _Asked:
    return _Asked(frame.command, frame.headers.get("receipt", UNSET), frame.spelled.get("receipt"), key)


def _acks(due: tuple[str, int] | None) -> list[AnyCommand]:
    return [Ack(seq=due[1], stream=due[0])] if due else []


def _bad(frame: Frame, code: str, detail: str) -> BadFrame:
    return BadFrame(code, detail, ref=frame.spelled.get("receipt"), ends=True)


def _needed(frame: Frame, name: str) -> str:
    value = frame.headers.get(name)
    if not value:
        raise _bad(frame, "invalid", f"{frame.command} needs the header {name}.")
    return value


def _version(agreed: str, accepted: str | None) -> Version | None:
    """What the handshake agreed on, if CONNECT accepts it, else the highest that it does."""
    if accepted is None:
        return "1.0"
    names = {name.strip() for name in accepted.split(",")}
    return next((version for version in (VERSIONS[agreed], *VERSIONS.values()) if version in names), None)


def _beat_seconds(frame: Frame) -> float:
    """How often the client wants to be sent beats."""
    told = frame.headers.get("heart-beat", "0,0")
    _sends, comma, wants = told.partition(",")
    if not comma or not all(text.isascii() and text.isdigit() and len(text) <= 9 for text in (_sends, wants)):
        raise _bad(frame, "invalid", "heart-beat is two numbers of milliseconds.")
    return max(BEAT_MILLISECONDS, int(wants)) / 1000 if int(wants) else inf


def _credentials(frame: Frame) -> list[dict[str, str]]:
    """What CONNECT carries, as fields of `Authenticate`."""
    found = []
    if passcode := frame.headers.get("passcode"):
        found.append({"ticket": passcode})
    for authorization in filter(None, map(frame.headers.get, ("Authorization", "authorization"))):
        scheme, _, credential = authorization.strip().partition(" ")
        field = {"bearer": "token", "ticket": "ticket"}.get(scheme.lower())
        if field is None or not credential.strip():
            raise _bad(frame, "invalid", "Authorization is `Bearer <token>` or `Ticket <ticket>`.")
        found.append({field: credential.strip()})
    return found


def _state(frame: Frame) -> State:
    try:
        text = frame.body.decode()
        state = _states.decode(text)
    except UNREADABLE as error:
        raise _bad(frame, "invalid", str(error)[:200].replace("\0", "")) from None
    problem = problem_of(state) if keys_are_unique(text) else "A key is repeated."
    if problem:
        raise _bad(frame, "invalid", problem)
    return state
