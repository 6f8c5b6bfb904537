import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from notifications import store
from notifications.models import Notification, Stream
from notifications.wire.doorbell import stream_of

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


def write(user, count=1, **fields):
    rows = [Notification(user=user, title=f"number {number}", **fields) for number in range(count)]
    for row in rows:
        row.save()
    return rows


def numbers(user):
    return list(Notification.objects.filter(user=user).order_by("id").values_list("seq", flat=True))


# --- Numbers ---


def test_numbers_begin_at_one_and_follow_each_other(ann):
    rows = write(ann, 3)
    given = store.sequence([ann.pk])
    assert [(item.id, item.user_id, item.seq) for item in given] == [
        (row.id, ann.pk, row.seq) for row in _numbered(rows)
    ]
    write(ann)
    assert [item.seq for item in store.sequence([ann.pk])] == [4]
    assert Stream.objects.get(user=ann).head == 4


def _numbered(rows):
    for seq, row in enumerate(rows, 1):
        row.seq = seq
    return rows


def test_nothing_to_number_makes_no_stream(ann):
    assert store.sequence([ann.pk]) == []
    assert store.sequence([]) == []
    assert not Stream.objects.exists()


def test_people_have_numbers_of_their_own(people):
    ann, ben, cleo = people
    write(ann, 2), write(ben, 1), write(cleo, 3)
    store.sequence([ann.pk, cleo.pk])
    assert (numbers(ann), numbers(ben), numbers(cleo)) == ([1, 2], [None], [1, 2, 3])


def test_a_number_is_told_with_the_epoch_and_fence_it_was_given_under(ann):
    write(ann)
    (first,) = store.sequence([ann.pk])
    store.raise_fence(ann.pk)
    write(ann)
    (second,) = store.sequence([ann.pk])
    assert (first.fence, second.fence) == (0, 1)
    assert first.epoch == second.epoch == Stream.objects.get(user=ann).epoch


def test_only_committed_rows_are_numbered(ann):
    """A row of a transaction that is open neither gets a number nor holds one up."""
    wrote, go = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            write(ann)
            wrote.set()
            go.wait(20)
        connection.close()

    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time: a second one waits for the first to commit")
    holder = threading.Thread(target=hold)
    holder.start()
    assert wrote.wait(20)
    write(ann)
    assert [item.seq for item in store.sequence([ann.pk])] == [1]
    go.set()
    holder.join()
    assert numbers(ann) == [None, 1]
    assert [item.seq for item in store.sequence([ann.pk])] == [2]


def test_what_waits_too_long_is_found(people):
    ann, ben, _cleo = people
    now = timezone.now()
    write(ann, 2, created_at=now - timedelta(seconds=5))
    write(ben, created_at=now)
    assert store.look([], unnumbered_before=now - timedelta(seconds=1))[1] == [ann.pk]
    store.sequence([ann.pk])
    assert store.look([], unnumbered_before=now - timedelta(seconds=1))[1] == []


def test_announcements_of_rows_the_caller_does_not_hold_are_read(ann, django_assert_num_queries):
    mine, other = write(ann, 2, data={"a": [1]})
    numbered = store.sequence([ann.pk])
    with django_assert_num_queries(1):
        told = store.announcements(numbered, said=mine, among={mine.id})
    with django_assert_num_queries(0):
        assert len(store.announcements(numbered, said=mine, among={mine.id, other.id})) == 2
    assert [(item.seq, item.event.id, item.event.data) for item in told] == [
        (1, str(mine.id), {"a": [1]}),
        (2, str(other.id), {"a": [1]}),
    ]
    assert told[0].stream == stream_of(ann.pk) == f"u.{ann.pk}"


# --- Reading ---


def test_a_stream_is_made_once(ann):
    assert store.ensure_stream(ann.pk) == store.ensure_stream(ann.pk)
    assert Stream.objects.count() == 1


def test_a_page_is_bounded_by_the_head_that_was_read(ann):
    write(ann, 5)
    store.sequence([ann.pk])
    write(ann)  # unnumbered
    page = store.page(ann.pk, after=2, limit=10, now=timezone.now())
    assert [event.seq for event in page.events] == [3, 4, 5]
    assert (page.through, page.position.head) == (5, 5)


def test_a_full_page_ends_at_its_last_number(ann):
    write(ann, 5)
    store.sequence([ann.pk])
    page = store.page(ann.pk, after=0, limit=3, now=timezone.now())
    assert ([event.seq for event in page.events], page.through) == ([1, 2, 3], 3)
    page = store.page(ann.pk, after=3, limit=2, now=timezone.now())
    assert ([event.seq for event in page.events], page.through) == ([4, 5], 5)


def test_a_page_leaves_out_what_expired_or_was_archived_and_reaches_beyond_it(ann):
    now = timezone.now()
    write(ann)
    write(ann, expires_at=now - timedelta(seconds=1))
    write(ann, archived_at=now)
    write(ann, expires_at=now + timedelta(hours=1))
    write(ann, archived_at=now)
    store.sequence([ann.pk])
    page = store.page(ann.pk, after=0, limit=10, now=now)
    assert ([event.seq for event in page.events], page.through) == ([1, 4], 5)


def test_a_page_is_the_persons_own(people):
    ann, ben, _cleo = people
    write(ann), write(ben, 2)
    store.sequence([ann.pk, ben.pk])
    page = store.page(ann.pk, after=0, limit=10, now=timezone.now())
    assert [event.stream for event in page.events] == [stream_of(ann.pk)]


