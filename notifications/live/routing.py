from typing import Any

from django.urls import path, re_path

from .consumer import NotificationConsumer

SOCKET_PATH = "/ws/"


async def nowhere(scope: Any, receive: Any, send: Any) -> None:
    """Any other path: a bare 403, as for all that is refused before accept.

    Without it the router raises, which is a 500 and a traceback for whoever knocks.
    """
    await send({"type": "websocket.close"})


websocket_urlpatterns = [
    path(SOCKET_PATH.lstrip("/"), NotificationConsumer.as_asgi()),
    re_path("", nowhere),  # type: ignore[arg-type]  # Channels routes to ASGI applications, not to views
]
