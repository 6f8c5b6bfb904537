"""
Closing connections at the broker, which does not ask again about what it has let in: by its management API.

When a login counts no more (`tickets.api.over_broker_logins`) all connections of its person are closed; whoever has
another login comes back by it. This is repeated for a while, since one more may just have been under way.
"""

import base64
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from django.db import close_old_connections

from tickets.api import OverLogin, forget_broker_logins, over_broker_logins

from .outage import Outage

logger = logging.getLogger("notifications.relay")

ANSWER_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 1.0
THOROUGH_SECONDS: Final = 10.0
AFTERWARDS_SECONDS: Final = 10.0
"""How long it is looked for connections of a login that is over: the broker believes its cache for five seconds."""

REASON: Final = "The login session has ended."


class Management:
    """The API at that address; `http://user:password@host:15672`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        self._base = f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}/api"
        credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"

    def close_connections(self, username: str) -> int:
        """
        All that somebody of that name has; how many there were. Raises OSError.

        A connection is known here some seconds after it was opened: what is looked for once may be missed.
        """
        theirs = f"/connections/username/{quote(username, safe='')}"
        connections = self._call("GET", theirs) or []
        if connections:
            self._call("DELETE", theirs)
        return len(connections)

    def _call(self, method: str, path: str) -> Any:
        headers = {"Authorization": self._authorization, "X-Reason": REASON}
        request = urllib.request.Request(self._base + path, method=method, headers=headers)  # noqa: S310 (of the settings)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
                said = answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:  # it has closed meanwhile
                return None
            raise
        return json.loads(said) if said else None


class Enforcer:
    """Whose connections are to be closed, and for how long that is repeated."""

    def __init__(self, management: Management) -> None:
        self._management = management
        self._since: dict[int, float] = {}
        self._thorough_at = 0.0

    def look(self) -> None:
        """Once. Raises OSError, or what a database does that is away; nothing is forgotten then."""
        moment = time.monotonic()
        thorough = moment >= self._thorough_at
        over = over_broker_logins(thorough=thorough)
        for username in sorted({each.username for each in over}):
            if closed := self._management.close_connections(username):
                logger.info("closed %d connections at the broker, of user %r", closed, username)
        self._forget(over, moment)
        if thorough:
            self._thorough_at = moment + THOROUGH_SECONDS

    def _forget(self, over: list[OverLogin], moment: float) -> None:
        for each in over:
            self._since.setdefault(each.pk, moment)
        done = [pk for pk, since in self._since.items() if moment - since >= AFTERWARDS_SECONDS]
        if done:
            forget_broker_logins(done)
            for pk in done:
                del self._since[pk]


def run(enforcer: Enforcer, stopped: threading.Event) -> None:
    """Until told to stop, whatever is away meanwhile."""
    outage = Outage("connections stay open at the broker")
    while not stopped.is_set():
        try:
            enforcer.look()
        except Exception as error:  # noqa: BLE001 (whatever it is, nothing is forgotten, and it is tried again)
            close_old_connections()
            outage.goes_on(error)
            stopped.wait(outage.wait)
        else:
            outage.over()
            stopped.wait(LOOK_SECONDS)
