"""Access tokens for many people at once: signing in with a password takes longer than anything that is measured here.

`python -m tests.support.passes '["bob", "carol"]'` makes the people there are not yet, opens a login session for each
and prints {username: {"id", "access"}}. The tokens last a day: a test of faults is none of expiry.
"""

import json
import sys
from dataclasses import dataclass

import django

from tests.support import canary
from tests.support.stack import Stack


@dataclass(frozen=True)
class Pass:
    """Somebody who is signed in."""

    username: str
    user_id: int
    access: str

    @property
    def stream(self) -> str:
        return f"u.{self.user_id}"


def passes(stack: Stack, *usernames: str, permissions: tuple[str, ...] = ()) -> list[Pass]:
    """One for each of these people, in this order."""
    printed = stack.run_module("tests.support.passes", json.dumps([usernames, permissions]))
    made = json.loads(printed.splitlines()[-1])
    for _, access in made.values():
        canary.remembered(access)
    return [Pass(username, *made[username]) for username in usernames]


def _make(usernames: list[str], permissions: list[str]) -> dict[str, tuple[int, str]]:
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Permission

    from tickets import tokens

    settings.TICKETS = settings.TICKETS | {"ACCESS_SECONDS": 86_400}
    people = get_user_model().objects
    people.bulk_create([people.model(username=name, password="!") for name in usernames], ignore_conflicts=True)
    made = {}
    for user in people.filter(username__in=usernames):
        for permission in permissions:
            app, codename = permission.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        made[user.username] = (user.pk, tokens.sign_in(user).access)
    return made


if __name__ == "__main__":
    django.setup()
    print(json.dumps(_make(*json.loads(sys.argv[1]))))
