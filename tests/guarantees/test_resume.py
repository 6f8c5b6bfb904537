"""A client that comes back gets everything since, in order, or is told `reset` and then nothing in part."""

import asyncio
import contextlib
import itertools
from dataclasses import dataclass

import pytest

from tests.conftest import Site
from tests.support import crowd
from tests.support.client import Person
from tests.support.servers import Server

MODULE = "tests.guarantees.log_keeping"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    """`history` as in log_keeping; `since` may name `epoch` and `old_epoch`; `heard` as spelled by `spell`."""

    name: str
    history: list
    since: str
    heard: list[str]

    def __str__(self):
        return self.name


def replay(first, last):
    return [f"{seq}*" for seq in range(first, last + 1)]


FIVE = [["tell", 5]]
PRUNED = [["tell", 6], ["prune", 3]]
EMPTIED = [["tell", 5], ["prune", 5]]

CASES = [
    Case("at the head", FIVE, "{epoch}:5", ["caught_up 5"]),
    Case("one behind the head", FIVE, "{epoch}:4", ["5*", "caught_up 5"]),
    Case("from the very beginning", FIVE, "{epoch}:0", [*replay(1, 5), "caught_up 5"]),
    Case("many pages behind", [["tell", 450]], "{epoch}:0", [*replay(1, 450), "caught_up 450"]),
    Case("one ahead", FIVE, "{epoch}:6", ["reset ahead: head 5, oldest 1"]),
    Case("far ahead", FIVE, "{epoch}:9999999999999999", ["reset ahead: head 5, oldest 1"]),
    Case("an epoch that never was", FIVE, "nowhere:3", ["reset epoch: head 5, oldest 1"]),
    Case("another epoch, and ahead", FIVE, "nowhere:6", ["reset epoch: head 5, oldest 1"]),
    Case("an epoch that is over", [*FIVE, ["void"]], "{old_epoch}:3", ["reset epoch: head 5, oldest 1"]),
    Case("just within retention", PRUNED, "{epoch}:3", [*replay(4, 6), "caught_up 6"]),
    Case("just below retention", PRUNED, "{epoch}:2", ["reset expired: head 6, oldest 4"]),
    Case("far below retention", PRUNED, "{epoch}:0", ["reset expired: head 6, oldest 4"]),
    Case("all is pruned, at the head", EMPTIED, "{epoch}:5", ["caught_up 5"]),
    Case("all is pruned, one behind", EMPTIED, "{epoch}:4", ["reset expired: head 5, oldest 6"]),
    Case(
        "expired inside",
        [*FIVE, ["expire", [2, 4]]],
        "{epoch}:0",
        ["1*", "skipped 2", "3*", "skipped 4", "5*", "caught_up 5"],
    ),
    Case(
        "archived inside and at the end",
        [*FIVE, ["archive", [3, 5]]],
        "{epoch}:1",
        ["2*", "skipped 3", "4*", "skipped 5", "caught_up 5"],
    ),
    Case("nothing is left", [*FIVE, ["expire", [1, 2, 3, 4, 5]]], "{epoch}:0", ["skipped 5", "caught_up 5"]),
    Case("an empty stream", [], "{epoch}:0", ["caught_up 0"]),
    Case("ahead of an empty stream", [], "{epoch}:1", ["reset ahead: head 0, oldest 1"]),
]
RESETS = [case for case in CASES if case.heard[0].startswith("reset")]


def spell(frame):
    match frame["type"]:
        case "notification":
            return f"{frame['seq']}{'*' if frame['replayed'] else ''}"
        case "skipped":
            return f"skipped {frame['through']}"
        case "caught_up":
            return f"caught_up {frame['cursor']}"
        case "reset":
            return f"reset {frame['reason']}: head {frame['head']}, oldest {frame['oldest']}"
    return frame["type"]


# The people of all cases, prepared at once for each site ----------------------------------------------------------


class Returning:
    """People with a past, on one site, and somebody who publishes there."""

    def __init__(self, site: Site, cases: list[Case]) -> None:
        self.site = site
        self.names = {case.name: f"returning-{next(_numbers)}" for case in cases}
        histories = {self.names[case.name]: case.history for case in cases} | {"service": []}
        self.pasts = keep(site.stack, histories, sign_in=True)
        self.service = self.person("service")

    def person(self, username: str) -> Person:
        person = Person(self.site.server, username, "")
        person.access = self.pasts[username]["access"]
        return person

    async def tell(self, username: str) -> dict:
        answer = await self.service.post("/api/notifications/", {"user": username, "title": "live"})
        assert answer.status_code == 201, answer.text
        return answer.json()


def keep(stack, histories, *, sign_in=False):
    return crowd.run(stack, MODULE, "keep", histories=histories, sign_in=sign_in)[0]


_returning: dict[Server, Returning] = {}


@pytest.fixture
def returning(site):
    if site.server not in _returning:
        _returning[site.server] = Returning(site, CASES)
    return _returning[site.server]


@pytest.fixture
def somebody(site):
    """Returns somebody new with this past, and who publishes."""

    def make(*history: list) -> tuple[Returning, Person]:
        case = Case("somebody", list(history), "", [])
        made = Returning(site, [case])
        return made, made.person(made.names["somebody"])

    return make


# The table --------------------------------------------------------------------------------------------------------


