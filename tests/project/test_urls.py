"""The API as a whole: its description, and that whatever it refuses it refuses with a problem document."""

import json
import re

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, reverse

from project import urls
from tickets import tokens
from tickets.rest import StrictView


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """What `manage.py spectacular --validate --fail-on-warn` writes."""
    path = tmp_path_factory.mktemp("schema") / "schema.json"
    call_command("spectacular", validate=True, fail_on_warn=True, format="openapi-json", file=str(path))
    return json.loads(path.read_text())


def api_views(patterns=urls.urlpatterns, before=""):
    """Every path under /api/ with the view that answers there."""
    for pattern in patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            if path.startswith("api/") and path not in ("api/schema/", "api/docs/"):
                yield f"/{path}", pattern.callback.view_class
        else:
            yield from api_views(pattern.url_patterns, path)


API = dict(api_views())


def real(path):
    """A path as somebody would call it."""
    return path.replace("<uuid:session_id>", "5b0c4f0e-9a43-4c35-8a55-6d0d4b1f4f5e").replace("<str:topic>", "news")


# Those that take a body, and those that do not look at one.
POSTED = [path for path, view in API.items() if hasattr(view, "post")]
# An empty body is what they are meant to be called with.
WITHOUT_BODY = ("/api/tickets/", "/api/sessions/end-others/")


def some_method(path):
    """One that the path answers to, in capitals."""
    return next(name.upper() for name in ("post", "delete", "get") if hasattr(API[path], name))


# --- The description ---


def test_the_description_is_openapi_3_1(schema):
    assert schema["openapi"].startswith("3.1")
    assert schema["info"]["title"] == "Usher"


def test_everything_under_api_is_described_and_nothing_else(schema):
    described = {re.sub("<(?:uuid|str):(.*)>", r"{\1}", path): view for path, view in API.items()}
    assert set(schema["paths"]) == set(described)
    for path, view in described.items():
        methods = {name for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)}
        assert set(schema["paths"][path]) == methods
        assert issubclass(view, StrictView)


def operations(schema):
    return [(path, name, each) for path, methods in schema["paths"].items() for name, each in methods.items()]


def test_every_refusal_is_described_as_a_problem_document(schema):
    for path, name, operation in operations(schema):
        refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        takes = "requestBody" in operation or any(each["in"] == "query" for each in operation.get("parameters", ()))
        assert ({"400"} if takes else set()) | {"401", "503"} <= set(refusals), (path, name)
        for answer in refusals.values():
            content = answer["content"]
            assert set(content) == {"application/problem+json"}, (path, name)
            assert content["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_every_call_has_a_summary_and_a_name_of_its_own(schema):
    assert all(operation.get("summary") for _, _, operation in operations(schema))
    names = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(set(names)) == len(names)


def test_only_signing_in_needs_no_credential(schema):
    public = {path for path, _, operation in operations(schema) if operation.get("security", [{}]) == [{}]}
    assert public == {"/api/token/", "/api/token/refresh/", "/api/token/revoke/"}


def test_the_list_is_described_as_it_is_read(schema):
    parameters = {each["name"]: each for each in schema["paths"]["/api/notifications/"]["get"]["parameters"]}
    assert set(parameters) == {"after", "before", "unread", "archived", "search", "limit"}
    assert parameters["after"]["schema"]["type"] == "integer"
    assert parameters["after"]["schema"]["minimum"] == 0
    post = schema["paths"]["/api/notifications/"]["post"]
    assert ("Idempotency-Key", "header") in [(each["name"], each["in"]) for each in post["parameters"]]


def test_what_is_served_is_this_description(client, schema):
    response = client.get("/api/schema/")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/vnd.oai.openapi")
    assert set(yaml.safe_load(response.content)["paths"]) == set(schema["paths"])
    assert client.get("/api/schema/", headers={"accept": "application/json"}).json()["paths"] == schema["paths"]


def test_the_pages_load_nothing_from_elsewhere_and_have_no_inline_script(client):
    response = client.get("/api/docs/")
    assert response.status_code == 200
    page = response.content.decode()
    assert re.search(r"<script[^>]* src=", page)
    assert not re.search(r"<script(?![^>]* src=)", page)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert not [url for url in loaded if re.match(r"(https?:)?//", url)]
    script = client.get("/api/docs/?script")
    assert script.status_code == 200
    assert "/api/schema/" in script.content.decode()


# --- Refusals ---


def refused(response):
    """The code of a refusal, held to RFC 9457."""
    assert 400 <= response.status_code < 500, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    said = response.json()
    assert set(said) - {"errors"} == {"type", "title", "status", "detail", "code"}
    assert said["status"] == response.status_code
    assert re.fullmatch("[a-z_]+", said["code"])
    assert said["detail"]
    return said["code"]


@pytest.fixture
def signed_in(django_user_model):
    """Somebody who may do everything."""
    root = django_user_model.objects.create(username="root", is_superuser=True)
    return Client(headers={"authorization": f"Bearer {tokens.sign_in(root).access}"})


BODIES = [
    b"",
    b"not json",
    b"[]",
    b'"x"',
    b"1",
    b"null",
    b"\xff\xfe",
    b"[" * 60_000,
    b"9" * 5_000,
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":9007199254740992}',
    b'{"a":"\\ud800"}',
    b'{"a":"\\u0000"}',
    b'{"__class__":"x"}',
    b'{"type":"websocket.disconnect"}',
    b'{"a":1,"a":1}',
    b'{"' + b"a" * 60_000 + b'":1}',
    b'"' + b"x" * 2**20 + b'"',
]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "body"),
    [(path, body) for path in POSTED for body in BODIES if body or path not in WITHOUT_BODY],
    ids=lambda value: repr(value[:24]),
)
def test_bodies_that_mean_nothing(signed_in, path, body):
    refused(signed_in.post(path, body, content_type="application/json"))


