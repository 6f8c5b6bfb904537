"""Who may see the dashboard, and what its page is made of."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

PAGE = "/admin/notifications/figures/"
LIVE = PAGE + "live.json"

pytestmark = pytest.mark.django_db


@pytest.fixture
def clerk(client):
    person = get_user_model().objects.create_user("clerk", password="clerk", is_staff=True)
    client.force_login(person)
    return person


def test_it_needs_a_permission_of_its_own(client, clerk):
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_connection", "view_notification"]))
    for path in (PAGE, LIVE):
        assert client.get(path).status_code == 403
    assert PAGE not in client.get("/admin/").content.decode()


def test_with_it_the_page_and_the_figures_are_shown(client, clerk):
    clerk.user_permissions.set(Permission.objects.filter(codename="view_figures"))
    assert PAGE in client.get("/admin/").content.decode()
    page = client.get(PAGE)
    assert page.status_code == 200
    assert f'data-live="{LIVE}" data-look-seconds="5"' in page.content.decode()
    assert "style=" not in page.content.decode().replace('rel="stylesheet"', "")
    answer = client.get(LIVE)
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.json()["processes"] == []
    assert client.post(LIVE).status_code == 405


def test_nobody_else_gets_further_than_the_sign_in(client):
    for path in (PAGE, LIVE):
        assert client.get(path).headers["Location"].startswith("/admin/login/")


def test_nothing_else_of_the_table_is_shown_or_written(client, admin_user):
    client.force_login(admin_user)
    for path in ("add/", "1/change/", "1/delete/", "1/history/"):
        assert client.get(PAGE + path).status_code == 404
