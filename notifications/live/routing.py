"""Where a handshake goes: to the consumer at the one address that is ours; elsewhere it is the site's own affair."""

from collections.abc import Awaitable, Callable
from typing import Any

from tickets.api import Door, is_socket

from .consumer import NotificationConsumer

Application = Callable[[Any, Any, Any], Awaitable[Any]]


async def nowhere(scope: Any, receive: Any, send: Any) -> None:
    """A bare 403, as for all that is refused before accept.

    Without it Django or a router raises, which is a 500 and a traceback for whoever knocks.
    """
    await send({"type": "websocket.close"})


class Sockets:
    """The ASGI application for all sockets of a site. `elsewhere` is the site's own; its scopes are not touched."""

    def __init__(self, elsewhere: Application | None = None) -> None:
        self.ours: Application = Door(NotificationConsumer.as_asgi())
        # Also where nobody is: a credential that came to the wrong address is one.
        self.elsewhere: Application = elsewhere or Door(nowhere)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await (self.ours if is_socket(scope) else self.elsewhere)(scope, receive, send)
