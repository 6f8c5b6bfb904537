from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_datetime

from notifications.api import IdempotencyConflict, InvalidContent, notify
from notifications.wire.content import Level, parse_data


class Command(BaseCommand):
    help = "Tell a person something."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--title", required=True)
        parser.add_argument("--body", default="")
        parser.add_argument("--kind", default="", help="your own word for the sort of thing, such as ci.build")
        parser.add_argument("--level", default=Level.INFO.value, choices=[level.value for level in Level])
        parser.add_argument("--url", default="", help="http(s), or a path on this site")
        parser.add_argument("--data", default="{}", help="a JSON object")
        parser.add_argument("--expires-at", help="ISO 8601 with time zone")
        parser.add_argument("--idempotency-key", help="repeating the command with it tells nothing twice")

    def handle(self, *args: Any, **options: Any) -> None:
        model = get_user_model()
        try:
            user = model._default_manager.get_by_natural_key(options["username"])
        except model.DoesNotExist:
            raise CommandError(f"There is no user {options['username']!r}.") from None
        said = {name: options[name] for name in ("title", "body", "kind", "level", "url")}
        try:
            row = notify(
                user,
                **said,
                data=parse_data(options["data"]),
                expires_at=_moment(options["expires_at"]),
                idempotency_key=options["idempotency_key"],
            )
        except (InvalidContent, IdempotencyConflict) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{user.get_username()} was told number {row.seq} ({row.id}).")


def _moment(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return parse_datetime(text) or text
    except ValueError:
        return text
