import pytest
from channels.routing import URLRouter

from notifications.live.routing import SOCKET_PATH, websocket_urlpatterns
from tickets.conf import conf


@pytest.mark.parametrize("path", ["/", "/nowhere/", "/ws", "/ws/\0", "/ws/ws/", "/nowhere/\n/ws/"])
async def test_a_path_that_nobody_serves_is_refused_before_accept(path):
    said = []

    async def send(message):
        said.append(message)

    await URLRouter(websocket_urlpatterns)({"type": "websocket", "path": path}, None, send)
    assert said == [{"type": "websocket.close"}]


def test_the_socket_is_where_clients_are_told_it_is():
    assert conf.SOCKET_PATH == SOCKET_PATH
