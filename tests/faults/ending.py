"""A process that ends people's sessions, each in another way, and tells each person something right afterwards.

    ended = await asyncio.to_thread(end, stack, {user_id: "logout", …})

Each answer says when the ending call began and when it returned, by the monotonic clock. Every second person is told
something afterwards, titled AFTER: it may reach none of the sockets whose session the call ended. The others hear of
the end by nothing but the word of it.
"""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import django

from tests.support.stack import Stack

AFTER = "after the end"

CODES = {
    "logout": 4501,
    "password": 4503,
    "deactivation": 4502,
    "deletion": 4502,
    "staff": 4500,
    "everywhere": 4503,
    "sql deactivation": 4502,
    "sql password": 4503,
}
"""What happens to a session, and the close code that its sockets are told."""

UNSEEN = ("sql deactivation", "sql password")
"""Done behind the back of all code of ours: only the sweep finds it."""


def end(stack: Stack, acts: Mapping[int, str], *, pause: float = 0.0) -> dict[int, tuple[float, float]]:
    """Do this to each of these people; (began, returned) of each call."""
    printed = stack.run_module("tests.faults.ending", json.dumps([list(acts.items()), pause]))
    return {user_id: (began, returned) for user_id, began, returned in json.loads(printed.splitlines()[-1])}


# The process's side ---------------------------------------------------------------------------------------------------


def _act(act: str, user: Any) -> None:
    from django.contrib.auth.hashers import make_password

    from tickets.api import EndReason, end_all, end_session
    from tickets.models import LoginSession
    from tickets.sessions import end_sessions

    sessions = LoginSession.objects.filter(user=user, ended_at=None).values_list("pk", flat=True)
    people = type(user).objects.filter(pk=user.pk)
    match act:
        case "logout":
            for session_id in list(sessions):
                end_session(session_id)
        case "staff":
            end_sessions(list(sessions), reason=EndReason.DISCONNECTED_BY_STAFF)
        case "everywhere":
            end_all(user.pk, reason=EndReason.CREDENTIALS_CHANGED)
        case "password":
            user.password = make_password(None)
            user.save()
        case "deactivation":
            user.is_active = False
            user.save()
        case "deletion":
            user.delete()
        case "sql password":
            people.update(password=make_password(None))
        case "sql deactivation":
            people.update(is_active=False)


def main(acts: list[tuple[int, str]], pause: float) -> None:
    from django.contrib.auth import get_user_model

    from notifications.api import notify

    done = []
    for number, (user_id, act) in enumerate(acts):
        user = get_user_model().objects.get(pk=user_id)
        began = time.monotonic()
        _act(act, user)
        done.append((user_id, began, time.monotonic()))
        if number // len(CODES) % 2 and act != "deletion" and act not in UNSEEN:
            notify(user_id, title=AFTER)
        time.sleep(pause)
    print(json.dumps(done))


if __name__ == "__main__":
    django.setup()
    main(*json.loads(sys.argv[1]))
