import pytest
from asgiref.testing import ApplicationCommunicator

from notifications.live.hub import Hub
from project.asgi import application

pytestmark = pytest.mark.django_db  # at its end a process writes what was audited


@pytest.fixture
def server():
    return ApplicationCommunicator(application, {"type": "lifespan", "asgi": {"version": "3.0"}})


async def test_a_server_starts_and_ends_the_application(server, settings):
    settings.NOTIFICATIONS = {"SYNC_SECONDS": 3600, "SWEEP_SECONDS": 3600}
    await server.send_input({"type": "lifespan.startup"})
    assert await server.receive_output(5) == {"type": "lifespan.startup.complete"}
    hub = Hub.here()
    await server.send_input({"type": "lifespan.shutdown"})
    assert await server.receive_output(5) == {"type": "lifespan.shutdown.complete"}
    await server.wait(5)
    assert all(task.done() for task in hub._tasks)
    assert Hub._here is None


async def test_from_the_start_the_hub_listens(server, settings):
    settings.NOTIFICATIONS = {"SYNC_SECONDS": 3600, "SWEEP_SECONDS": 3600}
    assert Hub._here is None
    await server.send_input({"type": "lifespan.startup"})
    await server.receive_output(5)
    assert Hub._here is not None
    assert not any(task.done() for task in Hub._here._tasks)
    await server.send_input({"type": "lifespan.shutdown"})
    await server.receive_output(5)
    await server.wait(5)


async def test_a_process_that_never_had_a_hub_ends_as_well(server):
    await server.send_input({"type": "lifespan.shutdown"})
    assert await server.receive_output(5) == {"type": "lifespan.shutdown.complete"}
    await server.wait(5)
