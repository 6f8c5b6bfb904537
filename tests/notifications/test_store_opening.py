"""The statements of the store that are written by hand because every handshake, or every moment, asks them."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from notifications import store
from notifications.models import Notification, Stream
from notifications.wire.doorbell import stream_of
from tickets import api as tickets
from tickets import rows

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def now():
    return timezone.now()


def write(user, count=1, **fields):
    rows = [Notification(user=user, title="hello", **fields) for _ in range(count)]
    Notification.objects.bulk_create(rows)
    return rows


def raised(user):
    """A stream in which every number is another one."""
    stream = store.ensure_stream(user.pk)
    Stream.objects.filter(pk=stream.pk).update(head=7, floor=2, fence=3, state_version=4)
    return store.position_of(Stream.objects.get(pk=stream.pk))


# --- openings ---


def test_an_opening_is_one_statement(ann, now, django_assert_num_queries):
    position = raised(ann)
    with django_assert_num_queries(1):
        [(opening, _session)] = store.openings([(ann.pk, uuid4())], now=now)
    assert (opening.position, opening.unread, opening.unseen) == (position, 0, 0)


def test_the_first_opening_makes_the_stream(ann, now):
    [(opening, _session)] = store.openings([(ann.pk, uuid4())], now=now)
    assert opening.position == store.position_of(Stream.objects.get(user=ann))


def test_somebody_who_was_deleted_a_moment_ago_spoils_nothing_for_the_others(people, now):
    ann, ben, _cleo = people
    gone = ben.pk
    ben.delete()
    (mine, _), (theirs, session) = store.openings([(ann.pk, uuid4()), (gone, uuid4())], now=now)
    assert mine.position == store.position_of(Stream.objects.get(user=ann))
    assert (theirs.position.head, session.alive) == (0, False)


def test_an_opening_counts_as_a_list_does(people, now):
    ann, ben, _cleo = people
    write(ann, 6), write(ben, 2)
    write(ann, 1, expires_at=now), write(ann, 1, expires_at=now + timedelta(seconds=1))
    store.sequence([ann.pk, ben.pk])
    write(ann)  # no number yet
    for state, through in (("archived", 1), ("read", 2), ("seen", 4)):
        store.mark(ann.pk, state=state, ids=None, through=through, now=now)
    [(opening, _session)] = store.openings([(ann.pk, uuid4())], now=now)
    assert (opening.unread, opening.unseen) == store.counts(ann.pk, now=now) == (5, 3)


def test_a_connection_opens_with_one_statement_as_of_one_moment(ann, now, django_assert_num_queries):
    """A session that ends later ends under a newer fence than the one that was read: by then somebody is told."""
    session_id = tickets.open_session(ann, method="test", now=now)
    position = raised(ann)
    with django_assert_num_queries(1):
        [(opening, session)] = store.openings([(ann.pk, session_id)], now=now)
    assert (opening.position, session.session_id, session.alive) == (position, session_id, True)
    tickets.end_session(session_id)
    [(opening, session)] = store.openings([(ann.pk, session_id)], now=now)
    assert (opening.position.fence, session.alive) == (position.fence + 1, False)


@pytest.mark.parametrize("case", ["ended", "expired", "inactive", "missing"])
def test_a_session_is_judged_as_everywhere_else(ann, now, case):
    session_id = uuid4() if case == "missing" else tickets.open_session(ann, method="test", now=now)
    if case == "ended":
        tickets.end_session(session_id)
    if case == "inactive":
        get_user_model().objects.filter(pk=ann.pk).update(is_active=False)
    later = now + timedelta(days=31) if case == "expired" else now
    [(_opening, session)] = store.openings([(ann.pk, session_id)], now=later)
    assert not session.alive
    assert session == tickets.check_sessions([session_id], now=later)[session_id]


# --- look, positions ---


def test_a_look_is_one_statement_for_positions_and_late_rows(people, now, django_assert_num_queries):
    ann, ben, cleo = people
    late = now - timedelta(seconds=5)
    write(ann), write(ben, 2, created_at=late), write(cleo, 1, created_at=late)
    positions = [raised(ann), raised(cleo)]
    with django_assert_num_queries(1):
        found, waiting = store.look([ann.pk, ben.pk, cleo.pk], unnumbered_before=now - timedelta(seconds=1))
    assert sorted(found, key=str) == sorted(positions, key=str), "ben has no stream yet"
    assert sorted(waiting) == [ben.pk, cleo.pk]


def test_late_rows_are_anybodys(people, now, django_assert_num_queries):
    ann, ben, _cleo = people
    write(ben, 1, created_at=now - timedelta(seconds=5))
    raised(ann)
    with django_assert_num_queries(1):
        assert store.look([], unnumbered_before=now) == ([], [ben.pk])
    store.sequence([ben.pk])
    assert store.look([], unnumbered_before=now) == ([], [])


@pytest.fixture
def crowd(transactional_db):
    model = get_user_model()
    model.objects.bulk_create([model(username=f"person {number}") for number in range(25)])
    keys = list(model.objects.values_list("pk", flat=True))
    Stream.objects.bulk_create([Stream(user_id=key) for key in keys])
    return keys


def test_many_people_are_named_in_as_few_statements_as_the_database_allows(
    crowd, now, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(rows, "MOST_AT_ONCE", 10)
    statements = 1 if connection.vendor == "postgresql" else 3
    with django_assert_num_queries(statements):
        found, waiting = store.look(crowd, unnumbered_before=now)
    assert ({position.stream for position in found}, waiting) == ({stream_of(key) for key in crowd}, [])
    with django_assert_num_queries(statements):
        assert store.positions(crowd) == {position.stream: position for position in found}
    with django_assert_num_queries(0):
        assert store.positions([]) == {}


def test_ten_thousand_can_be_named(crowd, now):
    """No statement of it has more parameters than a database takes."""
    found, _waiting = store.look([*range(10**6, 10**6 + 40_000), *crowd], unnumbered_before=now)
    assert len(found) == len(crowd)
