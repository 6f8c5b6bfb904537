"""What is measured beside `project.asgi`: cookies at /ws/, tokens at /jwt/."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
http = get_asgi_application()

from django.urls import path  # noqa: E402

from benchmarks.plain.consumer import PlainConsumer  # noqa: E402
from benchmarks.plain.tokens import TokenMiddleware  # noqa: E402

consumer = PlainConsumer.as_asgi()
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": URLRouter(
            [path("ws/", AuthMiddlewareStack(consumer)), path("jwt/", TokenMiddleware(consumer))],
        ),
    }
)
