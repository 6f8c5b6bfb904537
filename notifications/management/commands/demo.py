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


class Command(BaseCommand):
    help = "Make the demo people, on an empty development database only, and say how they sign in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="where the site will be served")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            self.stdout.write("No demo people: DEBUG is off.")
            return
        model = get_user_model()
        with transaction.atomic():
            if model._default_manager.exists():
                self.stdout.write("No demo people: the database has users already.")
                return
            # Whoever can reach the site could read the passwords in the README.
            known = _is_loopback(options["host"])
            passwords = {name: name if known else secrets.token_urlsafe(9) for name in PEOPLE}
            for name, password in passwords.items():
                self._create(name, password)
        self.stdout.write("Demo people (name / password):")
        for name, password in passwords.items():
            self.stdout.write(f"  {name} / {password}")

    def _create(self, name: str, password: str) -> None:
        rights: dict[str, Any] = {"is_staff": True, "is_superuser": True} if name == "staff" else {}
        user = get_user_model()._default_manager.create_user(username=name, password=password, **rights)
        if name == "service":
            user.user_permissions.add(
                Permission.objects.get(content_type__app_label="notifications", codename="add_notification")
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
