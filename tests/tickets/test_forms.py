import pytest
from django.test import Client

from tickets.forms import SignInForm

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

PASSWORD = "correct horse"
WRONG = "Please enter"


@pytest.mark.parametrize("path", ["/accounts/login/", "/admin/login/"])
def test_the_page_says_for_how_long(django_user_model, settings, path):
    settings.TICKETS = settings.TICKETS | {"SIGN_IN_PER_MINUTE_NAME": 1}
    django_user_model.objects.create_user("alice", password=PASSWORD, is_staff=True)
    form = {"username": "alice", "password": "wrong"}
    assert WRONG in Client().post(path, form).content.decode()
    answer = Client().post(path, form | {"password": PASSWORD})
    assert "Too many attempts. Try again in 60 seconds." in answer.content.decode()
    assert WRONG not in answer.content.decode()
    assert answer.context["form"].fields["username"], "and is still a form"


def test_without_a_request_there_is_only_right_and_wrong(db):
    form = SignInForm(data={"username": "alice", "password": "wrong"})
    assert not form.is_valid()
    assert "Please enter a correct" in str(form.errors)


def test_whoever_is_no_staff_is_audited_as_refused_though_the_password_was_right(django_user_model, audited):
    user = django_user_model.objects.create_user("alice", password=PASSWORD)
    assert Client().post("/admin/login/", {"username": "alice", "password": PASSWORD}).status_code == 200
    assert audited("staff_acted") == [{"act": "staff_acted", "ok": False, "action": "sign_in", "by": user.pk}]
