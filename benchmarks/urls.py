"""The site's pages, and one that publishes inside the server process: the in-memory layer reaches no other."""

from django.urls import include, path

from benchmarks import publishing

urlpatterns = [path("benchmark/publish/", publishing.view), path("", include("project.urls"))]
