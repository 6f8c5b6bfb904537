import json

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404
from django.utils import translation
from rest_framework import exceptions, serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from tickets import rest
from tickets.grants import EndReason, RateLimited, RefreshRaced, SessionEnded, TokenRefused, Unavailable
from tickets.rest import (
    Problem,
    ProblemSerializer,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictSerializer,
    StrictView,
    described,
    problem_response,
    unavailable_body,
)

ERRORS = [
    (Problem(status=409, code="taken", detail="Taken."), 409, "taken", "Taken."),
    (RateLimited(1.2), 429, "rate_limited", "Too many requests; try again later."),
    (SessionEnded(EndReason.DISCONNECTED_BY_STAFF), 401, "session_ended", "ended; sign in again"),
    (TokenRefused("token_expired"), 401, "token_expired", "not valid"),
    (RefreshRaced(), 409, "refresh_raced", "a moment ago"),
    (Unavailable("redeem"), 503, "unavailable", "try again in a moment"),
    (OperationalError("gone"), 503, "unavailable", "try again in a moment"),
    (InterfaceError("gone"), 503, "unavailable", "try again in a moment"),
    (Http404("secret"), 404, "not_found", "There is no such thing here."),
    (PermissionDenied("secret"), 403, "permission_denied", "You may not do this."),
    (exceptions.NotAuthenticated(), 401, "not_authenticated", "credentials were not provided"),
    (exceptions.MethodNotAllowed("GET"), 405, "method_not_allowed", 'Method "GET" not allowed.'),
    (exceptions.UnsupportedMediaType("text/plain"), 415, "unsupported_media_type", "text/plain"),
    (exceptions.ValidationError({"a": ["no"]}), 400, "invalid", "The request is not valid; see errors."),
    (exceptions.ValidationError("no"), 400, "invalid", "The request is not valid; see errors."),
]


@pytest.mark.parametrize(("error", "status", "code", "detail"), ERRORS, ids=lambda value: type(value).__name__)
def test_every_error_has_one_answer(error, status, code, detail):
    response = problem_response(error, {})
    assert response.status_code == response.data["status"] == status
    assert response.data["code"] == code
    assert detail in response.data["detail"]
    assert response.data["type"] == "about:blank"
    assert response.content_type == "application/problem+json"
    assert set(response.data) - {"errors"} == {"type", "title", "status", "detail", "code"}
    assert "secret" not in str(response.data)
    assert ProblemSerializer(data=response.data).is_valid()


@pytest.mark.parametrize("error", [IntegrityError("ours"), ValueError("ours")])
def test_our_own_mistakes_are_not_dressed_up(error):
    assert problem_response(error, {}) is None


def test_fields_are_named():
    assert problem_response(exceptions.ValidationError({"a": ["no"]}), {}).data["errors"] == {"a": ["no"]}
    assert problem_response(exceptions.ValidationError("no"), {}).data["errors"] == {"non_field_errors": ["no"]}


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(RateLimited(0.2), "1"), (RateLimited(3.0), "3"), (Unavailable(), "2"), (exceptions.Throttled(wait=4.1), "5")],
)
def test_it_says_when_to_come_back_in_whole_seconds(error, seconds):
    assert problem_response(error, {}).headers["Retry-After"] == seconds


def test_a_401_says_how_to_authenticate():
    assert problem_response(SessionEnded(), {}).headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_503_is_logged_in_one_line(caplog):
    problem_response(OperationalError("could not connect\nto server"), {})
    assert [record.getMessage() for record in caplog.records] == ["answered 503: OperationalError: could not connect"]
    assert caplog.records[0].exc_info is None


def test_described_is_for_the_schema():
    assert described(400, 503) == {
        (400, "application/problem+json"): ProblemSerializer,
        (503, "application/problem+json"): ProblemSerializer,
    }


class EchoView(StrictView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request):
        return Response(request.data)

    def get(self, request):
        return Response({}, headers={"Cache-Control": "max-age=60"})


def post(body=b"{}", content_type="application/json", **meta):
    return EchoView.as_view()(APIRequestFactory().generic("POST", "/", body, content_type, **meta)).render()


