"""What all admin pages of both rooms have in common, shown on the tables of this room."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth.models import Permission
from django.core.exceptions import BadRequest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tickets import staff as staff_module
from tickets.models import LoginSession, Ticket
from tickets.sessions import open_session
from tickets.staff import Counted, StaffAdmin, batches

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db]

OURS = ("tickets", "notifications")
SESSIONS = "/admin/tickets/loginsession/"
TICKETS = "/admin/tickets/ticket/"


@pytest.fixture
def clerk(django_user_model):
    """Staff with the permissions named; signs in without hashing a password."""

    def make(client, *permissions):
        user = django_user_model.objects.create_user("clerk", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return user

    return make


@pytest.fixture
def sessions(user):
    return [open_session(user, method="test") for _ in range(5)]


def chosen(*keys, **form):
    return {"action": "end_sessions", "index": "0", "select_across": "0", "_selected_action": list(keys)} | form


def hidden(page):
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.content.decode()))


def standing():
    """Without that of whoever signed in to look."""
    return set(LoginSession.objects.filter(ended_at=None).exclude(method="django").values_list("pk", flat=True))


# --- Nobody edits ---


@pytest.mark.parametrize("path", [SESSIONS, TICKETS])
def test_nothing_is_added_changed_or_deleted_by_hand(admin_client, sessions, path):
    row = sessions[0] if path == SESSIONS else 1
    assert admin_client.get(f"{path}add/").status_code == 403
    assert admin_client.post(f"{path}add/", {"method": "forged"}).status_code == 403
    assert admin_client.post(f"{path}{row}/delete/", {"post": "yes"}).status_code in (302, 403)
    assert admin_client.post(f"{path}{row}/change/", {"method": "forged"}).status_code in (302, 403)
    assert set(sessions) <= standing()
    assert not LoginSession.objects.filter(method="forged").exists()


def test_nothing_offers_to_delete_them(admin_client, sessions):
    page = admin_client.get(SESSIONS).content.decode()
    assert "delete_selected" not in page
    page = admin_client.get(f"{SESSIONS}{sessions[0]}/change/").content.decode()
    assert "deletelink" not in page and 'name="_save"' not in page


def test_they_go_with_the_person_all_the_same(admin_client, user, sessions):
    """Django asks each table's admin whether its rows may go along."""
    path = reverse("admin:auth_user_delete", args=[user.pk])
    assert "permission" not in admin_client.get(path).content.decode()
    assert admin_client.post(path, {"post": "yes"}).status_code == 302
    assert not LoginSession.objects.filter(pk__in=sessions).exists()


def test_strangers_and_people_without_a_permission_see_nothing(client, clerk, sessions):
    assert client.get(SESSIONS).status_code == 302
    clerk(client, "view_ticket")
    assert client.get(TICKETS).status_code == 200
    assert client.get(SESSIONS).status_code == 403
    assert client.get(f"{SESSIONS}{sessions[0]}/change/").status_code == 403


# --- Looking for somebody ---


def found(client, path, term):
    return client.get(path, {"q": term}).context["cl"].result_list


@pytest.mark.parametrize("term", ["alice", "ALI", "lic", " alice "])
def test_by_the_username_or_a_part_of_it(admin_client, user, other, sessions, term):
    open_session(other, method="test")
    assert {row.user for row in found(admin_client, SESSIONS, term)} == {user}


def test_by_a_complete_id(admin_client, other, sessions):
    assert [row.pk for row in found(admin_client, SESSIONS, str(sessions[2]))] == [sessions[2]]
    assert list(found(admin_client, SESSIONS, str(sessions[2])[:8])) == []


@pytest.mark.parametrize(
    "term", ["9" * 40, "%", "_", "'", '"', "a\\", "²", "\N{GRINNING FACE}", "-1", "1.5", "x" * 3000]
)
@pytest.mark.parametrize("path", [SESSIONS, TICKETS])
def test_nobody_is_found_by_nonsense(admin_client, sessions, path, term):
    assert list(found(admin_client, path, term)) == []


