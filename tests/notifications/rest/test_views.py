from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import api, store
from notifications.models import Notification, Stream
from notifications.rest import views
from notifications.wire.content import BODY_LENGTH, TITLE_LENGTH, URL_LENGTH
from notifications.wire.doorbell import Announced, AnnouncedToMany, Changed, stream_of

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

LIST = "/api/notifications/"
STATE = "/api/notifications/state/"


def errors(response):
    """The fields that a refused request is told of."""
    assert (response.status_code, response.json()["code"]) == (400, "invalid"), response.content
    found = response.json()["errors"]
    assert all(isinstance(sentence, str) for sentences in found.values() for sentence in sentences)
    return set(found)


def refusal(response):
    return response.status_code, response.json()["code"]


@pytest.fixture
def three(ann):
    """Ann was told a, b and c."""
    return [api.notify(ann, title=title) for title in "abc"]


# --- The list ---


def listed(client, query=""):
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200, response.content
    return response.json()


def titles(client, query=""):
    return "".join(item["title"] for item in listed(client, query)["results"])


def test_a_list_says_where_the_stream_stands_and_what_was_told(anns, ann):
    said = {"body": "1 < 2", "kind": "ci.build", "level": "success", "url": "/builds/7/", "data": {"build": 7}}
    row = api.notify(ann, title="Build finished", **said)
    api.mark(ann, state="seen", through=1)
    answer = listed(anns)
    (item,) = answer.pop("results")
    epoch = Stream.objects.get(user=ann).epoch
    assert answer == {"epoch": epoch, "head": 1, "state_version": 1, "unread": 1, "unseen": 0, "next": None}
    assert item == {
        "id": str(row.id),
        "seq": 1,
        "title": "Build finished",
        **said,
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
        "expires_at": None,
        "seen": True,
        "read": False,
        "archived": False,
    }


def test_the_list_of_somebody_who_was_never_told_anything(anns, ann):
    answer = listed(anns)
    assert answer["epoch"], "a position to resume from is there before the first number"
    assert (answer["head"], answer["results"], answer["next"]) == (0, [], None)


def test_the_newest_come_first_and_from_a_position_the_oldest(anns, three):
    assert titles(anns) == "cba"
    assert titles(anns, "before=3") == "ba"
    assert titles(anns, "after=0") == "abc"
    assert titles(anns, "after=1&before=3") == "b"
    assert titles(anns, f"after={2**53 - 1}") == titles(anns, "before=0") == ""


@pytest.mark.parametrize(("direction", "start", "order"), [("before", 2**53 - 1, "edcba"), ("after", 0, "abcde")])
def test_walking_page_by_page_meets_everything_once(anns, ann, direction, start, order):
    for title in "abcde":
        api.notify(ann, title=title)
    met, position = [], start
    while position is not None:
        assert len(met) < 5
        answer = listed(anns, f"{direction}={position}&limit=2")
        met += [item["title"] for item in answer["results"]]
        position = answer["next"]
    assert "".join(met) == order


def test_a_full_last_page_has_no_next(anns, three):
    assert listed(anns, "limit=3")["next"] is None


def test_filters(anns, ann, three):
    api.mark(ann, state="read", through=1)
    api.mark(ann, state="archived", ids=[three[1].id])
    assert titles(anns) == "ca"
    assert titles(anns, "unread=true") == titles(anns, "unread=1") == "c"
    assert titles(anns, "archived=true") == "b"
    assert titles(anns, "unread=false&archived=false") == "ca"


def test_searching_looks_at_titles_and_bodies_and_takes_the_words_as_they_are(anns, ann):
    api.notify(ann, title="Disk at 90%", body="on web_1")
    api.notify(ann, title="Disk at 901", body="on webx1")
    assert titles(anns, "search=DISK") == "Disk at 901Disk at 90%"
    assert titles(anns, "search=90%25") == "Disk at 90%"
    assert titles(anns, "search=web_1") == "Disk at 90%"
    assert titles(anns, "search='%20OR%20''='") == ""
    assert listed(anns, "search=")["head"] == 2


def test_what_expired_or_has_no_number_yet_is_not_listed(anns, ann, three):
    api.notify(ann, title="d", expires_at=timezone.now() - timedelta(seconds=1))
    Notification.objects.create(user=ann, title="e")
    answer = listed(anns)
    assert "".join(item["title"] for item in answer["results"]) == "cba"
    assert (answer["head"], answer["unread"]) == (4, 3)


