"""The process beside the server: makes people and credentials, and publishes. Calls come as JSON lines on its input."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402
from rest_framework_simplejwt.tokens import AccessToken  # noqa: E402

from benchmarks import looking, publishing  # noqa: E402
from tickets import minting  # noqa: E402
from tickets.admission import kept_network  # noqa: E402
from tickets.models import LoginSession, Ticket  # noqa: E402

User = get_user_model()
_sessions: dict[int, LoginSession] = {}


def people(count: int) -> list[int]:
    start = User.objects.count()
    made = [User(username=f"person-{start + number}", password="!nobody-signs-in") for number in range(count)]
    return [user.pk for user in User.objects.bulk_create(made, batch_size=1000)]


def tickets(user_ids: Sequence[int]) -> list[str]:
    """One for each; written directly, since issuing is not what is measured and has its limits."""
    now = timezone.now()
    new = {pk for pk in user_ids if pk not in _sessions}
    later = now + timedelta(days=1)
    made = [LoginSession(user_id=pk, method="token", created_at=now, expires_at=later) for pk in new]
    _sessions.update((session.user_id, session) for session in LoginSession.objects.bulk_create(made, batch_size=1000))
    minted = [minting.mint() for _ in user_ids]
    rows = [
        Ticket(
            digest=minting.digest(ticket),
            user_id=pk,
            session=_sessions[pk],
            purpose="connect",
            network=kept_network("127.0.0.1"),
            created_at=now,
            expires_at=later,
        )
        for pk, ticket in zip(user_ids, minted, strict=True)
    ]
    Ticket.objects.bulk_create(rows, batch_size=1000)
    return minted


def cookies(user_ids: Sequence[int]) -> list[str]:
    """Session keys of people who are signed in, one for each."""
    store = SessionStore()
    users = User.objects.in_bulk(set(user_ids))
    made = []
    for pk in user_ids:
        signed_in = {
            SESSION_KEY: str(pk),
            BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0],
            HASH_SESSION_KEY: users[pk].get_session_auth_hash(),
        }
        later = timezone.now() + timedelta(days=1)
        key = store._get_new_session_key()
        made.append(Session(session_key=key, session_data=store.encode(signed_in), expire_date=later))
    Session.objects.bulk_create(made, batch_size=1000)
    return [session.session_key for session in made]


def tokens(user_ids: Sequence[int]) -> list[str]:
    """Access tokens, one for each, that outlive the run."""
    users = User.objects.in_bulk(set(user_ids))
    made = []
    for pk in user_ids:
        token = AccessToken.for_user(users[pk])
        token.set_exp(lifetime=timedelta(days=1))
        made.append(str(token))
    return made


def settle() -> None:
    """Bring the tables into the state that a database is in after a while: analyzed."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


CALLS: dict[str, Callable[..., Any]] = {
    "people": people,
    "tickets": tickets,
    "cookies": cookies,
    "tokens": tokens,
    "settle": settle,
    "publish": publishing.publish,
    "steadily": publishing.steadily,
    "fill": looking.fill,
    "look": looking.look,
}


def main() -> None:
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        call = json.loads(line)
        print(json.dumps(CALLS[call.pop("do")](**call)), flush=True)


if __name__ == "__main__":
    main()
