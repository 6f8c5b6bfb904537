"""
Some of the combinations of tests/notifications/live/test_ways_and_ends.py at real servers: who came in so, under this
policy, hears this of that end, and nothing that was published after it.

One site for all: a process for each policy, a person for each case. In one process alone nothing carries an end to
another one, so there the same ends are met in the next notification, by the sync or by the sweep.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from tests.conftest import EACH_KIND_ONCE, Site
from tests.support import crowd
from tests.support.client import Client, Person
from tests.support.processes import wait_until

KEY = "shared with the other application " * 2

SITE = {"TICKETS_JID_KEY": KEY, "TICKETS_JID_USER_FIELD": "username"}

PROCESSES = {
    "reauth": {"NOTIFICATIONS_SWEEP_SECONDS": "1", "TICKETS_GRANT_SECONDS": "4"},
    "close": {"NOTIFICATIONS_LIFETIME_SECONDS": "8", "TICKETS_GRANT_SECONDS": "4"},
    "ignore": {
        "NOTIFICATIONS_AUTHENTICATE_EACH_MESSAGE": "1",
        "NOTIFICATIONS_SOCKETS_PER_USER": "1",
        "NOTIFICATIONS_SWEEP_SECONDS": "60",  # what is heard here is not found by it
        "TICKETS_GRANT_SECONDS": "2",
    },
}

GOES_ON = "goes on"
EXPIRED = "session_expired"
CHANGED = "credentials_changed"


@dataclass(frozen=True)
class Case:
    way: str
    policy: str
    end: str
    heard: str | int
    """The close code, or the reason of `reauth_required`."""

    def __str__(self) -> str:
        return f"{self.way}, {self.policy}, {self.end}"


CASES = [
    Case("token in the first frame", "reauth", "password changed here", CHANGED),
    Case("token in the handshake", "reauth", "account disabled by SQL", 4502),
    Case("token in the handshake", "reauth", "account deleted", 4502),
    Case("ticket in the first frame", "ignore", "account disabled", 4502),
    Case("token in each message", "ignore", "password changed elsewhere", 4503),
    Case("token in each message", "ignore", "ended by staff", 4500),
    Case("token in the first frame", "reauth", "disconnected by staff", 4500),
    Case("ticket in the handshake", "ignore", "signed out", 4501),
    Case("token in the first frame", "ignore", "too many", 4504),
    Case("token in the handshake", "close", "greatest age", 4400),
    Case("token of another application", "ignore", "the session expires", 4401),
    Case("token of another application", "reauth", "the session expires", EXPIRED),
    Case("ticket in the first frame", "ignore", "the grant ends", GOES_ON),
    Case("ticket in the handshake", "close", "the grant ends", 4401),
    Case("ticket in the handshake", "reauth", "the grant ends", EXPIRED),
]


# Ways in --------------------------------------------------------------------------------------------------------------


def vouched_for(person: Person) -> str:
    claims = {"ext": json.dumps({"user_id": person.username}), "exp": int(time.time()) + 5, "iat": time.time()}
    return jwt.encode(claims, KEY, algorithm="HS256")


async def by_ticket(person: Person) -> tuple[dict[str, Any], dict[str, str]]:
    ticket = await person.ticket()
    return {"ticket": ticket}, {"ticket": ticket}


async def by_ticket_in_frame(person: Person) -> tuple[dict[str, Any], dict[str, str]]:
    how, shown = await by_ticket(person)
    return how | {"carrier": "frame"}, shown


async def by_token(person: Person) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {"Authorization": f"Bearer {person.access}"}
    return {"carrier": "none", "headers": headers}, {"token": person.access}


async def by_token_in_frame(person: Person) -> tuple[dict[str, Any], dict[str, str]]:
    return {"carrier": "none"}, {"token": person.access}


async def by_token_of_another(person: Person) -> tuple[dict[str, Any], dict[str, str]]:
    token = vouched_for(person)
    return {"carrier": "none", "headers": {"X-JID": token}}, {"token": token}


WAYS = {
    "ticket in the handshake": by_ticket,
    "ticket in the first frame": by_ticket_in_frame,
    "token in the handshake": by_token,
    "token in the first frame": by_token_in_frame,
    "token of another application": by_token_of_another,
    "token in each message": by_token,
}


@dataclass
class Guest:
    """The person of a case, and their socket."""

    case: Case
    person: Person
    shown: dict[str, str]
    """The credential they came in by, as `reauth` would carry it."""
    socket: Client

    @classmethod
    async def come(cls, case: Case, person: Person, stack: contextlib.AsyncExitStack) -> "Guest":
        how, shown = await WAYS[case.way](person)
        # An ack without a token would be asked for one, where each message carries it.
        socket = await stack.enter_async_context(person.connect(**how, auto_ack=False))
        if case.way == "token in the first frame":
            await socket.send({"type": "authenticate", **shown})
        await socket.expect("welcome")
        return cls(case, person, shown, socket)

    async def hears(self) -> None:
        """The end, in its word."""
        if self.case.heard == GOES_ON:
            await asyncio.sleep(2.5 - (time.monotonic() - self.socket.opened_at))
        elif isinstance(self.case.heard, str):
            await self.socket.expect("reauth_required", reason=self.case.heard)
        else:
            await self.socket.expect("bye", code=self.case.heard)
            assert await self.socket.closed() == self.case.heard, self.case
            assert not self.socket.of("reauth_required"), self.case


# Ends -----------------------------------------------------------------------------------------------------------------


def _end_sessions(user: Any, connection: str) -> None:
    from tickets.grants import EndReason
    from tickets.models import LoginSession
    from tickets.sessions import end_sessions

    sessions = LoginSession.objects.filter(user=user).values_list("pk", flat=True)
    end_sessions(list(sessions), reason=EndReason.DISCONNECTED_BY_STAFF)


def _disable(user: Any, connection: str) -> None:
    user.is_active = False
    user.save()


def _disable_by_sql(user: Any, connection: str) -> None:
    type(user).objects.filter(pk=user.pk).update(is_active=False)


def _delete(user: Any, connection: str) -> None:
    user.delete()


def _change_password(user: Any, connection: str) -> None:
    user.set_password("another")
    user.save()


def _change_password_here(user: Any, connection: str) -> None:
    """In a request that stands on their only session."""
    from tickets import current
    from tickets.models import LoginSession

    standing_on = current.session_id.set(LoginSession.objects.get(user=user).pk)
    _change_password(user, connection)
    current.session_id.reset(standing_on)


def _disconnect(user: Any, connection: str) -> None:
    from notifications.live.kicking import disconnect

    # Staff see it once it is on the list, which is written every two seconds.
    wait_until(lambda: disconnect([connection]), timeout=10, what="row of the connection", every=0.1)


ACTS: dict[str, Callable[[Any, str], None]] = {
    "password changed here": _change_password_here,
    "account disabled": _disable,
    "account disabled by SQL": _disable_by_sql,
    "account deleted": _delete,
    "password changed elsewhere": _change_password,
    "ended by staff": _end_sessions,
    "disconnected by staff": _disconnect,
}
"""What a process without sockets does; as soon as it has returned, it tells the person something."""

UNFENCED = ("account deleted", "account disabled by SQL", "disconnected by staff")
"""What raises no fence: the stream went with the person, no code of ours saw it, the session lives on. Where nothing
carries the word of it, the sweep finds it."""

BY_THE_CLOCK = ("the grant ends", "the session expires", "greatest age")

OF_THE_SESSION = (*ACTS.keys() - {"disconnected by staff", "account deleted"}, "signed out")


def act(part: crowd.Part) -> None:
    from django.contrib.auth import get_user_model

    from notifications.api import notify

    for username, end, connection in part.plan["acts"]:
        user = get_user_model().objects.get(username=username)
        ACTS[end](user, connection)
        if end not in UNFENCED:
            notify(user, title="after")


class Desk:
    """What happens at the site's processes, and somebody who may tell people things."""

    def __init__(self, site: Site) -> None:
        self.servers = dict(zip(PROCESSES, site.servers, strict=True))
        self.stack = site.stack
        self.service = site.person("service")

    async def tell(self, guest: Guest, title: str) -> None:
        """At the process that they are connected to: nothing has to carry the announcement there."""
        told = {"user": guest.person.username, "title": title}
        answer = await self.service.at(guest.person.server).post("/api/notifications/", told)
        assert answer.status_code == 201, answer.text

    async def act(self, guests: list[Guest]) -> None:
        acts = [(each.person.username, each.case.end, each.socket.welcome["connection"]) for each in guests]
        await asyncio.to_thread(crowd.run, self.stack, __name__, "act", acts=acts)

    async def sign_out(self, guest: Guest) -> None:
        """At another process: where that carries nothing here, the socket meets the end in what is published next."""
        await guest.person.at(self.servers["close"]).log_out()
        await self.tell(guest, "after")

    async def come_twice(self, guest: Guest) -> None:
        async with guest.person.connect(auto_ack=False) as newer:
            await newer.expect("welcome")
            await self.tell(guest, "after")
            await newer.expect("notification", title="after")


