"""The client for Python programs and, by `python -m notifications.client`, for the terminal. No Django, no settings."""

from ..wire.vocabulary import CaughtUp, Notification, Skipped, Welcome
from .client import Client
from .errors import ClientError, ConnectionEnded, Refused, SignInRequired, Unreachable
from .position import Position
from .spelling import Denied, Reset, StateChanged, Subscribed
from .steps import StateChange, StateName

__all__ = [
    "CaughtUp",
    "Client",
    "ClientError",
    "ConnectionEnded",
    "Denied",
    "Notification",
    "Position",
    "Refused",
    "Reset",
    "SignInRequired",
    "Skipped",
    "StateChange",
    "StateChanged",
    "StateName",
    "Subscribed",
    "Unreachable",
    "Welcome",
]
