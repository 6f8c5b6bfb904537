"""
Logging in to a message broker, which asks this site who somebody is and remembers no session.

A ticket of the purpose `broker`, or an access token, stands for the password. What was let in so is written down: by
that the site knows later whether the login still counts, and the broker's connections are closed when it does not.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from tickets import audit, minting, network
from tickets.conf import conf
from tickets.grants import Grant, Purpose, SessionEnded, TicketRefused, TokenRefused
from tickets.models import BrokerLogin, Ticket
from tickets.redeeming import redeem_digest
from tickets.sessions import plain_id, standing_of, why_not
from tickets.tokens import admit_token

REPEATED_WITHIN: Final = timedelta(seconds=5)
"""A broker that keeps what it was answered in a cache asks twice for one login (RabbitMQ 3.10 does)."""

BROKER_LOGIN: Final = audit.Act("broker_login", "authn_login_success", "authn_login_fail", ("user", "name"))


@dataclass(frozen=True, slots=True)
class BrokerPerson:
    """Somebody who is logged in to the broker. `logins`: (vhost, network) of each login that counts."""

    user_id: int | str
    logins: frozenset[tuple[str, str]]

    def may_come(self, vhost: str, address: str | None) -> bool:
        """Whether one of the logins was for `vhost`, with a ticket that may be used from `address`; None: unknown."""
        policy = conf.NETWORK_POLICY
        return any(
            place == vhost and (address is None or network.compare(bound, address, policy=policy).admitted)
            for place, bound in self.logins
        )


@dataclass(frozen=True, slots=True)
class OverLogin:
    """A login that counts no more. `username`: as it was told the broker."""

    pk: int
    username: str


def log_in_to_broker(
    username: str, password: str, vhost: str, *, tokens: bool = False, now: datetime | None = None
) -> BrokerPerson | None:
    """
    Whether somebody of that name may log in to `vhost` with `password`: a ticket, or with `tokens` an access token.

    A ticket is spent by it, and good for the same name and vhost for 5 s more. None whatever the reason, which is
    audited.
    """
    now = now or timezone.now()
    digest = minting.digest(password) if minting.is_shaped(password) else None
    with transaction.atomic():  # the ticket and the login that it was spent on
        if digest and (repeated := _repeated(digest, username, vhost, now)) is not None:
            return repeated
        shown = _spend(digest, now) if digest else _believe(password, now) if tokens else _No("malformed")
        found = shown if isinstance(shown, _No) else _write(*shown, username, vhost, digest, now)
    if isinstance(found, BrokerPerson):
        return found
    # Whoever asked at the same time may have spent it, and is written down by now. Looked for whatever the reason.
    repeated = _repeated(digest, username, vhost, now) if digest and found.grant is None else None
    if repeated is None:
        whose = {"user": found.grant.user_id, "session": found.grant.session_id} if found.grant else {}
        refuse_broker_login(username, found.why, vhost=vhost, **whose)
    return repeated


def refuse_broker_login(username: str, why: str, **details: Any) -> None:
    """It is audited that somebody of that name was not let in. Also for whoever decides it beside this room."""
    audit.record(BROKER_LOGIN, ok=False, name=username, why=why, **details)


@dataclass(frozen=True, slots=True)
class _No:
    """Why somebody is not let in. `grant`: what they showed was good, and somebody's."""

    why: str
    grant: Grant | None = None


def _spend(digest: str, now: datetime) -> tuple[Grant, str] | _No:
    """What the ticket entitles to, and its network."""
    try:
        grant = redeem_digest(digest, purposes=frozenset({Purpose.BROKER}), address=None, placed=False, now=now)
    except TicketRefused as refused:
        return _No(refused.refusal)
    return grant, Ticket.objects.values_list("network", flat=True).get(digest=digest)


def _believe(token: str, now: datetime) -> tuple[Grant, str] | _No:
    try:
        return admit_token(token, address=None, now=now), ""
    except (TokenRefused, SessionEnded) as refused:
        return _No(refused.why)