def test_a_number_given_meanwhile_waits_for_the_next_list(anns, ann, three, monkeypatch):
    def counts_late(user_id, *, now):
        api.notify(ann, title="late")
        return 3, 3

    monkeypatch.setattr(store, "counts", counts_late)
    answer = listed(anns)
    assert (answer["head"], [item["seq"] for item in answer["results"]]) == (3, [3, 2, 1])


def test_other_peoples_notifications_are_theirs(people, client_of, three):
    _ann, ben, _cleo = people
    api.notify(ben, title="x")
    assert titles(client_of(ben)) == "x"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=-1", "after"),
        ("after=9e99", "after"),
        ("after=abc", "after"),
        ("after=", "after"),
        ("after=1.0", "after"),
        ("after=%2B1", "after"),
        ("after=1_0", "after"),
        ("after=%D9%A1", "after"),  # an Arabic one
        (f"after={2**53}", "after"),
        (f"before={'9' * 5000}", "before"),
        ("before=-1", "before"),
        ("before=true", "before"),
        ("before=%00", "before"),
        ("limit=0", "limit"),
        ("limit=-5", "limit"),
        ("limit=1e6", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("unread=maybe", "unread"),
        ("archived=", "archived"),
        ("search=%00", "search"),
        (f"search={'x' * 201}", "search"),
        ("user=ben", "user"),
        ("user_id=2", "user_id"),
        ("After=1", "After"),
        ("offset=3", "offset"),
        ("format=json", "format"),
        ("after=1&after=2", "after"),
        ("unread=true&unread=false", "unread"),
    ],
)
def test_queries_that_mean_nothing(anns, query, field):
    assert errors(anns.get(f"{LIST}?{query}")) == {field}


@pytest.mark.parametrize("limit", ["200", "201", "1000000", "9" * 30])
def test_a_list_has_at_most_200(anns, ann, limit):
    Notification.objects.bulk_create(Notification(user=ann, title="x", seq=seq) for seq in range(1, 203))
    Stream.objects.create(user=ann, head=202)
    answer = listed(anns, f"limit={limit}")
    assert (len(answer["results"]), answer["next"]) == (200, 3)


def test_a_list_takes_few_queries_however_long(anns, three, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):  # two of them to know who asks
        listed(anns)


# --- Publishing ---


def publish(client, key=None, **body):
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(LIST, body, format="json", headers=headers)


def told_titles(told):
    one_by_one = [item.event.title for message in told if isinstance(message, Announced) for item in message.items]
    many = [message for message in told if isinstance(message, AnnouncedToMany)]
    return one_by_one + [message.title for message in many for _recipient in message.recipients]


def nobody_was_told(told):
    return not Notification.objects.exists() and not Stream.objects.exists() and told == []


def test_publishing_to_one(service, ann, told):
    said = {"title": "Hello", "body": "b", "kind": "k", "level": "error", "url": "https://a.example/?q=1", "data": {}}
    response = publish(service, user="ann", **said, expires_at="2999-01-01T00:00:00+01:00")
    assert response.status_code == 201
    row = Notification.objects.get()
    assert response.json() == {"id": str(row.id), "stream": stream_of(ann.pk), "seq": 1}
    assert {name: getattr(row, name) for name in said} == said
    assert row.expires_at.isoformat() == "2998-12-31T23:00:00+00:00"
    assert told_titles(told) == ["Hello"]


def test_publishing_to_several_answers_in_the_order_asked(service, people, told):
    ann, ben, cleo = people
    api.notify(cleo, title="before")
    told.clear()
    response = publish(service, users=["cleo", "ann", "ben"], title="x")
    assert response.status_code == 201
    results = response.json()["results"]
    assert [(item["stream"], item["seq"]) for item in results] == [
        (stream_of(cleo.pk), 2),
        (stream_of(ann.pk), 1),
        (stream_of(ben.pk), 1),
    ]
    stored = {str(row.id): row.user_id for row in Notification.objects.filter(title="x")}
    assert [stored[item["id"]] for item in results] == [cleo.pk, ann.pk, ben.pk]
    assert told_titles(told) == ["x"] * 3


def test_somebody_named_twice_is_told_once_and_answered_twice(service, people, told):
    response = publish(service, users=["ben", "ann", "ben"], title="x")
    first, _other, last = response.json()["results"]
    assert first == last
    assert (Notification.objects.count(), told_titles(told)) == (2, ["x", "x"])


def test_a_list_of_one_is_answered_with_a_list(service):
    assert len(publish(service, users=["ann"], title="x").json()["results"]) == 1


