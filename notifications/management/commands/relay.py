import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from prometheus_client import start_http_server

from notifications.conf import conf
from notifications.rest.metrics import registry


def _place(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    if not address or not port.isdecimal():
        raise ArgumentTypeError("it is an address and a port, as 127.0.0.1:9410")
    return address.strip("[]"), int(port)


class Command(BaseCommand):
    help = (
        "Publishes to RabbitMQ what people and topics are told, from when RABBITMQ_URL was set: each at least once, in "
        "the order of its stream. With RABBITMQ_MANAGEMENT_URL it closes connections there when a login session ends. "
        "Runs until it is ended; any number may run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--metrics", metavar="ADDRESS:PORT", type=_place, help="serve the relay's figures there, for Prometheus"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not conf.RABBITMQ_URL:
            raise CommandError("RABBITMQ_URL is empty: there is no broker to relay to.")
        try:
            relay = import_module("notifications.rabbitmq.relay")
        except ModuleNotFoundError as missing:
            raise CommandError(f"{missing.name} is not installed: pip install 'usher[rabbitmq]'") from None
        from notifications.rabbitmq import management

        if options["metrics"]:
            address, port = options["metrics"]
            start_http_server(port, address, registry)
        stopped, line = threading.Event(), relay.Line(conf.RABBITMQ_URL)

        def end(*_: Any) -> None:
            stopped.set()
            line.end()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        if not connection.features.has_select_for_update_skip_locked:
            self.stderr.write("On this database one relay is enough: two would publish everything twice.")
        guard = None
        if conf.RABBITMQ_MANAGEMENT_URL:
            enforcer = management.Enforcer(management.Management(conf.RABBITMQ_MANAGEMENT_URL))
            guard = threading.Thread(target=management.run, args=(enforcer, stopped), daemon=True)
            guard.start()
        self.stdout.write("Relaying …")
        try:
            relay.run(line, stopped)
        finally:
            stopped.set()
            line.close()
            if guard is not None:
                guard.join(2)
