from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from tickets.pruning import BATCH, prune
from tickets.signals import pruning


class Command(BaseCommand):
    help = "Deletes what has expired, in this room and in every app that listens to tickets.signals.pruning."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch-size", type=int, default=BATCH, help="rows a transaction (default %(default)s)")

    def handle(self, *, batch_size: int, **options: Any) -> None:
        if batch_size < 1:
            raise CommandError("--batch-size must be at least 1.")
        now = timezone.now()
        for name, count in prune(now=now, batch_size=batch_size):
            self._say(name, count)
        failed = []
        for listener, answer in pruning.send_robust(sender=type(self), now=now, batch_size=batch_size):
            if isinstance(answer, Exception):
                failed.append(f"{listener.__module__}: {answer!r}")
            else:
                self._say(*answer)
        if failed:
            raise CommandError("; ".join(failed))

    def _say(self, name: str, count: int) -> None:
        self.stdout.write(f"{name}: {count} deleted")
