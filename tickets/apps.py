import importlib

from django.apps import AppConfig


class TicketsConfig(AppConfig):
    name = "tickets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Each registers something when imported: signal receivers, system checks, descriptions for the schema.
        for module in ("django_sessions", "checks", "site_checks", "deployment_checks", "schema"):
            importlib.import_module(f"tickets.{module}")
        importlib.import_module("tickets.accounts").connect()
