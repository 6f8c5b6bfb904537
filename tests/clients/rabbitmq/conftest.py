"""A site, a RabbitMQ that asks it, and the relay between them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.clients.stomp.conftest import node as node
from tests.clients.stomp.conftest import packages as packages
from tests.clients.stomp.conftest import remote as remote
from tests.conftest import Site
from tests.support import rabbitmq
from tests.support.rabbitmq import Addresses, RabbitMQ


@dataclass
class Guarded:
    site: Site
    broker: RabbitMQ


@pytest.fixture(scope="module")
def guarded(stacks, stack_kind, server_kind) -> Iterator[Guarded]:
    """All of it, with what `deploy/rabbitmq` ships."""
    rabbitmq.needed()
    at = Addresses()
    site = Site(
        stacks.make(
            stack_kind,
            DJANGO_SETTINGS_MODULE="tests.clients.settings",
            RABBITMQ_AUTH="1",
            RABBITMQ_AUTH_TOKENS="1",
            RABBITMQ_URL=at.amqp_url,
            RABBITMQ_MANAGEMENT_URL=at.management_url,
        ),
        server_kind,
    )
    site.add_server()
    broker = RabbitMQ(site.server.http, at)
    site.stack.script("manage", "relay")
    yield Guarded(site, broker)
    complaints = site.server.complaints()
    broker.stop()
    site.stop()
    site.stack.stop()
    assert not complaints


def _example(remote, guarded, example, url):
    def start(user, **options):
        told = {
            "example": example,
            "site": guarded.site.server.http,
            "url": url,
            "username": user.username,
            "password": guarded.site.stack.password_of(user.username),
            "id": user.id,
            "device": "browser",
            **options,
        }
        return remote("../rabbitmq/listen.mjs", json.dumps(told))

    return start


@pytest.fixture
def mqtt(remote, guarded):
    """`async with mqtt(user, keep=True) as client:` the example of the page, told what else it is to know."""
    return _example(remote, guarded, "mqtt.js", guarded.broker.mqtt_url)


@pytest.fixture
def stomp(remote, guarded):
    return _example(remote, guarded, "stomp.js", guarded.broker.stomp_url)
