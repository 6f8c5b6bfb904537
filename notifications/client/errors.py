"""What a client raises. No message and no `repr` of these holds a credential."""

from typing import Any


class ClientError(Exception):
    """All that this package raises."""


class Misused(ClientError, ValueError):
    """What the caller gave cannot be meant: an address, a position, a file."""


class SignInRequired(ClientError):
    """The login is over, or never began: nothing is tried again until the person acts.

    `code` is the problem document's (`invalid_credentials`, `session_ended`), `close_code` and `reason` the socket's.
    """

    def __init__(self, message: str, *, code: str = "", close_code: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.close_code = close_code
        self.reason = reason


class Refused(ClientError):
    """The site said no, and would say so again. `errors` names what is wrong with each field."""

    def __init__(self, message: str, *, status: int = 0, code: str = "", errors: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.errors = errors


class Unreachable(ClientError):
    """No answer, or one that says "not now". `retry_after`: seconds that the site asked to wait, at least."""

    def __init__(self, message: str, *, status: int = 0, retry_after: float = 0.0, uncertain: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.uncertain = uncertain
        """The request may have been carried out all the same."""


class ConnectionEnded(ClientError):
    """The socket was closed for good, for a reason that no new sign-in mends: see the close codes in docs/wire.md."""

    def __init__(self, message: str, *, close_code: int | None, reason: str) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.reason = reason
