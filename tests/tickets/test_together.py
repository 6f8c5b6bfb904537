import asyncio
import threading
import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tickets import together as module
from tickets import tokens
from tickets.grants import Grant, Purpose, Refusal, SessionEnded, TicketRefused, TokenRefused, Unavailable
from tickets.issuing import issue, revoke
from tickets.minting import digest, mint
from tickets.models import Ticket
from tickets.redeeming import redeem_together
from tickets.sessions import end_session, open_session
from tickets.threads import _executor, in_thread
from tickets.together import JOBS, Redeemer

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

CONNECT = frozenset({Purpose.CONNECT})
REAUTHENTICATE = frozenset({Purpose.CONNECT, Purpose.REAUTH})
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.9"

only_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="SQLite has one writer at a time: nobody holds a row"
)


def made(user, count, *, network=HOME, **how):
    """Tickets of a person, with a login session of their own, and no limit to how many are outstanding."""
    session_id = open_session(user, method="test")
    with override_settings(TICKETS={"OUTSTANDING": 1000, "ISSUE_BURST": 1000}):
        return [issue(user=user, session_id=session_id, network=network, **how).ticket for _ in range(count)]


async def make(user, count, **how):
    return await in_thread(made, user, count, **how)


@pytest.fixture
def tickets(user):
    return made(user, 20)


@pytest.fixture
async def redeemer():
    return Redeemer(lambda grants: [grant.username.upper() for grant in grants])


@pytest.fixture
def batches(monkeypatch):
    """How many were redeemed by each job."""
    counted = []

    def count(presented, **how):
        counted.append(len(presented))
        return redeem_together(presented, **how)

    monkeypatch.setattr(module, "redeem_together", count)
    return counted


async def answers(redeemer, tickets, *, address=HOME, purposes=CONNECT):
    """What each got when all were presented at once: what `then` said, or why not."""

    async def one(ticket):
        try:
            grant, read = await redeemer.redeem(ticket, purposes=purposes, address=address)
        except TicketRefused as refused:
            return refused.refusal
        except Unavailable:
            return Unavailable
        assert read == grant.username.upper(), "what was read for somebody else"
        return grant

    return await asyncio.gather(*map(one, tickets))


def granted(found):
    return sum(isinstance(answer, Grant) for answer in found)


async def test_a_ticket_alone(redeemer, tickets, batches, user):
    (grant,) = await answers(redeemer, tickets[:1])
    assert (grant.user_id, grant.username) == (user.pk, "alice")
    assert await answers(redeemer, tickets[:1]) == [Refusal.USED]
    assert batches == [1, 1]


async def test_tickets_presented_at_once_are_one_job(redeemer, tickets, batches):
    assert granted(await answers(redeemer, tickets)) == 20
    assert batches == [20]


@only_postgresql
def test_and_one_statement(tickets, django_assert_num_queries):
    with django_assert_num_queries(1):
        found = redeem_together([(digest(ticket), HOME) for ticket in tickets], purposes=CONNECT)
    assert granted(found) == 20


async def test_each_is_told_of_its_own(redeemer, user, other):
    mine, theirs = await make(user, 5), await make(other, 5)
    mixed = [ticket for pair in zip(mine, theirs, strict=True) for ticket in pair]
    names = [grant.username for grant in await answers(redeemer, mixed)]
    assert names == ["alice", "bob"] * 5


async def test_the_same_ticket_many_times_among_others(redeemer, tickets, batches):
    found = await answers(redeemer, [tickets[0]] * 10 + tickets[1:])
    assert granted(found) == 20
    assert found.count(Refusal.USED) == 9
    assert batches[0] == 29


