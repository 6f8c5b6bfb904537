"""Numbers that contradict each other, and what a site runs on."""

from types import SimpleNamespace

import pytest
from django.test import override_settings

from notifications import deployment_checks
from notifications.deployment_checks import check_deployed


def found(**changes):
    with override_settings(NOTIFICATIONS=changes):
        messages = check_deployed(None)
    assert all(message.hint for message in messages)
    return [message.id.removeprefix("notifications.") for message in messages]


@pytest.fixture(autouse=True)
def layer(monkeypatch):
    """In memory, or not."""
    ears = SimpleNamespace(is_in_memory=lambda: False)
    monkeypatch.setattr(deployment_checks, "ears", ears)
    return ears


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ({}, []),
        ({"GRACE_SECONDS": 60, "LIFETIME_SECONDS": 60}, ["W005"]),
        ({"GRACE_SECONDS": 59, "LIFETIME_SECONDS": 60}, []),
        ({"WINDOW": 201}, ["W006"]),
        ({"WINDOW": 200}, []),
        ({"DRAIN_SECONDS": 56}, ["W007"]),
        ({"PING_SECONDS": 60}, ["W008"]),
        ({"SOCKETS_PER_USER": 11, "SOCKETS_PER_PROCESS": 10, "UNAUTHENTICATED_PER_PROCESS": 11}, ["W009"]),
        ({"UNAUTHENTICATED_PER_ADDRESS": 201}, ["W009"]),
        ({"WINDOW": "many", "GRACE_SECONDS": None}, []),  # E002
        ({"RABBITMQ_AUTH": True}, ["W015"]),
        ({"RABBITMQ_AUTH": True, "RABBITMQ_MANAGEMENT_URL": "http://127.0.0.1:15672"}, []),
    ],
    ids=str,
)
def test_limits(changes, numbers):
    assert found(**changes) == numbers


@pytest.mark.parametrize(("vendor", "numbers"), [("postgresql", ["W010"]), ("sqlite", [])])
def test_a_layer_in_memory_is_for_one_process(layer, monkeypatch, vendor, numbers):
    layer.is_in_memory = lambda: True
    monkeypatch.setattr(deployment_checks, "connection", SimpleNamespace(vendor=vendor))
    assert found() == numbers
