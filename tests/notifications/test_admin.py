import json
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import api
from notifications.admin import ConnectionAdmin, NotificationAdmin
from notifications.live.acked import note
from notifications.models import Connection, Notification, Stream
from notifications.wire.doorbell import Asked, Kicked, stream_of
from tests.support.pages import words_of

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

CONNECTIONS = "/admin/notifications/connection/"
NOTIFICATIONS = "/admin/notifications/notification/"
STREAMS = "/admin/notifications/stream/"
PATHS = [CONNECTIONS, NOTIFICATIONS, STREAMS]


def connect(user, name, **columns):
    now = timezone.now()
    facts = {"session_id": uuid4(), "server": "host:1:a", "network": "192.0.2.0/24", "protocol": "usher.v1"}
    times = {"opened_at": now, "leased_until": now + timedelta(seconds=45)}
    return Connection.objects.create(name=name, user=user, **(facts | times | columns))


def listed(client, path, **query):
    return [str(row.pk) for row in client.get(path, query).context["cl"].result_list]


def asked(client, *names, **form):
    form = {"action": "disconnect", "index": 0, "select_across": 0, "_selected_action": names} | form
    page = client.post(CONNECTIONS, form)
    moment = re.search(r'name="confirmed" value="([^"]+)"', page.content.decode())
    del form["index"]
    return page, form | {"confirmed": moment[1] if moment else "2999-01-01T00:00:00+00:00"}


# --- Connections ---


def test_a_connection_is_shown_with_its_facts(admin_client, ann):
    row = connect(ann, "c1")
    for page in (admin_client.get(CONNECTIONS), admin_client.get(f"{CONNECTIONS}c1/change/")):
        text = page.content.decode()
        for fact in ("ann", "c1", "192.0.2.0/24", "usher.v1", "host:1:a", str(row.session_id)):
            assert fact in text
        assert f'href="/admin/tickets/loginsession/{row.session_id}/change/"' in text


def test_how_far_a_connection_is(admin_client, people, django_assert_max_num_queries):
    ann, ben, _cleo = people
    for _ in range(5):
        api.notify(ann, title="x")
    connect(ann, "a1", cursor=5, acked=5), connect(ann, "a2", cursor=3, acked=1), connect(ben, "b1")
    rows = {row.pk: row for row in admin_client.get(CONNECTIONS).context["cl"].result_list}
    page = ConnectionAdmin(Connection, None)
    assert {name: (page.behind(row), page.unacked(row)) for name, row in rows.items()} == {
        "a1": (0, 0),
        "a2": (2, 2),
        "b1": (None, None),
    }
    for number in range(50):
        connect(ann, f"more{number}", cursor=1, acked=1)
    with django_assert_max_num_queries(10):
        assert len(listed(admin_client, CONNECTIONS)) == 53


def test_when_it_was_last_heard_of(admin_client, ann):
    connect(ann, "c1", leased_until=timezone.now() + timedelta(seconds=40))
    (row,) = admin_client.get(CONNECTIONS).context["cl"].result_list
    ago = timezone.now() - ConnectionAdmin(Connection, None).last_seen(row)
    assert timedelta(seconds=5) <= ago < timedelta(seconds=15), "it is believed for 45 s"
    assert "Last seen" in admin_client.get(f"{CONNECTIONS}c1/change/").content.decode()


def test_one_whose_lease_is_over_is_not(admin_client, ann):
    connect(ann, "alive"), connect(ann, "dead", leased_until=timezone.now())
    assert listed(admin_client, CONNECTIONS) == ["alive"]
    assert admin_client.get(f"{CONNECTIONS}dead/change/").status_code == 302


def test_they_are_found_by_name_person_session_and_server(admin_client, people):
    ann, ben, _cleo = people
    row = connect(ann, "c1")
    connect(ben, "c2", server="host:2:b")
    for query in ({"q": "c1"}, {"q": "ann"}, {"q": str(row.session_id)}, {"server": "host:1:a"}):
        assert listed(admin_client, CONNECTIONS, **query) == ["c1"]
    assert listed(admin_client, CONNECTIONS, q="host") == []