async def test_every_refusal_is_the_one_that_a_ticket_alone_gets(redeemer, tickets, user, audited):
    used, revoked, expired, good = tickets[:4]
    (reauth,), (elsewhere,) = await make(user, 1, purpose=Purpose.REAUTH), await make(user, 1, network=ELSEWHERE)
    (ended,) = await make(user, 1)
    await answers(redeemer, [used])

    def row(ticket):
        return Ticket.objects.filter(digest=digest(ticket))

    def spoil():
        revoke(ticket_id=row(revoked).get().pk)
        row(expired).update(expires_at=F("created_at"))
        end_session(row(ended).get().session_id)

    await in_thread(spoil)
    presented = [used, revoked, expired, ended, reauth, elsewhere, mint(), "no ticket", good]
    found = await answers(redeemer, presented)
    assert found[:-1] == [
        Refusal.USED, Refusal.REVOKED, Refusal.EXPIRED, Refusal.SESSION,
        Refusal.PURPOSE, Refusal.NETWORK, Refusal.UNKNOWN, Refusal.MALFORMED,
    ]  # fmt: skip
    assert isinstance(found[-1], Grant)
    said = sorted(line["why"] for line in audited("ticket_redeemed") if not line["ok"])
    assert said == sorted(found[:-1]), "each is audited, and once"
    assert (await in_thread(row(elsewhere).get)).redeemed_at, "spent by the attempt"
    assert (await in_thread(row(reauth).get)).redeemed_at is None


async def test_refused_ones_take_the_same_work_whatever_the_reason(redeemer, user, monkeypatch):
    """One of which the job said why, one of which it could not say anything: neither is answered sooner."""
    (elsewhere,), statements = await make(user, 1, network=ELSEWHERE), []
    alone = Redeemer._alone

    def counted(self, presented, refusal):
        with CaptureQueriesContext(connection) as captured:
            try:
                return alone(self, presented, refusal)
            finally:
                statements.append([query["sql"].split()[0] for query in captured])

    monkeypatch.setattr(Redeemer, "_alone", counted)
    assert await answers(redeemer, [elsewhere, mint()]) == [Refusal.NETWORK, Refusal.UNKNOWN]
    assert statements == [["UPDATE", "SELECT"]] * 2


async def test_what_is_no_ticket_costs_no_job(redeemer, batches):
    assert await answers(redeemer, ["", "x" * 44, "\0" * 43]) == [Refusal.MALFORMED] * 3
    assert batches == []


async def test_purposes_are_not_mixed(redeemer, user, batches):
    reauth = await make(user, 4, purpose=Purpose.REAUTH)
    mixed = await asyncio.gather(
        answers(redeemer, reauth[:2], purposes=REAUTHENTICATE),
        answers(redeemer, reauth[2:], purposes=CONNECT),
    )
    assert granted(mixed[0]) == 2
    assert mixed[1] == [Refusal.PURPOSE] * 2
    assert batches == [2, 2]


async def test_those_for_another_purpose_go_at_once_too(redeemer, user, monkeypatch):
    """Not when the first job is over: it may take as long as anybody waits."""
    (reauth,), (connect,) = await make(user, 1, purpose=Purpose.REAUTH), await make(user, 1)
    together = threading.Barrier(2, timeout=5)

    def meeting(presented, **how):
        together.wait()
        return redeem_together(presented, **how)

    monkeypatch.setattr(module, "redeem_together", meeting)
    both = await asyncio.gather(
        answers(redeemer, [reauth], purposes=REAUTHENTICATE), answers(redeemer, [connect], purposes=CONNECT)
    )
    assert sum(map(granted, both)) == 2


async def test_few_jobs_at_once_and_the_others_gather(redeemer, tickets, monkeypatch):
    begun, let_go, sizes = threading.Semaphore(0), threading.Event(), []

    def held(presented, **how):
        sizes.append(len(presented))
        begun.release()
        assert let_go.wait(10)
        return redeem_together(presented, **how)

    monkeypatch.setattr(module, "redeem_together", held)
    waiting = []
    for ticket in tickets[:JOBS]:
        waiting.append(asyncio.create_task(answers(redeemer, [ticket])))
        assert await asyncio.to_thread(begun.acquire, timeout=5)
    waiting.append(asyncio.create_task(answers(redeemer, tickets[JOBS:])))
    await asyncio.sleep(0.05)
    assert sizes == [1] * JOBS
    let_go.set()
    assert sum(map(granted, await asyncio.gather(*waiting))) == 20
    assert sizes == [*[1] * JOBS, 20 - JOBS]


