"""A page that stops all counting in its process, or lets it go on: for `benchmarks.counting` alone."""

import json
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from notifications import figures
from notifications.live.sampling import Sampling
from tickets.figures import Counter, Histogram

_COUNTING = [(Counter, "add"), (Histogram, "observe"), (figures, "count_sent"), (Sampling, "read"), (Sampling, "write")]
_AS_IT_IS = [getattr(where, name) for where, name in _COUNTING]


def _nothing(*_: Any, **__: Any) -> None:
    """Called in its place: the line that counts is still there, as it would be with any other way to count."""


@csrf_exempt
async def view(request: HttpRequest) -> JsonResponse:
    """POST `{"counts": true}`."""
    counts = json.loads(request.body)["counts"]
    for (where, name), as_it_is in zip(_COUNTING, _AS_IT_IS, strict=True):
        setattr(where, name, as_it_is if counts else _nothing)
    return JsonResponse({})
