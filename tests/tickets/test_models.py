from uuid import UUID

from tickets.models import Allowance, LoginSession, Ticket


def test_rows_are_named_without_secrets():
    assert str(LoginSession(pk=UUID(int=1), method="django")) == f"django {UUID(int=1)}"
    assert str(Ticket(pk=7, purpose="connect", digest="d" * 64)) == "connect ticket 7"
    assert str(Allowance(key="issue:1", tat=0)) == "issue:1"
