from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from notifications.live.positions import with_position
from notifications.models import Connection, Stream

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]


@pytest.fixture
def row(ann):
    def make(**place):
        now = timezone.now()
        whose = {"user": ann, "session_id": uuid4(), "server": "host:1:aa", "protocol": "usher.v1"}
        times = {"opened_at": now, "leased_until": now + timedelta(minutes=1)}
        return Connection.objects.create(name=uuid4().hex[:16], **whose, **times, **place)

    return make


@pytest.mark.parametrize(
    ("cursor", "acked", "behind", "unacked"),
    [
        *[(10, 10, 0, 0), (10, 7, 0, 3), (4, 4, 6, 0), (0, 0, 10, 0)],
        (12, 10, 0, 2),  # told what was numbered since the head was read
        *[(None, None, None, None), (4, None, 6, None)],  # its protocol knows no positions, or no acks
    ],
)
def test_behind_the_head_and_not_acked(row, ann, cursor, acked, behind, unacked):
    Stream.objects.filter(user=ann).delete()
    Stream.objects.create(user=ann, head=10)
    row(cursor=cursor, acked=acked)
    found = with_position(Connection.objects.all()).get()
    assert (found.behind, found.unacked) == (behind, unacked)


def test_somebody_without_a_stream_is_behind_by_nothing(row, ann):
    Stream.objects.filter(user=ann).delete()
    row(cursor=0, acked=0)
    assert with_position(Connection.objects.all()).get().behind == 0


def test_it_costs_no_query_more(row, django_assert_num_queries):
    for number in range(5):
        row(cursor=number, acked=0)
    with django_assert_num_queries(1):
        assert len([each.behind for each in with_position(Connection.objects.all())]) == 5