def test_many_take_as_many_statements_as_two(service, people, told, django_user_model):
    django_user_model.objects.bulk_create(django_user_model(username=f"p{number}") for number in range(500))
    two, many = (
        _statements(service, users=[f"p{number}" for number in range(first, last)], title="x")
        for first, last in ((0, 2), (2, 500))
    )
    assert many == two
    assert len(told) == 2, "one announcement each"


def _statements(client, **body):
    with CaptureQueriesContext(connection) as captured:
        assert publish(client, **body).status_code == 201
    return len(captured)


def test_all_or_nobody(service, told, people, monkeypatch):
    api.notify(people[2], title="taken", idempotency_key="k", caller=f"rest:{_pk('service')}")
    told.clear()
    assert refusal(publish(service, "k", users=["ann", "ben", "cleo"], title="x")) == (409, "idempotency_conflict")
    assert list(Notification.objects.values_list("title", flat=True)) == ["taken"]
    assert told == []


def _pk(username):
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=username).pk


@pytest.mark.parametrize(
    ("to", "unknown"),
    [
        ({"user": "nobody"}, ["nobody"]),
        ({"user": "ANN"}, ["ANN"]),
        ({"user": " ann"}, [" ann"]),
        ({"users": ["ann", "nobody", "ben", "no one"]}, ["nobody", "no one"]),
    ],
)
def test_nobody_is_told_if_somebody_is_unknown(service, told, to, unknown):
    response = publish(service, **to, title="x")
    assert refusal(response) == (404, "unknown_user")
    assert response.json()["errors"] == {"users": unknown}
    assert nobody_was_told(told)


