"""What is more than a site can take is refused, and what it can take is taken in an orderly way."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.bad_input.raw import Raw
from tests.faults.ground import Ground
from tests.faults.sizes import GENEROUS, show, size
from tests.faults.sockets import answer_to, open_one
from tests.faults.telling import tell
from tests.support.loyal import Loyal, all_welcomed, http, leave_all, until
from tests.support.passes import Pass
from tests.support.servers import Server
from tests.support.wires import Wire

pytestmark = pytest.mark.timeout(size(300, 600))

SERVERS = pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
LIMITLESS = dict.fromkeys(
    [
        "NOTIFICATIONS_UNAUTHENTICATED_PER_ADDRESS",
        "NOTIFICATIONS_UNAUTHENTICATED_PER_PROCESS",
        "NOTIFICATIONS_SOCKETS_PER_PROCESS",
        "NOTIFICATIONS_SOCKETS_PER_USER",
        "TICKETS_ISSUE_BURST",
    ],
    "1000",
)


# Sockets --------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def strangers(server: Server, count: int) -> AsyncIterator[Counter[int]]:
    """So many sockets that show no credential; what their handshakes were answered with."""
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(await Raw.dial(server)) for _ in range(count)]
        yield Counter([(await socket.shake(("Sec-WebSocket-Protocol", "usher.v1"))).status for socket in sockets])


async def check_strangers(server: Server, room: int) -> None:
    async with strangers(server, room + 5) as answers:
        assert answers == {101: room, 403: 5}, answers


async def check_full(server: Server, people: list[Pass], room: int) -> None:
    """With a good ticket, too; and whoever goes makes room for one."""
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(await open_one(server, each)) for each in people[:room]]
        assert await answer_to(server, people[room]) == 403, "one too many was let in"
        await sockets[0].close()
        await until(lambda: "close connection=" in server.log(), "end of the first", 10)
        await stack.enter_async_context(await open_one(server, people[room]))
        assert all(socket.close_code is None for socket in sockets[1:]), "those who are there stay"


@SERVERS
async def test_more_sockets_than_there_is_room_for_are_refused(ground, kind):
    site = ground(
        NOTIFICATIONS_UNAUTHENTICATED_PER_ADDRESS="15",
        NOTIFICATIONS_UNAUTHENTICATED_PER_PROCESS="200",
        NOTIFICATIONS_SOCKETS_PER_PROCESS="300",
    )
    await check_strangers(site.serve(kind), 15)
    await check_strangers(site.serve(kind, NOTIFICATIONS_UNAUTHENTICATED_PER_PROCESS="10"), 10)
    await check_full(site.serve(kind, NOTIFICATIONS_SOCKETS_PER_PROCESS="8"), site.people(9), 8)


async def test_a_server_without_these_limits_does_not_pass(ground):
    site = ground(**LIMITLESS)
    server = site.serve()
    with pytest.raises(AssertionError, match="101"):
        await check_strangers(server, 10)
    with pytest.raises(AssertionError, match="one too many"):
        await check_full(server, site.people(9), 8)


# Sockets of one person ------------------------------------------------------------------------------------------------

ROOM_OF_ONE = 3
KNOWN_WITHIN = 6.0 * max(1.0, GENEROUS / 3)


async def check_newest_win(first: Server, second: Server, someone: Pass, within: float = KNOWN_WITHIN) -> None:
    """One more than a person may have, on two processes in turn: the oldest goes, and only that."""
    async with contextlib.AsyncExitStack() as stack:
        sockets = []
        for number in range(ROOM_OF_ONE + 1):
            server = (first, second)[number % 2]
            sockets.append(await stack.enter_async_context(await open_one(server, someone)))
        began = time.monotonic()
        bye = await sockets[0].expect("bye", timeout=within)
        show("4504", processes=1 if first is second else 2, seconds=time.monotonic() - began)
        assert (bye["code"], bye["reconnect"], bye["need"]) == (4504, False, "nothing")
        assert await sockets[0].closed() == 4504
        await asyncio.sleep(1)
        assert [socket.close_code for socket in sockets[1:]] == [None] * ROOM_OF_ONE


async def test_the_newest_sockets_of_a_person_win(ground):
    site = ground(NOTIFICATIONS_SOCKETS_PER_USER=str(ROOM_OF_ONE))
    first, second = site.serve(), site.serve()
    one, other = site.people(2)
    await check_newest_win(first, first, one)
    await check_newest_win(first, second, other)


async def test_servers_that_know_only_their_own_sockets_do_not_pass(ground):
    site = ground(NOTIFICATIONS_SOCKETS_PER_USER=str(ROOM_OF_ONE))
    first, second = site.serve(naive="knowing_only_its_own"), site.serve(naive="knowing_only_its_own")
    (someone,) = site.people(1)
    with pytest.raises(AssertionError, match="no bye"):
        await check_newest_win(first, second, someone, within=6)


# Tickets --------------------------------------------------------------------------------------------------------------

BURST = 5


async def check_tickets(servers: list[Server], someone: Pass) -> None:
    """Asked for all at once, at all processes: exactly the burst, and the rest is told when to come again."""
    headers = {"Authorization": f"Bearer {someone.access}"}
    asked = [
        http().post(f"{server.http}/api/tickets/", headers=headers, timeout=30) for server in servers for _ in range(15)
    ]
    answers = await asyncio.gather(*asked)
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {201: BURST, 429: len(asked) - BURST}, statuses
    for answer in answers:
        if answer.status_code == 429:
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
            assert answer.json()["code"] == "rate_limited"


async def test_tickets_beyond_the_burst_are_refused_across_processes(ground):
    site = ground(TICKETS_ISSUE_BURST=str(BURST), TICKETS_ISSUE_PER_MINUTE="1")
    await check_tickets([site.serve(), site.serve()], site.people(1)[0])


async def test_tickets_without_a_limit_do_not_pass(ground):
    site = ground(**LIMITLESS)
    with pytest.raises(AssertionError, match="201"):
        await check_tickets([site.serve()], site.people(1)[0])


# A storm --------------------------------------------------------------------------------------------------------------

CROWD = size(300, 1_000)
PROCESSES = 3
BACK_WITHIN = size(90.0, 30.0)
CONNECTIONS_A_PROCESS = 8 + 1
"""As many as its pool has, and one that is being replaced."""
TRANSACTIONS_EACH = 40
"""Of the database for each that came back, all told: its ticket, its socket, the list of connections."""


class Watch:
    """The most connections that the database had to bear, and its transactions."""

    def __init__(self, site: Ground) -> None:
        self._site = site
        self.most = 0
        self._before = self._transactions()
        self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            self.most = max(self.most, await asyncio.to_thread(self._site.connections))
            await asyncio.sleep(0.1)

    def _transactions(self) -> int:
        counted = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"
        return int(self._site.ask(counted, self._site.database)[0][0])

    async def over(self) -> int:
        """Transactions since it began."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self._transactions() - self._before