# The trip -------------------------------------------------------------------------------------------------------------


async def comes_back(guest: Guest) -> None:
    """By nothing older than the end; then by what is fresh, to all that was held."""
    person, socket = guest.person, guest.socket
    await socket.silence(1.5)  # the position sync would be the last to bring what is held
    await socket.send({"type": "reauth", **guest.shown})
    await socket.expect("reauth_failed", code="ticket_refused")
    await socket.silence(1.1)  # two attempts are a second apart
    match guest.case.way:
        case "ticket in the handshake":
            fresh = {"ticket": await person.ticket("reauth")}
        case "token in the first frame":
            fresh = {"token": await person.refresh()}
        case "token of another application":
            fresh = {"token": vouched_for(person)}
    await socket.send({"type": "reauth", **fresh})
    await socket.expect("reauthenticated")
    await socket.expect("notification", title="after")


def check(guest: Guest) -> None:
    case, socket = guest.case, guest.socket
    numbers = [frame["seq"] for frame in socket.of("notification")]
    assert numbers == [*range(1, len(numbers) + 1)], f"{case}\n{socket}"
    if isinstance(case.heard, int):
        assert [frame["title"] for frame in socket.of("notification")] == ["before"], f"{case}\n{socket}"
    else:
        assert socket.of("notification", title="after"), f"{case}\n{socket}"


