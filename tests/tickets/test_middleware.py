from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory, override_settings

from tickets.api import EndReason, end_session
from tickets.django_sessions import SID
from tickets.grants import RateLimited
from tickets.middleware import ConnectionBackMiddleware, UsherMiddleware
from tickets.models import Allowance

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def staff(client, django_user_model):
    person = django_user_model.objects.create_superuser("sue", password="secret")
    client.force_login(person)
    return person


def end(client):
    end_session(UUID(client.session[SID]), reason=EndReason.DISCONNECTED_BY_STAFF)


def test_no_page_is_shown_to_an_ended_session(client, staff):
    assert client.get("/admin/").status_code == 200
    end(client)
    assert client.get("/admin/").headers["Location"].startswith("/admin/login/")
    assert SID not in client.session, "signed out for good"


def test_the_api_answers_in_its_own_words(client, staff):
    end(client)
    answer = client.get("/api/notifications/")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")


def test_a_standing_session_stays(client, staff):
    client.get("/admin/")
    assert client.get("/admin/").status_code == 200


def test_strangers_cost_no_query(client, db, django_assert_num_queries):
    with django_assert_num_queries(0):
        client.get("/accounts/login/")


class Ask:
    """A view that queries, and tells what becomes of its connection."""

    def __init__(self, **response):
        self.response = response

    def __call__(self, request):
        list(Allowance.objects.all())
        return StreamingHttpResponse(["x"]) if self.response.get("streaming") else HttpResponse("x")


@pytest.mark.parametrize("streaming", [False, True])
def test_the_connection_is_given_back_when_the_answer_is_made(streaming):
    """SQLite keeps it: opening one costs more than a query."""
    connection.close()
    answer = ConnectionBackMiddleware(Ask(streaming=streaming))(RequestFactory().get("/"))
    assert answer.status_code == 200
    assert (connection.connection is None) == (connection.vendor == "postgresql" and not streaming)


def test_a_transaction_around_it_stays_whole():
    with transaction.atomic():
        Allowance.objects.create(key="a", tat=1)
        ConnectionBackMiddleware(Ask())(RequestFactory().get("/"))
    assert Allowance.objects.get().key == "a"


def test_a_site_has_them_in_front_of_all_others():
    assert settings.MIDDLEWARE[0] == "tickets.middleware.UsherMiddleware"


@pytest.mark.parametrize("place", [0, 99], ids=["first", "last"])
def test_wherever_it_is_the_session_and_the_person_are_known(client, staff, place):
    others = [name for name in settings.MIDDLEWARE if name != "tickets.middleware.UsherMiddleware"]
    others.insert(place, "tickets.middleware.UsherMiddleware")
    with override_settings(MIDDLEWARE=others):
        anew = Client()
        anew.cookies = client.cookies
        assert anew.get("/admin/").status_code == 200
        end(client)
        assert anew.get("/admin/").headers["Location"].startswith("/admin/login/")


def test_all_of_it_is_done_with_an_answer():
    """429 for whoever tried too often, and the connection is back."""
    connection.close()
    request = RequestFactory().get("/")
    request.usher_too_often = RateLimited(7)
    request.session = {}
    answer = UsherMiddleware(Ask())(request)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert (connection.connection is None) == (connection.vendor == "postgresql")
