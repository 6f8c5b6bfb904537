"""What a site's `asgi.py` says:

application = with_usher(get_asgi_application())
"""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.routing import ProtocolTypeRouter
from django.urls import NoReverseMatch, get_script_prefix, reverse

from tickets.api import PATIENT_SECONDS, PROMPT_SECONDS, Concurrency, RequestIds, TrustedScheme, once, path_of

from .live.lifespan import lifespan
from .live.routing import Sockets
from .servers.mending import mend

Application = Callable[[Any, Any, Any], Awaitable[Any]]


def with_usher(http: Application, *, websocket: Application | None = None) -> ProtocolTypeRouter:
    """The application that a server serves: `http` is Django's, `websocket` the site's own for sockets at other
    addresses than Usher's; without one they are refused.

    It has to be outermost: routers hand on copies of the scope, and a credential must be gone from the one that servers
    log. The servers of this process are mended, see `servers`.
    """
    mend()
    return ProtocolTypeRouter(
        {
            "http": RequestIds(TrustedScheme(Concurrency(http, patience=patience))),
            "websocket": RequestIds(Sockets(websocket)),
            "lifespan": lifespan,
        }
    )


def patience(scope: Any) -> float | None:
    """How long a request may be inside Django, see `Concurrency`: what is not Usher's is never kept waiting."""
    path = path_of(scope)
    try:
        pages, api, probes = _places()
    except NoReverseMatch:
        return None
    if not path.startswith(pages) or path in probes:
        return None
    return PROMPT_SECONDS if path.startswith(api) else PATIENT_SECONDS


@once("ROOT_URLCONF")
def _places() -> tuple[str, str, frozenset[str]]:
    """Where the pages begin on this site, where the API does, and the probes."""
    pages, tickets, *probes = (
        "/" + reverse(f"usher:{name}").removeprefix(get_script_prefix())
        for name in ("inbox", "tickets", "healthz", "readyz", "metrics")
    )
    return pages, tickets.removesuffix("tickets/"), frozenset(probes)
