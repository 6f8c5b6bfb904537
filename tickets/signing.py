"""This site's own tokens as texts: JWTs of one algorithm, under a key of their own, every claim required (RFC 8725).
The only module that knows simplejwt.

Its backend spells and checks them, its token classes are not used: they ask SIMPLE_JWT, which is for what else a site
has of JWTs. Ours are worth nothing there, and theirs nothing here.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from django.utils.crypto import salted_hmac
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken

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


def _backend() -> TokenBackend:
    return TokenBackend(ALGORITHM, signing_key=key(), issuer=NAME, audience=NAME)


def sign(kind: Kind, claims: Mapping[str, Any]) -> str:
    """The token that says so. `claims` has `exp`, in POSIX seconds, and `jti`."""
    return _backend().encode({**claims, "token_type": kind})


def read(kind: Kind, token: str) -> dict[str, Any]:
    """The claims of a token of this kind. Raises `TokenRefused` for anything else; once it ended, `token_expired`."""
    try:
        text: Any = token  # which it is there as well, whatever its annotation says
        claims: dict[str, Any] = _backend().decode(text)
    except TokenBackendExpiredToken:
        raise TokenRefused("token_expired") from None
    except (TokenBackendError, ValueError, TypeError, OverflowError, RecursionError):
        raise TokenRefused from None
    # What is not there is not checked; PyJWT itself misses `iss` and `aud`, since it was told what they are to be.
    if claims.get("token_type") != kind or not {"exp", "jti"} <= claims.keys():
        raise TokenRefused
    return claims
