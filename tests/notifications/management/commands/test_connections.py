import io
import json
import logging
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from notifications.models import Connection, Stream
from notifications.wire.doorbell import stream_of
from tickets.operators import operator

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]


def connection(user, name, *, age=0, lease=60, server="host:1:aa", **fields):
    now = timezone.now()
    fields.setdefault("session_id", uuid4())
    times = {"opened_at": now - timedelta(seconds=age), "leased_until": now + timedelta(seconds=lease)}
    return Connection(name=name, user=user, server=server, protocol="usher.v1", **times, **fields)


@pytest.fixture
def three(people):
    """Two of ann's on two servers, one of ben's, and one whose process is dead."""
    ann, ben, _cleo = people
    rows = [
        connection(ann, "a1", age=30, network="192.0.2.0/24"),
        connection(ann, "a2", age=20, server="other:2:bb"),
        connection(ben, "b1", age=10),
        connection(ben, "dead", lease=-1),
    ]
    return Connection.objects.bulk_create(rows)


@pytest.fixture
def audited(caplog):
    caplog.set_level(logging.INFO, logger="tickets.audit")
    lines = lambda: [json.loads(each.getMessage()) for each in caplog.records if each.name == "tickets.audit"]  # noqa: E731
    return lambda: [line for line in lines() if line["act"] == "connection_disconnected"]


def run(*arguments):
    out = io.StringIO()
    call_command("connections", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def names(*arguments):
    return [json.loads(line)["connection"] for line in run("--json", *arguments).splitlines()]


def marked():
    return set(Connection.objects.exclude(kicked_at=None).values_list("name", flat=True))


def test_who_is_connected_since_when_from_where_and_at_which_process(three):
    first = json.loads(run("--json").splitlines()[0])
    row = three[0]
    assert first == {
        "connection": "a1",
        "user": "ann",
        "since": row.opened_at.isoformat(),
        "position": None,
        "behind": None,
        "unacked": None,
        "network": "192.0.2.0/24",
        "protocol": "usher.v1",
        "server": "host:1:aa",
        "session": str(row.session_id),
        "state": "live",
    }
    shown = run().splitlines()
    assert shown[0].split() == [*first]
    assert len(shown) == 4
    assert "dead" not in str(shown)


def test_how_far_each_is(people):
    ann, ben, _cleo = people
    Stream.objects.filter(user=ann).delete()
    Stream.objects.create(user=ann, head=12)
    rows = [connection(ann, "a1", age=9, cursor=12, acked=10), connection(ann, "a2", age=8, cursor=5, acked=5)]
    Connection.objects.bulk_create([*rows, connection(ben, "b1", cursor=0)])
    places = [json.loads(line) for line in run("--json").splitlines()]
    assert [(each["position"], each["behind"], each["unacked"]) for each in places] == [
        *[(12, 0, 2), (5, 7, 0), (0, 0, None)],
    ]


def test_by_person_server_session_and_name(three):
    assert names() == ["a1", "a2", "b1"], "the oldest first"
    assert names("--user", "ann") == ["a1", "a2"]
    assert names("--server", "other") == names("--server", "other:2:bb") == ["a2"]
    assert names("--session", str(three[2].session_id)) == ["b1"]
    assert names("a2", "b1", "dead") == ["a2", "b1"]
    assert names("--user", "ann", "--server", "host") == ["a1"]
    with pytest.raises(CommandError, match="no user"):
        names("--user", "nobody")


def test_ten_thousand_cost_what_one_does(ann, django_assert_num_queries):
    Connection.objects.bulk_create(connection(ann, f"c{number:05}") for number in range(10_000))
    with django_assert_num_queries(1):
        assert len(names()) == 10_000


def test_disconnecting_asks_is_audited_and_tells_their_processes(three, people, told, audited):
    with pytest.raises(CommandError, match=r"Disconnect 2 connections\? .* --yes"):
        run("--disconnect", "--user", "ann")
    assert marked() == set()
    assert run("--disconnect", "--user", "ann", "--reason", "lost laptop", "--yes") == "2 connections disconnected\n"
    assert marked() == {"a1", "a2"}
    assert [(item.stream, item.names) for item in told] == [(stream_of(people[0].pk), ["a1", "a2"])]
    assert {(line["connection"], line["by"], line["why"]) for line in audited()} == {
        ("a1", operator(), "lost laptop"),
        ("a2", operator(), "lost laptop"),
    }
    assert names("--user", "ann") == ["a1", "a2"], "until they are gone"
    assert "going" in run("--user", "ann")
    assert run("--disconnect", "--user", "ann", "--json") == '{"disconnected": 0}\n'


def test_everybody_s_only_if_that_is_said(three):
    for wrong in (["--yes"], ["--all", "--user", "ann", "--yes"]):
        with pytest.raises(CommandError, match="Name connections"):
            run("--disconnect", *wrong)
    assert marked() == set()
    run("--disconnect", "--all", "--yes")
    assert marked() == {"a1", "a2", "b1"}
