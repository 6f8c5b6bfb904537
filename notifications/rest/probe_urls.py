from django.urls import path

from . import metrics, probes

urlpatterns = [
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path(".well-known/usher", probes.well_known, name="well-known"),
]
