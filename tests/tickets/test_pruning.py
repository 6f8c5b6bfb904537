from datetime import timedelta

import pytest

from tickets.allowance import spend
from tickets.issuing import issue
from tickets.models import Allowance, AuditEvent, LoginSession, Ticket
from tickets.pruning import KEPT, delete_in_batches, prune
from tickets.sessions import end_session, open_session

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]


def test_what_is_over_for_long_goes_and_the_rest_stays(user, now, later):
    old = open_session(user, method="test", expires_at=later(hours=1), now=now)
    long = open_session(user, method="test", now=now)
    issue(user=user, session_id=old, now=now)
    issue(user=user, session_id=long, now=now)
    end_session(long, now=now)
    spend("old", per_minute=60, burst=30, now=now)

    at_the_edge = later(hours=1) + KEPT
    spend("new", per_minute=60, burst=30, now=at_the_edge)
    first, second = (dict(prune(now=at_the_edge + timedelta(seconds=after))) for after in (0, 1))
    assert (first["tickets"], first["login sessions"], first["allowances"]) == (2, 0, 2)
    assert (second["tickets"], second["login sessions"], second["allowances"]) == (0, 1, 0)
    # Ended, but a cookie or a token may still name it: the row is what says that it has ended.
    assert list(LoginSession.objects.values_list("pk", flat=True)) == [long]
    assert list(Allowance.objects.values_list("key", flat=True)) == ["new"]


@pytest.mark.parametrize(("days", "kept"), [(90, [1, 2]), (30, [2]), (0, [])])
def test_what_was_audited_is_kept_as_long_as_is_said(now, later, settings, days, kept):
    settings.TICKETS = settings.TICKETS | {"AUDIT_DAYS": days}
    for number, moment in ((0, later(days=-91)), (1, later(days=-31)), (2, later(days=-1))):
        AuditEvent.objects.create(at=moment, act="thing_done", ok=True, event="authz_change", level="INFO", user=number)
    assert dict(prune(now=now))["audited acts"] == 3 - len(kept)
    assert [int(row.user) for row in AuditEvent.objects.order_by("id")] == kept


def test_a_pruned_allowance_allows_as_before(now, later):
    spend("k", per_minute=60, burst=1, now=now)
    assert dict(prune(now=later(days=2)))["allowances"] == 1
    spend("k", per_minute=60, burst=1, now=later(days=2))


def test_batches_are_as_large_as_asked(user, session_id, now, django_assert_num_queries):
    rows = [
        Ticket(digest=str(n), user=user, session_id=session_id, purpose="connect", created_at=now, expires_at=now)
        for n in range(5)
    ]
    Ticket.objects.bulk_create(rows)
    with django_assert_num_queries(3 + 3 + 1):  # three times look and delete, and once look in vain
        assert delete_in_batches(Ticket.objects.all(), 2) == 5
    assert delete_in_batches(Ticket.objects.all(), 2) == 0
