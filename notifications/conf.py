"""The settings of this room: `settings.NOTIFICATIONS`, read when used, so that `override_settings` works.

Every default stands here beside its reason; `notifications.checks` refuses values that make no sense.
"""

from collections.abc import Collection, Mapping
from typing import Any

from django.conf import settings


class Conf:
    """`conf.NAME` is `settings.NOTIFICATIONS["NAME"]` or the default. Seconds unless the name says otherwise."""

    @staticmethod
    def _get(name: str, default: Any) -> Any:
        return getattr(settings, "NOTIFICATIONS", {}).get(name, default)

    @property
    def AUTHENTICATION_SECONDS(self) -> float:
        """A socket without a credential is worth this much patience: a slow phone's round trips, nothing more."""
        return self._get("AUTHENTICATION_SECONDS", 5.0)

    @property
    def ON_EXPIRY(self) -> str:
        """`reauth` asks and holds, `close` closes, `ignore` goes on until the login session itself ends."""
        return self._get("ON_EXPIRY", "reauth")

    @property
    def GRACE_SECONDS(self) -> float:
        """From `reauth_required` to the close: a laptop that just woke up needs network, a ticket and a frame."""
        return self._get("GRACE_SECONDS", 60.0)

    @property
    def LIFETIME_SECONDS(self) -> float:
        """The greatest age of a connection, less up to a fifth by chance; then it is asked to come back. A day: what a
        process learnt at a handshake (a proxy's rules, an address, the code it runs) is not believed for ever."""
        return self._get("LIFETIME_SECONDS", 86_400.0)

    @property
    def AUTHENTICATE_EACH_MESSAGE(self) -> bool:
        """Whether every frame of a client but `ping` must carry a token. Off: the socket itself is what was proven, and
        a token in each frame is copied to wherever frames are."""
        return self._get("AUTHENTICATE_EACH_MESSAGE", False)

    @property
    def REAUTH_ATTEMPTS(self) -> int:
        """Refused tickets in a row on one connection: a second try is a race, a fourth is a guess."""
        return self._get("REAUTH_ATTEMPTS", 3)

    @property
    def REAUTH_SPACING(self) -> float:
        """Between two attempts, so that guessing on an open socket is no faster than over REST."""
        return self._get("REAUTH_SPACING", 1.0)

    @property
    def TOPICS_PER_CONNECTION(self) -> int:
        """Each is a rule to ask and a group to hear: a page shows a handful of things that change."""
        return self._get("TOPICS_PER_CONNECTION", 50)

    @property
    def WINDOW(self) -> int:
        """Notifications said and not yet acked. Two acks of 32 keep a fast client busy and cost little."""
        return self._get("WINDOW", 64)

    @property
    def ACK_STALL_SECONDS(self) -> float:
        """A full window that nobody acks for this long is a reader that is gone."""
        return self._get("ACK_STALL_SECONDS", 30.0)

    @property
    def PING_SECONDS(self) -> float:
        """How often a silent client should ping: below the 30 s after which home routers forget a connection."""
        return self._get("PING_SECONDS", 25.0)

    @property
    def SYNC_SECONDS(self) -> float:
        """How late a notification may be when every announcement of it was lost. One query a process and interval."""
        return self._get("SYNC_SECONDS", 2.0)

    @property
    def SWEEP_SECONDS(self) -> float:
        """How late the end of a session may be noticed when nothing announced it. One query a process and interval."""
        return self._get("SWEEP_SECONDS", 10.0)

    @property
    def PRESENCE_SECONDS(self) -> float:
        """How often a process renews its rows in the list of connections, which are believed for three times as long:
        so the list is true again within a minute of a process that was killed."""
        return self._get("PRESENCE_SECONDS", 15.0)

    @property
    def REPLAY_PAGE(self) -> int:
        """Notifications read at once for a replay; the window usually asks for fewer."""
        return self._get("REPLAY_PAGE", 200)

    @property
    def RETENTION_DAYS(self) -> float:
        """How long a notification can be resumed from and listed: a week's holiday."""
        return self._get("RETENTION_DAYS", 7.0)

    @property
    def RETENTION_COUNT(self) -> int:
        """Notifications kept of one stream, however young: nobody scrolls further."""
        return self._get("RETENTION_COUNT", 10_000)

    @property
    def SOCKETS_PER_USER(self) -> int:
        """Sockets of one person: the newest wins, since it is the one somebody is looking at."""
        return self._get("SOCKETS_PER_USER", 20)

    @property
    def SOCKETS_PER_PROCESS(self) -> int:
        """Above it a process refuses before accepting: 10,000 idle sockets take about 300 MB."""
        return self._get("SOCKETS_PER_PROCESS", 10_000)

    @property
    def UNAUTHENTICATED_PER_ADDRESS(self) -> int:
        """Sockets of one address that have not shown a credential yet: an office reconnecting at once, not a flood."""
        return self._get("UNAUTHENTICATED_PER_ADDRESS", 50)

    @property
    def UNAUTHENTICATED_PER_PROCESS(self) -> int:
        """The same for a process, against many addresses at once."""
        return self._get("UNAUTHENTICATED_PER_PROCESS", 200)

    @property
    def DRAIN_SECONDS(self) -> float:
        """How long a process that was told to end may take to send its sockets away: below the 30 s after which most
        supervisors kill."""
        return self._get("DRAIN_SECONDS", 25.0)

    @property
    def COMMANDS_PER_SECOND(self) -> float:
        """Commands (acks aside) of one connection, sustained: people do not click faster."""
        return self._get("COMMANDS_PER_SECOND", 10.0)

    @property
    def COMMAND_BURST(self) -> int:
        """Commands at once after a rest: `mark as read` on a page of notifications."""
        return self._get("COMMAND_BURST", 60)

    @property
    def FIGURES_SECONDS(self) -> float:
        """How often a process writes down what it counted, for the dashboard: one statement, fine enough for a chart of
        an hour."""
        return self._get("FIGURES_SECONDS", 10.0)

    @property
    def METRICS_TOKEN(self) -> str:
        """What `/metrics` is shown for. Empty: there is no such page, but on a development site for this machine."""
        return self._get("METRICS_TOKEN", "")

    @property
    def RABBITMQ_AUTH(self) -> bool:
        """Whether a RabbitMQ may ask who may log in there, and do what. Off: most sites have none, and nobody asks."""
        return self._get("RABBITMQ_AUTH", False)

    @property
    def RABBITMQ_AUTH_NETWORKS(self) -> Collection[str]:
        """From where it may ask. This machine: whoever may ask could try tickets, and learn who may hear what."""
        return self._get("RABBITMQ_AUTH_NETWORKS", ["127.0.0.0/8", "::1/128"])

    @property
    def RABBITMQ_AUTH_TOKENS(self) -> bool:
        """Whether an access token is a password there as well. Off: it is good for more than one login, and a broker
        hands passwords on."""
        return self._get("RABBITMQ_AUTH_TOKENS", False)

    @property
    def RABBITMQ_VHOST(self) -> str:
        """The one that people may come into."""
        return self._get("RABBITMQ_VHOST", "/")

    @property
    def RABBITMQ_URL(self) -> str:
        """Where `manage.py relay` publishes what is told (AMQP). Empty: nowhere, and nothing is noted for it."""
        return self._get("RABBITMQ_URL", "")

    @property
    def RABBITMQ_MANAGEMENT_URL(self) -> str:
        """Through which the relay closes connections when a login session ends. Empty: they stay until they end."""
        return self._get("RABBITMQ_MANAGEMENT_URL", "")

    @property
    def KINDS(self) -> Mapping[str, Any]:
        """What people call the kinds that the site tells them of: `{"ci.build": _("Builds")}`. They can be muted before
        the first one has come."""
        return self._get("KINDS", {})

    @property
    def UNMUTABLE_KINDS(self) -> Collection[str]:
        """Kinds that everybody is told whether they like it or not, such as those about their account's safety."""
        return self._get("UNMUTABLE_KINDS", ())


conf = Conf()
