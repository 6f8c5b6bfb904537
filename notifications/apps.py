from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class NotificationsConfig(AppConfig):
    name = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        autodiscover_modules("topic_rules")
        from . import checks, deployment_checks, retention, site_checks  # noqa: F401  (importing registers the system checks)
        from .live import revocation
        from .rabbitmq import people, queues

        people.connect()
        queues.connect()
        retention.connect()
        revocation.connect()
