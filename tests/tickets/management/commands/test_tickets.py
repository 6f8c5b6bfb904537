import io
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tickets import api
from tickets.models import Ticket
from tickets.operators import operator

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

STATES = ("issued", "redeemed", "expired", "revoked")


@pytest.fixture
def row(user, session_id):
    """A ticket in some state, so many seconds old."""

    def make(state="issued", *, whose=user, session=session_id, age=0, network="192.0.2.0/24"):
        now = timezone.now()
        made = now - timedelta(seconds=age)
        number = Ticket.objects.count()
        return Ticket.objects.create(
            digest=sha256(str(number).encode()).hexdigest(),
            user=whose,
            session_id=session,
            purpose="connect",
            network=network,
            created_at=made,
            expires_at=now + timedelta(seconds=-1 if state == "expired" else 30),
            redeemed_at=now if state == "redeemed" else None,
            revoked_at=now if state == "revoked" else None,
        )

    return make


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command("tickets", *arguments, stdout=out, stderr=err)
    return out.getvalue()


def listed(*arguments):
    return [json.loads(line) for line in run("list", "--json", *arguments).splitlines()]


def test_a_list_tells_everything_but_what_could_be_spent(row, session_id):
    made = [row(state) for state in STATES]
    found = listed()
    assert [each["ticket"] for each in found] == [ticket.pk for ticket in reversed(made)], "the newest first"
    assert [each["state"] for each in found] == [*reversed(STATES)]
    assert {each["session"] for each in found} == {str(session_id)}
    assert datetime.fromisoformat(found[0]["created"]).utcoffset() == timedelta(0)
    shown = run("list") + run("list", "--json")
    assert not any(ticket.digest[:12] in shown for ticket in made)
    assert "192.0.2.0/24" in shown


@pytest.mark.parametrize("state", STATES)
def test_by_state(row, state):
    made = {each: row(each) for each in STATES}
    assert [each["ticket"] for each in listed("--state", state)] == [made[state].pk]


def test_by_person_session_network_and_time(row, user, other, now):
    session = api.open_session(other, method="test")
    old = row(age=3600)
    theirs = row(whose=other, session=session, network="2001:db8::/56")

    def found(*arguments):
        return [each["ticket"] for each in listed(*arguments)]

    assert found("--user", "bob") == found("--session", str(session)) == [theirs.pk]
    assert found("--network", "192.0.2.77") == found("--network", "192.0.2.0/24") == [old.pk]
    assert found("--network", "2001:db8::1") == found("--since", "15m") == [theirs.pk]
    assert found("--since", "2h") == [theirs.pk, old.pk]
    assert found("--network", "nonsense") == []
    with pytest.raises(CommandError, match="no user"):
        run("list", "--user", "nobody")


def test_a_list_costs_the_same_however_long_it_is(row, django_assert_num_queries):
    row()
    with django_assert_num_queries(1):
        listed()
    now, template = timezone.now(), Ticket.objects.get()
    Ticket.objects.bulk_create(
        Ticket(
            digest=f"{number:064}",
            user_id=template.user_id,
            session_id=template.session_id,
            purpose="connect",
            created_at=now,
            expires_at=now,
        )
        for number in range(5_000)
    )
    with django_assert_num_queries(1):
        assert len(run("list").splitlines()) == 5_002, "and a head"


def test_revoking_asks_counts_and_says_who(row, user, audited):
    one, two = row(), row()
    for state in STATES[1:]:
        row(state)
    with pytest.raises(CommandError, match=r"Revoke 2 unspent tickets\? .* --yes"):
        run("revoke", "--user", "alice")
    assert run("revoke", "--user", "alice", "--reason", "lost laptop", "--yes") == "2 tickets revoked\n"
    assert {line["ticket"] for line in audited("ticket_revoked")} == {one.pk, two.pk}
    assert {(line["by"], line["why"]) for line in audited("ticket_revoked")} == {(operator(), "lost laptop")}
    assert run("revoke", "--user", "alice", "--json") == '{"revoked": 0}\n', "and asks nobody about nothing"


def test_revoking_what_fits_all_that_is_named(row, other, session_id, audited):
    session = api.open_session(other, method="test")
    old, young, theirs = row(age=20), row(), row(whose=other, session=session)

    def revoked():
        return set(Ticket.objects.exclude(revoked_at=None).values_list("pk", flat=True))

    run("revoke", str(theirs.pk), "--user", "alice", "--yes")
    assert revoked() == set(), "hers it is not"
    run("revoke", "--before", "10s", "--yes")
    assert revoked() == {old.pk}
    run("revoke", "--session", str(session), "--yes")
    assert revoked() == {old.pk, theirs.pk}
    run("revoke", str(young.pk), "--yes")
    assert revoked() == {old.pk, theirs.pk, young.pk}
    with pytest.raises(CommandError, match="Name tickets"):
        run("revoke", "--yes")


def test_it_goes_by_batches(row, user, session_id, monkeypatch, audited):
    rows = [row() for _ in range(5)]
    from tickets.management.commands import tickets as command

    taken = []
    monkeypatch.setattr(command, "batches", lambda found: [[each.pk] for each in rows])
    monkeypatch.setattr(command, "revoke_many", lambda keys, **how: taken.append(keys) or len(keys))
    assert run("revoke", "--before", datetime.now(UTC).isoformat(), "--yes") == "5 tickets revoked\n"
    assert taken == [[each.pk] for each in rows]
