import secrets
from argparse import ArgumentParser
from typing import Any, TextIO, cast

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from notifications.api import IdempotencyConflict, InvalidContent, notify, notify_many
from notifications.management.progress import Progress
from notifications.wire.content import Level, parse_data


class Command(BaseCommand):
    help = "Tell people something: one, several, or everybody whose account is active."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="*")
        parser.add_argument("--all", action="store_true", help="everybody whose account is active")
        parser.add_argument("--title", required=True)
        parser.add_argument("--body", default="")
        parser.add_argument("--kind", default="", help="your own word for the sort of thing, such as ci.build")
        parser.add_argument("--level", default=Level.INFO.value, choices=[level.value for level in Level])
        parser.add_argument("--url", default="", help="http(s), or a path on this site")
        parser.add_argument("--data", default="{}", help="a JSON object")
        parser.add_argument("--expires-at", help="ISO 8601 with time zone")
        parser.add_argument("--idempotency-key", help="repeating the command with it tells nobody twice")

    def handle(self, *args: Any, **options: Any) -> None:
        names = list(dict.fromkeys(options["username"]))
        if bool(names) == options["all"]:
            raise CommandError("Name people, or say --all.")
        try:
            if len(names) == 1:
                self._tell_one(names[0], options)
            else:
                self._tell_many(_everybody() if options["all"] else _people(names), options)
        except (InvalidContent, IdempotencyConflict) as error:
            raise CommandError(str(error)) from None

    def _tell_one(self, name: str, options: dict[str, Any]) -> None:
        user = _people([name]).get()
        row = notify(user, idempotency_key=options["idempotency_key"], **_said(options))
        self.stdout.write(f"{user.get_username()} was told number {row.seq} ({row.id}).")

    def _tell_many(self, people: QuerySet[Any], options: dict[str, Any]) -> None:
        """With a key, made up if none was given, so that whatever interrupts it can be gone on from."""
        key = options["idempotency_key"]
        key = secrets.token_hex(8) if key is None else key
        # Not through Django's wrapper, which ends every text with a line break.
        progress = Progress(people.count(), out=cast("TextIO", self.stderr._out))
        try:
            told = notify_many(people, idempotency_key=key, progress=progress, **_said(options))
        except (KeyboardInterrupt, DatabaseError) as error:
            progress.end()
            why = "Interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
            raise CommandError(
                f"{why}. {progress.done:,} people were told, and perhaps some of the next 500. "
                f"To tell exactly the others, repeat the command with --idempotency-key={key}",
                returncode=130 if isinstance(error, KeyboardInterrupt) else 1,
            ) from None
        progress.end()
        before = progress.done - told
        self.stdout.write(f"{told:,} people were told{f'; {before:,} had been told before' if before else ''}.")


def _everybody() -> QuerySet[Any]:
    model = get_user_model()
    try:
        model._meta.get_field("is_active")
    except FieldDoesNotExist:  # every account of a model without it is active
        return model._default_manager.all()
    return model._default_manager.filter(is_active=True)


def _people(names: list[str]) -> QuerySet[Any]:
    """Nobody is told anything if one of them is unknown."""
    model = get_user_model()
    found = model._default_manager.filter(**{f"{model.USERNAME_FIELD}__in": names})
    known = set(found.values_list(model.USERNAME_FIELD, flat=True))
    if unknown := [name for name in names if name not in known]:
        raise CommandError(f"There is no user {', '.join(map(repr, unknown))}.")
    return found


def _said(options: dict[str, Any]) -> dict[str, Any]:
    said = {name: options[name] for name in ("title", "body", "kind", "level", "url")}
    return {**said, "data": parse_data(options["data"]), "expires_at": _moment(options["expires_at"])}


def _moment(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return parse_datetime(text) or text
    except ValueError:
        return text
