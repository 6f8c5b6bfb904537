import pytest
from django.test import override_settings

from notifications.live.routing import Sockets
from tickets.api import SCOPE_KEY

SCOPE = {"type": "websocket", "headers": [(b"host", b"localhost")], "query_string": b"", "subprotocols": []}


class Elsewhere:
    """A site's own application for sockets."""

    def __init__(self):
        self.scopes = []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)


async def said_at(path, sockets, **more):
    said = []

    async def send(message):
        said.append(message)

    async def receive():
        return {"type": "websocket.disconnect", "code": 1006}

    scope = SCOPE | {"path": path} | more
    await sockets(scope, receive, send)
    return said, scope


@pytest.mark.parametrize("path", ["/", "/nowhere/", "/ws", "/ws/\0", "/ws/ws/", "/nowhere/\n/ws/"])
async def test_a_path_that_nobody_serves_is_refused_before_accept(path):
    said, _scope = await said_at(path, Sockets())
    assert said == [{"type": "websocket.close"}]


async def test_a_site_has_sockets_of_its_own_and_they_keep_their_credentials():
    elsewhere = Elsewhere()
    theirs = [(b"authorization", b"Bearer " + b"x" * 40)]
    said, scope = await said_at("/chat/", Sockets(elsewhere), headers=theirs)
    assert (said, elsewhere.scopes, scope["headers"]) == ([], [scope], theirs)
    assert SCOPE_KEY not in scope


@pytest.mark.parametrize(
    ("path", "more", "settings"),
    [
        ("/ws/", {}, {}),
        ("/mounted/ws/", {"root_path": "/mounted"}, {}),
        ("/mounted/ws/", {"root_path": "/mounted/"}, {}),
        ("/ws/", {"root_path": "/mounted"}, {}),  # a proxy has taken it away
        ("/forced/ws/", {}, {"FORCE_SCRIPT_NAME": "/forced"}),
        ("/live", {}, {"TICKETS": {"SOCKET_PATH": "/live"}}),
        ("/stomp", {}, {"TICKETS": {"SOCKET_PATH": "/live"}}),
        ("/mounted/cable", {"root_path": "/mounted"}, {}),
        ("/under/any/prefix/ws/", {}, {"ROOT_URLCONF": "tests.notifications.prefixed_urls"}),
    ],
)
async def test_the_socket_is_where_clients_are_told_it_is(path, more, settings):
    elsewhere = Elsewhere()
    with override_settings(**settings):
        _said, scope = await said_at(path, Sockets(elsewhere), **more)
    assert SCOPE_KEY in scope
    assert not elsewhere.scopes


async def test_where_the_urls_are_not_included_nothing_is_ours():
    elsewhere = Elsewhere()
    with override_settings(ROOT_URLCONF="tickets.urls"):
        await said_at("/ws/", Sockets(elsewhere))
    assert len(elsewhere.scopes) == 1
