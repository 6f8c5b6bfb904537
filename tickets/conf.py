"""The settings of this room: `settings.TICKETS`, read when used, so that `override_settings` works.

Every default stands here beside its reason; `tickets.checks` refuses values that make no sense.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings

R = TypeVar("R")


class Conf:
    """`conf.NAME` is `settings.TICKETS["NAME"]` or the default. Times are in seconds unless the name says otherwise."""

    @staticmethod
    def _get(name: str, default: Any) -> Any:
        return getattr(settings, "TICKETS", {}).get(name, default)

    @property
    def TICKET_SECONDS(self) -> float:
        """A ticket's life. A client spends it at once; 30 s leave room for a slow phone, and little for a thief."""
        return self._get("TICKET_SECONDS", 30)

    @property
    def OUTSTANDING(self) -> int:
        """Unspent tickets of one person; one more revokes the oldest. Ten devices waking up at once are honest."""
        return self._get("OUTSTANDING", 10)

    @property
    def ISSUE_PER_MINUTE(self) -> int:
        """Tickets one person may ask for, sustained: a client that reconnects once a second is broken."""
        return self._get("ISSUE_PER_MINUTE", 60)

    @property
    def ISSUE_BURST(self) -> int:
        """Tickets one person may ask for at once after a rest: many tabs restored by one browser."""
        return self._get("ISSUE_BURST", 30)

    @property
    def SIGN_IN_PER_MINUTE_NAME(self) -> int:
        """Sign-ins tried under one name, sustained and at once: more than fingers type, too few to guess a password."""
        return self._get("SIGN_IN_PER_MINUTE_NAME", 10)

    @property
    def SIGN_IN_PER_MINUTE_ADDRESS(self) -> int:
        """Sign-ins tried from one address, sustained and at once: an office behind one address in the morning."""
        return self._get("SIGN_IN_PER_MINUTE_ADDRESS", 60)

    @property
    def GRANT_SECONDS(self) -> float:
        """How long a redeemed ticket entitles, at most; then the client re-authenticates (OWASP ASVS 5.0, 7.3)."""
        return self._get("GRANT_SECONDS", 900)

    @property
    def SESSION_DAYS(self) -> float:
        """The longest life of a login session, in days, whatever the Django session or the refresh token says."""
        return self._get("SESSION_DAYS", 30)

    @property
    def AUDIT_DAYS(self) -> float:
        """How long staff can search what was audited, in days. 0: only the log has it."""
        return self._get("AUDIT_DAYS", 90)

    @property
    def REDEEM_TIMEOUT(self) -> float:
        """After this `aredeem` says `Unavailable`: a client told to come back is better off than one left waiting."""
        return self._get("REDEEM_TIMEOUT", 2.0)

    @property
    def REFRESH_GRACE(self) -> float:
        """How long a spent refresh token means "a second tab was slower" (409) and not "stolen" (the session ends)."""
        return self._get("REFRESH_GRACE", 10)

    @property
    def TOKEN_KEY(self) -> str:
        """Signs access and refresh tokens. Empty: a key that is made of SECRET_KEY. One of their own can be changed
        without the other."""
        return self._get("TOKEN_KEY", "")

    @property
    def ACCESS_SECONDS(self) -> float:
        """How long an access token is good: what is signed cannot be taken back, only looked up."""
        return self._get("ACCESS_SECONDS", 900)

    @property
    def CARRIERS(self) -> list[str]:
        """The ways in that are open. A ticket: `subprotocol`, `header` (`Authorization: Ticket`), `frame` (the first
        one, or `reauth`). A JWT: `bearer` (`Authorization: Bearer`, for programs), `token_frame`. None of them is ever
        part of an address, and no page can make a browser send one of them by itself, as it sends cookies."""
        return self._get("CARRIERS", ["subprotocol", "header", "frame", "bearer", "token_frame"])

    @property
    def ALLOW_QUERY(self) -> bool:
        """Whether `?ticket=` is read. Off: addresses are logged by servers, proxies and browsers."""
        return self._get("ALLOW_QUERY", False)

    @property
    def JID_KEY(self) -> str:
        """The key shared with an application that makes JWTs for this site (AnyCable's JWT identification). Empty: none
        is accepted."""
        return self._get("JID_KEY", "")

    @property
    def JID_NAME(self) -> str:
        """What the parameter of such a token is called; the header is this with `X-` before it. AnyCable's names."""
        return self._get("JID_NAME", "jid")

    @property
    def JID_ALLOW_QUERY(self) -> bool:
        """Whether such a token is read from the address, as AnyCable's clients send it. Off: addresses are logged, and
        this token is good more than once."""
        return self._get("JID_ALLOW_QUERY", False)

    @property
    def JID_ENFORCE(self) -> bool:
        """Whether a socket that shows no such token is refused, whatever else it could show."""
        return self._get("JID_ENFORCE", False)

    @property
    def JID_IDENTIFIER(self) -> str:
        """Which of the identifiers in `ext` is the person."""
        return self._get("JID_IDENTIFIER", "user_id")

    @property
    def JID_USER_FIELD(self) -> str:
        """The field of the user model that the identifier is compared with."""
        return self._get("JID_USER_FIELD", "pk")

    @property
    def JID_SECONDS(self) -> float:
        """How long such a token may last that does not say when it was made (`iat`): without that, nobody could tell
        whether it was made before a password was changed. An hour, as AnyCable's own do."""
        return self._get("JID_SECONDS", 3600)

    @property
    def NETWORK_POLICY(self) -> str:
        """`off`, `report`, `prefix` or `exact`: how strictly a ticket is bound to the network it was issued to.

        `prefix` because phones change their last bits, and thieves seldom sit in the same /24.
        """
        return self._get("NETWORK_POLICY", "prefix")

    @property
    def REQUIRE_ORIGIN(self) -> bool:
        """Whether a handshake without Origin is refused. Off: programs send none, and no cookie authenticates here."""
        return self._get("REQUIRE_ORIGIN", False)

    @property
    def ALLOWED_ORIGINS(self) -> list[str]:
        """Origins besides the site's own, each exactly `scheme://host[:port]`."""
        return self._get("ALLOWED_ORIGINS", [])

    @property
    def TRUSTED_PROXIES(self) -> list[str]:
        """Addresses and networks (CIDR) whose forwarding headers are believed; `unix` for peers on a unix socket."""
        return self._get("TRUSTED_PROXIES", [])

    @property
    def DATABASE_THREADS(self) -> int:
        """Threads, hence database connections, that serve the sockets of one process. Read once, at first use."""
        return self._get("DATABASE_THREADS", 4)

    @property
    def REQUESTS_AT_ONCE(self) -> int:
        """Requests inside Django at once in one process, hence database connections that they may take; more wait
        outside. More would not be served faster by one interpreter; fewer would wait for each other's commits. Read
        once, at the start."""
        return self._get("REQUESTS_AT_ONCE", 4)

    @property
    def SOCKET_PATH(self) -> str:
        """Where the socket is; told to clients with each ticket. Empty: at the URL named `usher:socket`, beside the
        pages, so that what is in front of a site has one prefix to know."""
        return self._get("SOCKET_PATH", "")

    @property
    def PROTOCOLS(self) -> list[str]:
        """Subprotocols that are spoken, and beside which a ticket may be offered; the one to be told to clients first.
        Each one is another way in: a site may name only those that its clients speak."""
        stomp, cable = ["v12.stomp", "v11.stomp", "v10.stomp"], ["actioncable-v1-ext-json", "actioncable-v1-json"]
        return self._get("PROTOCOLS", ["usher.v1", *stomp, *cable])


conf = Conf()


def once(*names: str) -> Callable[[Callable[[], R]], Callable[[], R]]:
    """A function without arguments is called again only when one of these settings is another object: for what every
    handshake asks."""

    def decorate(read: Callable[[], R]) -> Callable[[], R]:
        known: tuple[list[object], R] | None = None

        @functools.wraps(read)
        def cached() -> R:
            nonlocal known
            sources = [getattr(settings, name, None) for name in names]
            if known is None or any(now is not then for now, then in zip(sources, known[0], strict=True)):
                known = sources, read()
            return known[1]

        return cached

    return decorate
