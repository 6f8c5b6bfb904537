"""A site that has Usher somewhere below its own pages."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("under/any/prefix/", include("notifications.site_urls"))]
