from django.conf import settings
from django.db import models
from django.utils import timezone


class Message(models.Model):
    """What the plain way stores of a notification: the same columns, and nothing that Usher adds."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=64, blank=True)
    level = models.CharField(max_length=10, default="info")
    title = models.CharField(max_length=200)
    body = models.CharField(max_length=4000, blank=True)
    url = models.CharField(max_length=2000, blank=True)
    data = models.JSONField(default=dict, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "plain"

    def __str__(self) -> str:
        return self.title

    def as_json(self) -> dict[str, object]:
        """As its frame says it; the number is the row's, so that clients can ack it."""
        return {
            "type": "notification",
            "seq": self.pk,
            "id": str(self.pk),
            "kind": self.kind,
            "level": self.level,
            "title": self.title,
            "body": self.body,
            "url": self.url,
            "data": self.data,
            "created_at": self.created_at.isoformat(),
            "read": self.read_at is not None,
        }
