import re
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.support.pages import words_of
from tickets.admin import LoginSessionAdmin, SessionState, TicketAdmin, TicketState
from tickets.grants import EndReason, Purpose
from tickets.issuing import issue
from tickets.minting import digest
from tickets.models import AuditEvent, LoginSession, Ticket
from tickets.sessions import end_session, open_session

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

SESSIONS = "/admin/tickets/loginsession/"
TICKETS = "/admin/tickets/ticket/"
AUDIT = "/admin/tickets/auditevent/"


@pytest.fixture
def tickets(user):
    """One ticket of each state, by its name."""
    now = timezone.now()
    session_id = open_session(user, method="test")
    long_ago = now - timedelta(hours=1)
    made = {
        "issued": {},
        "redeemed": {"redeemed_at": long_ago},
        "expired": {"expires_at": now},
        "revoked": {"revoked_at": long_ago},
        # Over by now, and yet what happened to it first is what counts.
        "redeemed, long ago": {"redeemed_at": long_ago, "expires_at": long_ago},
        "revoked, long ago": {"revoked_at": long_ago, "expires_at": long_ago},
    }
    columns = {"user": user, "session_id": session_id, "purpose": "connect", "network": "192.0.2.0/24"}
    times = {"created_at": now, "expires_at": now + timedelta(minutes=5)}
    return {
        state: Ticket.objects.create(digest=digest(state), **columns, **(times | given))
        for state, given in made.items()
    }


@pytest.fixture
def sessions(user, other, django_user_model):
    now = timezone.now()
    gone = django_user_model.objects.create_user("gone", is_active=False)
    made = {
        "standing": open_session(user, method="django"),
        "expired": open_session(user, method="token", expires_at=now),
        "account disabled": open_session(gone, method="token"),
        "account disabled, and signed out": open_session(gone, method="token"),
    }
    end_session(made["account disabled, and signed out"])
    for reason in EndReason:
        made[f"{reason.value.replace('_', ' ')}: ended"] = open_session(other, method="token")
        end_session(made[f"{reason.value.replace('_', ' ')}: ended"], reason=reason)
    return made


def listed(client, path, **query):
    return list(client.get(path, query).context["cl"].result_list)


# --- States ---


def test_a_tickets_state_is_the_same_as_a_column_and_as_a_filter(admin_client, tickets, user):
    made = tickets["redeemed"]
    columns = {
        "user": user,
        "session_id": made.session_id,
        "created_at": made.created_at,
        "redeemed_at": timezone.now(),
    }
    tickets["refused"] = Ticket.objects.create(digest=digest("refused"), expires_at=made.expires_at, **columns)
    said = {"at": timezone.now(), "act": "ticket_redeemed", "ok": False, "level": "WARNING", "why": "network"}
    AuditEvent.objects.create(ticket=str(tickets["refused"].pk), **said)
    state = TicketAdmin(Ticket, None).state
    rows = {row.pk: state(row) for row in listed(admin_client, TICKETS)}
    assert {name: rows[ticket.pk] for name, ticket in tickets.items()} == {name: name.split(",")[0] for name in tickets}
    found = {}
    for name, _label in TicketState(None, {}, Ticket, None).lookup_choices:
        rows = listed(admin_client, TICKETS, state=name)
        assert rows and all(state(row) == name for row in rows)
        found |= dict.fromkeys((row.pk for row in rows), name)
    assert len(found) == len(tickets), "each in exactly one"


def test_which_were_presented_and_refused_and_why(admin_client, tickets):
    ticket, other = tickets["redeemed"], tickets["revoked"]
    said = {"at": timezone.now(), "act": "ticket_redeemed", "level": "WARNING", "address": "198.51.100.7"}
    for ok, why in ((True, ""), (False, "used")):
        AuditEvent.objects.create(ticket=str(ticket.pk), ok=ok, why=why, **said)
    assert listed(admin_client, TICKETS, refused="any") == listed(admin_client, TICKETS, refused="used") == [ticket]
    assert listed(admin_client, TICKETS, refused="network") == []
    assert TicketAdmin(Ticket, None).refusal(listed(admin_client, TICKETS, refused="used")[0]) == "used"
    page = words_of(admin_client.get(f"{TICKETS}{ticket.pk}/change/"))
    assert "ticket redeemed refused used 198.51.100.7" in " ".join(page.split())
    assert f'href="{AUDIT}?q={ticket.pk}"' in page
    assert "198.51.100.7" not in words_of(admin_client.get(f"{TICKETS}{other.pk}/change/"))


