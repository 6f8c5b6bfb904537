"""What a load balancer and a client that has just arrived ask. Nothing here needs a credential."""

import asyncio
import functools
from typing import Any

from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from tickets.api import in_thread, socket_url, spoken

from .. import fanout
from ..conf import conf
from ..live import drain
from ..live.hub import Hub
from ..wire import protocols
from ..wire.native import FRAME_BYTES

ANSWER_SECONDS = 2.0
"""A balancer that gets no answer waits for its own timeout, and sends people here meanwhile."""


@transaction.non_atomic_requests  # Django refuses ATOMIC_REQUESTS for coroutines
async def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the event loop turns. No I/O: a database that is away must not get the process killed."""
    return HttpResponse("ok\n", content_type="text/plain")


@transaction.non_atomic_requests
@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """Whether this process should be sent traffic. A lost layer is degraded and still ready: the sync delivers.

    The answer takes no longer than `ANSWER_SECONDS`, whatever the database does.
    """
    database, migrations = await _database()
    layer = "degraded" if Hub.state() == "degraded" else fanout.state()
    draining = drain.draining()
    ready = database == "ok" and migrations == "ok" and not draining
    answer = {"database": database, "migrations": migrations, "layer": layer, "draining": draining}
    return JsonResponse(answer, status=200 if ready else 503, headers={"Cache-Control": "no-store"})


async def _database() -> tuple[str, str]:
    """How the database is, and its migrations."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await in_thread(_ask)
    except (DatabaseError, TimeoutError):
        return "unavailable", "unknown"


def _ask() -> tuple[str, str]:
    # It may go away between the two questions as well.
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok", "ok" if _migrated() else "pending"


def _migrated() -> bool:
    # Asked again until it is true: reading the migration files costs much and the answer does not turn back.
    if not _known_migrated.cache_info().currsize:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        _known_migrated()
    return True


@functools.cache
def _known_migrated() -> bool:
    return True


@require_safe
def well_known(request: HttpRequest) -> JsonResponse:
    """Where a client finds the rest."""
    limits: dict[str, Any] = {
        "frame_bytes": FRAME_BYTES,
        "window": conf.WINDOW,
        "ping_seconds": conf.PING_SECONDS,
        "grace_seconds": conf.GRACE_SECONDS,
        "replay_days": conf.RETENTION_DAYS,
        "replay_count": conf.RETENTION_COUNT,
    }
    answer = {
        "tickets": request.build_absolute_uri(reverse("usher:tickets")),
        "socket": socket_url(request),
        "protocols": [name for name in protocols.NAMES if name in spoken()],
        "limits": limits,
    }
    return JsonResponse(answer)
