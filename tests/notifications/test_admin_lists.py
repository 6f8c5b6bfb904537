"""Lists of connections cost staff the same number of queries, however many there are."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications.models import Connection, Stream

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

CONNECTIONS = "/admin/notifications/connection/"
PAGES = [{}, {"q": "person-1"}, {"protocol": "usher.v1"}, {"q": "person-1", "server": "host:1:a"}]


@pytest.fixture
def up_to(django_user_model):
    """`up_to(10)`: so many connections, of up to a hundred people, each of whom has a stream."""
    now = timezone.now()
    people = django_user_model.objects.bulk_create(django_user_model(username=f"person-{n}") for n in range(100))
    Stream.objects.bulk_create((Stream(user=person, head=9) for person in people), ignore_conflicts=True)
    facts = {"protocol": "usher.v1", "opened_at": now, "leased_until": now + timedelta(hours=1)}

    def row(number):
        place = {"cursor": number % 10, "acked": 0, "server": f"host:{number % 3}:a"}
        return Connection(name=f"c{number:07}", user=people[number % 100], session_id=uuid4(), **facts, **place)

    def make(many):
        made = Connection.objects.count()
        Connection.objects.bulk_create((row(number) for number in range(made, many)), batch_size=2_000)

    return make


def test_a_page_costs_the_same_with_10_and_1_000_and_10_000(admin_client, up_to):
    def asked(page):
        with CaptureQueriesContext(connection) as queries:
            shown = admin_client.get(CONNECTIONS, page).context["cl"].result_list
        assert shown, page
        return len(queries)

    up_to(10)
    admin_client.get(CONNECTIONS)
    few = [asked(page) for page in PAGES]
    for many in (1_000, 10_000):
        up_to(many)
        assert [asked(page) for page in PAGES] == few, f"with {many}"
    assert max(few) <= 10
