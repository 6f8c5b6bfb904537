"""What is listened to besides the person's own stream. Pure: no I/O, no clock.

Rules of this file:

* A topic has one question under way at a time, and after every answer looks at what is still wanted.
* `positions` are what the reader was given, as the connection's own is.
* What the server cannot decide now is asked again later. What it refuses is over, and the reader is told.
"""

import re
from dataclasses import dataclass
from math import inf
from typing import Final

from ..wire.doorbell import TOPIC_LENGTH, TOPIC_NAME, stream_of_topic, topic_of
from ..wire.vocabulary import CaughtUp, Error, Notification, Skipped
from .errors import Misused
from .line import Sending
from .position import Position
from .spelling import Denied, Reset, Subscribed, Unsubscribed
from .timing import Chance, back_off

OfTopic = Notification | Skipped | CaughtUp | Reset | Subscribed | Unsubscribed | Denied
Told = Notification | Skipped | CaughtUp | Reset | Subscribed | Denied
"""What of it the reader is told."""

LATER: Final = frozenset({"unavailable", "rate_limited", "busy"})
"""What is not decided now and may be a moment later."""
_NAME: Final = re.compile(rf"{TOPIC_NAME}\Z", re.ASCII)


def checked(name: str) -> str:
    """Raises Misused."""
    if not _NAME.match(name):
        raise Misused(f"a topic is named by 1 to {TOPIC_LENGTH} of a-z 0-9 . _ -")
    return name


@dataclass(slots=True)
class _Topic:
    name: str
    position: Position | None
    """Of what the reader was given."""
    heard: Position | None
    """Of the newest that is in the inbox."""
    wanted: bool = True
    on: bool = False
    """The server says it."""
    stale: bool = False
    """What it says, or is about to, nobody wants any more, even if it is wanted anew."""
    over: bool = False
    """The reader will find that it was refused."""
    asked: str = ""
    """The `ref` of what was not answered yet."""
    again_at: float = inf
    waits: bool = False
    """For that, or for the person to re-authenticate."""
    failures: int = 0
    resets: int = 0
    """In the inbox: what lies before one has numbers that nobody waits for."""

    @property
    def stream(self) -> str:
        return stream_of_topic(self.name)

    def lost_connection(self) -> None:
        self.on = self.stale = self.waits = False
        self.asked, self.again_at = "", inf


