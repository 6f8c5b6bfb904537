"""The log: one stream of numbers a person, and what each number says. And who is listening, and to what."""

import secrets
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from .ids import uuid7
from .wire.closing import CloseCode
from .wire.content import BODY_LENGTH, KIND_LENGTH, TITLE_LENGTH, URL_LENGTH, Level


def new_epoch() -> str:
    """Short, and without a colon: it stands before one in `?since=<epoch>:<seq>`."""
    return secrets.token_hex(4)


class Stream(models.Model):
    """
    The numbers of one person's notifications.

    Made when first needed and never inside a transaction of somebody else's: its row is what every publisher to this
    person queues for.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    epoch = models.CharField(
        max_length=32, default=new_epoch, help_text="Changes when the numbers can no longer be trusted."
    )
    head = models.BigIntegerField(default=0, help_text="The last number given.")
    floor = models.BigIntegerField(default=0, help_text="The last number that retention removed.")
    fence = models.BigIntegerField(default=0, help_text="Rises with every end of a session of this person.")
    state_version = models.BigIntegerField(default=0, help_text="Rises with every change of seen, read or archived.")

    def __str__(self) -> str:
        return f"stream of {self.user_id} at {self.head}"


class Acked(models.Model):
    """
    How far a person has acked what they were told, by whichever of their clients is furthest.

    Not a column of the stream, whose row every publisher queues for. See `notifications.live.acked`.
    """

    # Without a constraint: a process of the release before this one knows nothing of this table, and is to be able to
    # delete people all the same. A row that is left behind then is nobody's, and harms nobody.
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+", db_constraint=False
    )
    through = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.user_id} acked through {self.through}"


class Said(models.Model):
    """What is said, whoever it is said to, and its place in a stream."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    seq = models.BigIntegerField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    kind = models.CharField(max_length=KIND_LENGTH, blank=True)
    level = models.CharField(max_length=10, choices=[(level, level.title()) for level in Level], default=Level.INFO)
    title = models.CharField(max_length=TITLE_LENGTH)
    body = models.CharField(max_length=BODY_LENGTH, blank=True)
    url = models.CharField(max_length=URL_LENGTH, blank=True)
    data = models.JSONField(default=dict, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    # SHA-256 over caller, recipient and idempotency key; and over the content, to tell a repetition from a mistake.
    dedup = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001 (NULL: no key given)
    fingerprint = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.title


class Notification(Said):
    """
    Something a person is told.

    Written in the caller's own transaction and without a number; `seq` is given after the commit. It refers to the
    person and not to the stream, so that writing it locks nothing that other publishers need.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    seen_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["user", "seq"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "seq"], name="notification_seq")]
        indexes: ClassVar = [
            # Only what waits for its number: a handful of rows at any moment.
            models.Index(fields=["user", "id"], condition=Q(seq=None), name="notification_unnumbered"),
            # Unseen implies unread (see store.mark), so both counts are read from this one.
            models.Index(fields=["user"], condition=Q(read_at=None, archived_at=None), name="notification_unread"),
        ]


class Topic(models.Model):
    """
    A stream that everybody hears whom a rule lets listen (`notifications.topics`). Made by its first notification, or
    by the first who listens.
    """

    name = models.CharField(max_length=80, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    epoch = models.CharField(
        max_length=32, default=new_epoch, help_text="Changes when the numbers can no longer be trusted."
    )
    head = models.BigIntegerField(default=0, help_text="The last number given.")
    floor = models.BigIntegerField(default=0, help_text="The last number that retention removed.")
    fence = models.BigIntegerField(default=0, help_text="Rises whenever others may listen than before.")

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name


class TopicNotification(Said):
    """
    Something that is said on a topic, once for all who listen: it is nobody's own, and so nobody marks it as read.

    It names the topic and does not refer to its row, so that writing it locks nothing that other publishers need.
    """

    topic = models.CharField(max_length=80)

    class Meta:
        ordering: ClassVar = ["topic", "seq"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["topic", "seq"], name="notification_topic_seq")]
        indexes: ClassVar = [
            models.Index(fields=["topic", "id"], condition=Q(seq=None), name="notification_topic_late"),
        ]
        default_permissions = ("view",)


class Outbox(models.Model):
    """
    That a stream has something for the message broker: written with its numbers, in one transaction, and only where
    there is a broker. See `notifications.rabbitmq`.
    """

    # Without a constraint, as in `Acked`. Null: it is a topic's.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, db_constraint=False, null=True, related_name="+", db_index=False
    )
    topic = models.CharField(max_length=80, blank=True)
    after = models.BigIntegerField(help_text="Beyond this number.")
    noted_at = models.DateTimeField(default=timezone.now, db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.topic or f"{self.user_id}"


class Relayed(models.Model):
    """How far the message broker has a stream."""

    stream = models.CharField(max_length=90, unique=True)
    epoch = models.CharField(max_length=32)
    seq = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.stream} at {self.seq}"


class Mute(models.Model):
    """
    A kind of notification that a person does not want to be told.

    What is written of that kind while the row stands goes straight to their archive: it has its number, is found by
    whoever looks for it, is counted nowhere, and a connection passes over it.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=KIND_LENGTH)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "kind"], name="notification_mute")]

    def __str__(self) -> str:
        return self.kind


