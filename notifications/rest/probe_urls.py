from django.urls import path

from . import probes

urlpatterns = [
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path(".well-known/usher", probes.well_known, name="well-known"),
]
