from datetime import UTC, datetime

from tickets.grants import IssuedTicket, Purpose, RateLimited, Refusal, SessionEnded, TicketRefused, TokenRefused


def test_an_issued_ticket_does_not_show_its_secret():
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    issued = IssuedTicket("the-secret", Purpose.CONNECT, 30, moment, moment)
    assert "the-secret" not in repr(issued) + str(issued)


def test_errors_say_what_happened():
    assert str(TicketRefused(Refusal.USED)) == "used"
    assert str(RateLimited(1.5)) == "retry after 1.500 s"
    assert str(SessionEnded()) == "unknown session"
    assert TokenRefused().code == "token_invalid"
