"""The line in front of Django, with applications that do nothing but take their time."""

import asyncio
import json
import logging

import pytest
from asgiref.testing import ApplicationCommunicator
from django.test import override_settings

from tickets import concurrency
from tickets.concurrency import Concurrency

LAST = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


class Slow:
    """Reads the body as Django does, listens for a disconnect as Django does, and answers when it is told to."""

    def __init__(self):
        self.inside = self.most = self.ended = 0
        self.heard = []
        self.go = asyncio.Event()

    async def __call__(self, scope, receive, send):
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            self.heard.append("gone")
            return
        listening = asyncio.ensure_future(receive())
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.go.wait()
        finally:
            self.inside -= 1
            self.ended += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0)
        if listening.done():
            self.heard.append(listening.result()["type"])
        listening.cancel()
        await send({"type": "http.response.body", "body": b"ok"})


def patience(scope):
    if scope["path"] == "/healthz":
        return None
    return concurrency.PROMPT_SECONDS if scope["path"].startswith("/api/") else concurrency.PATIENT_SECONDS


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def door(slow):
    with override_settings(TICKETS={"REQUESTS_AT_ONCE": 2}):
        yield Concurrency(slow, patience=patience)


class Request(ApplicationCommunicator):
    def __init__(self, app, path="/api/x"):
        super().__init__(app, {"type": "http", "method": "POST", "path": path})

    async def answer(self):
        start = await self.receive_output(5)
        body = await self.receive_output(5)
        return start["status"], dict(start["headers"]), body["body"]

    async def status(self):
        return (await self.answer())[0]


async def ask(app, path="/api/x", *, read=True):
    request = Request(app, path)
    await request.send_input(LAST if read else LAST | {"more_body": True})
    await asyncio.sleep(0.01)  # as far as it gets
    return request


async def test_at_most_so_many_are_inside_and_all_are_served(door, slow):
    requests = [await ask(door) for _ in range(20)]
    assert (slow.inside, door.places.waiting) == (2, 18)
    slow.go.set()
    assert [await request.status() for request in requests] == [200] * 20
    assert slow.most == 2
    for request in requests:
        await request.wait(5)
    assert (door.places.inside, door.places.waiting, door._running) == (0, 0, set())


async def test_without_it_all_are_inside(slow):
    """The negative control."""
    requests = [await ask(slow) for _ in range(20)]
    assert slow.inside == 20
    slow.go.set()
    assert [await request.status() for request in requests] == [200] * 20


async def test_probes_never_wait(door, slow):
    requests = [await ask(door) for _ in range(3)]
    probe = await ask(door, "/healthz")
    assert slow.inside == 3
    slow.go.set()
    assert [await request.status() for request in (*requests, probe)] == [200] * 4


async def test_who_has_not_sent_all_holds_no_place(door, slow):
    dribbling = [await ask(door, read=False) for _ in range(5)]
    honest = await ask(door)
    slow.go.set()
    assert await honest.status() == 200
    for request in dribbling:
        await request.send_input(LAST)
        assert await request.status() == 200


async def test_who_reads_slowly_holds_no_place(door, slow):
    slow.go.set()
    reading = asyncio.Event()

    async def send(message):
        await reading.wait()

    async def receive():
        return LAST

    tasks = [asyncio.create_task(door({"type": "http", "path": "/api/x"}, receive, send)) for _ in range(5)]
    assert await (await ask(door)).status() == 200
    assert not any(task.done() for task in tasks)
    reading.set()
    await asyncio.gather(*tasks)


async def test_who_goes_away_while_waiting_leaves_the_line(door, slow):
    inside = [await ask(door) for _ in range(2)]
    waiting = await ask(door)
    await waiting.send_input(GONE)
    await waiting.wait(5)
    assert (slow.heard, door.places.waiting) == (["gone"], 0)
    slow.go.set()
    assert [await request.status() for request in inside] == [200, 200]


async def test_who_goes_away_inside_is_served_to_the_end(door, slow):
    """Its thread could not be interrupted, and its place would be taken twice."""
    request = await ask(door)
    await request.send_input(GONE)
    await asyncio.sleep(0.01)
    assert (slow.inside, door.places.inside) == (1, 1)
    slow.go.set()
    assert await request.status() == 200
    assert slow.heard == ["http.disconnect"], "and is told so as soon as the answer has begun"


@pytest.mark.parametrize("after_cancel", [True, False])
async def test_one_that_hangs_is_answered_and_keeps_its_place(door, slow, monkeypatch, after_cancel):
    monkeypatch.setattr(concurrency, "PROMPT_SECONDS", 0.05)
    request = await ask(door)
    status, headers, body = await request.answer()
    assert (status, headers[b"retry-after"], headers[b"content-type"]) == (503, b"2", b"application/problem+json")
    assert json.loads(body)["code"] == "unavailable"
    assert int(headers[b"content-length"]) == len(body)
    await request.wait(5)
    if after_cancel:
        request.future.cancel()
    assert (slow.inside, door.places.inside) == (1, 1)
    slow.go.set()
    await asyncio.sleep(0.01)
    assert (slow.ended, door.places.inside, door._running) == (1, 0, set())
    assert await request.receive_nothing(), "what it said too late is nobody's"


async def test_when_all_hang_nobody_waits_and_when_they_end_all_are_served(slow, monkeypatch, caplog):
    monkeypatch.setattr(concurrency, "PROMPT_SECONDS", 0.1)
    with override_settings(TICKETS={"REQUESTS_AT_ONCE": 2}), caplog.at_level(logging.ERROR):
        door = Concurrency(slow, patience=patience)
    pages = [await ask(door, "/page/") for _ in range(2)]  # these may take their time
    waiting = [await ask(door) for _ in range(3)]
    assert [await request.status() for request in waiting] == [503] * 3
    assert await (await ask(door)).status() == 503
    assert "answered 503 1 times: 2 inside, 0 waiting" in caplog.text
    slow.go.set()
    assert [await request.status() for request in pages] == [200, 200]
    assert await (await ask(door)).status() == 200


async def test_a_server_that_ends_a_waiting_request_frees_the_line(door, slow):
    inside = [await ask(door) for _ in range(2)]
    waiting = await ask(door)
    waiting.future.cancel()
    await asyncio.wait([waiting.future], timeout=5)
    await asyncio.sleep(0.01)
    assert (door.places.inside, door.places.waiting, len(door._running)) == (2, 0, 2)
    slow.go.set()
    assert [await request.status() for request in inside] == [200, 200]


async def test_an_error_of_the_application_is_the_servers_to_see():
    async def broken(scope, receive, send):
        await receive()
        raise ZeroDivisionError

    door = Concurrency(broken, patience=patience)
    request = await ask(door)
    with pytest.raises(ZeroDivisionError):
        await request.wait(5)
    assert door.places.inside == 0
