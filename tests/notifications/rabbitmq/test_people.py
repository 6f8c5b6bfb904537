import pytest

from notifications.rabbitmq import people
from tickets.api import Purpose, broker_person, end_session, issue, log_in_to_broker, open_session

pytestmark = pytest.mark.django_db


@pytest.fixture
def session_id(ann):
    people.forget()
    session_id = open_session(ann, method="test")
    log_in_to_broker("ann", issue(user=ann, session_id=session_id, purpose=Purpose.BROKER).ticket, "/")
    return session_id


def test_who_is_in_is_asked_for_once_a_moment(session_id, ann, monkeypatch, django_assert_num_queries):
    clock = [100.0]
    monkeypatch.setattr(people.time, "monotonic", lambda: clock[0])
    with django_assert_num_queries(1):
        assert people.find("ann").user_id == people.find("ann").user_id == ann.pk
    clock[0] += people.SECONDS
    with django_assert_num_queries(1):
        people.find("ann")


def test_the_end_of_a_session_is_known_at_once(session_id):
    assert people.find("ann") is not None
    end_session(session_id)
    assert people.find("ann") is None


def test_who_is_not_logged_in_is_not_remembered_as_such(ann, session_id, django_assert_num_queries):
    with django_assert_num_queries(2):
        assert people.find("nobody") is people.find("nobody") is None
    assert list(people._known) == []


def test_what_ends_while_it_is_read_is_not_remembered(session_id, monkeypatch):
    def ends_meanwhile(username):
        person = broker_person(username)
        end_session(session_id)
        return person

    monkeypatch.setattr(people, "broker_person", ends_meanwhile)
    assert people.find("ann") is not None
    monkeypatch.undo()
    assert people.find("ann") is None


def test_a_look_is_never_at_what_is_remembered(session_id, ann):
    assert people.find("ann") is not None
    type(ann).objects.filter(pk=ann.pk).update(is_active=False)
    assert people.find("ann") is not None
    assert people.look("ann") is people.find("ann") is None


def test_so_many_are_remembered(ann, monkeypatch):
    people.forget()
    monkeypatch.setattr(people, "MANY", 3)
    monkeypatch.setattr(people, "broker_person", lambda username: username)
    for number in range(5):
        assert people.find(f"person {number}")
    assert list(people._known) == ["person 2", "person 3", "person 4"]
