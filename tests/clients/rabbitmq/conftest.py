"""A site, a RabbitMQ that asks it, and the relay between them."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.stomp.conftest import node as node
from tests.clients.stomp.conftest import packages as packages
from tests.clients.stomp.conftest import remote as remote
from tests.conftest import Site
from tests.deploy.conftest import nginx as nginx
from tests.deploy.fleet import DEPLOY
from tests.support import rabbitmq
from tests.support.processes import Process, free_port, wait_until
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


MAIN = """
daemon off; pid {here}/nginx.pid; error_log stderr; worker_processes 1; events {{ }}
http {{
    client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi; uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
    access_log off; proxy_http_version 1.1; include {usher}/http.conf;
    server {{ listen 127.0.0.1:{port}; include {here}/sockets.conf; }}
}}
"""


@pytest.fixture
def front(guarded, nginx):
    """nginx with deploy/nginx/usher/rabbitmq-sockets.conf, but for the ports: its address."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="usher-nginx-") as name:
        here = Path(name)
        sockets = (DEPLOY / "nginx" / "usher" / "rabbitmq-sockets.conf").read_text()
        for shipped, kind in ((15674, "stomp"), (15675, "mqtt")):
            sockets = sockets.replace(f"127.0.0.1:{shipped}/", f"127.0.0.1:{guarded.broker.ports[kind]}/")
        (here / "sockets.conf").write_text(sockets)
        (here / "nginx.conf").write_text(MAIN.format(here=here, usher=DEPLOY / "nginx" / "usher", port=port))
        with Process([nginx, "-e", "stderr", "-c", str(here / "nginx.conf")], log_path=here / "log") as process:
            wait_until((here / "nginx.pid").exists, timeout=10, what=f"nginx: {process.log()}")
            yield f"ws://127.0.0.1:{port}"
