import json
from datetime import timedelta
from hashlib import sha256

import jwt
import pytest
from django.test import override_settings
from django.utils import timezone

from tickets import tokens
from tickets.grants import EndReason, SessionEnded, TokenRefused
from tickets.identification import identify
from tickets.models import LoginSession
from tickets.pruning import prune
from tickets.sessions import end_session

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

KEY = "k" * 20 + "shared with rails"


@pytest.fixture(autouse=True)
def shared(settings):
    settings.TICKETS = {**settings.TICKETS, "JID_KEY": KEY}


@pytest.fixture
def made(user, now):
    """A token as the other application makes it, changed as asked; None takes a claim out."""

    def make(*, key=KEY, algorithm="HS256", ext=None, **claims):
        ext = json.dumps({"user_id": user.pk}) if ext is None else ext
        every = {"ext": ext, "exp": int(now.timestamp()) + 600, **claims}
        return jwt.encode({k: v for k, v in every.items() if v is not None}, key, algorithm=algorithm)

    return make


@pytest.fixture
def now():
    return timezone.now().replace(microsecond=0)  # PyJWT asks the clock itself


def test_a_token_names_a_person_and_opens_a_session_that_ends_with_it(user, made, now):
    found = identify(made(), now=now)
    session = LoginSession.objects.get()
    assert (found.user, found.session_id) == (user, session.pk)
    assert (session.user, session.method) == (user, "jwt")
    assert session.expires_at == now + timedelta(seconds=600)


def test_the_same_token_is_the_same_session(made, now):
    token = made()
    assert identify(token, now=now).session_id == identify(token, now=now).session_id
    assert LoginSession.objects.count() == 1


def test_sessions_are_told_apart_by_issuer_and_jti_and_else_by_digest(made, now):
    def session(**claims):
        return identify(made(**claims), now=now).session_id

    exp = int(now.timestamp())
    assert session(iss="a", jti="1", exp=exp + 60) == session(iss="a", jti="1", exp=exp + 90), "the same, renewed"
    named = {session(iss="a", jti="1"), session(iss="a", jti="2"), session(iss="b", jti="1"), session(jti="1")}
    unnamed = {session(), session(exp=exp + 60), session(jti="")}
    assert (len(named), len(unnamed), named & unnamed) == (4, 3, set())


@pytest.mark.parametrize(
    ("identifier", "field"),
    [
        (lambda user: user.pk, "pk"),
        (lambda user: str(user.pk), "pk"),
        (lambda user: f"gid://shop/User/{user.pk}", "pk"),
        (lambda user: user.username, "username"),
    ],
)
def test_the_person_by_what_the_site_says(user, made, now, settings, identifier, field):
    settings.TICKETS = {**settings.TICKETS, "JID_USER_FIELD": field, "JID_IDENTIFIER": "current_user"}
    ext = json.dumps({"current_user": identifier(user), "account": 7})
    assert identify(made(ext=ext), now=now).user == user


def signed(**claims):
    """What PyJWT would not make itself."""
    return jwt.PyJWS().encode(json.dumps(claims).encode(), KEY, algorithm="HS256")


