from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from notifications.models import Connection, Notification, Stream, new_epoch
from notifications.wire.content import BODY_LENGTH, KIND_LENGTH, TITLE_LENGTH, URL_LENGTH, Level

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]


@pytest.fixture
def ann(django_user_model):
    return django_user_model.objects.create(username="ann")


@pytest.fixture
def ben(django_user_model):
    return django_user_model.objects.create(username="ben")


def write(user, **fields):
    return Notification.objects.create(user=user, title="x", **fields)


def refused(make):
    with pytest.raises(IntegrityError), transaction.atomic():
        make()
    return True


def test_migrations_are_what_the_models_say():
    call_command("makemigrations", "notifications", check_changes=True, dry_run=True)


# --- Stream ---


def test_a_person_has_one_stream_that_starts_at_nothing(ann):
    stream = Stream.objects.create(user=ann)
    assert (stream.head, stream.floor, stream.fence, stream.state_version) == (0, 0, 0, 0)
    assert str(stream) == f"stream of {ann.pk} at 0"
    assert refused(lambda: Stream.objects.create(user=ann))


def test_epochs_differ_and_can_stand_before_a_colon(ann, ben):
    assert Stream.objects.create(user=ann).epoch != Stream.objects.create(user=ben).epoch
    assert all(":" not in new_epoch() and 8 <= len(new_epoch()) <= 32 for _ in range(100))


def test_numbers_go_beyond_32_bits(ann):
    Stream.objects.create(user=ann, head=2**53 - 1)
    write(ann, seq=2**53 - 1)
    assert Notification.objects.get().seq == Stream.objects.get().head == 2**53 - 1


# --- Notification ---


def test_what_only_has_a_title(ann):
    row = write(ann)
    row.refresh_from_db()
    assert str(row) == "x"
    assert (row.seq, row.body, row.kind, row.level, row.url, row.data, row.dedup) == (
        None,
        "",
        "",
        "info",
        "",
        {},
        None,
    )
    assert (row.seen_at, row.read_at, row.archived_at, row.expires_at) == (None, None, None, None)
    assert abs(row.created_at - timezone.now()) < timedelta(seconds=60)


def test_ids_ascend_in_the_order_of_the_calls(ann):
    ids = [write(ann).pk for _ in range(5)]
    assert ids == sorted(ids)
    assert list(Notification.objects.order_by("id").values_list("id", flat=True)) == ids


def test_a_number_is_given_once_for_each_person(ann, ben):
    write(ann, seq=1)
    write(ben, seq=1)
    assert refused(lambda: write(ann, seq=1))


def test_many_may_wait_for_their_number(ann):
    write(ann), write(ann)
    assert Notification.objects.filter(seq=None).count() == 2


def test_a_key_is_kept_once_and_none_as_often_as_you_like(ann, ben):
    write(ann, dedup="d"), write(ann), write(ben)
    assert refused(lambda: write(ben, dedup="d"))


def test_data_comes_back_as_it_went(ann):
    data = {"n": 2**53 - 1, "f": 0.1, "t": True, "none": None, "list": [1, [2]], "text": "ünï <b> 😀 ' \\ \n"}
    write(ann, data=data)
    assert Notification.objects.get().data == data


def test_columns_are_as_wide_as_the_rules_allow(ann):
    widths = {"title": TITLE_LENGTH, "body": BODY_LENGTH, "kind": KIND_LENGTH, "url": URL_LENGTH}
    for name, width in widths.items():
        assert Notification._meta.get_field(name).max_length == width
    widest = {name: "\N{GRINNING FACE}" * width for name, width in widths.items()}
    row = Notification.objects.create(user=ann, level=max(Level, key=len), **widest)
    row.refresh_from_db()
    assert {name: getattr(row, name) for name in widest} == widest


def test_what_a_person_was_told_goes_with_them(ann, ben):
    for user in (ann, ben):
        write(user, seq=1)
        Stream.objects.create(user=user)
    ann.delete()
    assert [row.user for row in Notification.objects.all()] == [ben]
    assert [row.user for row in Stream.objects.all()] == [ben]


@pytest.mark.parametrize(
    "query",
    [
        lambda user: Notification.objects.filter(user=user, seq=None).order_by("id"),
        lambda user: Notification.objects.filter(user=user, read_at=None, archived_at=None).order_by(),
        lambda user: Notification.objects.filter(user=user, seq__gt=5).order_by("seq"),
    ],
    ids=["unnumbered", "unread", "replay"],
)
def test_the_frequent_questions_are_answered_from_an_index(ann, query):
    Notification.objects.bulk_create(
        Notification(user=ann, title="x", seq=seq, read_at=timezone.now()) for seq in range(1, 200)
    )
    if connection.vendor == "postgresql":  # so small a table it would read as a whole, and rightly
        connection.cursor().execute("SET LOCAL enable_seqscan = off")
    plan = query(ann).explain().upper()
    assert "INDEX" in plan
    assert "SEQ SCAN" not in plan
    assert "SCAN NOTIFICATIONS" not in plan


# --- Connection ---


def connect(user, **facts):
    now = timezone.now()
    times = {"opened_at": now, "leased_until": now + timedelta(seconds=45)}
    return Connection.objects.create(user=user, session_id=uuid4(), server="s", protocol="usher.v1", **(times | facts))


def test_a_connection_is_named_once(ann, ben):
    row = connect(ann, name="c1")
    assert (str(row), row.network, row.kicked_at) == ("c1", "", None)
    assert refused(lambda: connect(ben, name="c1"))


def test_connections_go_with_their_person(ann, ben):
    connect(ann, name="a"), connect(ben, name="b")
    ann.delete()
    assert [row.name for row in Connection.objects.all()] == ["b"]


def test_connections_are_for_staff_to_see_disconnect_and_ask_and_for_nobody_to_write():
    from django.contrib.auth.models import Permission

    granted = Permission.objects.filter(content_type__app_label="notifications", content_type__model="connection")
    assert set(granted.values_list("codename", flat=True)) == {
        "view_connection",
        "disconnect_connection",
        "ask_connection",
    }


@pytest.mark.parametrize(
    "query",
    [
        lambda: Connection.objects.filter(session_id=uuid4()),
        lambda: Connection.objects.filter(server="s"),
        lambda: Connection.objects.filter(pk__in=["c1", "c2"]),
    ],
    ids=["of a session", "of a process", "by name"],
)
def test_connections_are_found_by_an_index(ann, query):
    if connection.vendor == "postgresql":
        connection.cursor().execute("SET LOCAL enable_seqscan = off")
    plan = query().explain().upper()
    assert "INDEX" in plan
    assert "SEQ SCAN" not in plan and "SCAN NOTIFICATIONS" not in plan