def test_issued_before_a_moment(admin_client, tickets):
    early = tickets["issued"]
    moment = timezone.localtime().replace(microsecond=0)
    Ticket.objects.filter(pk=early.pk).update(created_at=moment - timedelta(seconds=1))
    Ticket.objects.exclude(pk=early.pk).update(created_at=moment)
    # As a browser spells what is filled in; and exact, with a time zone of its own.
    for said in (f"{moment:%Y-%m-%dT%H:%M:%S}", moment.isoformat()):
        assert listed(admin_client, TICKETS, before=said) == [early]
    assert listed(admin_client, TICKETS, before=f"{moment:%Y-%m-%dT%H:%M:%S}", state="redeemed") == []
    assert len(listed(admin_client, TICKETS, before="")) == len(tickets)
    page = admin_client.get(TICKETS, {"before": "2030-01-01T00:00:00", "state": "issued"}).content.decode()
    assert 'name="before" value="2030-01-01T00:00:00"' in page
    assert '<input type="hidden" name="state" value="issued">' in page, "other filters stay"
    assert 'href="?state=issued">Any time' in page


@pytest.mark.parametrize(
    "said",
    [
        *("yesterday", "2030-13-01T00:00", "\u0660", "<script>", "0001-01-01T00:00:00", "9" * 400),
        *("0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00"),
    ],
)
def test_a_moment_that_is_none_is_sent_away(admin_client, tickets, said):
    answer = admin_client.get(TICKETS, {"before": said}, follow=True)
    assert answer.status_code == 200
    assert b"<script>" not in answer.content


def test_a_sessions_state_is_the_same_as_a_column_and_as_a_filter(admin_client, sessions):
    state = LoginSessionAdmin(LoginSession, None).state
    rows = {row.pk: row for row in LoginSession.objects.select_related("user")}
    assert {name: state(rows[pk]) for name, pk in sessions.items()} == {
        name: re.split("[,:]", name)[0] for name in sessions
    }
    found = []
    for name, label in SessionState(None, {}, LoginSession, None).lookup_choices:
        matching = listed(admin_client, SESSIONS, state=name)
        assert matching and all(state(row) == label for row in matching), name
        found += [row.pk for row in matching]
    # The one who signed in to look is among the standing, if signing in opened a session.
    assert sorted(map(str, found)) == sorted(map(str, LoginSession.objects.values_list("pk", flat=True)))


@pytest.mark.parametrize("query", ["network__regex=(", "expires_at__year=99999", "user__password__startswith=p"])
def test_rows_are_not_asked_for_in_ways_that_no_page_does(admin_client, sessions, query):
    assert admin_client.get(f"{SESSIONS}?{query}").status_code == 400


def test_filters_that_nobody_offered_change_nothing_or_are_sent_away(admin_client, tickets):
    assert len(listed(admin_client, TICKETS, state="forged")) == len(tickets)
    assert admin_client.get(TICKETS, {"digest__startswith": "a"}).status_code in (302, 400), "no oracle for digests"
    assert admin_client.get(SESSIONS, {"refresh_jti__startswith": "a"}).status_code in (302, 400)


def test_tickets_are_told_apart_by_purpose(admin_client, user, session_id, now):
    for purpose in Purpose:
        issue(user=user, session_id=session_id, purpose=purpose, now=now)
    assert [row.purpose for row in listed(admin_client, TICKETS, purpose="reauth")] == ["reauth"]


# --- What is shown ---


def test_facts_are_shown_and_credentials_are_not(admin_client, user, tickets):
    session = LoginSession.objects.get(user=user)
    LoginSession.objects.filter(pk=session.pk).update(refresh_jti="jti-of-the-next", previous_jti="jti-of-the-last")
    ticket = tickets["issued"]
    pages = [
        words_of(admin_client.get(path))
        for path in (
            *(TICKETS, f"{TICKETS}{ticket.pk}/change/", f"{TICKETS}{ticket.pk}/history/"),
            *(SESSIONS, f"{SESSIONS}{session.pk}/change/", f"{SESSIONS}{session.pk}/history/"),
        )
    ]
    for page in pages:
        assert ticket.digest not in page and "digest" not in page.lower()
        assert "jti" not in page.lower()
    assert all(fact in pages[1] for fact in ("alice", "issued", "connect", "192.0.2.0/24", str(session.pk)))
    assert all(fact in pages[4] for fact in ("alice", "standing", "test", str(session.pk)))


def test_a_digest_finds_no_ticket(admin_client, tickets):
    assert listed(admin_client, TICKETS, q=tickets["issued"].digest) == []


