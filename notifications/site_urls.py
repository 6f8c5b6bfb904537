"""Usher's pages, its API and its socket, under whatever prefix a site includes them:

path("usher/", include("notifications.site_urls"))
"""

from django.urls import include, path, re_path

from tickets.rest import NowhereView

from . import views
from .conf import conf

app_name = "usher"

urlpatterns = [
    path("", include("notifications.urls")),
    path("api/", include("tickets.urls")),
    path("api/", include("notifications.rest.urls")),
    re_path("^api/", NowhereView.as_view()),
    path("ws/", views.no_socket, name="socket"),
    path("stomp", views.no_socket, name="stomp"),
    path("cable", views.no_socket, name="cable"),
    path("", include("notifications.rest.probe_urls")),
    *([path("rabbitmq/auth/", include("notifications.rabbitmq.urls"))] if conf.RABBITMQ_AUTH else []),
]
