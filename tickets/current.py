"""Which login session the code that runs now stands on: who changes a password is not signed out by that."""

from contextvars import ContextVar
from uuid import UUID

session_id: ContextVar[UUID | None] = ContextVar("usher.session_id", default=None)
"""Set by whatever authenticates a request; emptied at the start of each, since threads go from one to the next."""