def test_a_json_body_arrives_and_nothing_is_cached():
    response = post(b'{"a": 1}')
    assert (response.status_code, response.content) == (200, b'{"a":1}')
    assert response.headers["Cache-Control"] == "no-store"


def test_a_view_may_say_otherwise():
    assert EchoView.as_view()(APIRequestFactory().get("/")).headers["Cache-Control"] == "max-age=60"


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"body": b"x" * (64 * 1024 + 1)}, 413, "body_too_large"),
        ({"CONTENT_LENGTH": "99999999"}, 413, "body_too_large"),
        ({"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}, 411, "length_required"),
        ({"content_type": "application/x-www-form-urlencoded", "body": b"a=1"}, 415, "unsupported_media_type"),
        ({"content_type": "multipart/form-data; boundary=x", "body": b"--x--"}, 415, "unsupported_media_type"),
        ({"content_type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content_type": ""}, 415, "unsupported_media_type"),
        ({"body": b"not json"}, 400, "malformed_json"),
    ],
)
def test_bodies_that_are_refused(request_, status, code):
    response = post(**request_)
    assert (response.status_code, response.data["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"


def test_it_speaks_english_in_every_language():
    with translation.override("de"):
        response = post(content_type="text/plain")
    assert response.data["detail"] == 'Unsupported media type "text/plain" in request.'
    assert response.headers["Content-Language"] == "en"


def test_options_tells_nothing():
    assert EchoView.as_view()(APIRequestFactory().options("/")).status_code == 405


class Form(StrictSerializer):
    text = StrictCharField(max_length=5, required=False)
    number = StrictIntegerField(required=False)
    flag = StrictBooleanField(required=False)
    given = serializers.CharField(read_only=True)


@pytest.mark.parametrize("data", [{}, {"text": " a "}, {"number": 7, "flag": False}])
def test_what_a_strict_serializer_takes_stays_as_it_is(data):
    form = Form(data=data)
    assert form.is_valid()
    assert form.validated_data == data


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({"text": 1}, "text", "Not a valid string."),
        ({"text": True}, "text", "Not a valid string."),
        ({"text": None}, "text", "This field may not be null."),
        ({"text": []}, "text", "Not a valid string."),
        ({"text": ""}, "text", "This field may not be blank."),
        ({"text": "toolong"}, "text", "Ensure this field has no more than 5 characters."),
        ({"text": "a\0"}, "text", "Null characters are not allowed."),
        ({"text": "\ud800"}, "text", "Surrogate characters are not allowed: U+D800."),
        ({"number": "1"}, "number", "A valid integer is required."),
        ({"number": 1.0}, "number", "A valid integer is required."),
        ({"number": True}, "number", "A valid integer is required."),
        ({"flag": 1}, "flag", "Must be a valid boolean."),
        ({"flag": "true"}, "flag", "Must be a valid boolean."),
        ({"flag": None}, "flag", "This field may not be null."),
        ({"other": 1}, "other", "There is no such field."),
        ({"given": "x"}, "given", "There is no such field."),
        ([], "non_field_errors", "Invalid data. Expected a dictionary, but got list."),
        ("x", "non_field_errors", "Invalid data. Expected a dictionary, but got str."),
    ],
)
def test_what_a_strict_serializer_refuses(data, field, message):
    form = Form(data=data)
    assert not form.is_valid()
    assert form.errors == {field: [message]}


def test_the_vocabulary_is_complete():
    assert all(hasattr(rest, name) for name in rest.__all__)


# Paths that are none --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch"])
@pytest.mark.parametrize(
    "path", ["/api/", "/api/nothing/", "/api/tickets", "/api/tickets/5/", "/api/notifications/state"]
)
def test_a_path_that_is_none_is_a_problem_document(client, method, path):
    answer = client.generic(method.upper(), path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


def test_a_thousand_parameters_are_a_bad_request_without_a_traceback(client, caplog):
    answer = client.get("/api/notifications/?" + "&".join(f"p{number}=1" for number in range(1_500)))
    assert answer.status_code in (400, 401)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Traceback" not in caplog.text


def test_a_503_without_a_view_says_what_a_view_would():
    response = problem_response(Unavailable(), {})
    assert json.loads(unavailable_body()) == response.data
