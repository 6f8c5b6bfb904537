import os
import signal
import threading
import urllib.request

import pytest
from django.core.management import CommandError, call_command

from notifications.rabbitmq import outbox
from tests.support.processes import free_port, wait_until


def test_there_must_be_a_broker(settings):
    settings.NOTIFICATIONS = {}
    with pytest.raises(CommandError, match="RABBITMQ_URL is empty"):
        call_command("relay")


@pytest.mark.parametrize("place", ["9410", "localhost:", "localhost:http"])
def test_figures_have_a_place(settings, place):
    settings.NOTIFICATIONS = {"RABBITMQ_URL": "amqp://127.0.0.1/"}
    with pytest.raises(CommandError, match=r"127\.0\.0\.1:9410"):
        call_command("relay", "--metrics", place)


@pytest.mark.django_db(transaction=True)
def test_it_tells_its_figures_and_ends_when_it_is_asked_to(settings, capfd):
    """There is no broker: it is looked for until then."""
    settings.NOTIFICATIONS = {"RABBITMQ_URL": f"amqp://127.0.0.1:{free_port()}/"}
    place, told = f"127.0.0.1:{free_port()}", []

    def look_and_end():
        def scrape():
            with urllib.request.urlopen(f"http://{place}/metrics", timeout=2) as answer:
                return answer.read().decode()

        told.append(wait_until(scrape, timeout=10, what="figures"))
        os.kill(os.getpid(), signal.SIGTERM)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    thread = threading.Thread(target=look_and_end)
    thread.start()
    try:
        call_command("relay", "--metrics", place)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        thread.join()
    assert "usher_relayed_total 0.0" in told[0] and "usher_relay_lag_seconds 0.0" in told[0]
    assert outbox.oldest() is None
