import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import pytest
from django.db import connection
from rest_framework.test import APIRequestFactory

from tickets import signing, tokens
from tickets.grants import EndReason, RefreshRaced, SessionEnded, TokenRefused
from tickets.models import LoginSession
from tickets.sessions import check_sessions, end_session
from tickets.tokens import SessionTokenAuthentication, grant_for_token, rotate, sign_in, sign_out

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

KEY = signing.key()


@pytest.fixture
def now():
    # The library reads the clock itself, so here the time is the real one.
    return datetime.now(UTC)


@pytest.fixture
def pair(user, now):
    return sign_in(user, now=now)


def claims(token):
    return jwt.decode(token, KEY, algorithms=["HS256"], audience="usher", issuer="usher")


def forged(token, *, key=KEY, algorithm="HS256", **changes):
    payload = {name: value for name, value in (claims(token) | changes).items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm)


def session_of(pair):
    return UUID(claims(pair.refresh)["sid"])


def test_both_tokens_name_the_session_and_who_they_are_for(user, pair, now):
    access, refresh = claims(pair.access), claims(pair.refresh)
    session = LoginSession.objects.get()
    assert (session.user, session.method) == (user, "token")
    for token in (access, refresh):
        assert (token["sid"], token["user_id"]) == (str(session.pk), str(user.pk))
        assert (token["iss"], token["aud"]) == ("usher", "usher")
    assert (access["token_type"], refresh["token_type"]) == ("access", "refresh")
    assert access["exp"] == int((now + timedelta(minutes=15)).timestamp())
    assert refresh["exp"] == int(session.expires_at.timestamp())
    assert session.expires_at == now + timedelta(days=30)
    assert refresh["jti"] == session.refresh_jti
    assert "iat" not in access | refresh, "a server whose clock is behind would refuse it"


def test_the_pair_does_not_show_its_secrets(pair):
    assert repr(pair) == "Pair()"


def authenticate(header):
    return SessionTokenAuthentication().authenticate(APIRequestFactory().get("/", headers={"authorization": header}))


def test_an_access_token_authenticates_in_one_query(user, pair, django_assert_num_queries):
    with django_assert_num_queries(1):
        found, credential = authenticate(f"Bearer {pair.access}")
    assert found == user
    assert credential.session_id == session_of(pair)
    assert authenticate(f"bearer  {pair.access}")


@pytest.mark.parametrize("header", ["", "Basic eDp5", "Ticket x"])
def test_other_headers_are_for_others(header):
    assert authenticate(header) is None


def test_an_access_token_is_worth_nothing_once_its_session_has_ended(pair):
    end_session(session_of(pair))
    with pytest.raises(SessionEnded):
        authenticate(f"Bearer {pair.access}")


def test_nor_for_a_closed_account(user, pair):
    user.is_active = False
    user.save()
    with pytest.raises(SessionEnded) as refused:
        authenticate(f"Bearer {pair.access}")
    assert refused.value.reason is EndReason.ACCOUNT_DISABLED


def test_nor_when_its_session_is_unknown(user, pair):
    LoginSession.objects.all().delete()
    with pytest.raises(SessionEnded):
        authenticate(f"Bearer {pair.access}")


PAST = int((datetime.now(UTC) - timedelta(minutes=1)).timestamp())