def test_a_nul_is_an_answer_too(admin_client, sessions):
    assert admin_client.get(SESSIONS, {"q": "a\x00"}).status_code in (200, 302)


# --- Acting ---


def test_it_asks_first_how_many_and_which(admin_client, user, sessions):
    page = admin_client.post(SESSIONS, chosen(*sessions[:3]))
    text = page.content.decode()
    assert page.status_code == 200
    assert "End 3 login sessions?" in text
    assert text.count(f"<tr><td>{user}</td><td>test ") == 3
    assert "close at once" in text
    assert len(standing()) == 5, "asking does nothing"


def test_and_does_it_when_that_is_answered(admin_client, sessions):
    page = admin_client.post(SESSIONS, chosen(*sessions[:3]))
    form = {**hidden(page), "_selected_action": sessions[:3]}
    assert admin_client.post(SESSIONS, form).status_code == 302
    assert standing() == set(sessions[3:])


def test_all_that_match_are_found_again_by_the_filters_and_not_by_their_keys(admin_client, user, other, monkeypatch):
    monkeypatch.setattr(staff_module, "BATCH", 7)
    now = timezone.now()
    columns = {"method": "bulk", "created_at": now, "expires_at": now + timedelta(days=1)}
    LoginSession.objects.bulk_create(LoginSession(user=user, **columns) for _ in range(150))
    theirs = open_session(other, method="test")
    path = f"{SESSIONS}?q=alice&state=standing"
    first = LoginSession.objects.filter(user=user)[0].pk
    page = admin_client.post(path, chosen(first, select_across="1"))
    text = page.content.decode()
    assert "End 150 login sessions?" in text
    assert text.count("<tr><td>alice</td>") == 10 and "and 140 more" in text
    assert text.count('name="_selected_action"') == 1
    late = open_session(user, method="late")
    answer = admin_client.post(path, hidden(page), follow=True)
    assert "Login sessions ended: 150." in answer.content.decode()
    assert standing() == {theirs, late}, "what came after the question is left alone"


def test_what_is_over_already_is_not_counted(admin_client, sessions, audited):
    LoginSession.objects.filter(pk=sessions[0]).update(ended_at=timezone.now(), end_reason="logged_out")
    assert b"End 1 login session?" in admin_client.post(SESSIONS, chosen(*sessions[:2])).content
    page = admin_client.post(SESSIONS, chosen(sessions[0]), follow=True)
    assert "Nothing to end among the selected." in page.content.decode()


def test_who_did_what_to_whom_is_audited(admin_client, admin_user, user, sessions, audited):
    page = admin_client.post(SESSIONS, chosen(sessions[0]))
    admin_client.post(SESSIONS, hidden(page))
    (line,) = audited("session_ended")
    assert (line["user"], line["session"], line["by"]) == (user.pk, str(sessions[0]), admin_user.pk)
    assert line["reason"] == "disconnected_by_staff"
    (line,) = audited("staff_acted")
    assert (line["action"], line["by"], line["count"], line["ok"]) == ("end_sessions", admin_user.pk, 1, True)


def test_an_act_by_get_is_405_and_does_nothing(admin_client, sessions):
    form = chosen(*sessions, confirmed="2999-01-01T00:00:00+00:00")
    answer = admin_client.get(SESSIONS, form)
    assert answer.status_code == 405 and answer["Allow"] == "POST"
    assert len(standing()) == 5


def test_without_the_permission_it_is_not_offered_and_403(client, clerk, sessions, audited):
    who = clerk(client, "view_loginsession", "view_ticket", "revoke_ticket")
    assert "end_sessions" not in client.get(SESSIONS).content.decode()
    form = chosen(*sessions)
    assert client.post(SESSIONS, form).status_code == 403
    del form["index"]
    assert client.post(SESSIONS, form | {"confirmed": "2999-01-01T00:00:00+00:00"}).status_code == 403
    assert len(standing()) == 5
    assert {(line["action"], line["by"], line["ok"]) for line in audited("staff_acted")} == {
        ("end_sessions", who.pk, False)
    }