def test_disconnecting_asks_marks_tells_and_is_audited(admin_client, admin_user, people, told, caplog):
    caplog.set_level("INFO", logger="tickets.audit")
    ann, ben, _cleo = people
    connect(ann, "a1"), connect(ann, "a2"), connect(ben, "b1"), connect(ben, "stays")
    page, form = asked(admin_client, "a1", "a2", "b1")
    assert "Disconnect 3 connections?" in page.content.decode()
    assert "until a person acts" in page.content.decode()
    assert told == []
    answer = admin_client.post(CONNECTIONS, form, follow=True)
    assert "Connections disconnected: 3." in answer.content.decode()
    assert {(item.stream, *item.names) for item in told if isinstance(item, Kicked)} == {
        (stream_of(ann.pk), "a1", "a2"),
        (stream_of(ben.pk), "b1"),
    }
    assert set(Connection.objects.filter(kicked_at=None).values_list("pk", flat=True)) == {"stays"}
    lines = [line for line in caplog.messages if "connection_disconnected" in line]
    assert len(lines) == 3
    assert all(f'"by": {admin_user.pk}' in line for line in lines)
    assert "being disconnected (by staff)" in admin_client.get(CONNECTIONS).content.decode()
    again = {name: form[name] for name in form if name != "confirmed"} | {"index": 0}
    assert "Nothing to disconnect" in admin_client.post(CONNECTIONS, again, follow=True).content.decode()


def test_who_gave_way_to_newer_ones_is_shown_as_that(admin_client, ann):
    connect(ann, "c1", kicked_at=timezone.now(), kicked_code=4504)
    assert "being disconnected (too many connections)" in admin_client.get(CONNECTIONS).content.decode()


def test_it_needs_its_own_permission(client, django_user_model, ann, told):
    connect(ann, "c1")
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_connection"))
    client.force_login(clerk)
    assert "Disconnect" not in client.get(CONNECTIONS).content.decode()
    page, form = asked(client, "c1")
    assert (page.status_code, client.post(CONNECTIONS, form).status_code) == (403, 403)
    assert client.get(CONNECTIONS, form).status_code == 405
    assert told == []

    clerk.user_permissions.add(Permission.objects.get(codename="disconnect_connection"))
    page, form = asked(client, "c1")
    assert (page.status_code, client.post(CONNECTIONS, form).status_code) == (200, 302)
    assert [type(item) for item in told] == [Kicked]


def test_having_them_re_authenticate_asks_marks_tells_and_is_audited(admin_client, admin_user, people, told, caplog):
    caplog.set_level("INFO", logger="tickets.audit")
    ann, ben, _cleo = people
    connect(ann, "a1"), connect(ben, "b1"), connect(ben, "stays")
    page, form = asked(admin_client, "a1", "b1", action="ask")
    assert "Re-authenticate 2 connections?" in page.content.decode() and told == []
    answer = admin_client.post(CONNECTIONS, form | {"why": "a stolen\nlaptop"}, follow=True)
    assert "Connections asked to re-authenticate: 2." in answer.content.decode()
    assert {(item.stream, *item.names) for item in told if isinstance(item, Asked)} == {
        (stream_of(ann.pk), "a1"),
        (stream_of(ben.pk), "b1"),
    }
    assert set(Connection.objects.filter(asked_at=None).values_list("pk", flat=True)) == {"stays"}
    lines = [json.loads(line) for line in caplog.messages]
    acts = [line for line in lines if line["act"] == "connection_asked"]
    assert [(line["by"], line["why"]) for line in acts] == [(admin_user.pk, "a stolen\nlaptop")] * 2
    (staff,) = [line for line in lines if line["act"] == "staff_acted"]
    assert (staff["action"], staff["count"], staff["why"]) == ("ask", 2, "a stolen\nlaptop")