async def check_case(case: Case, returning: Returning) -> None:
    """Both ways of saying `since`; what is heard; and that it goes on live with the next number."""
    username = returning.names[case.name]
    past = returning.pasts[username]
    since = case.since.format(**past)
    resets = case.heard[0].startswith("reset")
    person = returning.person(username)
    async with person.connect(since=since) as one, person.connect(since=since, carrier="frame") as other:
        for socket in (one, other):
            welcome = await socket.next()
            cursor = welcome["head"] if resets else int(since.rpartition(":")[2])
            assert (welcome.type, welcome["recovered"], welcome["cursor"]) == ("welcome", not resets, cursor)
            for word in case.heard:
                assert spell(await socket.next(timeout=15)) == word
            replayed = {frame["seq"]: frame["id"] for frame in socket.of("notification")}
            assert replayed == {seq: past["ids"][str(seq)] for seq in replayed}
        live = await returning.tell(username)
        assert live["seq"] == one.welcome["head"] + 1
        for socket in (one, other):
            frame = await socket.next()
            assert (spell(frame), frame["id"]) == (str(live["seq"]), live["id"])


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_resume_is_whole_or_says_reset(case, returning):
    await check_case(case, returning)


@contextlib.contextmanager
def naive_site(stack, variant):
    stack.env["NAIVE"] = variant
    with Server("uvicorn", stack, application="tests.guarantees.naive:application") as server:
        yield Site(stack, "uvicorn", [server])


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_believing_the_client_does_not_pass(stack):
    with naive_site(stack, "believing_the_client") as site:
        returning = Returning(site, RESETS)
        for case in RESETS:
            with pytest.raises(AssertionError):
                await check_case(case, returning)


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
async def test_pushing_without_a_log_does_not_pass(stack):
    behind = [case for case in CASES if any(word.endswith("*") for word in case.heard)]
    with naive_site(stack, "without_a_log") as site:
        returning = Returning(site, behind)
        for case in behind:
            with pytest.raises(AssertionError):
                await check_case(case, returning)


# What happens in the middle ---------------------------------------------------------------------------------------


async def test_after_a_reset_the_list_and_what_is_live_have_no_hole_between_them(somebody):
    site, person = somebody(["tell", 6], ["prune", 3])
    name = person.username
    async with person.connect(since="nowhere:1") as socket:
        reset = await socket.expect("reset", reason="epoch", head=6, oldest=4)
        await site.tell(name)  # after the reset and before the list
        listed, _ = await asyncio.gather(person.get("/api/notifications/"), site.tell(name))  # during
        await site.tell(name)  # after
        listed = listed.json()
        live = [await socket.next() for _ in range(3)]
        assert [frame["seq"] for frame in live] == [7, 8, 9]
        assert listed["epoch"] == reset["epoch"]
        assert listed["head"] >= reset["head"]
        known = {item["seq"]: item["id"] for item in listed["results"]}
        assert sorted(known) == list(range(reset["oldest"], listed["head"] + 1))
        known |= {frame["seq"]: frame["id"] for frame in live}
        assert sorted(known) == [4, 5, 6, 7, 8, 9]
        assert len(set(known.values())) == 6
        position = socket.position
    async with person.connect(since=position) as socket:
        assert (await socket.next())["recovered"]
        assert spell(await socket.next()) == "caught_up 9"


async def test_pruned_while_away(somebody):
    site, person = somebody(["tell", 6])
    async with person.connect(since=f"{site.pasts[person.username]['epoch']}:0") as socket:
        await socket.expect("notification", seq=3)
        epoch = socket.welcome["epoch"]
        socket.cut()
    keep(site.site.stack, {person.username: [["prune", 5]]})
    async with person.connect(since=f"{epoch}:5") as edge, person.connect(since=f"{epoch}:4") as below:
        assert (await edge.next())["recovered"]
        assert [spell(await edge.next()) for _ in range(2)] == ["6*", "caught_up 6"]
        assert not (await below.next())["recovered"]
        assert spell(await below.next()) == "reset expired: head 6, oldest 6"


async def test_pruned_under_a_reader_that_waits_to_ack(somebody):
    site, person = somebody(["tell", 100])
    async with person.connect(since=f"{site.pasts[person.username]['epoch']}:0", auto_ack=False) as socket:
        frames = await socket.expect_many(64, "notification")  # the window
        keep(site.site.stack, {person.username: [["prune", 80]]})
        await socket.ack()
        assert spell(await socket.next()) == "reset expired: head 100, oldest 81"
        assert [frame["seq"] for frame in frames] == list(range(1, 65))
        live = await site.tell(person.username)
        frame = await socket.next()
        assert (spell(frame), frame["id"]) == ("101", live["id"])


async def test_numbered_anew_under_a_live_socket(somebody):
    site, person = somebody(["tell", 5])
    async with person.connect() as socket:
        await socket.expect("welcome", head=5)
        (past,) = keep(site.site.stack, {person.username: [["void"]]}).values()
        reset = await socket.expect("reset", timeout=20)
        assert spell(reset) == "reset epoch: head 5, oldest 1"
        assert reset["epoch"] == past["epoch"] != past["old_epoch"]
        live = await site.tell(person.username)
        frame = await socket.next()
        assert (spell(frame), frame["id"]) == ("6", live["id"])
