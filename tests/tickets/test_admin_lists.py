"""Lists of tickets cost staff the same number of queries, however many there are."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tickets.models import LoginSession, Ticket

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

TICKETS = "/admin/tickets/ticket/"
PAGES = [{}, {"q": "person-1"}, {"state": "issued"}, {"q": "person-1", "state": "redeemed", "purpose": "connect"}]


@pytest.fixture
def up_to(django_user_model):
    """`up_to(10)`: so many tickets, of up to a hundred people, each spent one way or another."""
    now = timezone.now()
    later = now + timedelta(hours=1)
    people = django_user_model.objects.bulk_create(django_user_model(username=f"person-{n}") for n in range(100))
    facts = {"method": "test", "created_at": now, "expires_at": later}
    sessions = LoginSession.objects.bulk_create(LoginSession(user=person, **facts) for person in people)

    def row(number):
        session = sessions[number % len(sessions)]
        times = {"created_at": now, "expires_at": later, "redeemed_at": now if number // 100 % 2 else None}
        return Ticket(digest=f"{number:064}", user_id=session.user_id, session=session, purpose="connect", **times)

    def make(many):
        Ticket.objects.bulk_create((row(number) for number in range(Ticket.objects.count(), many)), batch_size=2_000)

    return make


def test_a_page_costs_the_same_with_10_and_1_000_and_10_000(admin_client, up_to):
    def asked(page):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            shown = admin_client.get(TICKETS, page).context["cl"].result_list
        assert shown, page
        return len(queries)

    up_to(10)
    admin_client.get(TICKETS)
    few = [asked(page) for page in PAGES[:3]]
    for many in (1_000, 10_000):
        up_to(many)
        assert [asked(page) for page in PAGES] == [*few, few[-1]], f"with {many}"
    assert max(few) <= 10
