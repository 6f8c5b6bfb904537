"""What is counted in this room: each figure is raised where the thing is decided. Pure: connections count, too."""

from typing import Final

from tickets.figures import Counter, Gauge, Histogram

from .wire.closing import CloseCode
from .wire.vocabulary import (
    AnyCommand,
    Error,
    Event,
    Notification,
    Reauthenticated,
    ReauthRequired,
    Reset,
    Welcome,
)

PROTOCOLS: Final = (
    *("usher.v1", "v12.stomp", "v11.stomp", "v10.stomp"),
    *("actioncable-v1-ext-json", "actioncable-v1-json"),
)

_WORDS: Final[dict[type, str]] = {
    kind: str(kind.__struct_config__.tag) for kind in (*Event.__subclasses__(), *AnyCommand.__args__)
}

# Sockets -----------------------------------------------------------------------------------------------------------

HANDSHAKES_REFUSED: Final = Counter(
    "handshakes_refused",
    "Sockets that were refused before they were accepted (403, draining: 503).",
    by="reason",
    of=["origin", "full", "unauthenticated", "unauthenticated_address", "draining"],
)
ARRIVED: Final = Counter("sockets_accepted", "Sockets that were accepted, with whatever credential or none.")
OPENED: Final = Counter("connections_opened", "Connections that were welcomed.", by="protocol", of=PROTOCOLS)
CLOSED: Final = Counter(
    "connections_closed",
    "Sockets that are over, by the code that they were closed with, by whichever side.",
    by="code",
    of=[str(int(code)) for code in CloseCode] + [str(code) for code in (1001, 1002, 1005, 1006, 1007, 1009, 1011)],
)
CONNECTIONS: Final = Gauge(
    "connections",
    "Connections now. `held`: nothing private is said until they re-authenticate.",
    by=("protocol", "phase"),
    of=(PROTOCOLS, ["open", "held"]),
)
UNAUTHENTICATED: Final = Gauge("sockets_unauthenticated", "Sockets now that have shown no good credential yet.")
HELD: Final = Counter(
    "connections_held",
    "Connections that were asked to re-authenticate.",
    by="reason",
    of=["session_expired", "credentials_changed", "requested"],
)

# What is said ------------------------------------------------------------------------------------------------------

FRAMES: Final = Counter(
    "frames_sent",
    "Frames handed to the server, other than notifications.",
    by="frame",
    of=[_WORDS[kind] for kind in Event.__subclasses__() if kind is not Notification],
)
SAID: Final = Counter(
    "notifications_sent",
    "Notifications handed to the server, once for each connection that is told.",
    by="way",
    of=["live", "replayed", "pushed"],
)
REPLAYS: Final = Counter(
    "replays", "Connections that went on where they had been.", by="reason", of=["resumed", "reauthenticated"]
)
RESETS: Final = Counter("resets", "Positions that could not be resumed.", by="reason", of=["epoch", "expired", "ahead"])
WINDOW_STALLS: Final = Counter("window_stalls", "Times that a connection had to wait for an ack of its client.")
DELIVERY_SECONDS: Final = Histogram(
    "delivery_seconds",
    "Until a live notification is handed to the server. `announced`: since it was given its number, after the commit; "
    "`read`: since the newest of a page of the log was made. Perhaps between the clocks of two machines.",
    bounds=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    by="way",
    of=["announced", "read"],
)

# What is heard of clients ------------------------------------------------------------------------------------------

COMMANDS: Final = Counter(
    "commands", "Well-formed commands of clients.", by="command", of=[_WORDS[kind] for kind in AnyCommand.__args__]
)
ERRORS: Final = Counter(
    "errors",
    "Commands and frames answered by an error.",
    by="code",
    of=[
        *("already_authenticated", "busy", "invalid", "invalid_ack", "malformed", "not_accepted", "not_authenticated"),
        *("not_found", "rate_limited", "reauth_pending", "reauth_required", "unavailable", "unknown_stream"),
        "unknown_type",
    ],
)
BAD_FRAMES: Final = Counter(
    "bad_frames", "Frames that are no command.", by="code", of=["malformed", "unknown_type", "invalid", "too_big"]
)

# From the log to the connections -----------------------------------------------------------------------------------

WRITTEN: Final = Counter("notifications_written", "Notifications written, rolled back ones among them.")
RELAYED: Final = Counter("relayed", "Notifications that a message broker has confirmed.")
RELAY_REFUSED: Final = Counter("relay_refused", "Notifications that some queue at the broker refused, being full.")
RELAY_LAG: Final = Gauge("relay_lag_seconds", "How long the oldest has waited that is to be relayed; of a relay.")
NUMBERED: Final = Counter("notifications_numbered", "Notifications that were given their number.")
ANNOUNCEMENTS: Final = Counter(
    "announcements",
    "Messages to other processes. `kept`: there is no layer to send them by; `lost`: it took none, the sync finds it.",
    by="result",
    of=["sent", "lost", "kept"],
)
PUSHES_DROPPED: Final = Counter("pushes_dropped", "Transient notifications that a connection could not be told now.")
PUSHES_REFUSED: Final = Counter("pushes_refused", "Messages to a group that nobody could read or show.")
FOUND_LATE: Final = Counter(
    "found_late", "Numbers of a stream that a look at the log found before, or without, their announcement."
)
SYNCS: Final = Counter("syncs", "Looks at where all streams stand.", by="result", of=["done", "failed"])
SWEEPS: Final = Counter("sweeps", "Looks at whether all sessions still stand.", by="result", of=["done", "failed"])
DEGRADED: Final = Gauge("layer_degraded", "1 while this process does not hear the layer: the sync delivers.")
DEGRADED_SECONDS: Final = Gauge("layer_degraded_seconds", "For how long it has not heard it by now.")


def word_of(said: Event | AnyCommand) -> str:
    """The type of a frame."""
    return _WORDS[type(said)]


def said_live() -> int:
    """How many live notifications were said so far."""
    return _said["live"]


def count_failed(work: str) -> None:
    """One of the hub's loops did not get through."""
    failed = {"_sync": SYNCS, "_sweep": SWEEPS}.get(work)
    if failed:
        failed.add("failed")


def count_sent(event: Event) -> None:
    """A frame was handed to the server: notifications first, for which there is no time to lose."""
    if type(event) is Notification:
        _said["replayed" if event.replayed else "pushed" if event.seq is None else "live"] += 1
    else:
        _count_other(event)


_said = SAID.values


def _count_other(event: Event) -> None:
    FRAMES.add(word_of(event))
    match event:
        case Welcome(recovered=True):
            REPLAYS.add("resumed")
        case Reauthenticated(held=held) if held:
            REPLAYS.add("reauthenticated")
        case Reset(reason=reason):
            RESETS.add(reason)
        case ReauthRequired(reason=reason):
            HELD.add(reason)
        case Error(code=code):
            ERRORS.add(code)