async def test_no_job_is_larger_than_the_most(redeemer, tickets, batches, monkeypatch):
    monkeypatch.setattr(module, "MOST", 8)
    assert granted(await answers(redeemer, tickets)) == 20
    assert sorted(batches) == [4, 8, 8]


@only_postgresql
async def test_a_row_that_somebody_holds_delays_nobody_else(redeemer, tickets):
    holding, let_go = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Ticket.objects.select_for_update().get(digest=digest(tickets[0]))
            holding.set()
            assert let_go.wait(10)

    holder = asyncio.create_task(in_thread(hold))
    assert await asyncio.to_thread(holding.wait, 5)
    held = asyncio.create_task(answers(redeemer, tickets[:1]))
    async with asyncio.timeout(1):
        assert granted(await answers(redeemer, tickets[1:])) == 19
    assert not held.done()
    let_go.set()
    assert granted(await held) == 1
    await holder


@only_postgresql
async def test_the_same_tickets_in_opposite_order_never_meet_in_a_deadlock(redeemer, user):
    other = Redeemer(redeemer._then)
    for _ in range(10):
        tickets = await make(user, 30)
        one, two = await asyncio.gather(answers(redeemer, tickets), answers(other, tickets[::-1]))
        assert granted(one) + granted(two) == 30
        assert [*one, *two].count(Refusal.USED) == 30


async def test_a_database_that_fails(redeemer, tickets, monkeypatch):
    def fails(*args, **how):
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patched:
        patched.setattr(module, "redeem_together", fails)
        assert await answers(redeemer, tickets[:5]) == [Unavailable] * 5
    assert granted(await answers(redeemer, tickets)) == 20


async def test_a_database_that_hangs_is_unavailable_in_time_and_nothing_piles_up(redeemer, tickets, monkeypatch):
    let_go = threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(module, "redeem_together", lambda presented, **how: let_go.wait(10) and [None] * len(presented))
        with override_settings(TICKETS={"REDEEM_TIMEOUT": 0.1}):
            for ticket in tickets[:JOBS]:
                assert await answers(redeemer, [ticket]) == [Unavailable]
            assert await answers(redeemer, tickets[JOBS:]) == [Unavailable] * (20 - JOBS)
        assert not redeemer._waiting
        let_go.set()
        await asyncio.gather(*redeemer._jobs)
    assert granted(await answers(redeemer, tickets)) == 20


async def test_who_goes_away_takes_nothing_from_the_others(redeemer, tickets):
    all_of_them = [asyncio.create_task(answers(redeemer, [ticket])) for ticket in tickets]
    await asyncio.sleep(0)
    for task in all_of_them[::2]:
        task.cancel()
    found = await asyncio.gather(*all_of_them, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in found] == [True, False] * 10
    assert all(granted(answer) for answer in found[1::2])


async def test_a_fault_in_what_is_read_is_not_hidden(tickets):
    def broken(grants):
        raise ZeroDivisionError

    redeemer = Redeemer(broken)
    found = await asyncio.gather(
        *(redeemer.redeem(ticket, purposes=CONNECT, address=HOME) for ticket in tickets[:3]), return_exceptions=True
    )
    assert [type(error) for error in found] == [ZeroDivisionError] * 3


async def test_a_ticket_expires_while_it_waits_its_turn(redeemer, user):
    (ticket,) = await make(user, 1)
    await in_thread(Ticket.objects.update, expires_at=F("created_at"))
    assert await answers(redeemer, [ticket]) == [Refusal.EXPIRED]


# --- Access tokens ---


@pytest.fixture
def token(user):
    return tokens.sign_in(user).access


async def verified(redeemer, token):
    """What somebody got who showed a token: the grant, or the error."""
    try:
        grant, read = await redeemer.verify(token, opens=True, address=HOME)
    except (TokenRefused, SessionEnded, Unavailable) as error:
        return error
    assert read == grant.username.upper(), "what was read for somebody else"
    return grant


