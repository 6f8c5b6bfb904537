"""What `manage.py prune` removes of this room; the command sends `tickets.signals.pruning` and prints the answers."""

from datetime import datetime, timedelta
from typing import Any

from tickets.signals import pruning

from . import store
from .conf import conf
from .live import presence, sampling


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    pruning.connect(prune, dispatch_uid="notifications.retention")
    pruning.connect(prune_connections, dispatch_uid="notifications.retention.connections")
    pruning.connect(prune_figures, dispatch_uid="notifications.retention.figures")


def prune(*, now: datetime, batch_size: int, **_kwargs: Any) -> tuple[str, int]:
    """Receiver of `pruning`: notifications beyond what can be resumed from."""
    older_than = now - timedelta(days=conf.RETENTION_DAYS)
    return "notifications", store.prune(older_than=older_than, keep=conf.RETENTION_COUNT, now=now, batch=batch_size)


def prune_connections(*, now: datetime, **_kwargs: Any) -> tuple[str, int]:
    """Receiver of `pruning`: connections of processes that are gone. Running ones do the same all the while."""
    return "connections", presence.purge(now=now)


def prune_figures(*, now: datetime, **_kwargs: Any) -> tuple[str, int]:
    """Receiver of `pruning`: what the dashboard does not show any more. Running processes do the same."""
    return "figures", sampling.purge(now=now)
