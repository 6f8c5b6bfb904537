"""This site's own tokens as texts: JWTs of one algorithm, under a key of their own, every claim required (RFC 8725).

Nothing here asks SIMPLE_JWT, or what else the site has for JWTs of its own: ours are worth nothing there, and theirs
nothing here.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import jwt
from django.utils.crypto import salted_hmac

from tickets.conf import conf, once
from tickets.grants import TokenRefused

ALGORITHM: Final = "HS256"
"""The only one: a token that chooses its own algorithm chooses how it is checked (RFC 8725, section 3.1)."""

NAME: Final = "usher"
"""Who made a token, and whom it is for."""


class Kind(StrEnum):
    """What a token is for; none is taken for another."""

    ACCESS = "access"
    REFRESH = "refresh"


@once("TICKETS", "SECRET_KEY")
def key() -> str:
    """`TICKETS["TOKEN_KEY"]`, else one that is made of SECRET_KEY: whoever has it cannot find that."""
    return conf.TOKEN_KEY or salted_hmac("tickets.signing", "tokens", algorithm="sha256").hexdigest()


def sign(kind: Kind, claims: Mapping[str, Any]) -> str:
    """The token that says so. `claims` has `exp`, in POSIX seconds, and `jti`."""
    return jwt.encode({**claims, "token_type": kind, "iss": NAME, "aud": NAME}, key(), algorithm=ALGORITHM)


def read(kind: Kind, token: str) -> dict[str, Any]:
    """The claims of a token of this kind. Raises `TokenRefused` for anything else; once it ended, `token_expired`."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key(),
            algorithms=[ALGORITHM],
            issuer=NAME,
            audience=NAME,
            options={"require": ["exp", "iss", "aud", "jti"]},
        )
    except jwt.ExpiredSignatureError:
        raise TokenRefused("token_expired") from None
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
        raise TokenRefused from None
    if claims.get("token_type") != kind:
        raise TokenRefused
    return claims
