"""Stacks to be harmed, or only crowded."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults.ground import Ground
from tests.support.services import Postgres, Valkey


@pytest.fixture
def ground(stacks) -> Iterator[Callable[..., Ground]]:
    """`ground(TICKETS_GRANT_SECONDS="3")`: a stack of the test's own, on the services that all tests share."""
    with ExitStack() as made:
        yield lambda **env: made.enter_context(Ground(stacks, stacks.postgres, stacks.valkey, **env))


@pytest.fixture(scope="module")
def own_services() -> Iterator[tuple[Postgres, Valkey]]:
    with Postgres() as postgres, Valkey() as valkey:
        yield postgres, valkey


@pytest.fixture
def own_ground(stacks, own_services) -> Iterator[Callable[..., Ground]]:
    """The same on services that nobody else uses: the test may harm them, and afterwards they are well again."""
    with ExitStack() as made:
        yield lambda **env: made.enter_context(Ground(stacks, *own_services, **env))
    for service in own_services:
        service.resume()
        if service.running.returncode is not None:
            service.start()
