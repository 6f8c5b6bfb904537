import json
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import OperationalError
from django.utils import timezone

from notifications import api
from notifications.models import Connection, Notification

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

COMPOSE = "/admin/notifications/notification/compose/"
MESSAGE = {"title": "Maintenance at noon", "body": "Half an hour.", "level": "warning"}


def preview(client, **form):
    page = client.post(COMPOSE, MESSAGE | form)
    assert page.status_code == 200
    found = re.search(r'name="preview" value="([^"]+)"', page.content.decode())
    return page.content.decode(), {**MESSAGE, **form, "preview": found and found[1], "sent": "Tell"}


def told():
    return sorted(Notification.objects.values_list("user__username", "title", "level"))


def what(*names):
    return [(name, "Maintenance at noon", "warning") for name in names]


def test_it_is_filled_in_looked_at_and_sent_once(admin_client, admin_user, people, caplog):
    caplog.set_level("INFO", logger="tickets.audit")
    assert "Tell people something" in admin_client.get("/admin/notifications/notification/").content.decode()
    assert "Preview" in admin_client.get(COMPOSE).content.decode()
    page, form = preview(admin_client, names="ann\r\n ben \r\n\r\nann", why="planned")
    assert "This tells 2 people:" in page and "<li>ann</li>" in page and "<li>ben</li>" in page
    assert told() == []
    answer = admin_client.post(COMPOSE, form, follow=True)
    assert "People told: 2." in answer.content.decode()
    assert "People told: 0." in admin_client.post(COMPOSE, form, follow=True).content.decode(), "a double click"
    assert told() == what("ann", "ben")
    line = next(json.loads(line) for line in caplog.messages if "composed_by_staff" in line)
    assert (line["by"], line["count"], line["why"], line["title"]) == (admin_user.pk, 2, "planned", MESSAGE["title"])
    assert line["names"] == "ann, ben" and "groups" not in line


def test_to_whom_is_audited(admin_client, people, caplog):
    caplog.set_level("INFO", logger="tickets.audit")
    group = Group.objects.create(name="operators")
    _page, form = preview(admin_client, groups=[group.pk], audience="staff")
    admin_client.post(COMPOSE, form)
    (line,) = [json.loads(line) for line in caplog.messages if "composed_by_staff" in line]
    assert (line["groups"], line["audience"]) == ("operators", "staff") and "names" not in line


def test_groups_and_audiences_tell_each_once(admin_client, admin_user, people):
    ann, ben, cleo = people
    group = Group.objects.create(name="operators")
    group.user_set.add(ann, ben)
    cleo.is_active = False
    cleo.save()
    now = timezone.now()
    times = {"opened_at": now, "leased_until": now + timedelta(seconds=45)}
    for name in ("c1", "c2"):
        Connection.objects.create(name=name, user=ann, session_id=uuid4(), server="s", protocol="p", **times)
    for form, count in (
        ({"groups": [group.pk]}, 2),
        ({"audience": "everybody"}, 3),
        ({"audience": "staff"}, 1),
        ({"audience": "connected"}, 1),
        ({"audience": "connected", "groups": [group.pk], "names": "ann"}, 2),
    ):
        page, _ = preview(admin_client, **form)
        assert re.search(r"This tells (\d+) ", page)[1] == str(count), form


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ({}, "Nobody was chosen"),
        ({"names": "nobody"}, "is called nobody"),
        ({"names": "ann", "title": ""}, "This field is required"),
        ({"names": "ann", "url": "javascript:alert(1)"}, "http"),
        ({"groups": ["999"]}, "999"),
        ({"audience": "the world"}, "Select a valid choice"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_said_and_not_sent(admin_client, people, form, word):
    for more in ({}, {"sent": "Tell", "preview": "p"}):
        page = admin_client.post(COMPOSE, MESSAGE | form | more)
        assert (page.status_code, word in page.content.decode()) == (200, True)
        assert told() == []


def test_it_needs_its_permission(client, django_user_model, people):
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_notification"))
    client.force_login(clerk)
    assert "Tell people something" not in client.get("/admin/notifications/notification/").content.decode()
    form = MESSAGE | {"names": "ann", "sent": "Tell", "preview": "p"}
    assert (client.get(COMPOSE).status_code, client.post(COMPOSE, form).status_code) == (403, 403)
    clerk.user_permissions.add(Permission.objects.get(codename="add_notification"))
    client.force_login(django_user_model.objects.get(pk=clerk.pk))
    _page, form = preview(client, names="ann")
    clerk.user_permissions.remove(Permission.objects.get(codename="add_notification"))
    assert client.post(COMPOSE, form).status_code == 403, "taken away since they looked"
    assert told() == []
    clerk.user_permissions.add(Permission.objects.get(codename="add_notification"))
    assert client.post(COMPOSE, form).status_code == 302
    assert told() == what("ann")


def test_trying_without_it_is_audited_as_that(client, django_user_model, caplog):
    client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
    assert client.post(COMPOSE, MESSAGE).status_code == 403
    (line,) = [json.loads(line) for line in caplog.messages if "composed_by_staff" in line]
    assert (line["event"].partition(":")[0], line["level"], line["ok"]) == ("authz_fail", "CRITICAL", False)


def test_nobody_is_offered_groups_that_they_may_not_see(client, django_user_model, people):
    theirs, other = (Group.objects.create(name=name) for name in ("operators", "board"))
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="add_notification"))
    clerk.groups.add(theirs)
    client.force_login(clerk)
    page = client.get(COMPOSE).content.decode()
    assert ("operators" in page, "board" in page) == (True, False)
    assert "Select a valid choice" in client.post(COMPOSE, MESSAGE | {"groups": [other.pk]}).content.decode()
    clerk.user_permissions.add(Permission.objects.get(codename="view_group"))
    assert "board" in client.get(COMPOSE).content.decode()


