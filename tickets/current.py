"""Which login session the code that runs now stands on: who changes a password is not signed out by that."""

from contextvars import ContextVar
from typing import Any
from uuid import UUID

from tickets import tracing

session_id: ContextVar[UUID | None] = ContextVar("usher.session_id", default=None)
"""Set by whatever authenticates a request; emptied at the start of each, since threads go from one to the next."""


def stands_on(session: UUID | None, user_id: Any = None) -> None:
    """A request was authenticated by this login session of this person, or (None) by nothing yet."""
    session_id.set(session)
    if session is None:
        tracing.unbind("session", "user")
    else:
        tracing.bind(session=session, user=user_id)