async def opens_nothing(guest: Guest) -> None:
    """The token that was good before the end."""
    headers = {"Authorization": f"Bearer {guest.person.access}"}
    async with guest.person.connect(carrier="none", headers=headers) as socket:
        await socket.expect("bye", code=4402)


async def comes(case: Case, person: Person, stack: contextlib.AsyncExitStack, desk: Desk) -> Guest:
    guest = await Guest.come(case, person, stack)
    await desk.tell(guest, "before")
    await guest.socket.expect("notification", title="before")
    if case.way == "token in each message":
        await guest.socket.send({"type": "state", "state": "read", "through": 1, **guest.shown})
        await guest.socket.expect("state", unread=0)
    return guest


async def lives(guest: Guest, desk: Desk) -> None:
    case = guest.case
    match case.end:
        case "signed out":
            await desk.sign_out(guest)
        case "too many":
            await desk.come_twice(guest)
    await guest.hears()
    if case.end in (*BY_THE_CLOCK, "disconnected by staff"):
        await desk.tell(guest, "after")
    if case.heard == GOES_ON:
        await guest.socket.expect("notification", title="after")
    elif isinstance(case.heard, str):
        await comes_back(guest)
    elif case.end in OF_THE_SESSION:
        await opens_nothing(guest)
    check(guest)


@EACH_KIND_ONCE
async def test_ways_and_ends(make_site):
    site = make_site(**SITE, **PROCESSES["reauth"])
    for policy in ("close", "ignore"):
        await asyncio.to_thread(site.add_server, NOTIFICATIONS_ON_EXPIRY=policy, **PROCESSES[policy])
    desk = Desk(site)
    people = [site.newcomer().at(desk.servers[case.policy]) for case in CASES]
    await desk.service.token()
    await asyncio.gather(*(person.token() for person in people))
    async with contextlib.AsyncExitStack() as stack:
        guests = []
        for clocked in (False, True):  # whose time runs from now on come last, and fewer at once
            comers = [each for each in zip(CASES, people, strict=True) if (each[0].end in BY_THE_CLOCK) is clocked]
            guests += await asyncio.gather(*(comes(case, person, stack, desk) for case, person in comers))
        acting = desk.act([guest for guest in guests if guest.case.end in ACTS])
        await asyncio.gather(acting, *(lives(guest, desk) for guest in guests))
    assert not [line for server in site.servers for line in server.complaints()]


def test_each_of_them_is_there():
    assert {case.way for case in CASES} == set(WAYS)
    assert {case.policy for case in CASES} == set(PROCESSES)
    assert {case.end for case in CASES} == {*ACTS, *BY_THE_CLOCK, "signed out", "too many"}
