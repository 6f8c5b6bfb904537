"""The client for Python programs and, by `python -m notifications.client`, for the terminal. No Django, no settings."""

from ..wire.vocabulary import CaughtUp, Notification, Skipped, Welcome
from .client import Client
from .errors import ClientError, ConnectionEnded, Refused, SignInRequired, Unreachable
from .position import Position
from .spelling import Reset, StateChanged
from .steps import StateChange, StateName

__all__ = [
    "CaughtUp",
    "Client",
    "ClientError",
    "ConnectionEnded",
    "Notification",
    "Position",
    "Refused",
    "Reset",
    "SignInRequired",
    "Skipped",
    "StateChange",
    "StateChanged",
    "StateName",
    "Unreachable",
    "Welcome",
]
