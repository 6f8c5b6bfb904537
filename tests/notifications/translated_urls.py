"""A site that has everything under the language of the page, its sockets as well."""

from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    *i18n_patterns(path("usher/", include("notifications.site_urls"))),
]
