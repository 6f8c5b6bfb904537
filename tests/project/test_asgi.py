"""The application as a server calls it."""

import pytest
from asgiref.testing import ApplicationCommunicator

from project.asgi import application

TICKET = "t" * 43


def scope_of(kind, **more):
    address = {"server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 40_000), "path": "/", "query_string": b""}
    return {"type": kind, "asgi": {"version": "3.0"}, "http_version": "1.1", "root_path": "", **address, **more}


@pytest.mark.parametrize(
    ("header", "query"),
    [
        ((b"sec-websocket-protocol", b"usher.v1, usher.ticket." + TICKET.encode()), b""),
        ((b"authorization", b"Ticket " + TICKET.encode()), b""),
        ((b"x-nothing", b""), b"since=a:1&ticket=" + TICKET.encode()),
    ],
    ids=["subprotocol", "header", "query"],
)
async def test_a_ticket_is_gone_from_the_scope_that_the_server_keeps_and_logs(header, query):
    scope = scope_of(
        "websocket",
        path="/ws/",
        query_string=query,
        headers=[(b"host", b"localhost:8000"), (b"origin", b"null"), header],
        subprotocols=[part.strip() for part in header[1].decode().split(",")] if b"protocol" in header[0] else [],
    )
    assert TICKET in str(scope)
    socket = ApplicationCommunicator(application, scope)
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(5))["type"] == "websocket.close", "origin null is refused before accept"
    await socket.send_input({"type": "websocket.disconnect", "code": 1006})
    await socket.wait(5)
    assert TICKET not in str(scope)


async def test_requests_are_answered_by_django():
    browser = ApplicationCommunicator(
        application, scope_of("http", method="GET", path="/healthz", headers=[(b"host", b"localhost:8000")])
    )
    await browser.send_input({"type": "http.request", "body": b"", "more_body": False})
    assert (await browser.receive_output(5))["status"] == 200
    assert (await browser.receive_output(5))["body"] == b"ok\n"
    await browser.wait(5)


@pytest.mark.parametrize("path", ["/", "/ws", "/ws/x", "/api/notifications/"])
async def test_a_socket_anywhere_else_is_refused_before_it_opens(path):
    headers = [(b"host", b"localhost:8000")]
    socket = ApplicationCommunicator(application, scope_of("websocket", path=path, headers=headers, subprotocols=[]))
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(5))["type"] == "websocket.close"
    await socket.wait(5)