@pytest.mark.parametrize(
    ("what", "field"),
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": None}, "title"),
        ({"title": 7}, "title"),
        ({"title": "x" * 10_240}, "title"),
        ({"title": "x" * (TITLE_LENGTH + 1)}, "title"),
        ({"title": "a\x1bb"}, "title"),
        ({"body": "x" * (BODY_LENGTH + 1)}, "body"),
        ({"body": None}, "body"),
        ({"body": ["x"]}, "body"),
        ({"kind": "CI build"}, "kind"),
        ({"level": "loud"}, "level"),
        ({"level": ["info"]}, "level"),
        ({"level": None}, "level"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "data:text/html,x"}, "url"),
        ({"url": "//evil.example"}, "url"),
        ({"url": "/\\evil.example"}, "url"),
        ({"url": "java\tscript:alert(1)"}, "url"),
        ({"url": "ftp://a.example/"}, "url"),
        ({"url": "https:evil.example"}, "url"),
        ({"url": f"/{'x' * URL_LENGTH}"}, "url"),
        ({"url": None}, "url"),
        ({"data": []}, "data"),
        ({"data": "x"}, "data"),
        ({"data": {"x": "y" * 4096}}, "data"),
        ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "2999-01-01"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2999-13-45T00:00:00Z"}, "expires_at"),
        ({"expires_at": 32503680000}, "expires_at"),
        ({"expires_at": {}}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+12:00"}, "expires_at"),
        ({"to": "orders"}, "to"),
        ({"seq": 7}, "seq"),
        ({"id": "448f6143-bb89-4770-837b-aeb5cc2bc41c"}, "id"),
        ({"user": None}, "user"),
        ({"user": 1}, "user"),
        ({"user": ""}, "user"),
        ({"user": ["ann"]}, "user"),
        ({"user": "x" * 255}, "user"),
        ({"users": ["ann"]}, "non_field_errors"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_may_not_be_said(service, told, what, field):
    assert errors(publish(service, **({"user": "ann"} | ({"title": "t"} if what else {}) | what))) == {field}
    assert nobody_was_told(told)


@pytest.mark.parametrize("users", [[], "ann", {"ann": 1}, None, ["x"] * 501])
def test_users_is_a_list_of_names(service, told, users):
    assert errors(publish(service, users=users, title="x")) == {"users"}
    assert nobody_was_told(told)


@pytest.mark.parametrize("name", [1, True, None, ["ann"], ""])
def test_a_list_of_users_has_nothing_but_names(service, told, name):
    response = publish(service, users=["ann", name], title="x")
    assert (response.status_code, set(response.json()["errors"])) == (400, {"users"})
    assert nobody_was_told(told)


def test_everything_that_is_wrong_is_said_at_once(service):
    assert errors(publish(service, user="ann", title="", url="//x", level="loud")) == {"title", "url", "level"}


def test_somebody_has_to_be_named(service):
    assert errors(publish(service, title="x")) == {"non_field_errors"}


@pytest.mark.parametrize(
    ("content_type", "body", "answer"),
    [
        ("application/json", b"not json", (400, "malformed_json")),
        ("application/json", b"[]", (400, "invalid")),
        ("application/json", b'"x"', (400, "invalid")),
        ("application/json", b"", (400, "invalid")),
        ("application/json", b'{"user":"ann","user":"ben","title":"x"}', (400, "malformed_json")),
        ("application/json", b'{"user":"ann","title":"\\u0000"}', (400, "malformed_json")),
        ("application/json", b'{"user":"ann","title":"x","data":{"n":NaN}}', (400, "malformed_json")),
        ("application/json", b'{"user":"ann","title":"x","data":' + b'{"a":' * 9 + b"1" + b"}" * 10, None),
        ("application/json", b'"' + b"x" * 2**20 + b'"', (413, "body_too_large")),
        ("text/plain", b"user=ann", (415, "unsupported_media_type")),
        ("application/x-www-form-urlencoded", b"user=ann&title=x", (415, "unsupported_media_type")),
    ],
)
def test_bodies_that_are_none(service, told, content_type, body, answer):
    response = service.post(LIST, body, content_type=content_type)
    assert refusal(response) == (answer or (400, "malformed_json"))
    assert nobody_was_told(told)


def test_what_expired_already_is_numbered_and_shown_to_nobody(service, anns):
    """Refusing it would give a repeated call another answer than the first one had."""
    past = (timezone.now() - timedelta(hours=1)).isoformat()
    assert publish(service, user="ann", title="x", expires_at=past).json()["seq"] == 1
    assert listed(anns)["results"] == []


def test_publishing_needs_the_permission(anns, told, caplog):
    response = publish(anns, user="ann", title="x")
    assert '"act": "published", "ok": false' in caplog.text
    assert refusal(response) == (403, "permission_denied")
    assert "notifications.add_notification" in response.json()["detail"]
    assert nobody_was_told(told)


def test_without_the_permission_nothing_is_learned_about_people(anns):
    assert publish(anns, user="ann", title="x").json() == publish(anns, user="nobody", title="x").json()


# --- Publishing: idempotency ---


def test_repeating_a_call_repeats_its_answer(service, told):
    first = publish(service, "k", user="ann", title="x", data={"a": 1, "b": 2})
    again = publish(service, "k", user="ann", data={"b": 2, "a": 1}, title="x")
    assert (again.status_code, again.json()) == (201, first.json())
    assert (Notification.objects.count(), told_titles(told)) == (1, ["x"])


def test_repeating_a_call_to_several(service, told):
    first = publish(service, "k", users=["ben", "ann"], title="x")
    again = publish(service, "k", users=["ben", "ann"], title="x")
    assert again.json() == first.json()
    wider = publish(service, "k", users=["ann", "cleo"], title="x")
    assert wider.json()["results"][0] == first.json()["results"][1]
    assert (Notification.objects.count(), told_titles(told)) == (3, ["x"] * 3)


@pytest.mark.parametrize("other", [{"title": "y"}, {"data": {"a": 1}}, {"expires_at": "2999-01-01T00:00:00Z"}])
def test_a_key_used_for_something_else(service, other):
    publish(service, "k", user="ann", title="x")
    assert refusal(publish(service, "k", **{"user": "ann", "title": "x", **other})) == (409, "idempotency_conflict")
    assert Notification.objects.count() == 1


def test_one_moment_may_be_spelled_in_two_ways(service):
    first = publish(service, "k", user="ann", title="x", expires_at="2999-01-01T00:00:00Z")
    again = publish(service, "k", user="ann", title="x", expires_at="2999-01-01T01:00:00+01:00")
    assert again.json() == first.json()


def test_keys_are_the_callers_own(service, client_of, django_user_model):
    publish(service, "k", user="ann", title="x")
    root = client_of(django_user_model.objects.create(username="root", is_superuser=True))
    assert publish(root, "k", user="ann", title="y").status_code == 201


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_keys_that_are_none(service, told, key):
    assert errors(publish(service, key, user="ann", title="x")) == {"idempotency_key"}
    assert nobody_was_told(told)


# --- Seen, read, archived ---


def mark(client, **body):
    return client.post(STATE, body, format="json")


def test_marking_answers_with_the_counts_and_tells_the_other_devices(anns, three, told):
    response = mark(anns, through=2, state="read")
    assert (response.status_code, response.json()) == (
        200,
        {"changed": 2, "state_version": 1, "unread": 1, "unseen": 1},
    )
    (message,) = told
    assert isinstance(message, Changed)
    assert mark(anns, ids=[str(three[2].id)], state="archived").json() == {
        "changed": 1,
        "state_version": 2,
        "unread": 0,
        "unseen": 0,
    }


@pytest.mark.parametrize("state", ["seen", "read", "unread", "archived", "unarchived"])
def test_every_state_can_be_set_again_without_effect(anns, three, state):
    mark(anns, through=3, state=state)
    before = listed(anns, "archived=true"), listed(anns)
    assert mark(anns, through=3, state=state).json()["changed"] == 0
    assert (listed(anns, "archived=true"), listed(anns)) == before


def test_another_persons_notifications_stay_as_they_are(people, client_of, three, told):
    _ann, ben, _cleo = people
    told.clear()
    bens = client_of(ben)
    for body in ({"ids": [str(row.id) for row in three]}, {"ids": [str(uuid4())]}, {"through": 3}):
        answer = mark(bens, **body, state="archived")
        assert (answer.status_code, answer.json()["changed"]) == (200, 0), "the same for theirs and for none"
    assert not Notification.objects.exclude(archived_at=None).exists()
    assert told == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"through": 1}, "state"),
        ({"through": 1, "state": "deleted"}, "state"),
        ({"through": 1, "state": ["read"]}, "state"),
        ({"through": 1, "state": None}, "state"),
        ({"state": "read"}, "non_field_errors"),
        ({"state": "read", "through": 1, "ids": ["a6e1c2c0-0000-7000-8000-000000000000"]}, "non_field_errors"),
        ({"state": "read", "through": -1}, "through"),
        ({"state": "read", "through": True}, "through"),
        ({"state": "read", "through": "1"}, "through"),
        ({"state": "read", "through": 1.0}, "through"),
        ({"state": "read", "through": None}, "through"),
        ({"state": "read", "ids": []}, "ids"),
        ({"state": "read", "ids": "a6e1c2c0-0000-7000-8000-000000000000"}, "ids"),
        ({"state": "read", "ids": ["a6e1c2c0-0000-7000-8000-000000000000"] * 201}, "ids"),
        ({"state": "read", "through": 1, "user": "ben"}, "user"),
    ],
    ids=str,
)
def test_marks_that_mean_nothing(anns, three, body, field):
    response = mark(anns, **body)
    assert (response.status_code, set(response.json()["errors"])) == (400, {field})
    assert not Notification.objects.exclude(seen_at=None).exists()


