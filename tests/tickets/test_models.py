from uuid import UUID

import pytest
from django.contrib.auth.models import Permission

from tickets.models import Allowance, LoginSession, Ticket


def test_rows_are_named_without_secrets():
    assert str(LoginSession(pk=UUID(int=1), method="django")) == f"django {UUID(int=1)}"
    assert str(Ticket(pk=7, purpose="connect", digest="d" * 64)) == "connect ticket 7"
    assert str(Allowance(key="issue:1", tat=0)) == "issue:1"


@pytest.mark.everywhere
@pytest.mark.django_db
def test_nobody_can_be_permitted_to_write_them():
    granted = Permission.objects.filter(content_type__app_label="tickets").exclude(content_type__model="allowance")
    assert set(granted.values_list("codename", flat=True)) == {
        *("view_ticket", "revoke_ticket"),
        *("view_loginsession", "end_loginsession"),
        "view_auditevent",
    }
