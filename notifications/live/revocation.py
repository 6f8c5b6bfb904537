"""Carries the end of a login session to the connections that live by it.

The order is what the promise rests on: the session has ended (committed), then the fence rises, then the ending call
returns. What is numbered later carries the new fence, and no connection says it before it has read its session again.
The announcement only makes the close come at once instead of with the next notification or sweep.
"""

from typing import Any

from tickets.signals import person_changed, session_ended

from .. import fanout, store
from ..wire.content import GREATEST_INTEGER
from ..wire.doorbell import stream_of


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    session_ended.connect(raise_fence, dispatch_uid="notifications.live.revocation")
    person_changed.connect(notice, dispatch_uid="notifications.live.revocation.person")


def raise_fence(*, user_id: Any, **_kwargs: Any) -> None:
    """Receiver of `session_ended`, which is sent after the commit and before the ending call returns."""
    position = store.raise_fence(user_id)
    fanout.announce_end(position.stream, position.fence)


def notice(*, user_id: Any, change: str, **_kwargs: Any) -> None:
    """Receiver of `person_changed`: the person's connections read their sessions again."""
    if change == "deleted":
        # With the person went the stream, and with it the fence and all that could be told under it. What is left to do
        # is to have connections look, by a fence that is newer than any.
        fanout.announce_end(stream_of(user_id), GREATEST_INTEGER)
    else:
        raise_fence(user_id=user_id)