@pytest.mark.parametrize(
    ("name", "make", "code"),
    [
        ("a refresh token", lambda pair: pair.refresh, "token_invalid"),
        ("algorithm none", lambda pair: forged(pair.access, key=None, algorithm="none"), "token_invalid"),
        ("another algorithm", lambda pair: forged(pair.access, key=KEY * 2, algorithm="HS512"), "token_invalid"),
        ("another key", lambda pair: forged(pair.access, key="k" * 64), "token_invalid"),
        ("another audience", lambda pair: forged(pair.access, aud="other"), "token_invalid"),
        ("another issuer", lambda pair: forged(pair.access, iss="other"), "token_invalid"),
        ("no audience", lambda pair: forged(pair.access, aud=None), "token_invalid"),
        ("no issuer", lambda pair: forged(pair.access, iss=None), "token_invalid"),
        ("no type", lambda pair: forged(pair.access, token_type=None), "token_invalid"),
        ("no end", lambda pair: forged(pair.access, exp=None), "token_invalid"),
        ("no id", lambda pair: forged(pair.access, jti=None), "token_invalid"),
        ("no session", lambda pair: forged(pair.access, sid=None), "token_invalid"),
        ("a session that is none", lambda pair: forged(pair.access, sid="x"), "token_invalid"),
        ("a session that is a number", lambda pair: forged(pair.access, sid=7), "token_invalid"),
        ("another person", lambda pair: forged(pair.access, user_id="999999"), "token_invalid"),
        ("expired", lambda pair: forged(pair.access, exp=PAST), "token_expired"),
        ("nothing", lambda pair: "", "token_invalid"),
        ("garbage", lambda pair: "a.b.c", "token_invalid"),
        ("not ASCII", lambda pair: "ä.ö.\xff", "token_invalid"),
        ("half of it", lambda pair: pair.access[: len(pair.access) // 2], "token_invalid"),
    ],
)
def test_access_tokens_that_are_refused(pair, name, make, code):
    with pytest.raises(TokenRefused) as refused:
        grant_for_token(make(pair))
    assert refused.value.code == code


def test_a_grant_by_token_ends_with_the_token(user, pair, now):
    grant = grant_for_token(pair.access)
    assert (grant.user_id, grant.username, grant.session_id) == (user.pk, "alice", session_of(pair))
    assert grant.expires_at == claims(pair.access)["exp"]
    assert grant.session_expires_at == (now + timedelta(days=30)).timestamp()


def test_rotation_gives_a_new_pair_and_keeps_the_sessions_end(pair, later):
    fresh = rotate(pair.refresh, now=later(hours=1))
    before, after = claims(pair.refresh), claims(fresh.refresh)
    assert after["jti"] != before["jti"]
    assert (after["sid"], after["exp"]) == (before["sid"], before["exp"])
    assert claims(fresh.access)["exp"] == int(later(hours=1, minutes=15).timestamp())
    assert rotate(fresh.refresh, now=later(hours=2))


def test_tokens_do_not_outlive_the_session(pair, later):
    fresh = rotate(pair.refresh, now=later(days=29, hours=23, minutes=59))
    assert claims(fresh.access)["exp"] == claims(fresh.refresh)["exp"] == claims(pair.refresh)["exp"]
    with pytest.raises(SessionEnded):
        rotate(fresh.refresh, now=later(days=30))


def test_a_spent_token_within_the_grace_ends_nothing(pair, now, later):
    fresh = rotate(pair.refresh, now=now)
    with pytest.raises(RefreshRaced):
        rotate(pair.refresh, now=later(seconds=9.999))
    assert rotate(fresh.refresh, now=later(seconds=10))


def test_after_the_grace_it_ends_the_session(user, pair, now, later, audited):
    fresh = rotate(pair.refresh, now=now)
    with pytest.raises(TokenRefused):
        rotate(pair.refresh, now=later(seconds=10))
    state = check_sessions([session_of(pair)])[session_of(pair)]
    assert (state.alive, state.reason) == (False, EndReason.CREDENTIALS_CHANGED)
    assert [line["user"] for line in audited("token_reused")] == [user.pk]
    for token in (fresh.refresh, pair.refresh):
        with pytest.raises(SessionEnded):
            rotate(token, now=later(seconds=11))


def test_a_token_from_two_rotations_ago_ends_the_session_at_once(pair, now, later):
    fresh = rotate(pair.refresh, now=now)
    rotate(fresh.refresh, now=later(seconds=1))
    with pytest.raises(TokenRefused):
        rotate(pair.refresh, now=later(seconds=2))
    assert not check_sessions([session_of(pair)])[session_of(pair)].alive


@pytest.mark.parametrize("spoil", [lambda pair: pair.access, lambda pair: forged(pair.refresh, exp=PAST)])
def test_refresh_tokens_that_are_refused_end_nothing(pair, spoil):
    with pytest.raises(TokenRefused):
        rotate(spoil(pair))
    assert check_sessions([session_of(pair)])[session_of(pair)].alive


def test_nobody_refreshes_for_a_closed_account(user, pair):
    user.is_active = False
    user.save()
    with pytest.raises(SessionEnded):
        rotate(pair.refresh)


def test_signing_out_ends_the_session_with_any_of_its_refresh_tokens(pair, now):
    rotate(pair.refresh, now=now)
    sign_out(pair.refresh)
    state = check_sessions([session_of(pair)])[session_of(pair)]
    assert state.reason is EndReason.LOGGED_OUT
    sign_out(pair.refresh)


def test_signing_out_with_an_expired_token_has_nothing_to_do_and_with_another_is_refused(pair):
    sign_out(forged(pair.refresh, exp=PAST))
    with pytest.raises(TokenRefused):
        sign_out(pair.access)
    assert check_sessions([session_of(pair)])[session_of(pair)].alive


@pytest.mark.django_db(transaction=True)
def test_of_fifty_at_once_with_one_token_one_gets_the_pair(pair):
    barrier, answers = threading.Barrier(50), []

    def run():
        barrier.wait()
        try:
            answers.append(rotate(pair.refresh))
        except RefreshRaced as raced:
            answers.append(raced)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(answer, tokens.Pair) for answer in answers) == 1
    assert len(answers) == 50
    assert check_sessions([session_of(pair)])[session_of(pair)].alive


def test_401_says_bearer():
    assert SessionTokenAuthentication().authenticate_header(None) == 'Bearer realm="api"'


def test_a_session_id_that_was_never_given_out(pair):
    with pytest.raises(SessionEnded):
        rotate(forged(pair.refresh, sid=str(uuid4())))
