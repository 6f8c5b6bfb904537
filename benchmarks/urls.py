"""The site's pages, and one that publishes inside the server process: the in-memory layer reaches no other. One that
stops counting there, and the admin as Django makes it, beside the site's own."""

from django.urls import include, path

from benchmarks import publishing, uncounted
from benchmarks.plain.admin import site

urlpatterns = [
    path("benchmark/publish/", publishing.view),
    path("benchmark/counting/", uncounted.view),
    path("plain-admin/", site.urls),
    path("", include("project.urls")),
]