@pytest.mark.parametrize("name", [1, True, -1, None, "", "1", "urn:uuid:x", {}])
def test_ids_are_uuids_as_they_are_told(anns, name):
    response = mark(anns, ids=[name], state="read")
    assert (response.status_code, set(response.json()["errors"])) == (400, {"ids"})


# --- Whoever asks ---


@pytest.mark.parametrize(("method", "path"), [("get", LIST), ("post", LIST), ("post", STATE)])
def test_strangers_learn_nothing(stranger, method, path):
    response = getattr(stranger, method)(path)
    assert refusal(response) == (401, "not_authenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", [LIST, STATE])
@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_other_methods(anns, service, method, path):
    assert refusal(getattr(service, method)(path)) == (405, "method_not_allowed")
    assert refusal(anns.get(STATE)) == (405, "method_not_allowed")


def test_another_format_is_not_spoken(anns):
    assert anns.get(LIST, headers={"accept": "text/html"}).status_code == 406


def test_a_cookie_writes_only_with_its_csrf_token(ann):
    from django.test import Client

    browser = Client(enforce_csrf_checks=True)
    browser.force_login(ann)
    body = {"through": 1, "state": "read"}
    response = browser.post(STATE, body, content_type="application/json")
    assert refusal(response) == (403, "csrf_failed")
    assert browser.get(LIST).status_code == 200


def test_the_database_is_away(anns, monkeypatch, caplog):
    def fail(*_, **__):
        raise OperationalError("connection refused")

    for module, name, call in (
        (store, "ensure_stream", lambda: anns.get(LIST)),
        (views.api, "mark", lambda: mark(anns, through=1, state="read")),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, fail)
            response = call()
            assert refusal(response) == (503, "unavailable")
            assert response.headers["Retry-After"]
    assert "Traceback" not in caplog.text
