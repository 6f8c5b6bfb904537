"""What a connection asks its surroundings to do. Each step that reads or decides is answered by one call back."""

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from tickets.grants import Grant, Purpose

from ..wire.closing import CloseCode
from ..wire.vocabulary import Event, State


class Send(NamedTuple):
    """Say this. Never waited for. (A tuple: a hundred thousand of these are made where there is one of the others.)"""

    event: Event


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket; the last step of a connection."""

    code: CloseCode


@dataclass(frozen=True, slots=True)
class Redeem:
    """Redeem the ticket; answered by `redeemed`, `refused` or `undecided`."""

    ticket: str
    purposes: frozenset[Purpose]

    def __repr__(self) -> str:  # the ticket stays out of logs and tracebacks
        return f"Redeem(ticket=…, purposes={sorted(self.purposes)})"


@dataclass(frozen=True, slots=True)
class Verify:
    """See what the access token entitles to; answered as `Redeem` is."""

    token: str

    def __repr__(self) -> str:
        return "Verify(token=…)"


@dataclass(frozen=True, slots=True)
class Open:
    """Join the person's group, then read the stream, then the session; answered by `opened` or `undecided`."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Load:
    """Read at most `limit` notifications after a number; answered by `page` or `load_failed`. Of a topic: then ask
    whether the person may still listen, and if not answer `denied`."""

    stream: str
    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class Check:
    """Read the login session again; answered by `checked` or `check_failed`."""

    session_id: UUID


@dataclass(frozen=True, slots=True)
class Mark:
    """Carry out a `state` command; answered by `marked` or `mark_failed`."""

    command: State


@dataclass(frozen=True, slots=True)
class Listen:
    """Ask whether the person may listen to the topic, join its group, then read where it stands; answered by
    `subscribed`, `denied` or `listen_failed`. `turn` tells the questions apart: only the last one's answer counts."""

    topic: str
    turn: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask again whether the person may listen to the topic; answered by `allowed`, `denied` or `ask_failed`."""

    topic: str
    turn: int


@dataclass(frozen=True, slots=True)
class Unlisten:
    """Leave the topic's group."""

    topic: str


Step = Send | Close | Redeem | Verify | Open | Load | Check | Mark | Listen | Ask | Unlisten
