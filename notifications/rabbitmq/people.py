"""Who is logged in to the broker, remembered for a moment: one subscription is five questions about one person."""

import time
from collections import OrderedDict
from typing import Any, Final

from tickets.api import BrokerPerson, broker_person
from tickets.signals import person_changed, session_ended

SECONDS: Final = 1.0
MANY: Final = 1_000

_known: "OrderedDict[str, tuple[float, BrokerPerson | None]]" = OrderedDict()


def find(username: str) -> BrokerPerson | None:
    """By the name that the broker knows them by; None if nobody of it is logged in any more."""
    known = _known.get(username)
    if known is not None and time.monotonic() < known[0]:
        return known[1]
    until = time.monotonic() + SECONDS  # from before it was read
    person = broker_person(username)
    remember(username, person, until)
    return person


def remember(username: str, person: BrokerPerson | None, until: float) -> None:
    _known[username] = until, person
    _known.move_to_end(username)
    while len(_known) > MANY:
        _known.popitem(last=False)


def forget(*_args: Any, **_kwargs: Any) -> None:
    """Everybody: what ended may have been anybody's."""
    _known.clear()


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    session_ended.connect(forget, dispatch_uid="notifications.rabbitmq")
    person_changed.connect(forget, dispatch_uid="notifications.rabbitmq.people")
