import pytest
from django.db import transaction

from notifications.models import Stream
from notifications.wire.content import GREATEST_INTEGER
from notifications.wire.doorbell import Ended, stream_of
from tickets import current
from tickets.api import end_session, open_session

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


def test_the_fence_is_up_before_the_ending_call_returns(ann, told):
    session = open_session(ann, method="token")
    end_session(session)
    assert Stream.objects.get(user=ann).fence == 1
    assert [(type(message), message.stream, message.fence) for message in told] == [(Ended, stream_of(ann.pk), 1)]


def test_inside_a_transaction_after_the_commit(ann, told):
    session = open_session(ann, method="token")
    with transaction.atomic():
        end_session(session)
        assert not Stream.objects.exists(), "no stream is touched while the caller's transaction is open"
    assert Stream.objects.get(user=ann).fence == 1
    assert len(told) == 1


def test_an_end_that_is_rolled_back_raises_nothing(ann, told):
    session = open_session(ann, method="token")
    with pytest.raises(RuntimeError), transaction.atomic():
        end_session(session)
        raise RuntimeError
    assert not Stream.objects.exists()
    assert told == []


def test_ending_what_has_ended_raises_nothing(ann, told):
    session = open_session(ann, method="token")
    end_session(session)
    told.clear()
    assert not end_session(session)
    assert Stream.objects.get(user=ann).fence == 1
    assert told == []


def test_a_changed_password_raises_the_fence_for_the_session_that_stands(ann, told):
    session = open_session(ann, method="token")
    now_here = current.session_id.set(session)
    try:
        ann.set_password("another")
        ann.save()
    finally:
        current.session_id.reset(now_here)
    assert Stream.objects.get(user=ann).fence == 1
    assert [(type(message), message.fence) for message in told] == [(Ended, 1)]


def test_a_deleted_person_has_no_stream_to_raise_and_is_told_all_the_same(ann, told):
    open_session(ann, method="token")
    stream = stream_of(ann.pk)
    ann.delete()
    assert not Stream.objects.exists()
    assert [(type(message), message.stream, message.fence) for message in told] == [(Ended, stream, GREATEST_INTEGER)]
