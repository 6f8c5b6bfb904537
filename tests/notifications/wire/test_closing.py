import pytest

from notifications.wire.closing import CloseCode, Need

# The contract, written out: a client somewhere was built against it.
TABLE = [
    (1000, "normal", "nothing"),
    (4400, "going_away", "ticket"),
    (4401, "session_expired", "ticket"),
    (4402, "ticket_refused", "ticket"),
    (4408, "authentication_timeout", "ticket"),
    (4409, "too_slow", "ticket"),
    (4413, "unavailable", "ticket"),
    (4429, "rate_limited", "ticket"),
    (4500, "disconnected_by_staff", "login"),
    (4501, "logged_out", "login"),
    (4502, "account_disabled", "login"),
    (4503, "credentials_changed", "login"),
    (4504, "too_many_connections", "nothing"),
    (4505, "protocol_error", "nothing"),
    (4506, "message_too_big", "nothing"),
    (4507, "forbidden", "login"),
]


def test_the_codes_are_those_of_the_contract():
    assert [(int(code), code.reason, str(code.need)) for code in CloseCode] == TABLE


@pytest.mark.parametrize("code", CloseCode)
def test_the_hundreds_say_whether_to_come_back(code):
    assert code.reconnect is (4400 <= code < 4500)
    if code.reconnect:
        assert code.need is Need.TICKET, "whoever may come back by itself needs exactly a new ticket"


@pytest.mark.parametrize("code", CloseCode)
def test_every_server_can_send_them(code):
    assert code == 1000 or 3000 <= code <= 4999, "daphne raises for all others"


@pytest.mark.parametrize("code", CloseCode)
def test_each_has_a_sentence(code):
    assert code.sentence.endswith(".")
    assert code.sentence[0].isupper()