async def storm(site: Ground, *, crowd: int, naive: str = "") -> tuple[list[Loyal], float, int, int]:
    """One of three processes is killed: the crowd, how long until all are back and have heard what was told then, the
    most database connections, and its transactions."""
    for _ in range(PROCESSES):
        await asyncio.to_thread(site.serve, naive=naive)
    people = site.people(crowd)
    async with Wire(*site.servers) as wire:
        clients = [Loyal(wire, someone, ping=10, patience=20) for someone in people]
        for start in range(0, crowd, 50):
            for client in clients[start : start + 50]:
                client.start()
            await all_welcomed(clients[start : start + 50], timeout=60)
        watch = Watch(site)
        site.servers[0].kill()
        began = time.monotonic()
        try:
            await tell(site.stack, people, rounds=1, rate=1, size=100, name="storm")
            heard = lambda client: client.here and client.position.endswith(":1")  # noqa: E731
            with contextlib.suppress(AssertionError):  # that is for the checker to say
                await until(lambda: all(map(heard, clients)), "return of all", BACK_WITHIN)
            return clients, time.monotonic() - began, watch.most, await watch.over()
        finally:
            await leave_all(clients)


def check_storm(clients: list[Loyal], seconds: float, connections: int, transactions: int) -> None:
    back = [client for client in clients if client.reconnects]
    answers = sum((client.answers for client in clients), Counter())
    show("storm", back=len(back), seconds=seconds, connections=connections, transactions=transactions, answers=answers)
    assert len(clients) / PROCESSES / 2 < len(back) < len(clients) * 2 / PROCESSES, (
        "only those of one process had to go"
    )
    assert seconds < BACK_WITHIN, f"not all back within {BACK_WITHIN:g} s"
    assert not [answer for answer in answers if isinstance(answer, int) and answer >= 500 and answer != 503], answers
    assert connections <= (PROCESSES - 1) * CONNECTIONS_A_PROCESS + 1, f"{connections} database connections"
    assert transactions <= TRANSACTIONS_EACH * len(back), f"{transactions} transactions for {len(back)}"


async def test_a_crowd_that_lost_its_process_is_served_without_a_stampede(ground):
    site = ground()
    check_storm(*await storm(site, crowd=CROWD))
    for server in site.servers[1:]:
        assert not server.complaints(), server.log()[-4_000:]


async def test_a_server_with_a_connection_for_each_socket_does_not_pass(ground):
    site = ground()
    found = await storm(site, crowd=60, naive="connecting")
    with pytest.raises(AssertionError, match="database connections"):
        check_storm(*found)
