"""Why a socket is closed, and what its client should do about it.

Only codes that every ASGI server can send (daphne refuses all but 1000 and 3000-4999). The hundreds carry the answer to
the one question a client has: 44xx, come back with a new ticket after a while; 45xx, stay away until the person or the
program acts; 1000, done.
"""

from enum import IntEnum, StrEnum


class Need(StrEnum):
    """What a client must have before it may try again."""

    NOTHING = "nothing"
    TICKET = "ticket"
    LOGIN = "login"


class CloseCode(IntEnum):
    """A close code; the reason on the wire is its name in lower case."""

    need: Need
    sentence: str

    def __new__(cls, code: int, need: Need, sentence: str) -> "CloseCode":
        member = int.__new__(cls, code)
        member._value_ = code
        member.need = need
        member.sentence = sentence
        return member

    NORMAL = 1000, Need.NOTHING, "The client is done."

    GOING_AWAY = 4400, Need.TICKET, "The server restarts."
    SESSION_EXPIRED = 4401, Need.TICKET, "Nobody re-authenticated before the deadline."
    # One answer for unknown, expired, used, revoked and foreign tickets: a guesser learns nothing from it.
    TICKET_REFUSED = 4402, Need.TICKET, "The ticket was refused."
    AUTHENTICATION_TIMEOUT = 4408, Need.TICKET, "No credential came in time."
    TOO_SLOW = 4409, Need.TICKET, "Notifications waited too long for an ack."
    UNAVAILABLE = 4413, Need.TICKET, "The server cannot decide now."
    RATE_LIMITED = 4429, Need.TICKET, "Too many commands were refused."

    DISCONNECTED_BY_STAFF = 4500, Need.LOGIN, "Staff ended the connection."
    LOGGED_OUT = 4501, Need.LOGIN, "The login session ended."
    ACCOUNT_DISABLED = 4502, Need.LOGIN, "The account is disabled or gone."
    CREDENTIALS_CHANGED = 4503, Need.LOGIN, "The credentials behind the session changed."
    TOO_MANY_CONNECTIONS = 4504, Need.NOTHING, "A newer connection of the same person took the place."
    PROTOCOL_ERROR = 4505, Need.NOTHING, "The client does not speak the protocol."
    MESSAGE_TOO_BIG = 4506, Need.NOTHING, "A frame was larger than allowed."
    FORBIDDEN = 4507, Need.LOGIN, "That is another person's."

    @property
    def reason(self) -> str:
        """The word that stands beside the code in a `bye` frame."""
        return self.name.lower()

    @property
    def reconnect(self) -> bool:
        """Whether the client may come back by itself."""
        return 4400 <= self < 4500
