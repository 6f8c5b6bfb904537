from datetime import timedelta

import pytest
from django.utils import timezone

from notifications import topic_store, topics
from notifications.api import notify_topic
from notifications.models import Topic, TopicNotification

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

PUBLISH = "/api/notifications/"


@pytest.fixture(autouse=True)
def rules(monkeypatch):
    monkeypatch.setattr(topics, "_rules", [])
    topics.rule("orders.{order_id}")(lambda user, order_id: user.get_username() == "ann")


def listed(client, query="", topic="orders.7"):
    response = client.get(f"/api/topics/{topic}/?{query}")
    assert response.status_code == 200, response.content
    return response.json()


def seqs(client, query=""):
    return [item["seq"] for item in listed(client, query)["results"]]


def publish(client, key=None, **body):
    return client.post(PUBLISH, body, format="json", headers={} if key is None else {"Idempotency-Key": key})


# --- The list ---


def test_what_was_said_newest_first_and_in_pages(anns):
    for number in range(5):
        notify_topic("orders.7", title=str(number), data={"n": number})
    first = listed(anns, "limit=2")
    assert (first["epoch"], first["head"], first["next"]) == (Topic.objects.get().epoch, 5, 4)
    assert [item["seq"] for item in first["results"]] == [5, 4]
    assert set(first["results"][0]) == {
        *("id", "seq", "kind", "level", "title", "body", "url", "data", "created_at", "expires_at"),
    }
    assert (seqs(anns, "limit=2&before=4"), seqs(anns, "before=2")) == ([3, 2], [1])
    assert listed(anns, "before=2")["next"] is None
    assert (seqs(anns, "after=3"), seqs(anns, "after=1&limit=2")) == ([4, 5], [2, 3])
    assert listed(anns, "after=1&limit=2")["next"] == 3


def test_what_has_expired_is_not_listed(anns):
    row = notify_topic("orders.7", title="x", expires_at=timezone.now() + timedelta(hours=1))
    notify_topic("orders.7", title="y")
    TopicNotification.objects.filter(pk=row.pk).update(expires_at=timezone.now())
    assert seqs(anns) == [2]


def test_a_topic_on_which_nobody_has_spoken(anns):
    assert listed(anns) == {"epoch": Topic.objects.get().epoch, "head": 0, "results": [], "next": None}


@pytest.mark.parametrize("topic", ["orders.7", "nothing.of.the.kind", "ORDERS.7", "orders.7%0A", "x" * 81, "u.1", "*"])
def test_who_may_not_listen_may_not_look_and_is_not_told_why(client_of, people, topic):
    notify_topic("orders.7", title="secret")
    response = client_of(people[1]).get(f"/api/topics/{topic}/")
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert "secret" not in response.content.decode()
    assert Topic.objects.count() == 1, "and asking makes none"


def test_what_is_said_after_a_right_was_taken_is_in_nobodys_list(anns, monkeypatch):
    lets_in, ensure = ["ann"], topic_store.ensure
    topics.rule("closing")(lambda user: user.get_username() in lets_in)

    def late(name):
        """Between the rule's answer and the list."""
        if lets_in:
            lets_in.clear()
            topics.permissions_changed(topic="closing")
            notify_topic("closing", title="secret")
        return ensure(name)

    monkeypatch.setattr(topic_store, "ensure", late)
    assert anns.get("/api/topics/closing/").status_code == 403


def test_a_stranger_is_asked_who_they_are(client):
    assert client.get("/api/topics/orders.7/").status_code == 401


@pytest.mark.parametrize("query", ["after=-1", "limit=x", "unread=true", "after=1&after=2", "before=1e3", "limit=0"])
def test_a_query_that_is_none(anns, query):
    response = anns.get(f"/api/topics/orders.7/?{query}")
    assert (response.status_code, response.json()["code"]) == (400, "invalid")


def test_nothing_is_written_there(anns):
    for method in (anns.post, anns.put, anns.delete):
        assert method("/api/topics/orders.7/").status_code == 405


# --- Publishing ---


def test_publishing_to_a_topic(service, anns):
    response = publish(service, topic="orders.7", title="packed", kind="order")
    row = TopicNotification.objects.get()
    assert (response.status_code, response.json()) == (201, {"id": str(row.pk), "stream": "t.orders.7", "seq": 1})
    assert [item["title"] for item in listed(anns)["results"]] == ["packed"]


def test_a_key_tells_once(service):
    first, again = (publish(service, "k", topic="orders.7", title="x") for _ in range(2))
    assert first.json() == again.json()
    other = publish(service, "k", topic="orders.7", title="y")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize("topic", ["nobody.listens", "orders", "ORDERS.7", "", "x" * 81, None, 7, ["orders.7"]])
def test_a_topic_that_nobody_could_hear_is_refused(service, topic):
    response = publish(service, topic=topic, title="x")
    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"topic"}
    assert not TopicNotification.objects.exists()


@pytest.mark.parametrize("others", [{"user": "ann"}, {"users": ["ann"]}])
def test_to_a_topic_or_to_people(service, others):
    response = publish(service, topic="orders.7", title="x", **others)
    assert set(response.json()["errors"]) == {"non_field_errors"}


def test_publishing_needs_the_permission_and_no_rule(anns, service):
    assert publish(anns, topic="orders.7", title="x").status_code == 403
    assert publish(service, topic="orders.7", title="x").status_code == 201, "who may publish need not listen"