def _repeated(digest: str, username: str, vhost: str, now: datetime) -> BrokerPerson | None:
    since = now - REPEATED_WITHIN
    rows = _logins(BrokerLogin.objects.filter(digest=digest, username=username, vhost=vhost, logged_in_at__gte=since))
    return _person(rows, username, now)


def _write(
    grant: Grant, bound: str, username: str, vhost: str, digest: str | None, now: datetime
) -> BrokerPerson | _No:
    """Who is logged in by it now."""
    if grant.username != username:
        return _No("name", grant)
    if _belongs_to_another(username, grant.user_id):
        return _No("name_in_use", grant)
    place = {"username": username, "vhost": vhost, "network": bound}
    of_this = BrokerLogin.objects.filter(session_id=grant.session_id, **place)
    of_this.filter(logged_in_at__lt=now - REPEATED_WITHIN).delete()  # the new one says as much
    BrokerLogin.objects.create(session_id=grant.session_id, **place, digest=digest, logged_in_at=now)
    audit.record(BROKER_LOGIN, user=grant.user_id, session=grant.session_id, name=username, vhost=vhost)
    return BrokerPerson(grant.user_id, frozenset({(vhost, bound)}))


def _belongs_to_another(username: str, user_id: int | str) -> bool:
    """Whether connections of somebody else may be open under that name. To the broker a name is all that there is: who
    was called so before would do there whatever its new bearer may."""
    owners = BrokerLogin.objects.filter(username=username).values_list("session__user_id", flat=True).distinct()
    return any(owner is None or plain_id(owner) != user_id for owner in owners)


def broker_person(username: str, *, now: datetime | None = None) -> BrokerPerson | None:
    """Who is logged in to the broker under that name; None for nobody. One query."""
    return _person(_logins(BrokerLogin.objects.filter(username=username)), username, now or timezone.now())


def _logins(logins: Any) -> list[BrokerLogin]:
    return list(logins.select_related("session__user"))


def _person(logins: Iterable[BrokerLogin], username: str, now: datetime) -> BrokerPerson | None:
    logins = list(logins)
    people = {each.session.user_id if each.session else None for each in logins}
    standing = [each for each in logins if _counts(each, now)]
    if not standing or len(people) > 1:  # whose connections they are, nobody can tell
        return None
    (user_id,) = people
    return BrokerPerson(plain_id(user_id), frozenset((each.vhost, each.network) for each in standing))


def _counts(login: BrokerLogin, now: datetime) -> bool:
    """Whether its session stands, its person is still called so, and the login is not older than what the session's
    credentials must be."""
    session = login.session
    if session is None or session.user.get_username() != login.username:
        return False
    since = [session.valid_from, session.sockets_from]
    return why_not(standing_of(session), now) is None and not any(
        moment is not None and login.logged_in_at < moment for moment in since
    )


def over_broker_logins(*, thorough: bool = False, now: datetime | None = None) -> list[OverLogin]:
    """
    Logins that count no more, and are not forgotten yet: whoever has connections by them is to lose those.

    `thorough` also finds what only a look at each says: a password that was changed behind this room's back.
    """
    now = now or timezone.now()
    logins = BrokerLogin.objects.order_by("pk")
    if not thorough:
        ended = Q(session__ended_at__isnull=False) | Q(session__expires_at__lte=now) | Q(session__user__is_active=False)
        outdated = Q(session__valid_from__gt=F("logged_in_at")) | Q(session__sockets_from__gt=F("logged_in_at"))
        named = Q(**{f"session__user__{get_user_model().USERNAME_FIELD}": F("username")})
        logins = logins.filter(ended | outdated | ~named | Q(session__created_at=None))
    return [OverLogin(each.pk, each.username) for each in _logins(logins) if not _counts(each, now)]


def forget_broker_logins(pks: Collection[int]) -> None:
    """Those whose connections are closed."""
    BrokerLogin.objects.filter(pk__in=pks).delete()
