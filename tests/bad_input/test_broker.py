"""What asks like a message broker and is none, or asks in another way: on the real servers, byte by byte."""

import asyncio
from collections.abc import Iterator
from urllib.parse import quote_plus

import pytest

from tests.bad_input.raw import Raw
from tests.conftest import EACH_KIND_ONCE, Site

pytestmark = EACH_KIND_ONCE

FORM = "application/x-www-form-urlencoded"
BROKER, PROXY, STRANGER = "127.9.0.1", "127.8.0.1", "127.0.0.1"
QUESTIONS = ("user", "vhost", "resource", "topic")


@pytest.fixture(scope="module")
def asked(stacks, stack_kind, server_kind) -> Iterator[Site]:
    stack = stacks.make(
        stack_kind, RABBITMQ_AUTH="1", RABBITMQ_AUTH_NETWORKS="127.9.0.0/16", TRUSTED_PROXIES="127.8.0.1"
    )
    site = Site(stack, server_kind)
    site.add_server()
    yield site
    complaints = site.server.complaints()
    site.stop()
    stack.stop()
    assert not complaints


async def ask(site, body, *, question="user", method="POST", kind=FORM, more=b"", source=BROKER):
    head = (
        f"{method} /rabbitmq/auth/{question} HTTP/1.1\r\nHost: 127.0.0.1:{site.server.port}\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    )
    line = await asyncio.open_connection("127.0.0.1", site.server.port, local_addr=(source, 0))
    async with Raw(site.server, *line) as raw:
        return await raw.ask(head.encode() + more + b"\r\n" + body)


HOSTILE = {
    "nothing": b"",
    "no form": b"\x00\xff" * 50,
    "no names": b"&&&=&=",
    "a name alone": b"username",
    "no password": b"username=alice",
    "two names": b"username=alice&username=demo&password=x&vhost=%2F",
    "two passwords": b"username=alice&password=x&password=y",
    "NUL": b"username=alice%00&password=x&vhost=%2F&resource=queue&name=%00&permission=read&routing_key=%00",
    "no UTF-8": b"username=%ff%fe&password=%80&vhost=%c0%af",
    "a lone surrogate": b"username=%ed%a0%80&password=x&vhost=%2F",
    "raw bytes": "username=älice&password=x".encode(),
    "line ends": b"username=alice%0d%0aX-Forged%3A%201&password=x&vhost=%2F",
    "the answer": b"allow",
    "JSON": b'{"username": "alice", "password": "x"}',
    "a thousand": b"&".join(b"a%d=1" % number for number in range(1_000)),
    "a long name": b"username=" + b"a" * 10_000 + b"&password=x",
    "huge": b"username=alice&password=" + b"a" * 2_000_000,
    "digits of others": b"username=%D9%A7&vhost=%2F&password=%D9%A7",
}


async def test_whatever_is_asked_is_answered_no(asked):
    for question in QUESTIONS:
        for what, body in HOSTILE.items():
            reply = await ask(asked, body, question=question)
            assert (reply.status, reply.body) == (200, b"deny"), (question, what)
            assert reply.header("content-type") == "text/plain"
    for kind in ("", "application/json", "text/plain", FORM + "x", "/;;;"):
        reply = await ask(asked, b"username=alice&password=x", kind=kind)
        assert (reply.status, reply.body) == (200, b"deny"), kind


async def test_in_pieces_and_by_other_methods(asked):
    ticket = await asked.person("alice").ticket("broker")
    body = f"username=alice&password={quote_plus(ticket)}&vhost=%2F".encode()
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "QUERY"):
        assert (await ask(asked, body, method=method)).status in (400, 405), method
    for path in ("user/", "user%2f", "USER", "users", "", "user/x"):
        assert (await ask(asked, body, question=path)).status == 404, path
    line = await asyncio.open_connection("127.0.0.1", asked.server.port, local_addr=(BROKER, 0))
    async with Raw(asked.server, *line) as raw:
        head = f"POST /rabbitmq/auth/user HTTP/1.1\r\nHost: 127.0.0.1:{asked.server.port}\r\nConnection: close\r\n"
        head += f"Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n"
        pieces = [b"%x\r\n%b\r\n" % (len(each), each) for each in (body[:20], body[20:])]
        reply = await raw.ask(head.encode() + b"".join(pieces) + b"0\r\n\r\n")
    assert (reply.status, reply.body) == (200, b"allow"), "and until now nobody has spent it"


async def test_nobody_else_is_told_anything(asked):
    ticket = await asked.person("demo").ticket("broker")
    body = f"username=demo&password={quote_plus(ticket)}".encode()
    inside, outside = b"X-Forwarded-For: 127.9.0.1\r\n", b"X-Forwarded-For: 203.0.113.7\r\n"
    for question in QUESTIONS:
        for source, more in ((STRANGER, b""), (STRANGER, inside), (PROXY, b""), (PROXY, outside)):
            reply = await ask(asked, body, question=question, source=source, more=more)
            assert (reply.status, b"allow" in reply.body, b"deny" in reply.body) == (403, False, False), (source, more)
    assert (await ask(asked, body, more=outside)).body == b"allow", "whatever it says of others"
    assert (await ask(asked, body, source=PROXY, more=inside)).body == b"allow", "asked once more"


async def test_where_there_is_no_broker_there_is_nothing_to_ask(site):
    for question in QUESTIONS:
        assert (await ask(site, b"username=alice&password=x", question=question)).status == 404
