from notifications.client.steps import Dial, Send, Ticket

SECRET = "a-ticket-that-nobody-may-read"


def test_no_ticket_is_in_what_is_written_down():
    url, protocols = "wss://site.example/ws/", ("usher.v1", f"usher.ticket.{SECRET}")
    for step in (Dial(url, protocols), Ticket(SECRET, url, protocols), Send({"type": "reauth", "ticket": SECRET})):
        assert SECRET not in repr(step)
        assert "…" in repr(step) or repr(step) == "Send('reauth')"
