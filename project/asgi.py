"""HTTP to Django, sockets to the consumer: the application that daphne and uvicorn serve."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# First: it loads the apps that everything imported below belongs to.
http = get_asgi_application()

from notifications.live.lifespan import lifespan  # noqa: E402
from notifications.live.routing import websocket_urlpatterns  # noqa: E402
from project import collecting, daphne_sockets, uvicorn_sockets  # noqa: E402
from tickets.api import Door, TrustedScheme  # noqa: E402
from tickets.concurrency import Concurrency  # noqa: E402

daphne_sockets.install()
uvicorn_sockets.install()

# The door is outermost: routers hand on copies of the scope, and a credential must be gone from the one that servers
# log.
application = ProtocolTypeRouter(
    {
        "http": TrustedScheme(Concurrency(http, unbounded=("/healthz", "/readyz"), prompt="/api/")),
        "websocket": Door(URLRouter(websocket_urlpatterns)),
        "lifespan": lifespan,
    }
)

collecting.install()  # last: what was loaded so far stays