def test_with_the_permission_it_is(client, clerk, sessions):
    clerk(client, "view_loginsession", "end_loginsession")
    assert "end_sessions" in client.get(SESSIONS).content.decode()
    assert client.post(SESSIONS, hidden(client.post(SESSIONS, chosen(sessions[0])))).status_code == 302
    assert standing() == set(sessions[1:])


def test_the_permission_to_act_is_not_one_to_look(client, clerk, sessions, audited):
    who = clerk(client, "end_loginsession")
    assert client.post(SESSIONS, chosen(sessions[0])).status_code == 403
    assert [(line["action"], line["by"], line["ok"]) for line in audited("staff_acted")] == [
        ("end_sessions", who.pk, False)
    ]


def test_without_a_csrf_token_nothing_happens(admin_user, client, sessions):
    client.handler.enforce_csrf_checks = True
    client.force_login(admin_user)
    assert client.post(SESSIONS, chosen(sessions[0], confirmed="2999-01-01T00:00:00+00:00")).status_code == 403
    assert len(standing()) == 5


@pytest.mark.parametrize(
    "form",
    [
        {"_selected_action": ["not-a-uuid"]},
        {"_selected_action": ["\x00"]},
        {"confirmed": "yesterday"},
        {"confirmed": "2030-01-01T00:00:00"},
        {"confirmed": "9999-12-31T23:59:59-12:00"},
        {"confirmed": "0001-01-01T00:00:00+12:00"},
    ],
    ids=str,
)
def test_nonsense_is_400(admin_client, sessions, form):
    asked = chosen(sessions[0]) | form
    if "confirmed" in form:
        del asked["index"]
    assert admin_client.post(SESSIONS, asked).status_code == 400
    assert len(standing()) == 5


def test_the_page_that_asks_escapes_what_people_are_called(admin_client, django_user_model):
    evil = django_user_model.objects.create_user("<img src=x onerror=alert(1)>")
    session = open_session(evil, method="<b>")
    text = admin_client.post(SESSIONS, chosen(session)).content.decode()
    assert "<img src=x" not in text and "<b>" not in text
    assert "&lt;img" in text


# --- Batches ---


def test_batches_are_read_as_they_are_asked_for(user, session_id, now):
    Ticket.objects.bulk_create(
        Ticket(digest=str(n), user=user, session_id=session_id, purpose="connect", created_at=now, expires_at=now)
        for n in range(10)
    )
    sizes = []
    for keys in batches(Ticket.objects.filter(revoked_at=None), 4):
        sizes.append(len(keys))
        Ticket.objects.filter(pk__in=keys).update(revoked_at=now)
    assert sizes == [4, 4, 2]
    assert list(batches(Ticket.objects.none())) == []


def test_every_admin_page_of_ours_is_one_of_these():
    ours = {model.__name__: admin for model, admin in site._registry.items() if model._meta.app_label in OURS}
    del ours["Figures"]  # a page of its own, which lists no rows
    assert len(ours) == 6
    assert all(isinstance(admin, StaffAdmin) for admin in ours.values())
    for admin in ours.values():
        assert not admin.show_full_result_count
        assert admin.fields, "named one by one, so that a new column is not shown by itself"


def test_a_long_list_is_counted_no_further_than_anybody_looks(admin_client, user, sessions, monkeypatch):
    monkeypatch.setattr(Counted, "MOST", 3)
    assert admin_client.get(SESSIONS, {"q": "alice"}).context["cl"].result_count == 3
    monkeypatch.undo()
    assert admin_client.get(SESSIONS, {"q": "alice"}).context["cl"].result_count == 5


def test_rows_are_counted_without_working_out_what_is_shown_of_them(admin_client, sessions):
    with CaptureQueriesContext(connection) as asked:
        assert admin_client.get(TICKETS).status_code == 200
    (count,) = [query["sql"] for query in asked if "COUNT(*)" in query["sql"] and '"tickets_ticket"' in query["sql"]]
    assert "tickets_auditevent" not in count


def test_a_moment_is_exact():
    now = timezone.now()
    assert staff_module._moment(now.isoformat()) == now
    with pytest.raises(BadRequest):
        staff_module._moment("")
