import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone


class LoginSession(models.Model):
    """One sign-in of one person on one device: the authority that tickets, tokens and connections are checked against.

    It is independent of Django's session row, which tokens have none of and which says nothing after it is gone.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="login_sessions")
    method = models.CharField(max_length=32)
    # For the person to know it by: the User-Agent and the network that it began with.
    device = models.CharField(max_length=200, blank=True, db_default="")
    network = models.CharField(max_length=64, blank=True, db_default="")
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField("last seen", default=timezone.now, db_default=Now())
    expires_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=32, blank=True)
    # What the person's password was like when the session last proved itself (see tickets.accounts); and since when its
    # credentials count: older ones were made before that password.
    password_digest = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    valid_from = models.DateTimeField(null=True, blank=True)
    # Since when its tickets and tokens open sockets again: staff disconnected one (see tickets.sessions.keep_out).
    sockets_from = models.DateTimeField(null=True, blank=True)
    # The one refresh token that may be spent next, and the one before it, which may only have been slower than a
    # second tab. Both are token ids, not tokens: whoever reads the table can spend nothing.
    refresh_jti = models.CharField(max_length=64, blank=True)
    previous_jti = models.CharField(max_length=64, blank=True)
    rotated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        # Nobody adds, changes or deletes one by hand, so nobody needs a permission for it.
        default_permissions = ("view",)
        permissions = [("end_loginsession", "Can end login sessions")]

    def __str__(self) -> str:
        return f"{self.method} {self.id}"


class Cutoff(models.Model):
    """Since when somebody's credentials count, for those that name no login session: JWTs made elsewhere."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    issued_before = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.issued_before:%Y-%m-%d %H:%M:%S}"


class Ticket(models.Model):
    """A ticket's digest and what it is bound to. The ticket itself is known only to the client that asked for it."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    session = models.ForeignKey(LoginSession, models.CASCADE, related_name="tickets")
    purpose = models.CharField(max_length=16)
    # As CIDR, see network.binding(); empty: bound to none.
    network = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    redeemed_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # A person's outstanding tickets, oldest last: what issuing looks at each time.
            models.Index(
                fields=["user", "-created_at", "-id"],
                condition=models.Q(redeemed_at=None, revoked_at=None),
                name="tickets_outstanding",
            )
        ]
        default_permissions = ("view",)
        permissions = [("revoke_ticket", "Can revoke tickets")]

    def __str__(self) -> str:
        return f"{self.purpose} ticket {self.pk}"


class BrokerLogin(models.Model):
    """A login to the message broker, which asks later what the person may do and knows of no session. See
    `tickets.brokers`."""

    # It outlives its session, whose person may have been deleted: what they have open there is still to be closed.
    # Without a constraint: a process of the release before this one is to be able to delete people all the same.
    session = models.ForeignKey(LoginSession, models.DO_NOTHING, null=True, related_name="+", db_constraint=False)
    # What the broker knows the person by, whatever they are called later.
    username = models.CharField(max_length=255, db_index=True)
    vhost = models.CharField(max_length=255)
    network = models.CharField(max_length=64, blank=True)
    # Of the ticket; null for a token. Unique: at most one login comes of it.
    digest = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    logged_in_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.username} at {self.vhost}"


class Allowance(models.Model):
    """What somebody may still do: one number of the generic cell rate algorithm, see tickets.allowance."""

    key = models.CharField(max_length=100, primary_key=True)
    # "Theoretical arrival time", microseconds since 1970: whole numbers, so that limits are exact, not nearly so.
    tat = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["tat"], name="tickets_allowance_tat")]

    def __str__(self) -> str:
        return self.key


class AuditEvent(models.Model):
    """An act of the audit log, for staff to search; see tickets.audit. It names people and sessions by their keys, and
    so outlives them."""

    SEARCHED: ClassVar = {"user": 200, "by": 200, "session": 36, "ticket": 20, "address": 64, "why": 200}
    """Details that have columns of their own, and how long those are."""

    at = models.DateTimeField(db_index=True)
    act = models.CharField(max_length=40)
    ok = models.BooleanField()
    event = models.CharField(max_length=200)
    level = models.CharField(max_length=8)
    user = models.CharField(max_length=SEARCHED["user"], blank=True)
    by = models.CharField(max_length=SEARCHED["by"], blank=True)
    session = models.CharField(max_length=SEARCHED["session"], blank=True)
    ticket = models.CharField(max_length=SEARCHED["ticket"], blank=True)
    address = models.CharField(max_length=SEARCHED["address"], blank=True)
    why = models.CharField(max_length=SEARCHED["why"], blank=True)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        # What staff asks for, newest first. Most acts have nobody who asked for them.
        indexes = [
            models.Index(fields=["user", "-id"], name="tickets_audit_user"),
            models.Index(fields=["act", "-id"], name="tickets_audit_act"),
            models.Index(fields=["session"], condition=~models.Q(session=""), name="tickets_audit_session"),
            models.Index(fields=["ticket"], condition=~models.Q(ticket=""), name="tickets_audit_ticket"),
            models.Index(fields=["address", "-id"], condition=~models.Q(address=""), name="tickets_audit_address"),
            models.Index(fields=["by", "-id"], condition=~models.Q(by=""), name="tickets_audit_by"),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.event