def test_a_ticket_is_found_by_its_number_its_session_and_its_person(admin_client, tickets):
    ticket = tickets["issued"]
    assert ticket in listed(admin_client, TICKETS, q=str(ticket.pk))
    assert len(listed(admin_client, TICKETS, q=str(ticket.session_id))) == len(tickets)
    assert len(listed(admin_client, TICKETS, q="alice")) == len(tickets)
    assert len(listed(admin_client, TICKETS, q="192.0.2.77")) == len(tickets), "as far as the site keeps addresses"
    assert listed(admin_client, TICKETS, q="198.51.100.7") == []


def test_the_index_names_them(admin_client):
    page = admin_client.get("/admin/").content.decode()
    assert all(f">{name}</a>" in page for name in ("Tickets", "Login sessions"))


@pytest.mark.parametrize("path", [TICKETS, SESSIONS, AUDIT])
def test_a_full_page_costs_as_many_queries_as_an_empty_one(admin_client, django_user_model, path):
    def queries():
        with CaptureQueriesContext(connection) as asked:
            assert admin_client.get(path).status_code == 200
        return len(asked)

    people = django_user_model.objects.bulk_create(django_user_model(username=f"p{n}") for n in range(100))
    seen = {"at": timezone.now(), "act": "session_opened", "ok": True, "event": "session_created", "level": "INFO"}
    AuditEvent.objects.create(user=people[0].pk, **seen)
    few = [open_session(people[0], method="t")]
    issue(user=people[0], session_id=few[0])
    before = queries()
    for person in people[1:]:
        issue(user=person, session_id=open_session(person, method="t"))
    AuditEvent.objects.bulk_create(AuditEvent(user=person.pk, **seen) for person in people)
    assert len(listed(admin_client, path)) == 100
    assert queries() == before <= 9


@pytest.mark.parametrize("path", [TICKETS, SESSIONS])
def test_pages_keep_to_the_content_security_policy(admin_client, tickets, path):
    row = Ticket.objects.first().pk if path == TICKETS else LoginSession.objects.filter(user__username="alice")[0].pk
    action = "revoke_tickets" if path == TICKETS else "end_sessions"
    row_of_live = tickets["issued"].pk if path == TICKETS else row
    pages = [
        admin_client.get(path),
        admin_client.get(f"{path}{row}/change/"),
        admin_client.post(path, {"action": action, "index": 0, "select_across": 0, "_selected_action": row_of_live}),
    ]
    for page in pages:
        assert page.status_code == 200
        assert "'unsafe" not in page["Content-Security-Policy"]
        text = page.content.decode()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


# --- What was audited ---


@pytest.fixture
def acts(user, other, django_user_model):
    """One row of each kind that staff looks for, by its name."""
    gone = django_user_model.objects.create_user("gone")
    gone_pk = gone.pk
    gone.delete()
    AuditEvent.objects.all().delete()
    made = {
        "hers": {"user": user.pk, "address": "192.0.2.1"},
        "by her": {"user": other.pk, "by": user.pk, "act": "staff_acted"},
        "his": {"user": other.pk, "session": str(UUID(int=7)), "ticket": 12345},
        "a stranger's": {"ok": False, "why": "<script>", "level": "CRITICAL", "address": "2001:db8::1"},
        "of old": {"user": gone_pk, "at": timezone.now() - timedelta(days=8)},
    }
    columns = {"at": timezone.now(), "act": "session_ended", "ok": True, "event": "session_expired", "level": "INFO"}
    return {name: AuditEvent.objects.create(**(columns | more)) for name, more in made.items()}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["of old", "a stranger's", "his", "by her", "hers"]),
        ({"q": "ali"}, ["by her", "hers"]),
        ({"q": str(UUID(int=7))}, ["his"]),
        ({"q": "12345"}, ["his"]),
        ({"q": "2001:db8::1"}, ["a stranger's"]),
        ({"q": "nobody"}, []),
        ({"act": "staff_acted"}, ["by her"]),
        ({"result": "refused"}, ["a stranger's"]),
        ({"result": "critical"}, ["a stranger's"]),
        ({"when": "past_week"}, ["a stranger's", "his", "by her", "hers"]),
    ],
    ids=str,
)
def test_what_was_audited_is_found(admin_client, acts, query, found):
    AuditEvent.objects.exclude(pk__in=[row.pk for row in acts.values()]).delete()  # the sign-in of whoever looks
    assert listed(admin_client, AUDIT, **query) == [acts[name] for name in found]


def test_people_who_are_still_there_are_named(admin_client, acts):
    page = words_of(admin_client.get(AUDIT))
    assert all(word in page for word in ("alice", "bob", str(acts["of old"].user), "&lt;script&gt;"))
    words_of_one = words_of(admin_client.get(f"{AUDIT}{acts['by her'].pk}/change/"))
    assert all(word in words_of_one for word in ("alice", "bob", "staff_acted"))


