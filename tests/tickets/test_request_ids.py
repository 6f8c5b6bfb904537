"""A request's name: a trusted proxy's if it is one, else ours; answered, and bound for the log."""

import pytest
from django.test import override_settings

from tickets import tracing
from tickets.request_ids import RequestIds, request_id

GOOD = "9b2fd0b2-53d1-4b40-9dc7-4e4ac1f6e1a2"
PROXY = {"TRUSTED_PROXIES": ["10.0.0.0/8", "unix"]}


def scope(*sent, client=("10.0.0.1", 5), kind="http"):
    return {"type": kind, "client": client, "headers": [(b"x-request-id", each) for each in sent]}


@pytest.mark.parametrize("client", [("10.0.0.1", 5), None, ("", 0)], ids=["address", "unix", "unix, as uvicorn has it"])
def test_a_trusted_proxy_s_is_taken(client):
    with override_settings(TICKETS=PROXY):
        assert request_id(scope(GOOD.encode(), client=client)) == GOOD


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [b""],
        [b"short"],
        [b"x" * 41],
        [b"A" * 43],  # as long as a ticket
        [GOOD.encode(), GOOD.encode()],
        [b"has spaces in it"],
        [b'"},{"event":"forged'],
        [b"line\nbreak-1234"],
        [b"line\r\nSet-Cookie: a=b"],
        [b"\x1b[31m-red-12345"],
        [b"\xff\xfe-not-ascii-1"],
        ["é-1234567890".encode()],
        ["１２３４５６７８９０".encode()],  # digits to some
        [b"../../../etc/passwd"],
        [b"<script>alert(1)</script>"],
    ],
    ids=repr,
)
def test_what_is_not_well_formed_is_not(sent):
    with override_settings(TICKETS=PROXY):
        made = request_id(scope(*sent))
    assert made not in [each.decode("latin-1") for each in sent]
    assert len(made) == 32
    assert int(made, 16) >= 0


@pytest.mark.parametrize("client", [("192.0.2.1", 5), ("nonsense", 5)])
def test_nor_is_a_stranger_s(client):
    with override_settings(TICKETS=PROXY):
        assert request_id(scope(GOOD.encode(), client=client)) != GOOD
    with override_settings(TICKETS={}):
        assert request_id(scope(GOOD.encode(), client=None)) != GOOD, "a peer on a unix socket is no proxy by itself"


async def test_it_is_answered_and_bound():
    said, bound = [], []

    async def app(scope, receive, send):
        bound.append(tracing.bound())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message):
        said.append(message)

    tracing.begin(request="another's", user=7)
    with override_settings(TICKETS=PROXY):
        await RequestIds(app)(scope(GOOD.encode()), None, send)
    assert bound == [{"request": GOOD}], "and nothing of the one before on this connection"
    assert said[0]["headers"] == [(b"a", b"b"), (b"x-request-id", GOOD.encode())]
    assert said[1] == {"type": "http.response.body", "body": b"x"}


async def test_a_socket_is_handed_the_server_s_own_send():
    """Each frame goes through it."""
    seen = []

    async def app(scope, receive, send):
        seen.append((tracing.bound(), send))

    send = object()
    await RequestIds(app)(scope(kind="websocket"), None, send)
    ((bound, given),) = seen
    assert given is send
    assert set(bound) == {"request"}
