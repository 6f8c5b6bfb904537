"""
Logging in to a message broker, which asks this site who somebody is and remembers no session.

A ticket of the purpose `broker`, or an access token, stands for the password. What was let in so is written down: by
that the site knows later whether the login still counts, and the broker's connections are closed when it does not.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

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
    grant, bound, digest = None, "", None
    with transaction.atomic():  # the ticket and the login that it was spent on
        if minting.is_shaped(password):
            digest = minting.digest(password)
            if (repeated := _repeated(digest, username, vhost, now)) is not None:
                return repeated
            grant, bound = _spend(digest, now)
        elif tokens:
            grant = _believe(password, now)
        if grant is None:
            audit.record(BROKER_LOGIN, ok=False, name=username, why="credential")
        elif grant.username != username:
            audit.record(BROKER_LOGIN, ok=False, user=grant.user_id, session=grant.session_id, why="name")
        else:
            _write(grant, vhost, bound, digest, now)
            return BrokerPerson(grant.user_id, frozenset({(vhost, bound)}))
        # Whoever asked at the same time has spent it, and is written down by now.
        return _repeated(digest, username, vhost, now) if digest and grant is None else None


def _spend(digest: str, now: datetime) -> tuple[Grant | None, str]:
    try:
        grant = redeem_digest(digest, purposes=frozenset({Purpose.BROKER}), address=None, placed=False, now=now)
    except TicketRefused:
        return None, ""
    return grant, Ticket.objects.values_list("network", flat=True).get(digest=digest)


def _believe(token: str, now: datetime) -> Grant | None:
    try:
        return admit_token(token, address=None, now=now)
    except (TokenRefused, SessionEnded):
        return None


def _repeated(digest: str, username: str, vhost: str, now: datetime) -> BrokerPerson | None:
    since = now - REPEATED_WITHIN
    rows = _logins(BrokerLogin.objects.filter(digest=digest, username=username, vhost=vhost, logged_in_at__gte=since))
    return _person(rows, username, now)


def _write(grant: Grant, vhost: str, bound: str, digest: str | None, now: datetime) -> None:
    of_this = BrokerLogin.objects.filter(session_id=grant.session_id, vhost=vhost, network=bound)
    of_this.filter(logged_in_at__lt=now - REPEATED_WITHIN).delete()  # the new one says as much
    how: Any = {"vhost": vhost, "network": bound, "digest": digest, "logged_in_at": now}
    BrokerLogin.objects.create(session_id=grant.session_id, username=grant.username, **how)
    audit.record(BROKER_LOGIN, user=grant.user_id, session=grant.session_id, vhost=vhost)


def broker_person(username: str, *, now: datetime | None = None) -> BrokerPerson | None:
    """Who is logged in to the broker under that name; None for nobody. One query."""
    return _person(_logins(BrokerLogin.objects.filter(username=username)), username, now or timezone.now())


def _logins(logins: Any) -> list[BrokerLogin]:
    return list(logins.select_related("session__user"))


def _person(logins: Iterable[BrokerLogin], username: str, now: datetime) -> BrokerPerson | None:
    standing = [each for each in logins if _counts(each, now) and each.session.user.get_username() == username]
    if not standing:
        return None
    places = frozenset((each.vhost, each.network) for each in standing)
    return BrokerPerson(plain_id(standing[0].session.user_id), places)


def _counts(login: BrokerLogin, now: datetime) -> bool:
    """Whether its session stands, and the login is not older than what the session's credentials must be."""
    session = login.session
    since = [session.valid_from, session.sockets_from]
    return why_not(standing_of(session), now) is None and not any(
        moment is not None and login.logged_in_at < moment for moment in since
    )


def over_broker_logins(*, thorough: bool = False, now: datetime | None = None) -> list[OverLogin]:
    """
    Logins that count no more, and are not forgotten yet: whoever has connections by them is to lose those.

    `thorough` also finds what only a look at each says: a password or a name that was changed behind this room's back.
    """
    now = now or timezone.now()
    logins = BrokerLogin.objects.order_by("pk")
    if not thorough:
        ended = Q(session__ended_at__isnull=False) | Q(session__expires_at__lte=now) | Q(session__user__is_active=False)
        outdated = Q(session__valid_from__gt=F("logged_in_at")) | Q(session__sockets_from__gt=F("logged_in_at"))
        logins = logins.filter(ended | outdated)
    return [
        OverLogin(each.pk, each.username)
        for each in _logins(logins)
        if not _counts(each, now) or each.session.user.get_username() != each.username
    ]


def forget_broker_logins(pks: Collection[int]) -> None:
    """Those whose connections are closed."""
    BrokerLogin.objects.filter(pk__in=pks).delete()
