import pytest
from django.contrib.auth import get_user_model

from notifications import fanout
from tests.support.services import Valkey


@pytest.fixture
def people(transactional_db):
    """Three people, by name."""
    model = get_user_model()
    return [model.objects.create(username=name) for name in ("ann", "ben", "cleo")]


@pytest.fixture
def ann(people):
    return people[0]


@pytest.fixture
def told():
    """Everything that is told to this process's hub, in order."""
    heard = []
    stop = fanout.listen(heard.append)
    yield heard
    stop()


@pytest.fixture
def own_valkey():
    """A Redis-compatible server of the test's own, to be harmed."""
    server = Valkey()
    yield server
    server.stop()
