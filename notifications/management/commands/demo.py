import ipaddress
import secrets
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management.base import BaseCommand
from django.db import transaction

PEOPLE = ("demo", "alice", "staff", "service")
"""On a loopback address the password of each is their name."""


class Command(BaseCommand):
    help = "Make the demo people, on an empty development database only, and say how the demo people sign in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="where the site will be served")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            self.stdout.write("No demo people: DEBUG is off.")
            return
        # Whoever can reach the site could read the known passwords in the README.
        known = _is_loopback(options["host"])
        with transaction.atomic():
            somebody = get_user_model()._default_manager.exists()
            passwords = self._met_again(known) if somebody else self._made(known)
        if not passwords:
            self.stdout.write(
                "The database has users already; none of them is a demo person with the password they were made with "
                "on a loopback address. A new password: manage.py changepassword NAME."
            )
            return
        self.stdout.write("Demo people (name / password):")
        for name, password in passwords.items():
            self.stdout.write(f"  {name} / {password}")

    def _made(self, known: bool) -> dict[str, str]:
        passwords = {name: name if known else _random_password() for name in PEOPLE}
        for name, password in passwords.items():
            rights: dict[str, Any] = {"is_staff": True, "is_superuser": True} if name == "staff" else {}
            user = get_user_model()._default_manager.create_user(username=name, password=password, **rights)
            if name == "service":
                user.user_permissions.add(
                    Permission.objects.get(content_type__app_label="notifications", codename="add_notification")
                )
        return passwords

    def _met_again(self, known: bool) -> dict[str, str]:
        """Who of them still has the known password; where others can reach the site, they get another one here."""
        passwords = {}
        model = get_user_model()
        for user in model._default_manager.filter(**{f"{model.USERNAME_FIELD}__in": PEOPLE}).order_by("pk"):
            name = user.get_username()
            if not user.check_password(name):
                continue
            passwords[name] = name if known else _random_password()
            if not known:
                user.set_password(passwords[name])
                user.save(update_fields=["password"])
        return passwords


def _random_password() -> str:
    return secrets.token_urlsafe(9)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
