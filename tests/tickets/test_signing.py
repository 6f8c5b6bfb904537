import time

import jwt
import pytest
from django.test import override_settings

from tickets import signing
from tickets.grants import TokenRefused
from tickets.signing import Kind, read, sign

NOW = int(time.time())  # read once, for tests that run whenever their turn comes
CLAIMS = {"exp": NOW + 86_400, "jti": "a", "sid": "b"}


def forged(key=None, algorithm="HS256", **changes):
    claims = {**CLAIMS, "token_type": "access", "iss": "usher", "aud": "usher", **changes}
    said = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(said, signing.key() if key is None else key, algorithm=algorithm)


@pytest.mark.parametrize("kind", Kind)
def test_what_was_signed_is_read(kind):
    claims = read(kind, sign(kind, CLAIMS))
    assert claims == {**CLAIMS, "token_type": kind.value, "iss": "usher", "aud": "usher"}


def test_a_forgery_that_is_none_is_read():
    """Else the refusals below would say nothing."""
    assert read(Kind.ACCESS, forged())["sid"] == "b"


FORGED = {
    **{f"{text!r}": text for text in ("", "x", "a.b.c", "é", "\0")},
    "a refresh token": sign(Kind.REFRESH, CLAIMS),
    "another key": forged(key="another" * 10),
    "no algorithm": forged(key="", algorithm="none"),
    "another algorithm": forged(key="k" * 64, algorithm="HS512"),
    **{f"no {name}": forged(**{name: None}) for name in ("exp", "jti", "iss", "aud", "token_type")},
    **{f"another {name}": forged(**{name: "another"}) for name in ("iss", "aud", "token_type")},
    **{f"exp {value!r}": forged(exp=value) for value in ("soon", 1e400, [], True)},
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_all_else_is_refused(token):
    with pytest.raises(TokenRefused) as refused:
        read(Kind.ACCESS, token)
    assert refused.value.code in ("token_invalid", "token_expired")


def test_what_has_ended_is_told_apart():
    with pytest.raises(TokenRefused) as refused:
        read(Kind.ACCESS, forged(exp=NOW - 1))
    assert refused.value.code == "token_expired"


def test_the_algorithm_is_ours_and_not_the_tokens(monkeypatch):
    monkeypatch.setattr(signing, "ALGORITHM", "HS512")
    token = sign(Kind.ACCESS, CLAIMS)
    monkeypatch.undo()
    with pytest.raises(TokenRefused):
        read(Kind.ACCESS, token)


def test_without_a_key_of_their_own_they_have_one_that_tells_nothing_of_the_sites(settings):
    settings.TICKETS, settings.SECRET_KEY = {}, "s" * 50
    made = signing.key()
    assert len(made) >= 32 and settings.SECRET_KEY not in made
    settings.SECRET_KEY = "t" * 50
    assert signing.key() != made
    settings.TICKETS = {"TOKEN_KEY": "k" * 40}
    assert signing.key() == "k" * 40


@pytest.mark.parametrize(
    "theirs",
    [
        {"SIGNING_KEY": "t" * 50, "ISSUER": None, "AUDIENCE": None, "TOKEN_TYPE_CLAIM": None},
        {"ALGORITHM": "RS256", "JTI_CLAIM": None, "USER_ID_CLAIM": "sub"},
    ],
)
def test_what_a_site_has_for_jwts_of_its_own_changes_nothing(theirs):
    token = sign(Kind.REFRESH, CLAIMS)
    with override_settings(SIMPLE_JWT=theirs):
        assert read(Kind.REFRESH, token)["sid"] == "b"
        with pytest.raises(TokenRefused):
            read(Kind.ACCESS, token)
        with pytest.raises(TokenRefused):
            read(Kind.ACCESS, jwt.encode({**CLAIMS, "token_type": "access"}, "t" * 50, algorithm="HS256"))
