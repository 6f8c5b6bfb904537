from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from notifications import topics

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rules(monkeypatch):
    monkeypatch.setattr(topics, "_rules", [])

    @topics.rule("orders.{order_id:int}")
    def may_read_order(user, order_id):
        if order_id == 7:
            return True
        raise topics.Denied("order is closed\x1b[2J")


def explain(*arguments):
    out = StringIO()
    call_command("explain", *arguments, stdout=out)
    return out.getvalue()


def test_which_rule_decides_and_what(django_user_model):
    django_user_model.objects.create_user("ann")
    allowed, denied = explain("ann", "orders.7"), explain("ann", "orders.8")
    for said in (allowed, denied):
        assert "rule     'orders.{order_id:int}': tests.notifications.management.commands.test_explain." in said
    assert "may_read_order(user, order_id=7)" in allowed and "allowed  the rule says so" in allowed
    assert "denied   order is closed?[2J" in denied
    assert explain("ann", "orders.x") == "denied   no rule names such a topic\n"


def test_what_cannot_be_explained(django_user_model):
    django_user_model.objects.create_user("ann")
    with pytest.raises(CommandError, match="no user"):
        explain("nobody", "orders.7")
    with pytest.raises(CommandError, match="A topic's name"):
        explain("ann", "Orders 7")
