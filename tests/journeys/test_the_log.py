"""The trail of one notification through the logs, from the request that published it to the frame and the close."""

import json

import pytest

from tests.conftest import EACH_KIND_ONCE
from tests.support.processes import wait_until

HEX = set("0123456789abcdef")
PROXY_S = "9b2fd0b2-53d1-4b40-9dc7-4e4ac1f6e1a2"
HOSTILE = ['"},{"event":"forged"}', "x" * 41, "\x1b[31mred-12345", "../../etc/passwd", "é-1234567890", "a b c d e f"]
WITH_IDS = {"LOG_FORMAT": "json", "TRUSTED_PROXIES": "127.0.0.1"}


def read(server):
    """Every line of the log: each is an object with the same head, or the test ends here."""
    lines = [json.loads(line) for line in server.log().splitlines()]
    assert all(list(line)[:4] == ["time", "level", "logger", "event"] for line in lines)
    return lines


def about(lines, logger, event):
    return [line for line in lines if (line["logger"], line["event"]) == (logger, event)]


@EACH_KIND_ONCE
async def test_one_notification_from_the_request_to_the_frame(make_site):
    site = make_site(**WITH_IDS, LOG_LEVELS="notifications.frames=DEBUG")
    demo, service = site.newcomer(), site.person("service")
    async with demo.connect(headers={"X-Request-ID": PROXY_S}) as socket:
        welcome = await socket.expect("welcome")
        body = {"user": demo.username, "title": "private words"}
        answer = await service.post("/api/notifications/", body)
        published = answer.json()
        await socket.expect("notification", id=published["id"])
        ticket = (await demo.post("/api/tickets/")).json()["ticket"]
    wait_until(lambda: '"event": "close"' in site.server.log(), timeout=10, what="the close")
    lines, name = read(site.server), welcome["connection"]

    request = answer.headers["x-request-id"]
    assert len(request) == 32
    assert set(request) <= HEX
    (told,) = about(lines, "notifications.told", "numbered")
    assert (told["request"], told["notification"]) == (request, published["id"])
    assert (told["stream"], told["seq"]) == (published["stream"], published["seq"])
    assert told["session"], "of the service"

    (opened,) = about(lines, "notifications.socket", "open")
    (closed,) = about(lines, "notifications.socket", "close")
    assert opened["connection"] == closed["connection"] == name
    assert opened["request"] == closed["request"] == PROXY_S, "as the proxy named the handshake"
    assert opened["user"] == closed["user"] == welcome["user"]["id"]
    assert opened["session"] == closed["session"] != told["session"]
    assert opened["cursor"] < told["seq"] <= closed["cursor"], "so it was delivered"
    assert opened["stream"] == closed["stream"] == told["stream"]

    (frame,) = [line for line in about(lines, "notifications.frames", "frame") if line["frame"] == "Notification"]
    assert (frame["connection"], frame["notification"], frame["seq"]) == (name, published["id"], published["seq"])
    assert (frame["user"], frame["session"]) == (opened["user"], opened["session"])
    assert frame.get("request") != request, "who is told many things works for none of those who say them"

    issued = [line["audit"] for line in lines if line["logger"] == "tickets.audit"]
    assert all(line["request"] for line in issued if line["act"] == "ticket_issued")
    text = site.server.log()
    assert ticket not in text
    assert "private words" not in text, "what people are told is nobody else's business"


@EACH_KIND_ONCE
async def test_many_are_one_line_and_frames_none_unless_asked_for(make_site):
    site = make_site(**WITH_IDS)
    people = [site.newcomer() for _ in range(3)]
    async with people[0].connect() as socket:
        await socket.expect("welcome")
        users = [person.username for person in people]
        answer = await site.person("service").post("/api/notifications/", {"users": users, "title": "to all"})
        assert answer.status_code == 201
        await socket.expect("notification", title="to all")
    wait_until(lambda: '"event": "close"' in site.server.log(), timeout=10, what="the close")
    lines = read(site.server)
    (told,) = about(lines, "notifications.told", "numbered")
    assert told["notifications"] == 3
    assert told["first"] < told["last"]
    assert told["request"] == answer.headers["x-request-id"]
    assert not about(lines, "notifications.frames", "frame")


@EACH_KIND_ONCE
async def test_an_id_that_is_not_well_formed_is_neither_taken_nor_written(make_site):
    site = make_site(**WITH_IDS)
    demo = site.newcomer()
    ticket = await demo.ticket()
    for sent in [*HOSTILE, ticket]:
        answer = await demo.get("/api/notifications/", headers={"X-Request-ID": sent.encode()})
        assert answer.status_code in (200, 400)
        if answer.status_code == 200:
            assert set(answer.headers["x-request-id"]) <= HEX
    refused = await demo.request("POST", "/api/tickets/", json=[], headers={"X-Request-ID": PROXY_S})
    assert refused.status_code == 400
    assert refused.headers["x-request-id"] == PROXY_S, "errors have it, too"
    assert "forged" not in str([line["event"] for line in read(site.server)])
    assert not any(sent in site.server.log() for sent in [*HOSTILE, ticket])


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_a_stranger_names_no_request(make_site):
    site = make_site(LOG_FORMAT="json")
    answer = await site.person("demo").get("/healthz", bearer="", headers={"X-Request-ID": PROXY_S})
    assert answer.headers["x-request-id"] != PROXY_S
    read(site.server)
