import threading
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone
from rest_framework.request import Request

from tickets.django_sessions import SID, DjangoSessionAuthentication, known_session, lazy_session
from tickets.grants import EndReason, SessionEnded
from tickets.models import LoginSession
from tickets.sessions import check_sessions, end_session, open_session

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]


def state(session_id):
    return check_sessions([session_id])[session_id]


def ask(client, **how):
    return client.post("/api/tickets/", content_type="application/json", **how)


def request_with(session):
    request = HttpRequest()
    request.session = session
    return request


def test_signing_in_opens_a_session_and_signing_out_ends_it(client, user):
    client.force_login(user)
    session = LoginSession.objects.get()
    assert (session.user, session.method) == (user, "django")
    assert known_session(client.session) == session.pk
    client.logout()
    assert state(session.pk).reason is EndReason.LOGGED_OUT


def test_it_ends_with_the_django_session_and_no_later_than_any(user, settings):
    settings.SESSION_COOKIE_AGE = 3600
    request = request_with(SessionStore())
    login(request, user)
    ends = LoginSession.objects.get().expires_at
    assert abs(ends - timezone.now() - timedelta(hours=1)) < timedelta(seconds=10)
    logout(request)

    settings.SESSION_COOKIE_AGE = 365 * 86400
    login(request_with(SessionStore()), user)
    ends = LoginSession.objects.get(ended_at=None).expires_at
    assert abs(ends - timezone.now() - timedelta(days=30)) < timedelta(seconds=10)


def test_signing_in_again_prolongs_the_session(user, settings):
    request = request_with(SessionStore())
    login(request, user)
    LoginSession.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
    login(request, user)
    session = LoginSession.objects.get()
    assert session.expires_at > timezone.now() + timedelta(days=1)


def test_signing_in_after_a_kick_opens_another(user):
    request = request_with(SessionStore())
    login(request, user)
    kicked = known_session(request.session)
    end_session(kicked, reason=EndReason.DISCONNECTED_BY_STAFF)
    login(request, user)
    assert known_session(request.session) != kicked
    assert state(known_session(request.session)).alive


def test_without_a_django_session_nothing_is_opened(user):
    user_logged_in.send(sender=type(user), request=None, user=user)
    user_logged_in.send(sender=type(user), request=HttpRequest(), user=user)
    user_logged_out.send(sender=type(user), request=HttpRequest(), user=user)
    user_logged_out.send(sender=type(user), request=request_with(SessionStore()), user=None)
    assert not LoginSession.objects.exists()


@pytest.fixture
def veteran(client, user):
    """A client that signed in before login sessions were kept."""
    client.force_login(user)
    session = client.session
    del session[SID]
    session.save()
    LoginSession.objects.all().delete()
    return client


def test_a_session_is_opened_lazily_and_remembered(veteran, user):
    assert ask(veteran).status_code == 201
    session_id = known_session(veteran.session)
    assert state(session_id).alive
    assert ask(veteran).status_code == 201
    assert LoginSession.objects.count() == 1
    veteran.logout()
    assert state(session_id).reason is EndReason.LOGGED_OUT


def test_a_django_session_without_a_key_gets_one(user):
    session = SessionStore()
    session_id = lazy_session(session, user)
    assert session.session_key
    assert session[SID] == str(session_id)


@pytest.mark.django_db(transaction=True)
def test_two_first_tickets_at_once_open_one_session(user):
    stored = SessionStore()
    stored.create()
    opened, barrier = [], threading.Barrier(4)

    def run():
        session = SessionStore(stored.session_key)
        session.load()
        barrier.wait()
        opened.append(lazy_session(session, user))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    assert {LoginSession.objects.get().pk} == set(opened)


def test_a_kick_is_not_undone_by_the_cookie(client, user):
    client.force_login(user)
    end_session(known_session(client.session), reason=EndReason.DISCONNECTED_BY_STAFF)
    for _ in range(2):
        response = ask(client)
        assert (response.status_code, response.json()["code"]) == (401, "session_ended")
    assert LoginSession.objects.count() == 1


def test_a_kick_is_felt_by_every_view_and_not_only_where_tickets_are_given(user):
    request = request_with(SessionStore())
    login(request, user)
    request.user, request._dont_enforce_csrf_checks = user, True
    found, credential = DjangoSessionAuthentication().authenticate(Request(request))
    assert (found, credential.session_id) == (user, known_session(request.session))
    end_session(credential.session_id, reason=EndReason.DISCONNECTED_BY_STAFF)
    with pytest.raises(SessionEnded):
        DjangoSessionAuthentication().authenticate(Request(request))


def test_nor_by_one_whose_session_was_pruned_since(client, user):
    client.force_login(user)
    LoginSession.objects.all().delete()
    assert ask(client).json()["code"] == "session_ended"


def test_without_the_csrf_token_a_cookie_is_worth_nothing(user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    response = ask(client)
    assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")


def test_with_it_it_is(user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    client.cookies["csrftoken"] = "t" * 32
    assert ask(client, headers={"x-csrftoken": "t" * 32}).status_code == 201


def test_a_closed_account_is_nobody(client, user):
    client.force_login(user)
    get_user_model().objects.update(is_active=False)
    assert ask(client).status_code == 401


def test_a_session_that_names_none_names_none():
    assert known_session(SessionStore()) is None


def test_the_name_of_the_key_is_kept(user):
    session = SessionStore()
    session[SID] = str(open_session(user, method="django"))
    assert SID == "usher.sid"
    assert isinstance(known_session(session), UUID)


def test_signing_in_as_somebody_else_ends_the_session_before(user, other):
    """Django empties its session then, and nobody could sign out of the login session any more."""
    for person in (user, other):
        person.set_password("one-for-both")
        person.save()
    browser = Client()
    browser.force_login(user)
    (first,) = LoginSession.objects.filter(user=user)
    answer = browser.post("/accounts/login/", {"username": other.get_username(), "password": "one-for-both"})
    assert answer.status_code == 302
    first.refresh_from_db()
    assert (first.ended_at is not None, first.end_reason) == (True, "logged_out")
    assert LoginSession.objects.get(user=other).ended_at is None
