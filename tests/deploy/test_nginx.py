"""The shipped nginx configuration in front of two real processes of a production site, over TLS."""

import asyncio
import contextlib
import re
import signal
import subprocess

import httpx
import pytest

from tests.deploy.fleet import DEPLOY, METRICS_TOKEN, Fleet
from tests.support.client import Person, Refused
from tests.support.processes import free_port, wait_until

SITE = (DEPLOY / "nginx" / "usher" / "site.conf").read_text()
CANARY = "canary-in-the-coal-mine"
ELSEWHERE = {"X-Forwarded-For": "203.0.113.7"}


def without(directive: str):
    """A naive variant: the shipped configuration without the lines that say this."""

    def change(text: str) -> str:
        return "\n".join(line for line in text.splitlines() if directive not in line)

    return change


def test_the_shipped_file_is_accepted(make_front, fleet):
    front = make_front(fleet.directory)
    done = subprocess.run(front.command("-t"), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


async def test_a_socket_through_it(make_front, fleet):
    front = make_front(fleet.directory)
    alice = Person(front, "alice")
    answer = (await alice.post("/api/tickets/")).json()
    assert answer["url"] == f"{front.ws}/ws/"
    async with alice.connect(ticket=answer["ticket"], origin=front.http) as socket:
        await socket.expect("welcome")
        await asyncio.to_thread(front.stack.manage, "notify", "alice", "--title", "Through nginx")
        await socket.expect("notification", title="Through nginx")
        await socket.send({"type": "ping", "ref": "1"})
        await socket.expect("pong", ref="1")


async def test_the_origin_is_judged_by_what_the_browser_sees(make_front, fleet):
    front = make_front(fleet.directory)
    for origin in ("https://evil.example", "https://localhost", front.http.replace("https", "http")):
        with pytest.raises(Refused) as refused:
            async with Person(front, "alice").connect(origin=origin):
                pass
        assert refused.value.status == 403


async def redeems_elsewhere(front) -> bool:
    """Whether a ticket asked for from here counts as one of the network that the caller made up."""
    person = Person(front, "alice")
    answer = await person.post("/api/tickets/", headers=ELSEWHERE)
    async with person.connect(ticket=answer.json()["ticket"]) as socket:
        return (await socket.next()).type != "welcome"


async def test_a_forged_address_is_ignored(make_front, fleet):
    assert not await redeems_elsewhere(make_front(fleet.directory))


async def test_a_forged_address_would_be_believed_if_nginx_passed_it_on(make_front, fleet):
    assert await redeems_elsewhere(make_front(fleet.directory, without("X-Forwarded-For $remote_addr")))


def test_what_is_not_for_the_outside(make_front, fleet):
    front = make_front(fleet.directory)
    with httpx.Client(trust_env=False, verify=False, base_url=front.http) as http:
        answer = http.get("/metrics", headers={"Authorization": "Bearer anything"})
        assert answer.status_code == 404
        assert answer.headers["Server"] == "nginx"  # by itself, and without its version
        assert "nginx" in answer.text
        assert http.post("/api/tickets/", content=b"x" * (512 * 1024 + 1)).status_code == 413
        assert http.get("/readyz").json()["database"] == "ok"
        elsewhere = http.get(f"{front.plain}/inbox")
        assert (elsewhere.status_code, elsewhere.headers["Location"]) == (301, "https://localhost/inbox")
        with pytest.raises(httpx.RemoteProtocolError):
            http.get(front.plain, headers={"Host": "scanner.example"})
        with pytest.raises(httpx.ConnectError):  # no certificate for who calls it by an address
            http.get(front.http.replace("localhost", "127.0.0.1"))


def refuse_a_page_from_elsewhere(socket):
    """At the process behind this unix socket, and at no other."""
    handshake = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    handshake |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": "https://evil.example"}
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://localhost") as http:
        assert http.get("/ws/", headers=handshake).status_code == 403


def test_prometheus_asks_each_process_by_a_way_of_its_own(make_front, fleet):
    front = make_front(fleet.directory, lambda text: text.replace("#include usher/metrics", "include usher/metrics"))
    shown = {"Authorization": f"Bearer {METRICS_TOKEN}"}

    def refused():
        counts = []
        for port in front.metrics_ports:
            with httpx.Client(trust_env=False, base_url=f"http://127.0.0.1:{port}") as http:
                answer = http.get("/metrics", headers=shown)
                assert answer.status_code == 200, answer.text
                count = re.search(
                    r'^usher_handshakes_refused_total\{reason="origin"\} (\S+)$', answer.text, re.MULTILINE
                )
                counts.append(float(count[1]))
                assert http.get("/metrics").status_code == 404
                assert http.get("/readyz", headers=shown).status_code == 404
        return counts

    first, second = refused()
    refuse_a_page_from_elsewhere(fleet.socket(1))
    assert refused() == [first + 1, second]
    refuse_a_page_from_elsewhere(fleet.socket(2))
    assert refused() == [first + 1, second + 1]


async def whisper(front) -> None:
    """Say the canary wherever credentials and queries go, in requests that succeed, fail and make no sense."""
    headers = {"Authorization": f"Bearer {CANARY}", "Referer": f"{front.http}/?{CANARY}"}
    big = b"x" * (512 * 1024 + 1)
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        await http.get(f"{front.http}/readyz?ticket={CANARY}", headers=headers)
        await http.post(f"{front.http}/api/tickets/?ticket={CANARY}", headers=headers, content=big)
        await http.get(f"{front.http}/api/nowhere/?{CANARY}", headers=headers)
        await http.get(f"{front.plain}/?{CANARY}", headers=headers)
    offered = ["usher.v1", f"usher.ticket.{CANARY}"]
    for origin in (None, "https://evil.example"):
        try:
            async with Person(front, "alice").connect(
                carrier="none", path=f"/ws/?ticket={CANARY}", origin=origin, subprotocols=offered
            ) as socket:
                await socket.closed()
        except Refused:
            assert origin
    for nonsense in (f"GET /?{CANARY} HTTP/9.9\r\n\r\n", f"GE\x01T /?{CANARY} HTTP/1.1\r\n\r\n", f"{CANARY}\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", front.plain_port)
        writer.write(nonsense.encode())
        await reader.read()
        writer.close()


async def all_is_logged(front) -> None:
    """nginx writes when it closes a request, which may be after the answer."""
    await asyncio.to_thread(
        wait_until, lambda: front.logs().count(" POST /api/tickets/ 413") >= 1, timeout=10, what="access log"
    )


async def test_no_log_has_a_query_or_a_credential(make_front, production, open_directory):
    fleet = Fleet(production, open_directory / "talked-about")
    try:
        front = make_front(fleet.directory)
        await whisper(front)
        fleet.stop()  # what nginx says of processes that are gone
        await whisper_to_nobody(front)
        await all_is_logged(front)
    finally:
        fleet.stop()
    assert re.search(
        r"^127\.0\.0\.1 \[[^\]]+\] GET /ws/ 502 .* upstream=unix:.*1/http\.sock", front.logs(), re.MULTILINE
    )
    assert "GET /readyz 200" in front.logs()
    assert CANARY not in front.logs()
    assert CANARY not in fleet.log()


async def whisper_to_nobody(front) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        for path in ("/", "/ws/", "/api/nowhere/"):
            answer = await http.get(f"{front.http}{path}?{CANARY}", headers={"Authorization": f"Ticket {CANARY}"})
            assert answer.status_code == 502


@pytest.mark.parametrize(
    "naive",
    [
        pytest.param(without("error_log /dev/null"), id="error-log"),
        pytest.param(lambda text: text.replace("access.log usher", "access.log combined"), id="access-log"),
    ],
)
async def test_the_canary_would_be_found(make_front, open_directory, naive):
    front = make_front(open_directory / "nobody", naive)
    await whisper_to_nobody(front)
    await asyncio.to_thread(wait_until, lambda: CANARY in front.logs(), timeout=10, what="canary")


class Draining:
    """A process that answers every handshake with 503, as one that drains does."""

    def __init__(self, socket) -> None:
        self.socket = socket
        self.asked = 0

    async def _answer(self, reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def __aenter__(self) -> "Draining":
        self.socket.parent.mkdir(parents=True)
        self._server = await asyncio.start_unix_server(self._answer, self.socket)
        self.socket.chmod(0o666)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()


async def all_welcomed(front, tickets: list[str]) -> bool:
    for ticket in tickets:
        try:
            async with Person(front, "demo").connect(ticket=ticket) as socket:
                await socket.expect("welcome")
        except Refused:
            return False
    return True


async def six_tickets(front) -> list[str]:
    person = Person(front, "demo")
    return [await person.ticket() for _ in range(6)]


async def beside_a_draining_process(front, fleet, tickets) -> tuple[bool, int]:
    """Whether handshakes succeed at a site of which one process drains, and how often that one was asked."""
    async with Draining(front.sockets / "1" / "http.sock") as draining:
        (front.sockets / "2").mkdir()
        (front.sockets / "2" / "http.sock").symlink_to(fleet.socket(1))
        return await all_welcomed(front, tickets), draining.asked


async def test_a_draining_process_is_passed_over(make_front, fleet, open_directory):
    tickets = await six_tickets(make_front(fleet.directory))
    front = make_front(open_directory / "one-drains")
    welcomed, asked = await beside_a_draining_process(front, fleet, tickets)
    assert welcomed
    assert asked >= 1  # it was tried, and passed over


async def test_a_draining_process_would_be_met_without(make_front, fleet, open_directory):
    def naive(text: str) -> str:
        return text.replace("proxy_next_upstream error timeout http_503", "proxy_next_upstream error timeout")

    tickets = await six_tickets(make_front(fleet.directory))
    front = make_front(open_directory / "one-drains-naively", naive)
    welcomed, _ = await beside_a_draining_process(front, fleet, tickets)
    assert not welcomed


async def test_a_killed_process_is_passed_over(make_front, production, open_directory):
    fleet = Fleet(production, open_directory / "one-dies")
    try:
        front = make_front(fleet.directory)
        fleet.processes[0].kill()
        assert await all_welcomed(front, await six_tickets(front))
    finally:
        fleet.stop()


async def test_who_is_sent_away_comes_back_to_another_process(make_front, production, open_directory):
    fleet = Fleet(production, open_directory / "one-restarts")
    front = make_front(fleet.directory)
    person = Person(front, "alice")
    try:
        async with contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(person.connect()) for _ in range(4)]
            for socket in sockets:
                await socket.expect("welcome")
            fleet.processes[0].terminate()
            assert await asyncio.to_thread(fleet.processes[0].wait, 30) == -signal.SIGTERM
            sent_away = [socket for socket in sockets if socket.of("bye")]
            assert {await socket.closed() for socket in sent_away} == {4400}
            await asyncio.to_thread(production.manage, "notify", "alice", "--title", "Meanwhile")
            for socket in sent_away:
                again = await stack.enter_async_context(person.connect(since=socket.position))
                await again.expect("notification", title="Meanwhile")
            for socket in sockets:  # the others noticed nothing
                if socket not in sent_away:
                    await socket.expect("notification", title="Meanwhile")
    finally:
        fleet.stop()


def test_a_quiet_socket_is_not_cut():
    ping, patience = (
        int(re.search(rf"--ws-ping-{what} (\d+)", (DEPLOY / "serve").read_text())[1])
        for what in ("interval", "timeout")
    )
    (waits,) = re.findall(r"location ~ \^/\(\?:ws/\S* \{.*?proxy_read_timeout (\d+)s", SITE, re.DOTALL)
    assert int(waits) > ping + patience


def test_a_broker_asks_from_this_machine_and_nobody_from_elsewhere(make_front, fleet):
    port = free_port()

    def change(text: str) -> str:
        for file in ("rabbitmq.conf", "rabbitmq-sockets.conf"):
            text = text.replace(f"#include usher/{file};", f"include usher/{file};")
        return text.replace("listen 127.0.0.1:8000", f"listen 127.0.0.1:{port}")

    front = make_front(fleet.directory, change)
    asked = {"username": "alice", "vhost": "/", "ip": "127.0.0.1"}
    answer = httpx.post(f"http://127.0.0.1:{port}/rabbitmq/auth/vhost", data=asked)
    assert (answer.status_code, answer.content) == (200, b"deny")
    assert httpx.post(f"http://127.0.0.1:{port}/api/tickets/", data=asked).status_code == 404
    from_outside = httpx.post(f"{front.http}/rabbitmq/auth/vhost", data=asked)
    assert (from_outside.status_code, "nginx" in from_outside.text) == (404, True)
    # The broker itself is not there.
    assert (
        httpx.get(f"{front.http}/broker/stomp").status_code == httpx.get(f"{front.http}/broker/mqtt").status_code == 502
    )
