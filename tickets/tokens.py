"""Access and refresh tokens: what they entitle to. How they are spelled is `tickets.signing`'s.

A token is only a claim to a login session (`sid`); the session's row decides, on every request. That is what makes a
token revocable, and it costs one query, which fetches the person as well.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tickets import audit, counted, current, identification
from tickets.admission import caller_of, kept_network
from tickets.conf import conf
from tickets.grants import NOWHERE, EndReason, Grant, RefreshRaced, SessionEnded, SignedInFrom, TokenRefused
from tickets.models import LoginSession
from tickets.sessions import end_session, open_session, plain_id, standing_of, why_not
from tickets.signing import Kind, read, sign

MADE_AT = "made_at"
"""The claim that says when a token was made: `iat`, which everybody's library judges by its own clock, is left out."""

METHOD = "token"
"""What login sessions opened by name and password over REST are called."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What a client signs in with from now on; both are secrets and left out of `repr()`."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """What REST views find in `request.auth`: the login session that the request stands on."""

    session_id: UUID


def sign_in(user: Any, *, origin: SignedInFrom = NOWHERE, now: datetime | None = None) -> Pair:
    """Open a login session for a person whose password was checked, and give out its tokens."""
    now = now or timezone.now()
    jti = uuid4().hex
    expires_at = now + timedelta(days=conf.SESSION_DAYS)
    how: Any = {"method": METHOD, "expires_at": expires_at, "refresh_jti": jti, "origin": origin}
    session_id = open_session(user, now=now, **how)
    session = LoginSession.objects.select_related("user").get(pk=session_id)
    return _pair(session, now)


def rotate(refresh: str, *, now: datetime | None = None) -> Pair:
    """Spend a refresh token for a new pair; the login session's end stays where it is.

    One conditional UPDATE decides, so of any number at once with one token one gets the pair and the others get
    `RefreshRaced`. A token spent longer than `TICKETS["REFRESH_GRACE"]` ago was stolen, or its successor was: the
    session ends (RFC 9700, section 4.14.2) and `TokenRefused` is raised. `SessionEnded` if it had ended before.
    """
    now = now or timezone.now()
    session_id, jti = _session_and_id(read(Kind.REFRESH, refresh))
    # Columns of this row alone, see tickets.redeeming._spend().
    spendable = LoginSession.objects.filter(pk=session_id, refresh_jti=jti, ended_at=None, expires_at__gt=now)
    spent = spendable.update(refresh_jti=uuid4().hex, previous_jti=jti, rotated_at=now, seen_at=now)
    session = _standing_session(session_id, now)
    if not spent:
        _refuse_spent(session, jti, now)
    counted.TOKEN_REFRESHES.add("refreshed")
    audit.record(audit.TOKEN_REFRESHED, user=session.user_id, session=session_id)
    return _pair(session, now)


def _refuse_spent(session: LoginSession, jti: str, now: datetime) -> None:
    """Raise for a refresh token that is not the session's current one."""
    grace = timedelta(seconds=conf.REFRESH_GRACE)
    if jti == session.previous_jti and session.rotated_at and now - session.rotated_at < grace:
        counted.TOKEN_REFRESHES.add("raced")
        raise RefreshRaced
    counted.TOKEN_REFRESHES.add("reused")
    audit.record(audit.TOKEN_REUSED, ok=False, user=session.user_id, session=session.pk)
    end_session(session.pk, reason=EndReason.CREDENTIALS_CHANGED, now=now)
    raise TokenRefused


def sign_out(refresh: str, *, now: datetime | None = None) -> None:
    """End the login session of a refresh token, spent or not. An expired one has nothing left to end (RFC 7009)."""
    try:
        session_id, _jti = _session_and_id(read(Kind.REFRESH, refresh))
    except TokenRefused as refused:
        if refused.code == "token_expired":
            return
        raise
    end_session(session_id, reason=EndReason.LOGGED_OUT, now=now)


def grant_for_token(
    access: str, *, opens: bool = True, address: str | None = None, now: datetime | None = None
) -> Grant:
    """What an access token entitles to, until its own end: one of this site's, or one that another application made
    (`tickets.identification`). `opens`: a socket, not to go on with one. Raises `TokenRefused` or `SessionEnded`."""
    now = now or timezone.now()
    try:
        claims, session = _authenticated(access, now)
        ends, made_at = float(claims["exp"]), _made_at(claims)
    except TokenRefused as refused:
        if refused.code == "token_expired" or not identification.is_on():
            raise
        identified = identification.identify(access, now=now, network=kept_network(address))
        session = _standing_session(identified.session_id, now)
        ends, made_at = identified.expires_at, identified.made_at
        if session.valid_from is not None and made_at < session.valid_from.timestamp():
            raise TokenRefused from None
        if session.user_id != identified.user.pk:  # the same name for another person: somebody else's session
            raise TokenRefused from None
    if opens and session.sockets_from is not None and made_at < session.sockets_from.timestamp():
        raise TokenRefused("token_expired", why="outdated")
    return Grant(
        user_id=plain_id(session.user_id),
        username=session.user.get_username(),
        session_id=session.pk,
        expires_at=min(ends, session.expires_at.timestamp()),
        session_expires_at=session.expires_at.timestamp(),
        issued_at=made_at,
    )


