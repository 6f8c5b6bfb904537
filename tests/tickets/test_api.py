import asyncio
import inspect
import threading
import time

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.test import override_settings

from tickets import api, threads
from tickets.models import Ticket

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


def test_everything_public_is_there_and_told_about():
    for name in api.__all__:
        member = getattr(api, name)
        assert inspect.getdoc(member) or not callable(member), f"{name} does not say what it promises"


def test_twins_have_the_names_and_promises_of_their_originals():
    for name in ("open_session", "end_session", "issue", "revoke", "check_sessions"):
        twin = getattr(api, f"a{name}")
        assert twin.__name__ == f"a{name}"
        assert twin.__doc__ == getattr(api, name).__doc__
        assert inspect.iscoroutinefunction(twin)


async def test_the_whole_way_of_a_ticket(user):
    session_id = await api.aopen_session(user, method="test")
    issued = await api.aissue(user=user, session_id=session_id, network="203.0.113.7")
    grant = await api.aredeem(issued.ticket, address="203.0.113.8")
    assert (grant.user_id, grant.username, grant.session_id) == (user.pk, "alice", session_id)
    with pytest.raises(api.TicketRefused):
        await api.aredeem(issued.ticket, address="203.0.113.8")
    assert (await api.acheck_sessions([session_id]))[session_id].alive
    await api.aissue(user=user, session_id=session_id)
    assert await api.arevoke(session_id=session_id) == 1
    assert await api.aend_session(session_id) is True
    assert not (await api.acheck_sessions([session_id]))[session_id].alive


async def test_of_many_tasks_with_one_ticket_one_is_granted(user):
    session_id = await api.aopen_session(user, method="test")
    issued = await api.aissue(user=user, session_id=session_id)
    answers = await asyncio.gather(
        *(api.aredeem(issued.ticket, address=None) for _ in range(32)), return_exceptions=True
    )
    assert sum(isinstance(answer, api.Grant) for answer in answers) == 1
    assert sum(isinstance(answer, api.TicketRefused) for answer in answers) == 31


async def test_a_database_that_fails_is_unavailable(monkeypatch, user):
    def fail(*_, **__):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(Ticket.objects, "filter", fail)
    with pytest.raises(api.Unavailable, match=r"redeem.*: OperationalError"):
        await api.aredeem("A" * 43, address=None)
    with pytest.raises(api.Unavailable):
        await api.arevoke(user_id=user.pk)
    with pytest.raises(OperationalError):
        api.revoke(user_id=user.pk)


@override_settings(TICKETS={"REDEEM_TIMEOUT": 0.1})
async def test_a_database_that_hangs_is_unavailable_in_time(monkeypatch):
    let_go = threading.Event()
    monkeypatch.setattr(Ticket.objects, "filter", lambda **_: let_go.wait(10))
    began = time.monotonic()
    try:
        with pytest.raises(api.Unavailable, match="in time"):
            await api.aredeem("A" * 43, address=None)
        assert time.monotonic() - began < 1
    finally:
        let_go.set()
        await threads.in_thread(lambda: None)


async def test_redeeming_does_not_wait_longer_for_its_turn_either(monkeypatch):
    let_go = threading.Event()
    jobs = [asyncio.create_task(threads.in_thread(let_go.wait, 10)) for _ in range(8)]
    await asyncio.sleep(0)
    try:
        with override_settings(TICKETS={"REDEEM_TIMEOUT": 0.1}), pytest.raises(api.Unavailable):
            await api.aredeem("A" * 43, address=None)
    finally:
        let_go.set()
        await asyncio.gather(*jobs)


async def test_an_error_that_is_no_database_error_is_not_hidden():
    with pytest.raises(ValueError):
        await api.arevoke()


def test_users_may_be_given_by_any_model_instance(user):
    assert api.open_session(get_user_model().objects.get(pk=user.pk), method="test")
