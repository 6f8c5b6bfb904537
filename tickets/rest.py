"""The REST vocabulary of the whole site: problem documents, a strict parser, strict fields, and the base of views.

Views and authenticators raise; `problem_response` is the one place that answers, always with a problem document
(RFC 9457). Nothing here asks what the site has in REST_FRAMEWORK: that is for its own views.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import UTC
from functools import singledispatch
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError, transaction
from django.http import Http404
from django.utils import translation
from rest_framework import ISO_8601, exceptions, serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.settings import DEFAULTS, IMPORT_STRINGS, APISettings, api_settings
from rest_framework.utils import json
from rest_framework.views import APIView, set_rollback

from tickets.django_sessions import DjangoSessionAuthentication
from tickets.grants import RateLimited, RefreshRaced, SessionEnded, TokenRefused, Unavailable
from tickets.parsing import LARGEST_BODY, StrictJSONParser, parse_json, too_large
from tickets.problems import Problem
from tickets.tokens import SessionTokenAuthentication

__all__ = [
    "MomentField",
    "NowhereView",
    "Problem",
    "ProblemSerializer",
    "StrictBooleanField",
    "StrictCharField",
    "StrictIntegerField",
    "StrictJSONParser",
    "StrictSerializer",
    "StrictView",
    "described",
    "parse_json",
    "problem_response",
]

log = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

RETRY_UNAVAILABLE = 2
"""Seconds after which to try again when the database is away."""


# Problems ------------------------------------------------------------------------------------------------------------


def problem_response(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """The answer to whatever a view raised; None, hence a 500 that is logged, for what is nobody's fault but ours."""
    problem = _as_problem(exc)
    if problem is None:
        return None
    set_rollback()
    if problem.status_code == HTTPStatus.UNAUTHORIZED:  # RFC 9110, section 15.5.2: it must say how to authenticate
        problem.headers.setdefault("WWW-Authenticate", 'Bearer realm="api"')
    return Response(_document(problem), status=problem.status_code, headers=problem.headers, content_type=PROBLEM_JSON)


def _document(problem: Problem) -> dict[str, Any]:
    body = {
        "type": "about:blank",  # RFC 9457, section 4.2.1: then the title is the status's own
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": str(problem.detail),
        "code": problem.code,
    }
    if problem.errors is not None:
        body["errors"] = problem.errors
    return body


def unavailable_body() -> bytes:
    """The problem document of a 503, for whoever has to answer without a view."""
    return json.dumps(_document(_unavailable())).encode()


@singledispatch
def _as_problem(exc: Exception) -> Problem | None:
    return None


@_as_problem.register
def _(exc: exceptions.APIException) -> Problem:
    codes = exc.get_codes()
    code = codes if isinstance(codes, str) else exc.default_code
    detail = str(exc.detail) if isinstance(exc.detail, str) else str(exc.default_detail)
    wait = getattr(exc, "wait", None)
    return Problem(status=exc.status_code, code=code, detail=detail, headers=_retry_after(wait) if wait else None)


@_as_problem.register
def _(exc: Problem) -> Problem:
    return exc


@_as_problem.register
def _(exc: exceptions.ValidationError) -> Problem:
    errors = dict(exc.detail) if isinstance(exc.detail, dict) else {}
    of_no_field = exc.detail if isinstance(exc.detail, list) else errors.pop(api_settings.NON_FIELD_ERRORS_KEY, None)
    if of_no_field:
        errors["non_field_errors"] = of_no_field  # whatever the site calls them
    return Problem(status=400, code="invalid", detail="The request is not valid; see errors.", errors=errors)


@_as_problem.register
def _(exc: Http404) -> Problem:
    return Problem(status=404, code="not_found", detail="There is no such thing here.")


@_as_problem.register
def _(exc: PermissionDenied) -> Problem:
    return Problem(status=403, code="permission_denied", detail="You may not do this.")


@_as_problem.register
def _(exc: SuspiciousOperation) -> Problem:
    # Thousands of parameters, a malformed Host: Django would log each with a traceback.
    return Problem(status=400, code="bad_request", detail="The request is malformed.")


@_as_problem.register
def _(exc: RateLimited) -> Problem:
    detail = "Too many requests; try again later."
    return Problem(status=429, code="rate_limited", detail=detail, headers=_retry_after(exc.retry_after))


@_as_problem.register
def _(exc: SessionEnded) -> Problem:
    return Problem(status=401, code="session_ended", detail="This login session has ended; sign in again.")