@pytest.mark.parametrize("changed", [{"title": "Maintenance at one"}, {"names": "ann\nben"}, {"audience": "everybody"}])
def test_what_was_not_shown_is_shown_first(admin_client, people, changed):
    _page, form = preview(admin_client, names="ann")
    again = admin_client.post(COMPOSE, form | changed)
    assert (again.status_code, "not what you were shown" in again.content.decode()) == (200, True)
    assert told() == []
    assert admin_client.post(COMPOSE, form).status_code == 302, "what was shown is"
    late = admin_client.post(COMPOSE, form | changed)
    assert (late.status_code, told()) == (200, what("ann")), "back in the browser, changed, and sent by the old preview"


def test_whoever_joins_a_group_meanwhile_is_shown_first(admin_client, people):
    ann, ben, _cleo = people
    group = Group.objects.create(name="operators")
    group.user_set.add(ann)
    _page, form = preview(admin_client, groups=[group.pk])
    group.user_set.set([ben])
    assert "This tells 1 person:" in admin_client.post(COMPOSE, form).content.decode()
    assert told() == []


def test_everybody_is_whoever_it_is_by_then_unless_they_are_many_more(admin_client, django_user_model, people):
    bulk = django_user_model.objects.bulk_create
    bulk(django_user_model(username=f"p{number}") for number in range(16))
    _page, form = preview(admin_client, audience="everybody")
    bulk(django_user_model(username=f"q{number}") for number in range(3))
    assert "This tells 23 people:" in admin_client.post(COMPOSE, form).content.decode()
    assert told() == []
    django_user_model.objects.get(username="q0").delete()
    assert admin_client.post(COMPOSE, form).status_code == 302
    assert len(told()) == 22


def test_a_preview_is_one_persons_and_grows_old(admin_client, client, django_user_model, people, monkeypatch):
    _page, form = preview(admin_client, names="ann")
    client.force_login(django_user_model.objects.create_superuser("root"))
    assert client.post(COMPOSE, form).status_code == 200
    monkeypatch.setattr("django.core.signing.time.time", lambda: timezone.now().timestamp() + 3601)
    assert admin_client.post(COMPOSE, form).status_code == 200
    assert told() == []


def test_what_was_interrupted_is_audited_and_goes_on_where_it_was(admin_client, django_user_model, monkeypatch, caplog):
    caplog.set_level("INFO", logger="tickets.audit")
    monkeypatch.setattr(api, "BATCH", 2)
    django_user_model.objects.bulk_create(django_user_model(username=f"p{number}") for number in range(5))
    _page, form = preview(admin_client, audience="everybody", why="planned")
    write, left = api._publish_batch, [1]

    def fail(*args):
        if not left:
            raise OperationalError("the database is away")
        left.pop()
        return write(*args)

    monkeypatch.setattr(api, "_publish_batch", fail)
    admin_client.raise_request_exception = False
    assert admin_client.post(COMPOSE, form).status_code >= 500
    monkeypatch.setattr(api, "_publish_batch", write)
    assert admin_client.post(COMPOSE, form).status_code == 302
    assert len(told()) == 6
    lines = [json.loads(line) for line in caplog.messages if "composed_by_staff" in line]
    assert [(line["ok"], line["count"], line["why"]) for line in lines] == [
        (False, 2, "interrupted"),
        (True, 4, "planned"),
    ]
    assert all(line["event"].startswith("authz_admin:") for line in lines)


def test_a_hostile_title_is_text(admin_client, people):
    page, _ = preview(admin_client, names="ann", title="<script>alert(1)</script>")
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page
