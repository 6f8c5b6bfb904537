"""What `manage.py prune` removes of this room; the command sends `tickets.signals.pruning` and prints the answers."""

from datetime import datetime, timedelta
from typing import Any

from tickets.signals import pruning

from . import store, topic_store
from .conf import conf
from .live import presence, sampling


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    pruning.connect(prune, dispatch_uid="notifications.retention")
    pruning.connect(prune_connections, dispatch_uid="notifications.retention.connections")
    pruning.connect(prune_figures, dispatch_uid="notifications.retention.figures")


def prune(*, now: datetime, batch_size: int, **_kwargs: Any) -> tuple[str, int]:
    """Receiver of `pruning`: notifications beyond what can be resumed from."""
    how: Any = {"older_than": now - timedelta(days=conf.RETENTION_DAYS), "keep": conf.RETENTION_COUNT}
    how |= {"now": now, "batch": batch_size}
    return "notifications", store.prune(**how) + topic_store.prune(**how)


def prune_connections(*, now: datetime, **_kwargs: Any) -> tuple[str, int]:
    """Receiver of `pruning`: connections of processes that are gone. Running ones do the same all the while."""
    return "connections", presence.purge(now=now)


def prune_figures(*, now: datetime, **_kwargs: Any) -> tuple[str, int]:
    """Receiver of `pruning`: what the dashboard does not show any more. Running processes do the same."""
    return "figures", sampling.purge(now=now)
