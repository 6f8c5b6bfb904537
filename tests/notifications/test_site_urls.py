"""All of it under a prefix that nobody here has thought of."""

import json

import pytest
from django.template import RequestContext, Template
from django.test import override_settings
from django.urls import resolve, reverse

from notifications.urls import urlpatterns as pages

PREFIX = "/under/any/prefix/"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def prefixed():
    with override_settings(ROOT_URLCONF="tests.notifications.prefixed_urls", LOGIN_URL="admin:login"):
        yield


def test_every_page_leads_only_below_it(client, ann):
    client.force_login(ann)
    assert len(pages) >= 4
    for name in ("inbox", "devices"):
        answer = client.get(reverse(f"usher:{name}"))
        assert answer.status_code == 200
        html = answer.content.decode()
        addresses = [part.partition('"')[0] for how in ('href="', 'action="') for part in html.split(how)[1:]]
        local = [address for address in addresses if not address.startswith(("/static/", "#", "?"))]
        assert local and all(address.startswith(PREFIX) for address in local), local


def test_the_elements_and_whoever_asks_are_told_addresses_below_it(client, rf, ann):
    request = rf.get("/theirs/")
    request.user = ann
    html = Template("{% load usher %}{% usher_head %}").render(RequestContext(request))
    block = json.loads(html.partition('type="application/json">')[2].partition("</script>")[0])
    login = block["urls"].pop("login")
    assert login == "/admin/login/"
    assert len(block["urls"]) >= 5
    assert all(url.startswith(PREFIX) and resolve(url) for url in block["urls"].values())
    told = client.get(f"{PREFIX}.well-known/usher").json()
    assert told["tickets"] == f"http://testserver{PREFIX}api/tickets/"
    assert told["socket"] == f"ws://testserver{PREFIX}ws/"


def test_a_ticket_names_the_socket_below_it(client, ann):
    client.force_login(ann)
    ticket = client.post(f"{PREFIX}api/tickets/", content_type="application/json").json()
    assert ticket["url"] == f"ws://testserver{PREFIX}ws/"


def test_whoever_is_not_signed_in_is_sent_to_the_sites_own_page(client):
    assert client.get(PREFIX).headers["Location"] == f"/admin/login/?next={PREFIX}"


def test_forms_come_back_below_it(client, ann):
    client.force_login(ann)
    assert client.post(f"{PREFIX}mark/", {"read": "all", "through": "0"}).headers["Location"] == PREFIX
    assert client.post(f"{PREFIX}devices/end/", {"session": "others"}).headers["Location"] == f"{PREFIX}devices/"


@pytest.mark.parametrize("path", ["nowhere/", "token/", "token/refresh/"])
def test_nothing_else_is_there_and_no_way_in_by_a_password_alone(client, path):
    answer = client.post(f"{PREFIX}api/{path}", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("upgrade", [{}, {"Upgrade": "websocket"}], ids=["a request", "a handshake"])
def test_a_handshake_that_nobody_took_is_told_to_whoever_runs_the_site(client, caplog, upgrade):
    answer = client.get(reverse("usher:socket"), headers=upgrade)
    assert answer.status_code == 400
    assert ("notifications.asgi" in caplog.text) == bool(upgrade)
