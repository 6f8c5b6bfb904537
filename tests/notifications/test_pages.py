from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.core.exceptions import BadRequest
from django.http import QueryDict
from django.utils import timezone

from notifications import api, pages
from notifications.models import Connection, Notification
from tickets.api import EndReason, end_session, open_session

pytestmark = pytest.mark.django_db(transaction=True)

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605 Version/17.5 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) CriOS/126.0 Mobile Safari/604", "Chrome on iPhone"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("something else", ""),
        ("", ""),
    ],
)
def test_a_device_has_a_name_as_far_as_it_tells(agent, name):
    assert pages.device_name(agent) == name


def test_devices_this_one_first_then_those_that_are_connected(people):
    ann, ben, _ = people
    now = timezone.now()

    def opened(person, ago):
        return open_session(person, method="django", expires_at=now + timedelta(days=1), now=now - timedelta(hours=ago))

    old, here, connected, ended = [opened(ann, hours) for hours in (3, 2, 9, 1)]
    someone_elses = opened(ben, 1)
    end_session(ended, reason=EndReason.LOGGED_OUT)
    until = now + timedelta(minutes=1)
    for number, session in enumerate((connected, connected, someone_elses)):
        user = ben if session == someone_elses else ann
        row = {"name": f"c{number}", "user": user, "session_id": session, "opened_at": now, "leased_until": until}
        Connection.objects.create(server="s", protocol="usher.v1", **row)
    found = pages.devices(ann.pk, here, now=now)
    assert [device.id for device in found] == [here, connected, old]
    assert [device.connections for device in found] == [0, 2, 0]
    assert [device.current for device in found] == [True, False, False]
    assert found[1].last_seen == now and found[2].last_seen == now - timedelta(hours=3)
    assert found[2].name == "Browser session" and found[2].icon == "program"


def test_asked_keeps_what_links_need():
    wanted = pages.asked(QueryDict("show=unread&q= two words &before=7"))
    assert wanted == pages.Asked("unread", "two words", 7)
    assert wanted.address(show="all", before=None) == "?show=all&q=two+words"
    assert pages.Asked().address() == "?show=all"


@pytest.mark.parametrize("query", ["show=others", "q=" + "x" * 201, "q=%00", "before=x", "before="])
def test_asked_for_what_no_link_leads_to(query):
    with pytest.raises(BadRequest):
        pages.asked(QueryDict(query))


def test_rows_are_under_the_days_they_are_of(rf, ann):
    request = rf.get("/")
    request.user = ann
    moments = [timezone.now(), timezone.now() - timedelta(days=1), datetime(2026, 1, 1, 20, tzinfo=UTC)]
    for moment in reversed(moments):
        api.notify(ann, title="x")
        row = api.notify(ann, title="y")
        Notification.objects.filter(seq__gt=row.seq - 2).update(created_at=moment)
    with timezone.override("Asia/Tokyo"):
        days = pages.inbox(request, pages.Asked())["days"]
    assert [len(day["rows"]) for day in days] == [2, 2, 2]
    assert [bool(day["near"]) for day in days] == [True, True, False]
    assert days[2]["date"].isoformat() == "2026-01-02"


def test_standing_is_read_once_for_a_request_and_again_for_somebody_else(rf, people):
    request = rf.get("/")
    request.user = people[0]
    first = pages.standing(request)
    api.notify(people[0], title="meanwhile")
    assert pages.standing(request) is first
    request.user = people[1]
    assert pages.standing(request).user_id == people[1].pk


def test_somebody_elses_device_has_no_connections_here(ann):
    assert pages.devices(ann.pk, uuid4(), now=timezone.now()) == []


def seqs(found):
    return [row["seq"] for day in found["days"] for row in day["rows"]]


@pytest.fixture
def inbox_at(rf, ann):
    def found(row):
        request = rf.get("/")
        request.user = ann
        return pages.inbox(request, pages.Asked(at=getattr(row, "pk", row)))

    return found


def test_an_old_one_is_found_on_its_page(inbox_at, ann):
    rows = [api.notify(ann, title="x") for _ in range(80)]
    found = inbox_at(rows[9])  # number 10
    assert seqs(found) == list(range(15, 0, -1)) and not found["missing"] and not found["first_page"]
    found = inbox_at(rows[-25])
    assert seqs(found)[-1] == 56 and found["first_page"], "the last of the first page"
    found = inbox_at(rows[-26])
    assert seqs(found)[:6] == [60, 59, 58, 57, 56, 55] and not found["missing"]


def test_an_archived_one_is_found_in_the_archive(inbox_at, ann):
    row = api.notify(ann, title="x")
    api.mark(ann, state="archived", ids=[row.pk])
    found = inbox_at(row)
    assert seqs(found) == [1] and found["asked"].show == "archived"


def test_one_that_is_nowhere_is_said_to_be(inbox_at, people):
    ann, ben, _ = people
    api.notify(ann, title="x")
    gone = api.notify(ann, title="x", expires_at=timezone.now() + timedelta(seconds=60))
    Notification.objects.filter(pk=gone.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    for nowhere in (uuid4(), api.notify(ben, title="x"), gone):
        found = inbox_at(nowhere)
        assert found["missing"] and seqs(found) == [1]
    assert not inbox_at(None)["missing"]
