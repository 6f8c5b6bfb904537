"""An idle connection costs nothing but memory: no statement and no Redis command that grows with how many there are."""

import asyncio
import re
from collections import Counter

import pytest

from tests.faults.ground import Ground
from tests.faults.sizes import show, size
from tests.faults.sockets import opened
from tests.support.servers import Server

MANY = size(200, 1_000)
SECONDS = size(4.0, 60.0)
SYNC, SWEEP, RENEW, FIGURES = size((0.5, 1.0, 1.0, 1.0), (2.0, 10.0, 15.0, 10.0))
PACE = {
    "NOTIFICATIONS_SYNC_SECONDS": str(SYNC),
    "NOTIFICATIONS_SWEEP_SECONDS": str(SWEEP),
    "NOTIFICATIONS_PRESENCE_SECONDS": str(RENEW),
    "NOTIFICATIONS_FIGURES_SECONDS": str(FIGURES),
}
QUIET_AFTER = 2.5
"""Seconds until the last trace of opening them is written."""

RECORD = re.compile(r"^\d{4}-\d\d-\d\d .*? \[\d+\] (\w+): +", re.MULTILINE)
STATEMENT = re.compile(r"(?:statement|execute [^:]*): (.*)", re.DOTALL)
POOL = "a pool's question whether a connection is alive"
WORDS = {
    POOL: re.compile(r"^\s*$"),
    "transaction": re.compile(r"^(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)"),
    "sync": re.compile(r"notifications_stream|notifications_notification"),
    "list": re.compile(r"notifications_connection"),
    "figures": re.compile(r"notifications_figures"),
    "sweep": re.compile(r"tickets_loginsession"),
}

pytestmark = pytest.mark.timeout(size(300, 1_200))


def statements_in(log: str) -> Counter[str]:
    """What was asked, by kind."""
    _, *records = RECORD.split(log)
    said = [STATEMENT.match(text) for level, text in zip(records[::2], records[1::2], strict=True) if level == "LOG"]
    return Counter(kind_of(each[1]) for each in said if each)


def kind_of(statement: str) -> str:
    return next((name for name, words in WORDS.items() if words.search(statement)), statement[:60])


def say_every_statement(site: Ground) -> None:
    with site.postgres.connect() as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")


def commands(site: Ground) -> Counter[str]:
    """How often Redis was asked for what; our own question is not counted."""
    with site.valkey.client() as client:
        stats = client.info("commandstats")
    asked = {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}
    return Counter({name: calls for name, calls in asked.items() if name not in ("info", "client|setinfo", "hello")})


async def watched(site: Ground, server: Server, sockets: int) -> tuple[Counter[str], Counter[str]]:
    """The statements and commands of a while in which so many sockets did nothing."""
    async with opened(server, site.people(sockets)):
        await asyncio.sleep(QUIET_AFTER)
        said, asked = len(site.postgres.log()), commands(site)
        await asyncio.sleep(SECONDS)
        statements = statements_in(site.postgres.log()[said:])
        difference = commands(site)
        difference.subtract(asked)
    show(f"{sockets} idle sockets in {SECONDS:g} s", statements=dict(statements), commands=dict(+difference))
    return statements, +difference


def check_same(one: Counter[str], many: Counter[str]) -> None:
    """As often for many as for one, give or take some intervals: the watching cut one in two, and a slow machine has
    some left of the opening. What grows with the sockets grows by hundreds."""
    # Which of the database threads does a job, and so whether its connection comes fresh from the pool, is chance.
    kinds = (one | many).keys() - {POOL}
    grown = {what: (one[what], many[what]) for what in kinds if many[what] > one[what] + 5}
    assert not grown, f"asked more often for {MANY} than for one: {grown}"


def check_paced(statements: Counter[str]) -> None:
    """One statement for each interval."""
    for what, seconds in (("sync", SYNC), ("sweep", SWEEP), ("figures", FIGURES)):
        intervals = SECONDS / seconds
        assert intervals / 2 <= statements[what] <= intervals + 1, (what, intervals, statements)
    assert statements[POOL] <= sum(statements[what] for what in ("sync", "sweep", "list", "figures"))
    # The renewal purges and renews, once a minute it notes who is seen, and staff's wishes are looked for.
    assert statements["list"] <= 2 * (SECONDS / RENEW + 1) + SECONDS / 60 + 1 + SECONDS / SWEEP + 1, statements


async def test_two_hundred_idle_sockets_cost_what_one_costs(own_ground):
    site = own_ground(**PACE)
    server = site.serve()
    say_every_statement(site)
    none, none_asked = await watched(site, server, 0)
    one, one_asked = await watched(site, server, 1)
    many, many_asked = await watched(site, server, MANY)
    check_same(none_asked, one_asked)
    check_same(one, many)
    check_same(one_asked, many_asked)
    check_paced(many)
    assert sum(none.values()) <= sum(one.values()), "nobody costs no more than somebody"


async def test_a_server_that_looks_for_each_socket_does_not_pass(own_ground):
    site = own_ground(**PACE)
    server = site.serve(naive="polling")
    say_every_statement(site)
    one, one_asked = await watched(site, server, 1)
    many, many_asked = await watched(site, server, 20)
    with pytest.raises(AssertionError, match="asked more often"):
        check_same(one, many)
    with pytest.raises(AssertionError, match="asked more often"):
        check_same(one_asked, many_asked)