@_as_problem.register
def _(exc: TokenRefused) -> Problem:
    return Problem(status=401, code=exc.code, detail="The token is not valid any more or never was.")


@_as_problem.register
def _(exc: RefreshRaced) -> Problem:
    detail = "This refresh token was spent a moment ago, by another tab perhaps; use the tokens it was given."
    return Problem(status=409, code="refresh_raced", detail=detail)


@_as_problem.register(Unavailable)
@_as_problem.register(OperationalError)
@_as_problem.register(InterfaceError)
def _(exc: Exception) -> Problem:
    # One line, for whoever has to find out why; without a traceback, since nothing is wrong with the code.
    log.error("answered 503: %s: %s", type(exc).__name__, str(exc).partition("\n")[0])
    return _unavailable()


def _unavailable() -> Problem:
    detail = "The service cannot decide this now; try again in a moment."
    return Problem(status=503, code="unavailable", detail=detail, headers=_retry_after(RETRY_UNAVAILABLE))


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(math.ceil(seconds))}


class ProblemSerializer(serializers.Serializer[Any]):
    """The shape of a problem document, for the API's description."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="for programs; does not change")
    errors = serializers.DictField(required=False, help_text="what is wrong, by field")  # type: ignore[assignment]


def described(*statuses: int) -> dict[tuple[int, str], type[ProblemSerializer]]:
    """For `extend_schema(responses=…)`: these statuses are answered with problem documents."""
    return {(status, PROBLEM_JSON): ProblemSerializer for status in statuses}


# Views ---------------------------------------------------------------------------------------------------------------


_settings: Any = APISettings({"EXCEPTION_HANDLER": "tickets.rest.problem_response"}, DEFAULTS, IMPORT_STRINGS)
"""REST framework's own defaults otherwise."""


class _JSONRenderer(JSONRenderer):
    compact, ensure_ascii, strict = True, False, True


class _ContentNegotiation(DefaultContentNegotiation):
    settings = _settings


class StrictView(APIView):
    """What every REST view here starts from: bodies are bounded before they are read, and no answer is cached."""

    settings = _settings
    authentication_classes: Sequence[Any] = (SessionTokenAuthentication, DjangoSessionAuthentication)
    permission_classes: Sequence[Any] = (IsAuthenticated,)
    parser_classes = (StrictJSONParser,)
    renderer_classes = (_JSONRenderer,)
    content_negotiation_class = _ContentNegotiation
    throttle_classes = ()  # limits here are exact: see tickets.allowance
    versioning_class = None
    metadata_class = None  # OPTIONS tells a stranger nothing

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        # With ATOMIC_REQUESTS a refusal would roll back what it must leave behind: the throttle's count, the end of a
        # session whose refresh token was stolen.
        return transaction.non_atomic_requests(super().as_view(**initkwargs))

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        # Whatever language the request is in: who reads `detail` writes a program, and searches for what it says.
        with translation.override(None):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        _check_framing(request.META)
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Content-Language"] = "en"
        return response


def current_session(request: Any) -> UUID | None:
    """The login session that the request stands on; None for somebody who signed in before there were any."""
    return getattr(request.auth, "session_id", None)


class NowhereView(StrictView):
    """For every path of the API that is none: a problem document, whatever the method and whoever asks."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        raise Http404


def _check_framing(meta: Mapping[str, Any]) -> None:
    length = meta.get("CONTENT_LENGTH") or ""
    if length.isdecimal() and int(length) > LARGEST_BODY:
        raise too_large()
    if not length and meta.get("HTTP_TRANSFER_ENCODING"):
        # REST framework takes a body without a length for no body at all, and would do something else than asked.
        raise Problem(status=411, code="length_required", detail="Send a Content-Length.")


# Serializers ---------------------------------------------------------------------------------------------------------


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know: a misspelt option must not be silently without effect."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self.fields or self.fields[name].read_only]
            if unknown:
                raise serializers.ValidationError({name[:100]: ["There is no such field."] for name in unknown})
        return super().to_internal_value(data)


class MomentField(serializers.DateTimeField):
    """A moment, written as RFC 3339 in UTC wherever the site is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format=ISO_8601, default_timezone=UTC, **kwargs)


class StrictCharField(serializers.CharField):
    """Text and nothing that could be made text of; kept as sent, white space included."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictIntegerField(serializers.IntegerField):
    """An integer: neither "1" nor 1.0 nor true."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """true or false: neither 1 nor "yes"."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data