@pytest.mark.django_db
@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "x"])
def test_bodies_of_another_type(signed_in, path, content_type):
    assert refused(signed_in.post(path, b"<x/>", content_type=content_type)) == "unsupported_media_type"


def absent(view):
    there = {"GET", "HEAD"} if hasattr(view, "get") else set()
    there |= {"DELETE"} if hasattr(view, "delete") else set()
    return sorted({"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - there)


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "method"), [(path, method) for path in API for method in absent(API[path])])
def test_methods_that_are_not_there(signed_in, path, method):
    response = signed_in.generic(method, real(path))
    assert response.status_code == 405
    if method == "HEAD":
        assert response.headers["Content-Type"] == "application/problem+json"
    else:
        assert refused(response) == "method_not_allowed"


@pytest.mark.django_db
@pytest.mark.parametrize("path", API)
@pytest.mark.parametrize("credential", [None, "Bearer", "Bearer x", "Bearer a b", "Basic x", "Bearer \x80", "x" * 5000])
def test_credentials_that_are_none(client, path, credential):
    headers = {} if credential is None else {"authorization": credential}
    response = client.generic(some_method(path), real(path), "{}", content_type="application/json", headers=headers)
    refused(response)
    if path.startswith("/api/token/"):
        assert response.status_code == 400
    else:
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", ";", "\x80"])
def test_answers_in_another_format(signed_in, path, accept):
    refused(signed_in.post(path, b"[]", content_type="application/json", headers={"accept": accept}))


@pytest.mark.django_db
@pytest.mark.parametrize("path", API)
def test_programs_are_refused_in_the_same_words_whatever_language_they_ask_for(client, signed_in, path):
    body = b'{"ids": 5, "user": true, "username": 1, "refresh": "x"}'
    for caller, method in ((client, some_method(path)), (signed_in, "BREW"), (signed_in, "POST")):
        told = {}
        for spoken in ("en", "ar", "de-AT,de;q=0.9"):
            headers = {"accept-language": spoken}
            answer = caller.generic(method, real(path), body, content_type="application/json", headers=headers)
            assert answer.headers["Content-Language"] == "en"
            if path not in WITHOUT_BODY:
                refused(answer)
                told[answer.content] = spoken
        assert len(told) < 2, told


def test_the_description_is_the_same_in_every_language(client):
    described = [
        client.get("/api/schema/", headers={"accept-language": spoken}).content for spoken in ("en", "ar", "de")
    ]
    assert len(set(described)) == 1


def test_the_admin_and_the_probes_stand_beside_it():
    names = {"schema", "docs", *(f"usher:{name}" for name in ("healthz", "readyz", "well-known"))}
    assert {reverse(name) for name in names} == {
        *("/api/schema/", "/api/docs/"),
        *("/healthz", "/readyz", "/.well-known/usher"),
    }
    assert reverse("admin:index") == "/admin/"
