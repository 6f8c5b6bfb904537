"""
RabbitMQ for tests: Debian's program as a node of its own, with its own data, ports, cookie and epmd.

    broker = RabbitMQ(site.server.http)     # asks this site, as deploy/rabbitmq/rabbitmq.conf has it
    broker.amqp_url, broker.management_url  # with the account of the broker's own that the relay has
    broker.stomp_url, broker.mqtt_url       # its WebSockets
    broker.kill(); broker.start()           # the same data at the same addresses
    broker.stop()

It takes some ten seconds to start.
"""

import base64
import json
import os
import re
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT, Process, free_port, wait_until
from tests.support.services import Service

PROGRAMS = next(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"), None)
"""None where it is not installed."""

SHIPPED = ROOT / "deploy" / "rabbitmq"
ACCOUNT = "usher-relay"
PASSWORD = "relay-of-the-tests"  # of a node that lives for a test
LEFT_OUT = "LEFT OUT, no RabbitMQ: `apt install rabbitmq-server`, or SYSTEM_PACKAGES=1 make test"


def needed() -> None:
    """Without it a test is left out, loudly; with CI=true that is a failure."""
    if PROGRAMS is None:
        if os.environ.get("CI") == "true":
            pytest.fail(LEFT_OUT)
        pytest.skip(LEFT_OUT)


class Addresses:
    """Where a node will be found; a site that is to know that is started before it."""

    def __init__(self) -> None:
        self.ports = {kind: free_port() for kind in ("amqp", "epmd", "distribution", "stomp", "mqtt", "management")}

    @property
    def amqp_url(self) -> str:
        return f"amqp://{ACCOUNT}:{PASSWORD}@127.0.0.1:{self.ports['amqp']}/"

    @property
    def management_url(self) -> str:
        return f"http://{ACCOUNT}:{PASSWORD}@127.0.0.1:{self.ports['management']}"

    @property
    def stomp_url(self) -> str:
        return f"ws://127.0.0.1:{self.ports['stomp']}/ws"

    @property
    def mqtt_url(self) -> str:
        return f"ws://127.0.0.1:{self.ports['mqtt']}/ws"


class RabbitMQ(Addresses, Service):
    name = "rabbitmq"
    stop_signal = signal.SIGTERM

    def __init__(self, site: str = "http://127.0.0.1:1", at: Addresses | None = None) -> None:
        """`site`: whom it asks who may do what."""
        self.site = site
        self.ports = (at or Addresses()).ports
        Service.__init__(self)

    def prepare(self) -> None:
        (self.directory / "rabbitmq.conf").write_text(self._configuration())
        (self.directory / "enabled_plugins").write_text((SHIPPED / "enabled_plugins").read_text())
        # Nodes of a machine stand in the list of its epmd; this one has a list of its own.
        self._epmd = Process(
            ["epmd", "-address", "127.0.0.1", "-port", str(self.ports["epmd"])],
            log_path=self.directory / "epmd.log",
        )

    def _configuration(self) -> str:
        """What is shipped, but for the addresses."""
        text = (SHIPPED / "rabbitmq.conf").read_text().replace("http://127.0.0.1:8000", self.site)
        moved = {
            "listeners.tcp.1": f"127.0.0.1:{self.ports['amqp']}",
            "web_stomp.tcp.port": self.ports["stomp"],
            "web_mqtt.tcp.port": self.ports["mqtt"],
            "management.tcp.port": self.ports["management"],
        }
        for name, value in moved.items():
            text, found = re.subn(rf"^{re.escape(name)} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
            assert found == 1, name
        own = {"default_user": ACCOUNT, "default_pass": PASSWORD, "default_user_tags.administrator": "true"}
        return text + "".join(f"{name} = {value}\n" for name, value in own.items())

    def command(self) -> list[str]:
        assert PROGRAMS is not None, LEFT_OUT
        return [str(PROGRAMS / "rabbitmq-server")]

    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return own | {
            "HOME": str(self.directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.directory / "advanced.config"),
            "RABBITMQ_DIST_PORT": str(self.ports["distribution"]),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(self.directory / "feature_flags"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.directory / "generated"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(self.directory),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_NODENAME": f"usher{self.ports['amqp']}@localhost",
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            # Few cores: a scheduler that waits by turning round and round takes time from the others.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def wait_ready(self, timeout: float = 90) -> None:
        wait_until(self.answers, timeout=timeout, what=f"answer from {self.name}", every=0.2)

    def answers(self) -> bool:
        for kind in ("stomp", "mqtt"):  # the last that it opens
            self.manage("GET", f"/health/checks/port-listener/{self.ports[kind]}")
        return self.manage("GET", "/health/checks/alarms")["status"] == "ok"

    def manage(self, method: str, path: str, body: object = None) -> Any:
        """The management API's answer; None if it has none."""
        credentials = base64.b64encode(f"{ACCOUNT}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(  # an address of ours
            f"http://127.0.0.1:{self.ports['management']}/api{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            said = answer.read()
        return json.loads(said) if said else None

    def stop(self) -> None:
        super().stop()
        self._epmd.stop()
