import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from tickets import token_urls, urls


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator(patterns=[*urls.urlpatterns, *token_urls.urlpatterns]).get_schema(public=True)


def test_the_description_is_valid_openapi(schema, capsys):
    validate_schema(schema)
    assert schema["openapi"].startswith("3.1")
    assert "Warning" not in capsys.readouterr().err


def test_both_ways_to_authenticate_are_described(schema):
    schemes = schema["components"]["securitySchemes"]
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert schemes["cookie"] == {"type": "apiKey", "in": "cookie", "name": "sessionid"}
    assert schema["paths"]["/tickets/"]["post"]["security"] == [{"bearer": []}, {"cookie": []}]
    assert schema["paths"]["/token/"]["post"].get("security", [{}]) == [{}]


def test_refusals_are_problem_documents(schema):
    for path in schema["paths"].values():
        for status, response in path["post"]["responses"].items():
            assert set(response.get("content", {})) <= (
                {"application/json"} if status < "300" else {"application/problem+json"}
            )
