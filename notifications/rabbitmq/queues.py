"""
Whose a queue is that RabbitMQ made up a name for, as it does for a STOMP subscription that names none.

Of a durable one the name is a digest of the destination and the subscription's id: anybody can work it out, and could
read what it keeps for somebody else. So it is theirs who declared it first, and does not exist for others. Who claims
one before its owner does has an empty queue, which they may bind to nothing of the owner's; the owner is refused.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from tickets.signals import pruning

from ..models import BrokerQueue
from . import rules

ONCE: Final = timedelta(days=60)
"""How long a queue is somebody's that was declared once: nearly all are temporary, and gone
with their connection."""

AGAIN: Final = timedelta(days=365)
"""The same of one that was declared again, since that is a durable one. Later whoever finds it has what is left."""

NOTED: Final = timedelta(days=1)
"""So much longer or nothing: a row that is written at every subscription helps nobody."""


def is_theirs(user_id: Any, name: str, *, declared: bool, now: datetime | None = None) -> bool:
    """Whether the queue is that person's; `declared` makes it theirs, if it is nobody's."""
    now = now or timezone.now()
    owner = rules.key_of(user_id)
    claimed = False
    queue = BrokerQueue.objects.filter(pk=name).first()
    if queue is None and declared:
        new = BrokerQueue(name=name, owner=owner, kept_until=now + ONCE)
        BrokerQueue.objects.bulk_create([new], ignore_conflicts=True)  # of several at once, one has it
        queue, claimed = BrokerQueue.objects.filter(pk=name).first(), True
    if queue is None or queue.owner != owner:
        return False
    if declared and not claimed and queue.kept_until < now + AGAIN - NOTED:
        BrokerQueue.objects.filter(pk=name).update(kept_until=now + AGAIN)
    return True


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    pruning.connect(prune, dispatch_uid="notifications.rabbitmq.queues")


def prune(*, now: datetime, batch_size: int, **_kwargs: Any) -> tuple[str, int]:
    """Receiver of `pruning`: whom it is long ago that they had a queue."""
    over, deleted = BrokerQueue.objects.filter(kept_until__lt=now), 0
    while names := list(over.order_by("pk").values_list("pk", flat=True)[:batch_size]):
        deleted += BrokerQueue.objects.filter(pk__in=names, kept_until__lt=now).delete()[0]
    return "broker's queues", deleted
