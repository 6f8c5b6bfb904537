"""What a terminal is shown. Whatever somebody wrote, nothing of it is carried out: no colour, no cursor, no other
writing direction, and no line that looks like another notification."""

import unicodedata
from datetime import datetime, tzinfo
from typing import Any, Final

from ..wire.doorbell import topic_of
from ..wire.vocabulary import Notification
from .spelling import Reset
from .steps import StateChange, StateName

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that are no text: controls, formats, surrogates, nobody's, and line separators."""
_JOINER: Final = "\u200d"  # of emoji; moves nothing

INDENT: Final = "    "


def plain(text: object) -> str:
    """On one line, with everything that is no text spelled out."""
    return "".join(_spelled(character) for character in str(text))


def _spelled(character: str) -> str:
    if character == _JOINER or unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode()


def notification(said: Notification, zone: tzinfo | None = None) -> str:
    """A line, and the body indented below it."""
    at = said.created_at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    topic = topic_of(said.stream)
    whose = f"{plain(topic)}:" if topic else ""
    head = [
        at,
        f"[{plain(said.level)}]",
        whose,
        plain(said.title),
        plain(said.url),
        "(missed)" if said.replayed else "",
    ]
    return "\n".join([" ".join(filter(None, head)), *(INDENT + plain(line) for line in _lines(said.body))])


def _lines(body: str) -> list[str]:
    return body.split("\n") if body else []


def gap(reset: Reset) -> str:
    topic = topic_of(reset.stream)
    of = f" of {plain(topic)}" if topic else ""
    return f"What was missed{of} cannot be told ({plain(reset.reason)}); it goes on after number {reset.head}."


def state(change: StateChange) -> str:
    why = plain(change.error or change.reason)
    if change.state is StateName.WAITING:
        return f"Not connected{f' ({why})' if why else ''}; trying again in {change.seconds:.1f} s."
    return f"{change.state.capitalize()}{f' ({why})' if why else ''}."


def session(row: dict[str, Any], zone: tzinfo | None = None) -> str:
    """A line, and one for each of its connections."""
    seen = datetime.fromisoformat(row["last_seen"]).astimezone(zone).strftime("%Y-%m-%d %H:%M")
    about = [row["id"], seen, row["method"], row["network"], row["device"], "(this one)" if row["current"] else ""]
    connections = [f"{INDENT}{plain(each['protocol'])} from {plain(each['network'])}" for each in row["connections"]]
    return "\n".join(["  ".join(plain(part) for part in about if part), *connections])
