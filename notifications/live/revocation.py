"""Carries the end of a login session to the connections that live by it.

The order is what the promise rests on: the session has ended (committed), then the fence rises, then the ending call
returns. What is numbered later carries the new fence, and no connection says it before it has read its session again.
The announcement only makes the close come at once instead of with the next notification or sweep.
"""

from typing import Any

from tickets.signals import session_ended

from .. import fanout, store


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    session_ended.connect(raise_fence, dispatch_uid="notifications.live.revocation")


def raise_fence(*, user_id: Any, **_kwargs: Any) -> None:
    """Receiver of `session_ended`, which is sent after the commit and before the ending call returns."""
    position = store.raise_fence(user_id)
    fanout.announce_end(position.stream, position.fence)
