"""docs/clients/rabbitmq.md names what is there; what it shows is run in tests/clients/rabbitmq."""

import re

from notifications.rabbitmq import grammar, rules
from notifications.rabbitmq.outbox import Parcel
from notifications.rabbitmq.relay import message_of
from tests.notifications.rabbitmq.test_relay import EVENT
from tests.support.processes import ROOT

PAGE = (ROOT / "docs" / "clients" / "rabbitmq.md").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()


def test_what_it_names_is_there():
    for name in re.findall(r"`(RABBITMQ_[A-Z_]+)", PAGE):
        assert f"#{name}=" in EXAMPLE, name
    for name in re.findall(r"`usher/([a-z-]+\.conf)`", PAGE):
        assert (ROOT / "deploy" / "nginx" / "usher" / name).is_file(), name
    for name in ("rabbitmq.conf", "enabled_plugins"):
        assert f"`{name}`" in PAGE and (ROOT / "deploy" / "rabbitmq" / name).is_file()
    assert (ROOT / "deploy" / "systemd" / "usher-relay.service").is_file()


def test_what_it_promises():
    headers = message_of(Parcel("e1", EVENT, None)).headers
    assert all(f"`{name}`" in PAGE for name in headers)
    assert rules.EXCHANGE in PAGE and all(f"`rabbitmq-{tag}`" in PAGE for tag in grammar.TAGS)
    queues = ["usher.user.7.phone", "stomp-subscription-x", "mqtt-subscription-usher.7.phoneqos1"]
    assert all(rules.may_use(7, "queue", name, "configure") for name in queues)
    assert (
        "`usher.user.<id>.*`" in PAGE
        and "`stomp-subscription-*` that they declared first" in PAGE
        and "`usher.<id>.`" in PAGE
    )