class Topics:
    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._topics: dict[str, _Topic] = {}
        self._connected = False
        self._refs = 0

    @property
    def positions(self) -> dict[str, Position]:
        return {topic.name: topic.position for topic in self._topics.values() if topic.wanted and topic.position}

    @property
    def wake_at(self) -> float:
        """When `due` must be called."""
        return min((topic.again_at for topic in self._topics.values()), default=inf)

    # --- What is wanted ---

    def subscribe(self, name: str, since: Position | None) -> Sending:
        topic = self._topics.setdefault(checked(name), _Topic(name, since, since))
        if not topic.wanted:
            topic.wanted, topic.position, topic.heard = True, since, since
        return self._look(topic)

    def unsubscribe(self, name: str) -> Sending:
        topic = self._topics.get(name)
        if topic is None or not topic.wanted:
            return []
        topic.wanted, topic.over, topic.resets = False, False, 0
        topic.stale = topic.on or bool(topic.asked)
        return self._look(topic)

    def connected(self) -> Sending:
        self._connected = True
        return self._look_at_all()

    def disconnected(self) -> None:
        self._connected = False
        for topic in [*self._topics.values()]:
            topic.lost_connection()
            self._look(topic)

    def reauthenticated(self) -> Sending:
        for topic in self._topics.values():
            topic.waits, topic.again_at = False, inf
        return self._look_at_all()

    def due(self, now: float) -> Sending:
        for topic in self._topics.values():
            if now >= topic.again_at:
                topic.waits, topic.again_at = False, inf
        return self._look_at_all()

    def _look_at_all(self) -> Sending:
        return [frame for topic in [*self._topics.values()] for frame in self._look(topic)]

    def _look(self, topic: _Topic) -> Sending:
        """Ask for what is wanted and not so."""
        if not (topic.wanted or topic.on or topic.asked):
            self._topics.pop(topic.name, None)
        if not self._connected or topic.asked or topic.waits or topic.over:
            return []
        if topic.on and topic.stale:
            return self._ask(topic, {"type": "unsubscribe"})
        if topic.wanted and not topic.on:
            topic.stale = False
            return self._ask(topic, {"type": "subscribe"} | ({"since": str(topic.heard)} if topic.heard else {}))
        return []

    def _ask(self, topic: _Topic, frame: dict[str, str]) -> Sending:
        self._refs += 1
        topic.asked = f"topic-{self._refs}"
        return [{**frame, "topic": topic.name, "ref": topic.asked}]

    # --- What is heard ---

    def received(self, frame: OfTopic) -> tuple[Told | None, Sending]:
        """What of it is for the reader, and what is to be said."""
        topic = self._topics.get(topic_of(frame.stream) or "")
        if topic is None:
            return None, []  # it was on its way
        match frame:
            case Subscribed() if self._answers(frame.ref, topic):
                return self._subscribed(topic, frame)
            case Unsubscribed() if self._answers(frame.ref, topic):
                topic.on = topic.stale = False
                return None, self._look(topic)
            case Denied() if self._answers(frame.ref, topic) or (topic.on and not isinstance(frame.ref, str)):
                return self._denied(topic, frame)
            case Notification() | Skipped() | CaughtUp() | Reset() if topic.on and not topic.stale:
                return (frame if self._hear(topic, frame) else None), []
        return None, []

    def erred(self, frame: Error, now: float) -> Denied | None:
        """A command was not carried out: one of ours, if it answers that."""
        for topic in [*self._topics.values()]:
            if not self._answers(frame.ref, topic):
                continue
            if frame.code in LATER:
                after = frame.retry_after_ms / 1000 if isinstance(frame.retry_after_ms, int) else 0.0
                topic.waits, topic.again_at = True, now + after + back_off(topic.failures, self._chance)
                topic.failures += 1
            elif frame.code == "reauth_required":
                topic.waits = True
            else:
                return self._denied(topic, Denied(stream=topic.stream, topic=topic.name, code=frame.code))[0]
            self._look(topic)
        return None

    def _answers(self, ref: object, topic: _Topic) -> bool:
        if not topic.asked or ref != topic.asked:
            return False
        topic.asked = ""
        return True

    def _subscribed(self, topic: _Topic, frame: Subscribed) -> tuple[Told | None, Sending]:
        topic.on, topic.failures = True, 0
        if topic.stale or not topic.wanted:
            topic.stale = True
            return None, self._look(topic)
        # A position that was asked for stands: either it is being resumed, or `reset` follows.
        topic.heard = topic.heard or Position(frame.epoch, frame.cursor)
        topic.position = topic.position or topic.heard
        return frame, []

    def _denied(self, topic: _Topic, frame: Denied) -> tuple[Denied | None, Sending]:
        topic.lost_connection()
        topic.over = topic.wanted
        self._look(topic)
        return (frame if topic.over else None), []

    def _hear(self, topic: _Topic, frame: Notification | Skipped | CaughtUp | Reset) -> bool:
        """Whether it was not said before."""
        match frame:
            case Notification(seq=int(seq)) | Skipped(through=seq) if topic.heard:
                if seq <= topic.heard.seq:
                    return False
                topic.heard = topic.heard.at(seq)
            case Reset():
                topic.heard = Position(frame.epoch, frame.head)
                topic.resets += 1
        return True

    # --- What is read ---

    def took(self, event: Told) -> bool:
        """The reader has this now. Whether the server waits to hear so."""
        topic = self._topics.get(topic_of(event.stream) or "")
        if topic is None:
            return False
        match event:
            case Denied() if topic.over:
                del self._topics[topic.name]
            case Reset():
                topic.position = Position(event.epoch, event.head)
                topic.resets -= 1
            case Notification(seq=int(seq)) | Skipped(through=seq) if topic.position:
                topic.position = topic.position.at(seq)
        return isinstance(event, Notification) and topic.on and not topic.stale and topic.resets == 0