BAD = {
    "nothing": lambda made, now: "",
    "garbage": lambda made, now: "a.b.c",
    "another key": lambda made, now: made(key="x" * 40),
    "another algorithm": lambda made, now: made(algorithm="HS512", key=KEY * 2),
    "no algorithm": lambda made, now: made(algorithm="none", key=None),
    "no end": lambda made, now: made(exp=None),
    "an end that is no number": lambda made, now: made(exp="soon"),
    "an end that is no time": lambda made, now: made(exp=10**15),
    "an end that is text": lambda made, now: made(exp=str(int(now.timestamp()) + 60)),
    "made at no time": lambda made, now: made(iat=10**400, exp=int(now.timestamp()) + 31 * 24 * 3600),
    "an issuer that is none": lambda made, now: signed(ext='{"user_id": 1}', exp=int(now.timestamp()) + 60, iss=7),
    "a name that is a number": lambda made, now: made(jti=7),
    "not yet": lambda made, now: made(nbf=int(now.timestamp()) + 60),
    "no ext": lambda made, now: made(ext=""),
    "ext that is an object": lambda made, now: made(ext={"user_id": 1}),
    "ext that is a list": lambda made, now: made(ext="[1]"),
    "ext nested deeply": lambda made, now: made(ext="[" * 100_000),
    "another identifier": lambda made, now: made(ext='{"account": 1}'),
    "nobody": lambda made, now: made(ext='{"user_id": 999999}'),
    "true": lambda made, now: made(ext='{"user_id": true}'),
    "a list": lambda made, now: made(ext='{"user_id": [1]}'),
    "a huge number": lambda made, now: made(ext='{"user_id": 1' + "0" * 400 + "}"),
    "a NUL": lambda made, now: made(ext=json.dumps({"user_id": "1\0"})),
    "ours": lambda made, now: made(sid="5b0c4f0e-9a43-4c35-8a55-6d0d4b1f4f5e"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_is_refused(made, now, bad):
    with pytest.raises(TokenRefused) as refused:
        identify(bad(made, now), now=now)
    assert refused.value.code == "token_invalid"
    assert not LoginSession.objects.exists()


def test_one_that_is_over_says_so(made, now):
    with pytest.raises(TokenRefused, match="token_expired"):
        identify(made(exp=int(now.timestamp()) - 1), now=now)


def test_one_that_outlives_every_session_is_refused(made, now):
    """The row that tells of its end is deleted some day; it must not open another one then."""
    days, iat = 24 * 3600, int(now.timestamp())
    with pytest.raises(TokenRefused):
        identify(made(exp=iat + 31 * days, iat=iat), now=now)
    assert identify(made(exp=iat + 30 * days, iat=iat), now=now)


def test_a_token_of_the_same_name_prolongs_its_session(made, now):
    exp = int(now.timestamp())
    for seconds, ends in ((60, 60), (600, 600), (300, 600)):
        identify(made(jti="1", exp=exp + seconds), now=now)
        assert LoginSession.objects.get().expires_at == now + timedelta(seconds=ends)


def test_but_not_one_that_was_ended(made, now):
    exp = int(now.timestamp())
    end_session(identify(made(jti="1", exp=exp + 60), now=now).session_id)
    with pytest.raises(SessionEnded):
        tokens.grant_for_token(made(jti="1", exp=exp + 600), now=now)


# --- As a credential ---


def test_it_grants_until_its_end(user, made, now):
    grant = tokens.grant_for_token(made(), now=now)
    assert (grant.user_id, grant.username) == (user.pk, "alice")
    assert grant.expires_at == now.timestamp() + 600


def test_the_network_it_was_first_shown_from_is_kept(made, now):
    tokens.grant_for_token(made(), address="203.0.113.7", now=now)
    assert LoginSession.objects.get().network == "203.0.113.0/24"


def test_its_session_can_be_ended_like_any_other(made, now):
    token = made()
    grant = tokens.grant_for_token(token, now=now)
    end_session(grant.session_id, reason=EndReason.DISCONNECTED_BY_STAFF)
    with pytest.raises(SessionEnded):
        tokens.grant_for_token(token, now=now)


def test_a_closed_account_is_refused_and_opens_nothing(user, made, now):
    user.is_active = False
    user.save()
    with pytest.raises(TokenRefused):
        tokens.grant_for_token(made(), now=now)
    assert not LoginSession.objects.exists()


def test_a_name_is_remembered_longer_than_its_session(user, made, now):
    """Another token of that name may come late; it must not find the place empty."""
    exp = int(now.timestamp())
    end_session(identify(made(jti="1", exp=exp + 60), now=now).session_id)
    list(prune(now=now + timedelta(days=29)))
    with pytest.raises(SessionEnded):
        tokens.grant_for_token(made(jti="1", exp=exp + 20 * 24 * 3600, iat=exp), now=now)
    list(prune(now=now + timedelta(days=60)))
    assert not LoginSession.objects.exists()


def test_one_that_does_not_say_when_it_was_made_may_not_last_long(made, now, settings):
    exp = int(now.timestamp())
    assert identify(made(exp=exp + 3600), now=now).made_at == exp
    with pytest.raises(TokenRefused):
        identify(made(exp=exp + 3601), now=now)
    assert identify(made(exp=exp + 3601, iat=exp - 5), now=now).made_at == exp - 5
    settings.TICKETS = {**settings.TICKETS, "JID_SECONDS": 7200}
    assert identify(made(exp=exp + 3601), now=now).made_at == exp - 3599


def test_one_name_is_never_two_peoples_session(other, made, now):
    tokens.grant_for_token(made(jti="1"), now=now)
    with pytest.raises(TokenRefused):
        tokens.grant_for_token(made(jti="1", ext=json.dumps({"user_id": other.pk})), now=now)


def test_without_a_shared_key_it_is_nothing(made, now):
    with override_settings(TICKETS={}), pytest.raises(TokenRefused):
        tokens.grant_for_token(made(), now=now)


def test_the_sites_own_tokens_are_good_beside_it(user, now):
    assert tokens.grant_for_token(tokens.sign_in(user).access).user_id == user.pk


def test_no_secret_is_stored(made, now):
    token = made()
    tokens.grant_for_token(token, now=now)
    row = LoginSession.objects.values().get()
    assert not any(part in str(row) for part in (token, token.split(".")[2], sha256(token.encode()).hexdigest()))
