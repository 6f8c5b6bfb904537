"""JWTs that another application made with a key it shares with this site: AnyCable's JWT identification.

Such a token says who somebody is (`ext`, a JSON string of identifiers) and until when (`exp`). It names no login
session of this site, so that it opens one: known by its issuer and `jti`, else by its digest, ending when it ends. So
it can be ended like any other, by the person and by staff, and then the token is worth nothing, though its signature is
good.

Described at https://docs.anycable.io/anycable-go/jwt_identification; the keys and names are settings (`JID_…`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid5

import jwt
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model

from tickets import sessions
from tickets.conf import conf
from tickets.grants import SignedInFrom, TokenRefused
from tickets.models import Cutoff, LoginSession

METHOD: Final = "jwt"
"""What login sessions opened by such a token are called."""

ALGORITHM: Final = "HS256"
"""The only one: a token that chooses its own algorithm chooses how it is checked (RFC 8725, section 3.1)."""

LONGEST_END: Final = 253_402_300_799
"""The last second of the year 9999; what is beyond is no time."""

_SESSIONS: Final = UUID("7a1f4c2e-66f1-4f0e-9d0b-2f6d7f3e9c11")


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom a token names, the login session it stands for, when it was made (0.0: it does not say) and when it ends
    (POSIX seconds)."""

    user: Any
    session_id: UUID
    made_at: float
    expires_at: float


def is_on() -> bool:
    """Whether this site shares a key with another application."""
    return bool(conf.JID_KEY)


def identify(token: str, *, now: datetime, network: str = "") -> Identified:
    """Whom the token names; its login session is opened if this is the first time it is seen. Raises `TokenRefused`.

    Whether that session still stands is not asked here. One that lasts longer than a login session may is refused: when
    the row that tells of its end was deleted, it would be taken for new.
    """
    claims = _claims(token)
    ends = datetime.fromtimestamp(claims["exp"], UTC)
    if sessions.capped(ends, now) < ends:
        raise TokenRefused
    user = _user(_identifiers(claims).get(conf.JID_IDENTIFIER))
    session_id = uuid5(_SESSIONS, _name(token, claims))
    made_at = _made_at(claims, now)
    if _is_cut_off(user, session_id, made_at):
        raise TokenRefused
    origin = SignedInFrom(network=network)
    known_until = sessions.open_once(session_id, user, method=METHOD, expires_at=ends, origin=origin, now=now)
    if known_until < ends:  # a token of the same name, renewed; if its session was ended, that is kept as long
        LoginSession.objects.filter(pk=session_id, user_id=user.pk, expires_at__lt=ends).update(expires_at=ends)
    return Identified(user, session_id, made_at, float(claims["exp"]))


def _is_cut_off(user: Any, session_id: UUID, made_at: float) -> bool:
    """Whether it was made before the person's credentials were all taken back, and never shown before that: one that
    was shown has a login session, and that decides."""
    cutoff = Cutoff.objects.filter(user=user).values_list("issued_before", flat=True).first()
    if cutoff is None or made_at >= cutoff.timestamp():
        return False
    return not LoginSession.objects.filter(pk=session_id).exists()


def _made_at(claims: Mapping[str, Any], now: datetime) -> float:
    """When it says that it was made (`iat`); else when it was made at the earliest."""
    if "iat" in claims:
        return _seconds(claims["iat"])
    ends = _seconds(claims["exp"])
    if ends > now.timestamp() + conf.JID_SECONDS:
        raise TokenRefused
    return ends - conf.JID_SECONDS


def _seconds(claim: Any) -> float:
    """A moment as claims have it (RFC 7519: a number); 0.0 for what is none."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not 0 < claim <= LONGEST_END:
        return 0.0
    return float(claim)


def _claims(token: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            conf.JID_KEY,
            algorithms=[ALGORITHM],
            # Who it was made for is said by the key. When it was made nobody asks, see tickets.tokens._claims().
            options={"require": ["exp"], "verify_aud": False, "verify_iat": False},
        )
    except jwt.ExpiredSignatureError:
        raise TokenRefused("token_expired") from None
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
        raise TokenRefused from None
    # One of this site's own tokens is never taken for somebody else's: it names its session.
    if "sid" in claims or not _seconds(claims["exp"]) or not isinstance(claims.get("iss", ""), str):
        raise TokenRefused
    return claims


def _identifiers(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    ext = claims.get("ext")
    try:
        found = json.loads(ext) if isinstance(ext, str) else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise TokenRefused
    return found


def _user(identifier: Any) -> Model:
    """The person with this key; Rails spells one of its models `gid://application/User/7`."""
    if isinstance(identifier, str) and identifier.startswith("gid://"):
        identifier = identifier.rpartition("/")[2]
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise TokenRefused
    people = get_user_model()._default_manager
    try:
        user = people.filter(**{conf.JID_USER_FIELD: identifier}).first()
    except (ValueError, TypeError, OverflowError, ValidationError):
        user = None
    if user is None or not user.is_active:
        raise TokenRefused
    return user


def _name(token: str, claims: Mapping[str, Any]) -> str:
    jti = claims.get("jti")
    if isinstance(jti, str) and jti:
        return f"jti\n{claims.get('iss', '')}\n{jti}"
    return f"digest\n{sha256(token.encode()).hexdigest()}"
