from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, deployment_checks, retention, site_checks  # noqa: F401  (importing registers the system checks)
        from .live import revocation

        retention.connect()
        revocation.connect()
