"""
Closing connections at the broker, which does not ask again about what it has let in: by its management API.

When a login counts no more (`tickets.api.over_broker_logins`) all connections of its person are closed; whoever has
another login comes back by it. This is repeated some times, since one more may just have been under way.
"""

import base64
import logging
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from django.db import close_old_connections

from tickets.api import OverLogin, forget_broker_logins, over_broker_logins

from .outage import Outage

logger = logging.getLogger("notifications.relay")

ANSWER_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 1.0
THOROUGH_SECONDS: Final = 10.0
AGAIN_AFTER: Final = (0.0, 1.0, 3.0, 6.0, 10.0)
"""When connections of a login that is over are closed. The broker believes its cache for five seconds; and seldom,
since whoever has another login comes back between two of these, and is sent away again."""

REMEMBERED_SECONDS: Final = 600.0

AWAY: Final = (OSError, HTTPException)
"""What an API that is away, or breaks off, is to whoever asks it."""

REASON: Final = "The login session has ended."


class Management:
    """The API at that address; `http://user:password@host:15672`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/api"
        credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        # Not through what the environment calls a proxy, which would be told the password.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def close_connections(self, username: str) -> None:
        """
        All that somebody of that name has. Raises one of `AWAY`.

        By name, not out of the list of all, which shows a connection when it is some seconds old, and is long.
        """
        url = f"{self._base}/connections/username/{quote(username, safe='')}"
        headers = {"Authorization": self._authorization, "X-Reason": REASON}
        request = urllib.request.Request(url, method="DELETE", headers=headers)  # noqa: S310 (of the settings)
        with self._opener.open(request, timeout=ANSWER_SECONDS):
            pass


class Enforcer:
    """Whose connections are to be closed, and for how long that is repeated."""

    def __init__(self, management: Management) -> None:
        self._management = management
        self._closed: dict[int, tuple[float, int]] = {}  # login -> when first, and how often
        self._thorough_at = 0.0

    def look(self) -> None:
        """Once. Raises one of `AWAY`, or what a database does that is away; what was left is done the next time."""
        moment = time.monotonic()
        thorough = moment >= self._thorough_at
        due = [each for each in over_broker_logins(thorough=thorough) if self._is_due(each, moment)]
        failed: list[Exception] = []
        for username in sorted({each.username for each in due}):
            try:
                self._management.close_connections(username)
            except urllib.error.HTTPError as error:  # it is there, and does not like this one
                failed.append(error)
            else:
                self._note([each for each in due if each.username == username], moment)
        self._forget(moment)
        if failed:
            raise failed[0]
        if thorough:
            self._thorough_at = moment + THOROUGH_SECONDS

    def _is_due(self, login: OverLogin, moment: float) -> bool:
        since, times = self._closed.get(login.pk, (moment, 0))
        return moment - since >= AGAIN_AFTER[times]

    def _note(self, logins: list[OverLogin], moment: float) -> None:
        for each in logins:
            since, times = self._closed.get(each.pk, (moment, 0))
            self._closed[each.pk] = since, times + 1
            if not times:
                logger.info("closed what user %r had open at the broker", each.username)

    def _forget(self, moment: float) -> None:
        done = [pk for pk, (_since, times) in self._closed.items() if times == len(AGAIN_AFTER)]
        if done:
            forget_broker_logins(done)
        # Others run relays as well, and may have forgotten some.
        old = [pk for pk, (since, _times) in self._closed.items() if moment - since > REMEMBERED_SECONDS]
        for pk in {*done, *old}:
            del self._closed[pk]


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
