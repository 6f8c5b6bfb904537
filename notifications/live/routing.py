from django.urls import path

from .consumer import NotificationConsumer

SOCKET_PATH = "/ws/"

websocket_urlpatterns = [path(SOCKET_PATH.lstrip("/"), NotificationConsumer.as_asgi())]
