"""Who is logged in to the broker, remembered for a moment: one subscription is five questions about one person."""

import threading
import time
from collections import OrderedDict
from typing import Any, Final

from tickets.api import BrokerPerson, broker_person
from tickets.signals import person_changed, session_ended

SECONDS: Final = 1.0
MANY: Final = 1_000

_known: "OrderedDict[str, tuple[float, BrokerPerson]]" = OrderedDict()
_lock = threading.Lock()
_ends = 0


def find(username: str) -> BrokerPerson | None:
    """By the name that the broker knows them by; None if nobody of it is logged in any more."""
    with _lock:
        known = _known.get(username)
    return known[1] if known is not None and time.monotonic() < known[0] else look(username)


def look(username: str) -> BrokerPerson | None:
    """As they are now. Who is not logged in is not remembered as such: another process may let them in meanwhile."""
    ends, until = _ends, time.monotonic() + SECONDS  # from before it was read
    person = broker_person(username)
    with _lock:
        _known.pop(username, None)
        if person is not None and ends == _ends:
            _known[username] = until, person
            while len(_known) > MANY:
                _known.popitem(last=False)
    return person


def forget(*_args: Any, **_kwargs: Any) -> None:
    """Everybody, also whoever is being read: what ended may have been anybody's."""
    global _ends
    with _lock:
        _ends += 1
        _known.clear()


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    session_ended.connect(forget, dispatch_uid="notifications.rabbitmq")
    person_changed.connect(forget, dispatch_uid="notifications.rabbitmq.people")
