from datetime import UTC, datetime

import pytest
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from notifications.models import Notification
from notifications.rest.serializers import (
    LIST_LIMIT,
    RECIPIENTS,
    STATES,
    ItemSerializer,
    ListQuery,
    PublishSerializer,
    StateSerializer,
)
from notifications.wire.native import STATE_IDS


def read(serializer):
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def query(text):
    return read(ListQuery.of(QueryDict(text)))


def test_what_a_query_means_that_says_nothing():
    assert query("") == {"unread": False, "archived": False, "limit": 50}


def test_everything_a_query_may_say():
    assert query("after=1&before=0009&unread=true&archived=0&search= a b &limit=7") == {
        "after": 1,
        "before": 9,
        "unread": True,
        "archived": False,
        "search": " a b ",
        "limit": 7,
    }


@pytest.mark.parametrize(("asked", "given"), [("1", 1), ("200", 200), ("201", 200), ("1" + "0" * 50, 200)])
def test_a_limit_is_brought_down(asked, given):
    assert query(f"limit={asked}")["limit"] == given <= LIST_LIMIT


def test_an_unknown_parameter_is_named_and_cut():
    with pytest.raises(ValidationError) as refused:
        query(f"{'x' * 5000}=1")
    assert set(refused.value.detail) == {"x" * 100}


def test_a_parameter_that_comes_twice_is_named_and_cut():
    with pytest.raises(ValidationError) as refused:
        query(f"{'x' * 5000}=1&{'x' * 5000}=1")
    assert set(refused.value.detail) == {"x" * 100}


def test_an_item_shows_states_and_not_when_they_were_set():
    row = Notification(title="x", seq=1, seen_at=datetime.now(UTC), read_at=None, archived_at=None)
    said = ItemSerializer(row).data
    assert (said["seen"], said["read"], said["archived"]) == (True, False, False)
    assert not {"user", "user_id", "seen_at", "read_at", "archived_at", "dedup", "fingerprint"} & set(said)


def test_states_are_those_of_the_socket():
    assert STATES == ["seen", "read", "unread", "archived", "unarchived"]


def test_as_many_ids_as_the_socket_takes():
    ids = [f"{number:032x}" for number in range(STATE_IDS)]
    assert len(read(StateSerializer(data={"state": "read", "ids": ids}))["ids"]) == STATE_IDS
    assert not StateSerializer(data={"state": "read", "ids": [*ids, "f" * 32]}).is_valid()


def test_a_publication_is_handed_on_as_it_came():
    said = {"user": "ann", "title": 5, "body": [], "kind": {}, "level": 1.5, "url": True, "data": "x"}
    assert read(PublishSerializer(data=said)) == said, "wire.content has the rules, for notify() as well"


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        ("2999-01-01T01:00:00+01:00", datetime(2999, 1, 1, tzinfo=UTC)),
        ("2999-01-01T00:00:00Z", datetime(2999, 1, 1, tzinfo=UTC)),
        ("2999-01-01T00:00:00", "2999-01-01T00:00:00"),
        ("9999-12-31T23:59:59-00:01", "9999-12-31T23:59:59-00:01"),
        ("soon", "soon"),
        (5, 5),
        (None, None),
    ],
)
def test_moments(spelled, meant):
    found = read(PublishSerializer(data={"user": "ann", "title": "x", "expires_at": spelled}))["expires_at"]
    assert found == meant
    assert not isinstance(found, datetime) or found.tzinfo is UTC


def test_as_many_people_as_one_call_may_name():
    names = [f"p{number}" for number in range(RECIPIENTS)]
    assert PublishSerializer(data={"users": names, "title": "x"}).is_valid()
    assert not PublishSerializer(data={"users": [*names, "p"], "title": "x"}).is_valid()