def test_their_people_are_told_once_each(admin_client, admin_user, people, caplog):
    caplog.set_level("INFO", logger="tickets.audit")
    ann, ben, cleo = people
    connect(ann, "a1"), connect(ann, "a2"), connect(ben, "b1"), connect(cleo, "c1")
    page, form = asked(admin_client, "a1", "a2", "b1", action="tell")
    assert "Send a message to 3 connections?" in page.content.decode()
    said = {"title": "Maintenance at noon", "body": "One line.\r\nAnother.", "level": "warning", "url": "/status/"}
    answer = admin_client.post(CONNECTIONS, form | said | {"why": "planned"}, follow=True)
    assert "People told: 2." in answer.content.decode()
    told = Notification.objects.order_by("user").values_list("user", "title", "body", "level", "url", "seq")
    what = ("Maintenance at noon", "One line.\nAnother.", "warning", "/status/", 1)
    assert list(told) == [(ann.pk, *what), (ben.pk, *what)]
    lines = [json.loads(line) for line in caplog.messages if "told_by_staff" in line]
    assert {(line["user"], line["by"], line["why"]) for line in lines} == {
        (person.pk, admin_user.pk, "planned") for person in (ann, ben)
    }


def test_what_is_sent_twice_is_told_once(admin_client, people, caplog):
    caplog.set_level("INFO", logger="tickets.audit")
    for person in people[:2]:
        connect(person, person.username)
    _page, form = asked(admin_client, "ann", "ben", action="tell")
    form |= {"title": "x", "level": "info"}
    for said, count in ((form, 2), (form, 0), (form | {"title": "y"}, 2)):
        assert f"People told: {count}." in admin_client.post(CONNECTIONS, said, follow=True).content.decode()
    assert sorted(Notification.objects.values_list("title", flat=True)) == ["x", "x", "y", "y"]
    assert len([line for line in caplog.messages if "told_by_staff" in line]) == 4


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({}, "This field is required."),
        ({"title": "x" * 201}, "at most 200 characters"),
        ({"title": "x", "url": "javascript:alert(1)"}, "http"),
        ({"title": "x", "kind": "No Kind"}, "a-z"),
        ({"title": "x", "level": "fatal"}, "Select a valid choice"),
        ({"title": "x", "why": "w" * 201}, "at most 200 characters"),
    ],
    ids=str,
)
def test_what_nobody_can_be_told_is_asked_for_again(admin_client, ann, said, word):
    connect(ann, "a1")
    _page, form = asked(admin_client, "a1", action="tell")
    again = admin_client.post(CONNECTIONS, form | {"level": "info"} | said)
    assert (again.status_code, word in again.content.decode()) == (200, True)
    assert f'name="confirmed" value="{form["confirmed"]}"' in again.content.decode()
    assert not Notification.objects.exists()


@pytest.mark.parametrize(("action", "permission"), [("ask", "ask_connection"), ("tell", "add_notification")])
def test_each_act_has_a_permission_of_its_own(client, django_user_model, ann, action, permission):
    connect(ann, "c1")
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_connection", "disconnect_connection"]))
    client.force_login(clerk)
    page, form = asked(client, "c1", action=action)
    assert (page.status_code, client.post(CONNECTIONS, form | {"title": "x"}).status_code) == (403, 403)
    clerk.user_permissions.add(Permission.objects.get(codename=permission))
    page, form = asked(client, "c1", action=action)
    assert page.status_code == 200
    assert client.post(CONNECTIONS, form | {"title": "x", "level": "info"}).status_code == 302


# --- The log ---