def test_what_was_audited_is_nobody_s_to_change(admin_client, acts):
    row = acts["hers"]
    for path in (f"{AUDIT}add/", f"{AUDIT}{row.pk}/delete/"):
        assert admin_client.get(path).status_code == 403
    assert admin_client.post(f"{AUDIT}{row.pk}/change/", {"act": "nothing"}).status_code == 403
    assert "delete_selected" not in admin_client.get(AUDIT).content.decode()
    admin_client.post(AUDIT, {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"})
    assert AuditEvent.objects.get(pk=row.pk).act == "session_ended"


# --- Acts ---


def test_revoking_takes_back_what_is_unspent(admin_client, admin_user, tickets, audited):
    keys = [ticket.pk for ticket in tickets.values()]
    form = {"action": "revoke_tickets", "index": 0, "select_across": 0, "_selected_action": keys}
    page = admin_client.post(TICKETS, form)
    assert "Revoke 1 ticket?" in page.content.decode()
    moment = re.search(r'name="confirmed" value="([^"]+)"', page.content.decode())[1]
    del form["index"]
    answer = admin_client.post(TICKETS, form | {"confirmed": moment}, follow=True)
    assert "Tickets revoked: 1." in answer.content.decode()
    changed = Ticket.objects.get(pk=tickets["issued"].pk)
    assert changed.revoked_at is not None and changed.redeemed_at is None
    assert Ticket.objects.get(pk=tickets["redeemed"].pk).revoked_at is None
    (line,) = audited("ticket_revoked")
    assert (line["ticket"], line["by"]) == (changed.pk, admin_user.pk)


def test_the_tickets_of_login_sessions_are_revoked_and_no_others(admin_client, admin_user, user, other, audited):
    mine, hers, his = open_session(user, method="t"), open_session(user, method="t"), open_session(other, method="t")
    for session_id, owner in ((mine, user), (mine, user), (hers, user), (his, other)):
        issue(user=owner, session_id=session_id)
    form = {
        "action": "revoke_tickets",
        "index": 0,
        "select_across": 0,
        "_selected_action": [mine, his, open_session(user, method="t")],
    }
    page = admin_client.post(SESSIONS, form).content.decode()
    assert "Revoke the tickets of 2 login sessions?" in page, "of the third there are none"
    del form["index"]
    confirmed = re.search(r'name="confirmed" value="([^"]+)"', page)[1]
    answer = admin_client.post(SESSIONS, form | {"confirmed": confirmed, "why": "stolen laptop"}, follow=True)
    assert "Tickets revoked: 3." in answer.content.decode()
    assert [ticket.session_id for ticket in Ticket.objects.filter(revoked_at=None)] == [hers]
    assert not LoginSession.objects.exclude(ended_at=None).exists(), "the sessions stand"
    assert {(line["by"], line["why"]) for line in audited("ticket_revoked")} == {(admin_user.pk, "stolen laptop")}
    page = words_of(admin_client.get(f"{SESSIONS}{hers}/change/"))
    assert f'href="{TICKETS}?q={hers}">1 that could be spent now' in page


@pytest.mark.django_db(transaction=True)
def test_ten_thousand_sessions_end_in_batches(admin_client, django_user_model, heard, caplog):
    caplog.set_level("WARNING", logger="tickets.audit")
    now = timezone.now()
    people = django_user_model.objects.bulk_create(django_user_model(username=f"p{n}") for n in range(20))
    columns = {"method": "bulk", "created_at": now, "expires_at": now + timedelta(days=1)}
    LoginSession.objects.bulk_create(LoginSession(user=people[n % 20], **columns) for n in range(10_000))
    path = f"{SESSIONS}?state=standing&q=p"
    first = LoginSession.objects.filter(method="bulk")[0].pk
    form = {"action": "end_sessions", "index": 0, "select_across": 1, "_selected_action": first}
    page = admin_client.post(path, form).content.decode()
    assert "End 10000 login sessions?" in page
    form |= {"confirmed": re.search(r'name="confirmed" value="([^"]+)"', page)[1].replace("&#x27;", "'")}
    del form["index"]
    assert "ended: 10000." in admin_client.post(path, form, follow=True).content.decode()
    bulk = LoginSession.objects.filter(method="bulk")
    assert not bulk.filter(ended_at=None).exists()
    assert set(bulk.values_list("end_reason", flat=True)) == {"disconnected_by_staff"}
    announced = [session_id for _user, session_ids, _reason in heard for session_id in session_ids]
    assert len(announced) == len(set(announced)) == 10_000, "each announced, once"
    assert {reason for *_rest, reason in heard} == {EndReason.DISCONNECTED_BY_STAFF}
    assert len(heard) == 20 * 20, "once a person and batch"
