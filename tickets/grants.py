"""The words that cross the border of this room: plain frozen data and the errors. Standard library only."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Purpose(StrEnum):
    """What a ticket may be spent on."""

    CONNECT = "connect"
    """Opens a socket, and may re-authenticate one."""
    REAUTH = "reauth"
    """Only re-authenticates a socket that is open already."""
    BROKER = "broker"
    """Only logs in to the message broker."""


class EndReason(StrEnum):
    """Why a login session stands no more: as stored, audited and told. The same words as the reasons of close codes."""

    LOGGED_OUT = "logged_out"
    DISCONNECTED_BY_STAFF = "disconnected_by_staff"
    ACCOUNT_DISABLED = "account_disabled"
    CREDENTIALS_CHANGED = "credentials_changed"
    EXPIRED = "expired"


class Refusal(StrEnum):
    """Why a ticket was refused. For the audit log alone: a client that could tell these apart could search."""

    MALFORMED = "malformed"
    """Not the shape of a ticket; no query was made."""
    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"
    PURPOSE = "purpose"
    """Issued for something else; it stays unspent."""
    NETWORK = "network"
    """Presented from another network than it was issued to; it is spent."""
    SESSION = "session"
    """Its login session has ended or expired; it is spent."""
    OUTDATED = "outdated"
    """Made before the person's password was changed; it is spent."""
    INACTIVE = "inactive"
    """The person may not sign in any more; it is spent."""


class TicketRefused(Exception):
    """The ticket is good for nothing. Say the same to the client whatever `refusal` is."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Unavailable(Exception):
    """Cannot decide now: the database is away or did not answer in time. Nothing is known about the credential."""


class RateLimited(Exception):
    """Asked too often. `retry_after` is in seconds, above zero: asking then will not be refused for this reason."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"retry after {retry_after:.3f} s")
        self.retry_after = retry_after


class SessionEnded(Exception):
    """The login session has ended, expired, or was never this person's. A new sign-in is needed.

    For the audit log: `why`, and what is known of whose it was (`user_id`, `session_id`)."""

    def __init__(self, reason: EndReason | None = None, *, user_id: Any = None, session_id: UUID | None = None) -> None:
        super().__init__(reason.value if reason else "unknown session")
        self.reason = reason
        self.why = reason.value if reason else "unknown_session"
        self.user_id = user_id
        self.session_id = session_id


class TokenRefused(Exception):
    """A JWT that is good for nothing. `code` is told: "token_expired" asks for a refresh; else "token_invalid". `why`
    is for the audit log."""

    def __init__(self, code: str = "token_invalid", *, why: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.why = why or code


class RefreshRaced(Exception):
    """The refresh token was spent a moment ago; somebody was faster, and nothing ends because of it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a redeemed credential entitles to. Times are POSIX seconds."""

    user_id: int | str
    username: str
    session_id: UUID
    expires_at: float
    session_expires_at: float
    issued_at: float = 0.0
    """When the credential was made, not when it was shown."""


@dataclass(frozen=True, slots=True)
class SignedInFrom:
    """Where a login session began, for its person to know it by: what the program calls itself, and the network in
    CIDR notation. Both are only what was told, and empty if nothing was."""

    device: str = ""
    network: str = ""


NOWHERE = SignedInFrom()


@dataclass(frozen=True, slots=True)
class SessionState:
    """Whether a login session still stands. `reason` is set exactly when it does not; times are POSIX seconds."""

    session_id: UUID
    alive: bool
    reason: EndReason | None
    expires_at: float
    valid_from: float = 0.0
    """What was granted on credentials made before is to be proven anew: the person's password has changed."""


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """A fresh ticket. `ticket` is the secret itself, shown once and kept nowhere; it is left out of `repr()`."""

    ticket: str = field(repr=False)
    purpose: Purpose
    expires_in: int
    """Whole seconds."""
    expires_at: datetime
    session_expires_at: datetime