def test_positions_of_many_are_one_query(people, django_assert_num_queries):
    for person in people:
        store.ensure_stream(person.pk)
    with django_assert_num_queries(1):
        found = store.positions([person.pk for person in people])
    assert set(found) == {stream_of(person.pk) for person in people}


def test_an_opening_knows_position_and_counts(ann, django_assert_num_queries):
    write(ann, 3)
    store.sequence([ann.pk])
    store.mark(ann.pk, state="seen", ids=None, through=1, now=timezone.now())
    with django_assert_num_queries(1):
        [(opening, _session)] = store.openings([(ann.pk, uuid4())], now=timezone.now())
    assert (opening.position.head, opening.unread, opening.unseen) == (3, 3, 2)


# --- Seen, read, archived ---


@pytest.mark.parametrize(
    ("states", "unread", "unseen"),
    [
        ([], 3, 3),
        (["seen"], 3, 1),
        (["read"], 1, 1),
        (["read", "unread"], 3, 1),
        (["archived"], 1, 1),
        (["archived", "unarchived"], 3, 1),
        (["read", "archived", "unarchived"], 1, 1),
    ],
)
def test_counts_after_marking_two_of_three(ann, states, unread, unseen):
    write(ann, 3)
    store.sequence([ann.pk])
    for state in states:
        assert store.mark(ann.pk, state=state, ids=None, through=2, now=timezone.now()) == (2, 2)
    assert store.counts(ann.pk, now=timezone.now()) == (unread, unseen)


def test_marking_what_is_so_already_changes_nothing(ann):
    (row,) = write(ann)
    store.sequence([ann.pk])
    mark = {"state": "read", "ids": [row.id], "through": None, "now": timezone.now()}
    assert store.mark(ann.pk, **mark) == (1, 1)
    assert store.mark(ann.pk, **mark) == (1, 0)


def test_marking_is_for_ones_own_numbered_notifications(people):
    ann, ben, _cleo = people
    (theirs,) = write(ben)
    (unnumbered,) = write(ann)
    store.sequence([ben.pk])
    assert store.mark(ann.pk, state="read", ids=[theirs.id, unnumbered.id], through=None, now=timezone.now()) == (0, 0)
    assert Notification.objects.filter(read_at=None).count() == 2


def test_expired_ones_are_not_counted(ann):
    write(ann, expires_at=timezone.now() - timedelta(seconds=1))
    store.sequence([ann.pk])
    assert store.counts(ann.pk, now=timezone.now()) == (0, 0)


def test_versions_and_fences_rise_by_one_and_make_the_stream_if_need_be(ann):
    assert store.raise_fence(ann.pk).fence == 1
    assert store.raise_fence(ann.pk).fence == 2
    assert store.raise_state_version(ann.pk).state_version == 1


def test_an_unknown_state_is_an_error(ann):
    with pytest.raises(ValueError, match="unknown state 'gone'"):
        store.mark(ann.pk, state="gone", ids=None, through=1, now=timezone.now())


# --- Retention ---


def test_pruning_by_age_only_ever_takes_from_the_front(ann):
    now = timezone.now()
    for age in (9, 8, 1, 8, 0):  # the fourth is old, but stands behind one that is kept
        write(ann, created_at=now - timedelta(days=age))
    store.sequence([ann.pk])
    assert store.prune(older_than=now - timedelta(days=7), keep=100, now=now) == 2
    assert numbers(ann) == [3, 4, 5]
    assert Stream.objects.get(user=ann).floor == 2
    assert store.prune(older_than=now - timedelta(days=7), keep=100, now=now) == 0


def test_pruning_by_count(ann):
    now = timezone.now()
    write(ann, 10)
    store.sequence([ann.pk])
    assert store.prune(older_than=now - timedelta(days=7), keep=4, now=now, batch=2) == 6
    assert numbers(ann) == [7, 8, 9, 10]
    assert Stream.objects.get(user=ann).floor == 6


def test_pruning_everything_remembers_how_far(ann):
    now = timezone.now()
    write(ann, 3, created_at=now - timedelta(days=8))
    store.sequence([ann.pk])
    assert store.prune(older_than=now - timedelta(days=7), keep=100, now=now) == 3
    page = store.page(ann.pk, after=1, limit=10, now=now)
    assert (page.position.floor, page.position.head, page.events) == (3, 3, ())


def test_pruning_keeps_a_row_whose_key_is_still_honoured(ann):
    now = timezone.now()
    write(ann, dedup="k" * 64, created_at=now)
    write(ann, 3)
    store.sequence([ann.pk])
    assert store.prune(older_than=now - timedelta(days=7), keep=1, now=now) == 2
    assert numbers(ann) == [1, 4]
    later = now + timedelta(hours=25)
    assert store.prune(older_than=later - timedelta(days=7), keep=1, now=later) == 0
    write(ann)
    store.sequence([ann.pk])
    assert store.prune(older_than=later - timedelta(days=7), keep=1, now=later) == 2
    assert numbers(ann) == [5]


def test_unnumbered_rows_are_never_pruned(ann):
    now = timezone.now()
    write(ann, created_at=now - timedelta(days=30))
    assert store.prune(older_than=now - timedelta(days=7), keep=1, now=now) == 0
