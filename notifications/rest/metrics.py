"""`GET /metrics`: this process's figures as Prometheus reads them. It asks nobody anything, least of all the database.

Each process tells its own; whoever collects them asks each process. See docs/operations.md for how.
"""

import secrets
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from django.conf import settings
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tickets.api import caller_of
from tickets.figures import Counter, Gauge, Histogram, every

from ..conf import conf

PREFIX: Final = "usher_"


class Figures(Collector):
    """All that is counted here, in Prometheus' words. Every series is there from the start, at 0."""

    def collect(self) -> Iterator[Metric]:
        for figure in every():
            match figure:
                case Counter():
                    yield _counter(figure)
                case Gauge(read=read) if read is not None:
                    yield _gauge(figure)
                case Histogram():
                    yield _histogram(figure)


def _counter(figure: Counter) -> Metric:
    family = CounterMetricFamily(PREFIX + figure.name, figure.about, labels=figure.by)
    for word, value in figure.values.items():
        family.add_metric([word] if figure.by else [], value)
    return family


def _gauge(figure: Gauge) -> Metric:
    family = GaugeMetricFamily(PREFIX + figure.name, figure.about, labels=figure.by)
    for words, value in figure.now().items():
        family.add_metric(words, value)
    return family


def _histogram(figure: Histogram) -> Metric:
    family = HistogramMetricFamily(PREFIX + figure.name, figure.about, labels=figure.by)
    for word, counts in figure.counts.items():
        reached, buckets = 0, []
        for bound, count in zip(figure.bounds, counts, strict=True):
            reached += count
            buckets.append((floatToGoString(bound), float(reached)))
        family.add_metric([word] if figure.by else [], buckets, figure.sums[word])
    return family


registry: Final = CollectorRegistry()
registry.register(Figures())
for _standard in (ProcessCollector, PlatformCollector, GCCollector):  # memory, descriptors, CPU; which Python
    _standard(registry=registry)


@transaction.non_atomic_requests
@csrf_exempt  # it changes nothing, and a page that is not there answers 404 to a form as well
async def metrics(request: HttpRequest) -> HttpResponse:
    """The figures for whoever shows the token; without one in the settings, for this machine on a development site.
    Nobody else learns that there is such a page."""
    if not _may_read(request):
        raise Http404
    if request.method not in ("GET", "HEAD"):  # said to those alone who may know
        return HttpResponseNotAllowed(["GET", "HEAD"])
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type, headers={"Cache-Control": "no-store"})


def _may_read(request: HttpRequest) -> bool:
    if conf.METRICS_TOKEN:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return secrets.compare_digest(shown, f"Bearer {conf.METRICS_TOKEN}".encode())
    address = caller_of(request).address
    return settings.DEBUG and address is not None and ip_address(address).is_loopback