def admit_token(access: str, *, opens: bool = True, address: str | None, now: datetime | None = None) -> Grant:
    """`grant_for_token()` for somebody who opens a socket or goes on with one; audited either way."""
    try:
        grant = grant_for_token(access, opens=opens, address=address, now=now)
    except TokenRefused as refused:
        counted.TOKENS_SHOWN.add("refused")
        audit.record(audit.TOKEN_ACCEPTED, ok=False, why=refused.why, address=address)
        raise
    except SessionEnded as ended:
        counted.TOKENS_SHOWN.add("refused")
        whose = {"user": ended.user_id, "session": ended.session_id}
        audit.record(audit.TOKEN_ACCEPTED, ok=False, why=ended.why, address=address, **whose)
        raise
    counted.TOKENS_SHOWN.add("accepted")
    audit.record(audit.TOKEN_ACCEPTED, user=grant.user_id, session=grant.session_id, address=address)
    return grant


class SessionTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>` (RFC 6750), refused as soon as the token's login session has ended."""

    def authenticate(self, request: Request) -> tuple[Any, Credential] | None:
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            _, session = _authenticated(token.strip(), timezone.now())
        except SessionEnded as ended:
            audit_use(request, ended)
            raise
        except TokenRefused as refused:
            if refused.code != "token_expired":  # as every client's is, all the time
                audit.record(audit.TOKEN_ACCEPTED, ok=False, why=refused.why, address=_address(request))
            raise
        current.stands_on(session.pk, session.user_id)
        return session.user, Credential(session.pk)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


def audit_use(request: HttpRequest | Request, ended: SessionEnded) -> None:
    """Somebody goes on using a login session that is over."""
    whose = {"user": ended.user_id, "session": ended.session_id}
    audit.record(audit.SESSION_USED, ok=False, why=ended.why, address=_address(request), **whose)


def _address(request: HttpRequest | Request) -> str | None:
    return caller_of(getattr(request, "_request", request)).address


def _authenticated(access: str, now: datetime) -> tuple[dict[str, Any], LoginSession]:
    claims = read(Kind.ACCESS, access)
    session_id, _jti = _session_and_id(claims)
    session = _standing_session(session_id, now)
    if claims.get("user_id") != str(session.user_id):
        raise TokenRefused
    if session.valid_from is not None and _made_at(claims) < session.valid_from.timestamp():
        raise TokenRefused("token_expired", why="outdated")  # the refresh token brings another one
    return claims, session


def _made_at(claims: dict[str, Any]) -> float:
    made = claims.get(MADE_AT)
    return float(made) if isinstance(made, int | float) and not isinstance(made, bool) else 0.0


def _standing_session(session_id: UUID, now: datetime) -> LoginSession:
    session = LoginSession.objects.select_related("user").filter(pk=session_id).first()
    if session is None:
        raise SessionEnded(session_id=session_id)
    reason = why_not(standing_of(session), now)
    if reason:
        raise SessionEnded(reason, user_id=session.user_id, session_id=session_id)
    return session


def _session_and_id(claims: dict[str, Any]) -> tuple[UUID, str]:
    try:
        return UUID(claims["sid"]), str(claims["jti"])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise TokenRefused from None


def _pair(session: LoginSession, now: datetime) -> Pair:
    access_ends = min(now + timedelta(seconds=conf.ACCESS_SECONDS), session.expires_at)
    access = sign(Kind.ACCESS, _claims(session, uuid4().hex, access_ends) | {MADE_AT: now.timestamp()})
    return Pair(access=access, refresh=sign(Kind.REFRESH, _claims(session, session.refresh_jti, session.expires_at)))


def _claims(session: LoginSession, jti: str, expires_at: datetime) -> dict[str, Any]:
    # Nobody reads when it was issued, and a server whose clock is a moment behind would refuse it for an `iat`.
    exp = int(expires_at.timestamp())
    return {"exp": exp, "jti": jti, "user_id": str(session.user_id), "sid": str(session.pk)}