async def test_a_token_is_good_until_its_end_any_number_of_times(redeemer, token, user, audited):
    found = await asyncio.gather(*(verified(redeemer, token) for _ in range(6)))
    assert [grant.user_id for grant in found] == [user.pk] * 6
    (end,) = {grant.expires_at for grant in found}
    assert timedelta(minutes=14) < timedelta(seconds=end - time.time()) <= timedelta(minutes=15)
    lines = audited("token_accepted")
    expected = {"act": "token_accepted", "ok": True, "user": user.pk, "address": HOME}
    assert lines == [expected | {"session": str(found[0].session_id)}] * 6


async def test_each_who_shows_a_token_is_told_of_their_own(redeemer, token, other):
    theirs = (await in_thread(tokens.sign_in, other)).access
    found = await asyncio.gather(*(verified(redeemer, each) for each in [token, theirs] * 3))
    assert [grant.username for grant in found] == ["alice", "bob"] * 3


@pytest.mark.parametrize(
    ("kind", "error", "why"),
    [
        ("garbage", TokenRefused, "token_invalid"),
        ("refresh", TokenRefused, "token_invalid"),
        ("over", TokenRefused, "token_expired"),
        ("ended", SessionEnded, "logged_out"),
        ("pruned", SessionEnded, "unknown_session"),
        ("closed", SessionEnded, "account_disabled"),
    ],
)
async def test_a_token_that_grants_nothing_is_audited_and_never_itself(
    redeemer, user, audited, caplog, kind, error, why
):
    def make():
        # Good for another fifteen minutes, or over for longer.
        pair = tokens.sign_in(user, now=timezone.now() - timedelta(hours=kind == "over"))
        session = user.login_sessions.get()
        if kind == "ended":
            end_session(session.pk)
        elif kind == "pruned":
            session.delete()
        elif kind == "closed":
            user.is_active = False
            user.save()
        return {"garbage": "gibber.gibber.gibber", "refresh": pair.refresh}.get(kind, pair.access)

    shown = await in_thread(make)
    assert type(await verified(redeemer, shown)) is error
    (line,) = audited("token_accepted")
    whose = {name: line.pop(name) for name in ("user", "session") if name in line}
    assert line == {"act": "token_accepted", "ok": False, "why": why, "address": HOME}
    assert whose.get("user", user.pk) == user.pk
    assert ("session" in whose) == (error is SessionEnded)
    assert not any(part in caplog.text for part in shown.split("."))


async def test_a_good_token_is_not_written_to_the_log_either(redeemer, token, audited, caplog):
    assert isinstance(await verified(redeemer, token), Grant)
    assert audited("token_accepted")
    assert not any(part in caplog.text for part in token.split("."))


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_database_that_fails_says_nothing_of_the_token(redeemer, token, monkeypatch, where):
    def fails(*args, **how):
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patched:
        if where == "before":
            patched.setattr(module, "admit_token", fails)
        else:
            patched.setattr(redeemer, "_then", fails)
        assert type(await verified(redeemer, token)) is Unavailable
    assert isinstance(await verified(redeemer, token), Grant)


async def test_a_database_that_hangs_is_given_up_in_time_and_nothing_piles_up(redeemer, token, monkeypatch):
    begun, let_go = [], threading.Event()

    def hangs(*args, **how):
        begun.append(args)
        assert let_go.wait(10)
        raise OperationalError("at last")

    threads = _executor()._max_workers
    with monkeypatch.context() as patched, override_settings(TICKETS={"REDEEM_TIMEOUT": 0.1}):
        patched.setattr(module, "admit_token", hangs)
        started = time.monotonic()
        found = await asyncio.gather(*(verified(redeemer, token) for _ in range(threads + 3)))
        took = time.monotonic() - started
        let_go.set()
    assert {type(answer) for answer in found} == {Unavailable}
    assert took < 2
    assert isinstance(await verified(redeemer, token), Grant)
    assert len(begun) <= threads, "those that were given up before their turn came are not done afterwards"