def test_notifications_are_read_and_not_written(admin_client, ann):
    row = api.notify(ann, title="<i>hello</i>", body="there", idempotency_key="k", data={"a": 1})
    row.refresh_from_db()
    for page in (admin_client.get(NOTIFICATIONS), admin_client.get(f"{NOTIFICATIONS}{row.pk}/change/")):
        text = words_of(page)
        assert "&lt;i&gt;hello" in text and "<i>hello" not in text
        assert row.dedup not in text and row.fingerprint not in text
        assert "dedup" not in text and "fingerprint" not in text
    assert admin_client.get(f"{NOTIFICATIONS}add/").status_code == 403
    assert admin_client.post(f"{NOTIFICATIONS}{row.pk}/change/", {"title": "forged"}).status_code == 403
    assert admin_client.post(f"{NOTIFICATIONS}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Notification.objects.get().title == "<i>hello</i>"


def test_a_notification_is_found_by_its_id_and_its_person(admin_client, people):
    ann, ben, _cleo = people
    row, _other = api.notify(ann, title="x"), api.notify(ben, title="y")
    assert listed(admin_client, NOTIFICATIONS, q=str(row.pk)) == [str(row.pk)]
    assert listed(admin_client, NOTIFICATIONS, q="ann") == [str(row.pk)]


def test_what_became_of_a_notification(ann):
    now = timezone.now()
    state = NotificationAdmin(Notification, None).state
    assert state(Notification()) == "waiting for its number"
    assert state(Notification(seq=1)) == "unseen"
    assert state(Notification(seq=1, seen_at=now)) == "seen"
    assert state(Notification(seq=1, seen_at=now, read_at=now)) == "read"
    assert state(Notification(seq=1, seen_at=now, read_at=now, archived_at=now)) == "archived"


def test_streams_are_read_and_not_written(admin_client, ann):
    api.notify(ann, title="x")
    stream = Stream.objects.get()
    assert "ann" in admin_client.get(STREAMS, {"q": "ann"}).content.decode()
    assert admin_client.post(f"{STREAMS}{stream.pk}/change/", {"head": "0"}).status_code == 403
    assert Stream.objects.get().head == 1


def test_how_far_people_have_acked_and_by_how_many_connections(admin_client, people):
    ann, ben, _cleo = people
    for person in (ann, ben):
        api.notify(person, title="x")
    connect(ann, "a1"), connect(ann, "a2"), connect(ann, "over", leased_until=timezone.now())
    note({ann.pk: 1})
    shown = {
        row.user_id: (row.head, row.through, row.live) for row in admin_client.get(STREAMS).context["cl"].result_list
    }
    assert shown == {ann.pk: (1, 1, 2), ben.pk: (1, None, 0)}
    assert "acked through" in admin_client.get(STREAMS).content.decode().lower()


# --- All of them ---


def test_the_index_names_them(admin_client):
    page = admin_client.get("/admin/").content.decode()
    assert all(f">{name}</a>" in page for name in ("Connections", "Notifications", "Streams"))


def test_a_person_can_be_deleted_with_all_of_it(admin_client, ann):
    api.notify(ann, title="x")
    connect(ann, "c1")
    assert admin_client.post(f"/admin/auth/user/{ann.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not any(model.objects.exists() for model in (Stream, Notification, Connection))


@pytest.mark.parametrize("path", PATHS)
def test_a_full_page_costs_as_many_queries_as_an_empty_one(admin_client, django_user_model, path):
    def queries():
        with CaptureQueriesContext(connection) as asked:
            assert admin_client.get(path).status_code == 200
        return len(asked)

    people = django_user_model.objects.bulk_create(django_user_model(username=f"p{n}") for n in range(100))
    connect(people[0], "p0")
    api.notify(people[0], title="x")
    before = queries()
    api.notify_many(people[1:], title="x")
    for person in people[1:]:
        connect(person, person.username)
    assert len(listed(admin_client, path)) == 100
    assert queries() == before <= 9


@pytest.mark.parametrize("path", PATHS)
def test_pages_keep_to_the_content_security_policy(admin_client, ann, path):
    api.notify(ann, title="x")
    connect(ann, "c1")
    (row,) = listed(admin_client, path)
    pages = [admin_client.get(path), admin_client.get(f"{path}{row}/change/"), admin_client.get("/admin/")]
    if path == CONNECTIONS:
        pages.append(asked(admin_client, "c1")[0])
    for page in pages:
        assert page.status_code == 200
        assert "'unsafe" not in page["Content-Security-Policy"]
        text = page.content.decode()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
        assert text.count("<select") <= 1, "the actions; nobody is offered a list of all people"
