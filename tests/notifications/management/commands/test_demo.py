import io
import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.management import call_command

from notifications.management.commands.demo import PEOPLE

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

KNOWN = {name: name for name in PEOPLE}


@pytest.fixture(autouse=True)
def development(settings):
    settings.DEBUG = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the usual one takes its time


def demo(host="127.0.0.1"):
    """What the command printed, and the logins in it."""
    out = io.StringIO()
    call_command("demo", host=host, stdout=out)
    return out.getvalue(), dict(re.findall(r"^  (\S+) / (\S+)$", out.getvalue(), re.MULTILINE))


def logins(host="127.0.0.1"):
    return demo(host)[1]


def person(name):
    return get_user_model().objects.get(username=name)


def test_the_demo_people_and_what_they_may():
    assert logins() == KNOWN
    assert all(person(name).check_password(name) for name in PEOPLE)
    assert (person("staff").is_staff, person("staff").is_superuser) == (True, True)
    assert [user.username for user in get_user_model().objects.filter(is_staff=True)] == ["staff"]
    may_publish = [name for name in PEOPLE if person(name).has_perm("notifications.add_notification")]
    assert may_publish == ["staff", "service"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])
def test_on_a_loopback_address_the_password_is_the_name(host):
    assert logins(host) == KNOWN


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "[::]", "usher.example", "localhost.example", ""])
def test_where_others_can_reach_the_site_passwords_are_random_and_printed(host):
    printed = logins(host)
    assert set(printed) == set(PEOPLE)
    assert all(person(name).check_password(password) for name, password in printed.items())
    assert min(map(len, printed.values())) >= 12
    assert len(set(printed.values())) == len(PEOPLE)


# --- The second run ---


def test_a_second_run_prints_the_logins_again_and_changes_nothing():
    logins()
    before = list(get_user_model().objects.order_by("pk").values())
    assert logins() == KNOWN
    assert list(get_user_model().objects.order_by("pk").values()) == before


def test_a_second_run_leaves_out_whoever_changed_their_password_or_is_gone():
    logins()
    get_user_model().objects.filter(username="alice").update(password=make_password("a secret"))
    get_user_model().objects.filter(username="service").delete()
    assert logins() == {"demo": "demo", "staff": "staff"}
    assert not get_user_model().objects.filter(username="service").exists()


def test_random_passwords_cannot_be_printed_again_and_stay():
    printed = logins("0.0.0.0")
    for host in ("0.0.0.0", "127.0.0.1"):
        said, again = demo(host)
        assert again == {}
        assert "changepassword" in said
    assert all(person(name).check_password(password) for name, password in printed.items())


def test_known_passwords_do_not_outlive_the_loopback_address():
    """First `make run`, then `make run HOST=0.0.0.0`: a superuser whose password is in the README must not be there."""
    logins()
    get_user_model().objects.filter(username="alice").update(password=make_password("a secret"))
    printed = logins("0.0.0.0")
    assert set(printed) == {"demo", "staff", "service"}
    assert all(person(name).check_password(password) for name, password in printed.items())
    assert not any(person(name).check_password(name) for name in PEOPLE)
    assert person("alice").check_password("a secret")


# --- When nothing happens ---


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_nothing_happens_beside_other_users(host):
    get_user_model().objects.create(username="ben", password=make_password("ben"))
    before = list(get_user_model().objects.values())
    said, printed = demo(host)
    assert printed == {}
    assert "has users already" in said
    assert list(get_user_model().objects.values()) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("met_before", [False, True])
def test_nothing_happens_with_debug_off(settings, host, met_before):
    if met_before:
        logins()
    settings.DEBUG = False
    before = list(get_user_model().objects.values())
    said, printed = demo(host)
    assert (said, printed) == ("No demo people: DEBUG is off.\n", {})
    assert list(get_user_model().objects.values()) == before
