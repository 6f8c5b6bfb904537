import json
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from notifications.models import Connection, Notification

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

COMPOSE = "/admin/notifications/notification/compose/"
MESSAGE = {"title": "Maintenance at noon", "body": "Half an hour.", "level": "warning"}


def preview(client, **form):
    page = client.post(COMPOSE, MESSAGE | form)
    assert page.status_code == 200
    found = re.search(r'name="key" value="([0-9a-f]+)"', page.content.decode())
    return page.content.decode(), {**MESSAGE, **form, "key": found and found[1], "sent": "Tell"}


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
    for more in ({}, {"sent": "Tell", "key": "k"}):
        page = admin_client.post(COMPOSE, MESSAGE | form | more)
        assert (page.status_code, word in page.content.decode()) == (200, True)
        assert told() == []


def test_it_needs_its_permission(client, django_user_model, people):
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_notification"))
    client.force_login(clerk)
    assert "Tell people something" not in client.get("/admin/notifications/notification/").content.decode()
    form = MESSAGE | {"names": "ann", "sent": "Tell", "key": "k"}
    assert (client.get(COMPOSE).status_code, client.post(COMPOSE, form).status_code) == (403, 403)
    clerk.user_permissions.add(Permission.objects.get(codename="add_notification"))
    client.force_login(django_user_model.objects.get(pk=clerk.pk))
    assert client.post(COMPOSE, form).status_code == 302
    assert told() == what("ann")


def test_a_hostile_title_is_text(admin_client, people):
    page, _ = preview(admin_client, names="ann", title="<script>alert(1)</script>")
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page