class Figures(models.Model):
    """
    What one process counted in a while, for the dashboard: written by `notifications.live.sampling`, kept for hours.

    `believed_until`: the process is taken for alive until then, and for gone if no other row of it has come.
    """

    server = models.CharField(max_length=100)
    since = models.DateTimeField()
    until = models.DateTimeField(db_index=True)
    believed_until = models.DateTimeField()
    counted = models.JSONField(
        default=dict, help_text="By figure and word, what was added to it; nothing that was not."
    )
    now = models.JSONField(default=dict, help_text="By figure and word, how much there was at the end.")

    class Meta:
        default_permissions = ("view",)
        verbose_name = "dashboard"
        verbose_name_plural = "dashboard"

    def __str__(self) -> str:
        return f"{self.server} until {self.until:%H:%M:%S}"


class Connection(models.Model):
    """
    A live, authenticated socket, as the process that holds it reported it last: for people to look at.

    Nothing is decided by it: rows come some seconds late, and where a process died without a word they stay until their
    lease is over. See `notifications.live.presence`.
    """

    name = models.CharField(max_length=32, primary_key=True, help_text="As the client was told it in welcome.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    session_id = models.UUIDField("login session", db_index=True)
    server = models.CharField(max_length=100, db_index=True, help_text="The process: host, process id, a random end.")
    network = models.CharField(max_length=64, blank=True, help_text="As much of the address as the site keeps.")
    protocol = models.CharField(max_length=32)
    opened_at = models.DateTimeField()
    cursor = models.BigIntegerField("position", null=True, blank=True, help_text="The last number it was told.")
    acked = models.BigIntegerField(null=True, blank=True, help_text="The last number that its client has acked.")
    # Without an index: it is written again and again, and the table is never large.
    leased_until = models.DateTimeField(help_text="Not live any more if nobody has renewed it by then.")
    asked_at = models.DateTimeField("asked to re-authenticate at", null=True, blank=True)
    kicked_at = models.DateTimeField("disconnected at", null=True, blank=True)
    kicked_code = models.PositiveSmallIntegerField(
        "disconnected for",
        null=True,
        blank=True,
        choices=[
            (CloseCode.DISCONNECTED_BY_STAFF.value, "by staff"),
            (CloseCode.TOO_MANY_CONNECTIONS.value, "too many connections"),
        ],
    )

    class Meta:
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("disconnect_connection", "Can disconnect connections"),
            ("ask_connection", "Can have connections re-authenticate"),
        ]

    def __str__(self) -> str:
        return self.name


class BrokerQueue(models.Model):
    """Whose a queue is that the broker made up the name of; see `notifications.rabbitmq.queues`."""

    name = models.CharField(max_length=100, primary_key=True)
    owner = models.CharField(max_length=32, help_text="As the person's stream is called, behind its dot.")
    kept_until = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
