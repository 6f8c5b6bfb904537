import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications import store
from notifications.live.acked import known, note
from notifications.models import Acked

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


def through():
    return dict(Acked.objects.values_list("user_id", "through"))


def test_the_furthest_is_kept_whoever_says_it_last(people):
    ann, ben, _cleo = people
    note({ann.pk: 5, ben.pk: 2})
    first = Acked.objects.get(user=ann).at
    note({ann.pk: 4, ben.pk: 3})
    assert through() == {ann.pk: 5, ben.pk: 3}
    assert Acked.objects.get(user=ann).at == first, "when that was acked"


def test_a_person_who_is_gone_keeps_nobody_from_being_noted(people):
    ann, ben, _cleo = people
    gone = ben.pk
    ben.delete()
    note({gone: 9, ann.pk: 1})
    assert through() == {ann.pk: 1}
    assert known([gone, ann.pk]) == {str(ann.pk)}


def test_a_process_that_does_not_know_of_this_table_can_delete_a_person(ann, django_user_model):
    """As those of the release before it, while a new one is rolled out, or after it was rolled back."""
    note({ann.pk: 5})
    people = django_user_model.objects.filter(pk=ann.pk)
    people._raw_delete(people.db)
    assert not people.exists()


def test_many_cost_two_statements_a_batch_and_nobody_none(django_user_model):
    made = django_user_model.objects.bulk_create(django_user_model(username=f"p{n}") for n in range(1_000))
    with CaptureQueriesContext(connection) as asked:
        note({})
    assert len(asked) == 0
    with CaptureQueriesContext(connection) as asked:
        note({person.pk: 7 for person in made})
    assert len(asked) == 4
    assert set(through().values()) == {7} and len(through()) == 1_000


def test_void_numbers_were_acked_by_nobody(ann):
    note({ann.pk: 5})
    store.reset_epoch(ann.pk)
    assert through() == {}
