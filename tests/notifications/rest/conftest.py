import pytest
from django.contrib.auth.models import Permission
from rest_framework.test import APIClient

from tickets import tokens


class HeldClient(APIClient):
    """Holds every answer of the API to what all of them promise."""

    def generic(self, method, path, *args, **kwargs):
        response = super().generic(method, path, *args, **kwargs)
        assert response.headers["Cache-Control"] == "no-store"
        if response.status_code >= 400:
            assert response.headers["Content-Type"] == "application/problem+json"
            said = response.json()
            assert {"type", "title", "status", "detail", "code"} <= set(said) <= {*said, "errors"}
            assert said["status"] == response.status_code
        return response


@pytest.fixture
def client_of():
    def signed_in(user):
        client = HeldClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.sign_in(user).access}")
        return client

    return signed_in


@pytest.fixture
def stranger(db):
    return HeldClient()


@pytest.fixture
def anns(client_of, ann):
    """Ann's client."""
    return client_of(ann)


@pytest.fixture
def service(client_of, django_user_model, people):
    """The client of somebody who may publish."""
    user = django_user_model.objects.create(username="service")
    user.user_permissions.add(Permission.objects.get(codename="add_notification"))
    return client_of(user)
