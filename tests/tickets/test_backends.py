"""How often names and passwords may be tried, wherever on the site that is asked."""

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import aauthenticate, authenticate
from django.test import Client, RequestFactory

from tickets.backends import too_often
from tickets.models import Allowance

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

PASSWORD = "correct horse"
HERE, ELSEWHERE = "203.0.113.7", "198.51.100.9"


@pytest.fixture
def people(django_user_model):
    django_user_model.objects.create_user("alice", password=PASSWORD, is_staff=True)
    django_user_model.objects.create_user("bob", password=PASSWORD, is_staff=True)
    django_user_model.objects.create_user("gone", password=PASSWORD, is_active=False)


def by_token(name, password, address):
    form = {"username": name, "password": password}
    answer = Client().post("/api/token/", form, content_type="application/json", REMOTE_ADDR=address)
    return answer.status_code, answer


def by_page(path):
    def sign_in(name, password, address):
        form = {"username": name, "password": password, "next": "/"}
        answer = Client().post(path, form, REMOTE_ADDR=address)
        # Pages: 302 is "come in", 200 the form once more.
        return {302: 200, 200: 401}.get(answer.status_code, answer.status_code), answer

    return sign_in


DOORS = {"token": by_token, "page": by_page("/accounts/login/"), "admin": by_page("/admin/login/")}


@pytest.fixture(params=DOORS)
def sign_in(request):
    return DOORS[request.param]


@pytest.fixture
def limits(settings):
    def set_to(**limits):
        settings.TICKETS = settings.TICKETS | {f"SIGN_IN_PER_MINUTE_{name}": limit for name, limit in limits.items()}

    return set_to


def test_one_name_is_tried_only_so_often(people, sign_in, limits):
    limits(NAME=2)
    for spelled in ("alice", "ＡLICE"):
        assert sign_in(spelled, "wrong", HERE)[0] == 401
    status, answer = sign_in("alice", PASSWORD, ELSEWHERE)
    assert status == 429, "though the password is right, and the address another"
    assert 25 <= int(answer.headers["Retry-After"]) <= 30
    assert sign_in("bob", PASSWORD, HERE)[0] == 200, "others are not kept out"
    assert not Allowance.objects.filter(key__icontains="alice").exists()


@pytest.mark.parametrize(
    ("attackers", "neighbour"),
    [
        ([HERE, HERE], ELSEWHERE),
        (["2001:db8::1", "2001:db8::ffff:2"], "2001:db8:0:1::1"),
    ],
    ids=["IPv4", "a /64 of IPv6"],
)
def test_one_address_tries_only_so_often(people, sign_in, limits, attackers, neighbour):
    limits(ADDRESS=2)
    for number, address in enumerate(attackers):
        assert sign_in(f"nobody{number}", "wrong", address)[0] == 401
    assert sign_in("alice", PASSWORD, attackers[-1])[0] == 429
    assert sign_in("alice", PASSWORD, neighbour)[0] == 200


def test_the_allowance_is_one_for_all_doors(people, limits):
    limits(NAME=len(DOORS))
    for sign_in in DOORS.values():
        assert sign_in("alice", "wrong", HERE)[0] == 401
    for sign_in in DOORS.values():
        assert sign_in("alice", PASSWORD, HERE)[0] == 429


def test_nobody_who_is_kept_out_has_a_password_looked_at(people, limits, monkeypatch):
    limits(NAME=1)
    by_token("alice", "wrong", HERE)
    monkeypatch.setattr("django.contrib.auth.backends.ModelBackend.authenticate", None)
    assert by_token("alice", PASSWORD, HERE)[0] == 429


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ask", [authenticate, async_to_sync(aauthenticate)], ids=["sync", "async"])
def test_whoever_asks_django_is_asked_as_well(people, limits, ask):
    limits(NAME=2)
    request = RequestFactory().post("/somebody/elses/view/", REMOTE_ADDR=HERE)
    assert ask(request, username="alice", password=PASSWORD).get_username() == "alice"
    assert ask(None, username="alice", password=PASSWORD).get_username() == "alice", "a program has no address"
    assert ask(request, username="alice", password=PASSWORD) is None
    assert too_often(request).retry_after > 0


@pytest.mark.parametrize(
    "backends",
    [
        ["django.contrib.auth.backends.ModelBackend"],
        ["django.contrib.auth.backends.ModelBackend", "tickets.backends.PasswordBackend"],
        ["django.contrib.auth.backends.AllowAllUsersModelBackend"],
    ],
    ids=["another", "another and ours", "one that lets everybody in"],
)
def test_tokens_are_limited_and_audited_whatever_backends_a_site_has(people, settings, limits, audited, backends):
    settings.AUTHENTICATION_BACKENDS = backends
    limits(NAME=2)
    assert by_token("alice", "wrong", HERE)[0] == 401
    assert by_token("alice", PASSWORD, HERE)[0] == 200
    assert by_token("alice", PASSWORD, ELSEWHERE)[0] == 429
    assert by_token("gone", PASSWORD, HERE)[0] == 401, "closed is closed"
    why = ["invalid_credentials", None, "rate_limited", "invalid_credentials"]
    assert [line.get("why") for line in audited("signed_in")] == why


def test_credentials_of_another_kind_are_for_others(db):
    assert authenticate(RequestFactory().get("/"), token="…") is None
    assert not Allowance.objects.exists()


def test_every_attempt_is_audited_and_no_name_that_may_be_a_password(
    people, sign_in, limits, audited, django_user_model
):
    limits(NAME=1)
    sign_in("alice", PASSWORD, HERE)
    sign_in("gone", PASSWORD, HERE)
    sign_in("alice", PASSWORD, HERE)
    lines = audited("signed_in")
    assert [(line["ok"], line.get("why")) for line in lines] == [
        (True, None),
        (False, "invalid_credentials"),
        (False, "rate_limited"),
    ]
    assert {line["address"] for line in lines} == {HERE}
    assert lines[1]["user"] == django_user_model.objects.get(username="gone").pk, "staff finds whose door was tried"
    assert not any(word in str(lines) for word in ("alice", "gone", PASSWORD))
