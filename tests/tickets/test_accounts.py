import json
import threading
from datetime import timedelta

import jwt
import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tickets import accounts, current, identification, tokens
from tickets.accounts import end_all
from tickets.grants import EndReason, Purpose, Refusal, SessionEnded, TicketRefused, TokenRefused
from tickets.issuing import issue
from tickets.models import Cutoff, LoginSession
from tickets.redeeming import redeem
from tickets.sessions import check_sessions, end_session, end_sessions, open_session, settle_sessions
from tickets.signals import person_changed

pytestmark = [pytest.mark.everywhere, pytest.mark.django_db(transaction=True)]

User = get_user_model()


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def sessions(user):
    return [open_session(user, method="test") for _ in range(3)]


@pytest.fixture
def told():
    """What `person_changed` announced."""
    calls = []

    def listen(user_id, change, **_):
        calls.append((user_id, change))

    person_changed.connect(listen)
    yield calls
    person_changed.disconnect(listen)


@pytest.fixture
def standing_on():
    """From now on code runs for a request that stands on this session."""
    tokens = []

    def stand(session_id):
        tokens.append(current.session_id.set(session_id))

    yield stand
    for token in reversed(tokens):
        current.session_id.reset(token)


def change_password(user, password="another"):
    user.set_password(password)
    user.save()


def reasons(session_ids):
    states = check_sessions(session_ids)
    return [states[each].reason for each in session_ids]


# --- A changed password ---


def test_it_ends_all_sessions(user, sessions, heard, told):
    change_password(user)
    assert reasons(sessions) == [EndReason.CREDENTIALS_CHANGED] * 3
    assert [(user_id, set(ids), reason) for user_id, ids, reason in heard] == [
        (user.pk, set(sessions), EndReason.CREDENTIALS_CHANGED)
    ]
    assert told == [], "the ends are announced already"


def test_but_the_one_that_changed_it(user, sessions, heard, told, standing_on):
    standing_on(sessions[0])
    before = timezone.now()
    change_password(user)
    assert reasons(sessions) == [None, EndReason.CREDENTIALS_CHANGED, EndReason.CREDENTIALS_CHANGED]
    assert set(heard[0][1]) == set(sessions[1:])
    assert told == [(user.pk, "password")]
    assert check_sessions(sessions)[sessions[0]].valid_from >= before.timestamp()


def test_nobody_elses(user, other, sessions, standing_on):
    theirs = open_session(other, method="test")
    standing_on(theirs)
    change_password(user)
    assert reasons([theirs, *sessions]) == [None, *[EndReason.CREDENTIALS_CHANGED] * 3]


def test_what_that_session_held_before_is_void(user, standing_on):
    pair = tokens.sign_in(user)
    (session_id,) = LoginSession.objects.values_list("pk", flat=True)
    old = issue(user=user, session_id=session_id).ticket
    standing_on(session_id)
    change_password(user)
    with pytest.raises(TicketRefused) as refused:
        redeem(old, address=None)
    assert refused.value.refusal is Refusal.REVOKED
    with pytest.raises(TokenRefused, match="token_expired"):
        tokens.grant_for_token(pair.access)
    assert tokens.grant_for_token(tokens.rotate(pair.refresh).access).session_id == session_id
    assert redeem(issue(user=user, session_id=session_id).ticket, address=None)


def test_a_ticket_that_was_made_before_and_overlooked_is_outdated(user, sessions, standing_on, now):
    ticket = issue(user=user, session_id=sessions[0], now=now).ticket
    LoginSession.objects.filter(pk=sessions[0]).update(valid_from=now + timedelta(microseconds=1))
    with pytest.raises(TicketRefused) as refused:
        redeem(ticket, address=None)
    assert refused.value.refusal is Refusal.OUTDATED


@pytest.mark.parametrize("way", ["set_password", "assigned", "only that field"])
def test_however_it_is_saved(user, sessions, way):
    if way == "set_password":
        change_password(user)
    else:
        user.password = make_password("another")
        user.save(update_fields=["password"] if way == "only that field" else None)
    assert reasons(sessions) == [EndReason.CREDENTIALS_CHANGED] * 3


@pytest.mark.parametrize("way", ["update", "bulk_update"])
def test_what_no_signal_tells_is_found_where_a_session_is_looked_at(user, sessions, heard, way):
    ticket = issue(user=user, session_id=sessions[0]).ticket
    pair = tokens.sign_in(user)
    user.password = make_password("another")
    if way == "update":
        User.objects.filter(pk=user.pk).update(password=user.password)
    else:
        User.objects.bulk_update([user], ["password"])
    assert heard == []
    assert reasons(sessions) == [EndReason.CREDENTIALS_CHANGED] * 3
    with pytest.raises(TicketRefused):
        redeem(ticket, address=None)
    with pytest.raises(SessionEnded):
        issue(user=user, session_id=sessions[1])
    for use in (lambda: tokens.grant_for_token(pair.access), lambda: tokens.rotate(pair.refresh)):
        with pytest.raises(SessionEnded):
            use()


def test_after_a_rollback_nothing_happened(user, sessions, heard):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        change_password(user)
        raise ZeroDivisionError
    assert heard == []
    assert reasons(sessions) == [None] * 3
    assert not Cutoff.objects.exists()


def test_saving_anything_else_ends_nothing_and_asks_little(user, sessions):
    user.first_name = "Alice"
    with CaptureQueriesContext(connection) as captured:
        user.save(update_fields=["first_name"])
    assert len(captured) == 1
    with CaptureQueriesContext(connection) as captured:
        user.save()
    assert len(captured) == 3, "what it was before, and whether any session is outdated"
    assert reasons(sessions) == [None] * 3


def test_a_token_made_elsewhere_before_is_worth_nothing_though_nobody_was_signed_in(user, settings):
    settings.TICKETS = {**settings.TICKETS, "JID_KEY": KEY}
    made = timezone.now().timestamp() - 60
    claims = {"ext": json.dumps({"user_id": user.pk}), "exp": made + 600, "iat": made, "jti": "stolen"}
    stolen = jwt.encode(claims, KEY, algorithm="HS256")
    change_password(user)
    with pytest.raises(TokenRefused):
        tokens.grant_for_token(stolen)
    Cutoff.objects.all().delete()
    for is_active in (False, True):
        user.is_active = is_active
        user.save()
    with pytest.raises(TokenRefused):
        tokens.grant_for_token(stolen)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time: nobody holds a row")
def test_sessions_are_locked_in_one_order(user, standing_on):
    """Somebody who ends them meanwhile waits, and neither is thrown out as a deadlock."""
    opened = sorted(open_session(user, method="test") for _ in range(6))
    standing_on(opened[-1])  # would be the first to be locked, were it locked for itself
    failed = []

    def end_them():
        try:
            end_sessions(opened, reason=EndReason.LOGGED_OUT)
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    with transaction.atomic():
        change_password(user)
        other = threading.Thread(target=end_them)
        other.start()
        other.join(0.5)
        assert other.is_alive(), "it waits"
        LoginSession.objects.filter(pk__in=opened).update(seen_at=timezone.now())
    other.join(10)
    assert failed == []


def test_proxies_of_people_are_people(user, told):
    class Proxy(User):
        class Meta:
            proxy = True
            app_label = "tickets"

    try:
        accounts.connect()  # as when all models are known
        Proxy.objects.get(pk=user.pk).delete()
    finally:  # else whatever flushes the database later makes permissions for it
        del apps.all_models["tickets"]["proxy"]
        apps.clear_cache()
    assert len(told) == 1


def test_what_is_found_is_kept_though_it_is_undone(user, sessions):
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert [state.reason for state in settle_sessions(sessions).values()] == [EndReason.ACCOUNT_DISABLED] * 3
    User.objects.filter(pk=user.pk).update(is_active=True)
    assert reasons(sessions) == [EndReason.ACCOUNT_DISABLED] * 3


def test_it_is_audited(user, sessions, audited):
    change_password(user)
    (line,) = audited("password_changed")
    assert (line["user"], line["ended"]) == (user.pk, 3)


def test_over_the_web_only_the_browser_that_did_it_stays(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    root = User.objects.create_user("root", password="first-password", is_staff=True)
    here, there = Client(), Client()
    for browser in (here, there):
        assert browser.login(username="root", password="first-password")
    phone = tokens.sign_in(root)
    answer = here.post(
        "/admin/password_change/",
        {"old_password": "first-password", "new_password1": "rather-long-1", "new_password2": "rather-long-1"},
    )
    assert (answer.status_code, answer["Location"]) == (302, "/admin/password_change/done/")
    assert here.get("/").status_code == 200
    assert there.get("/").status_code == 302, "to the login"
    with pytest.raises(SessionEnded):
        tokens.grant_for_token(phone.access)
    ended = LoginSession.objects.exclude(ended_at=None)
    assert set(ended.values_list("end_reason", flat=True)) == {EndReason.CREDENTIALS_CHANGED}
    assert LoginSession.objects.filter(ended_at=None).count() == 1


# --- A closed account ---


def test_closing_an_account_ends_everything(user, sessions, heard, standing_on):
    standing_on(sessions[0])
    user.is_active = False
    user.save()
    assert reasons(sessions) == [EndReason.ACCOUNT_DISABLED] * 3
    assert {reason for _user, _ids, reason in heard} == {EndReason.ACCOUNT_DISABLED}
    user.is_active = True
    user.save()
    assert reasons(sessions) == [EndReason.ACCOUNT_DISABLED] * 3, "opening it again does not sign anybody in"


def test_closing_one_that_was_closed_says_nothing(user, sessions, heard):
    for _ in range(2):
        user.is_active = False
        user.save()
    assert len(heard) == 1


def test_deleting_a_person_is_told(user, sessions, told):
    pk = user.pk
    user.delete()
    assert told == [(pk, "deleted")]
    assert reasons(sessions) == [EndReason.ACCOUNT_DISABLED] * 3


def test_a_deletion_that_is_rolled_back_is_not(user, told):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        user.delete()
        raise ZeroDivisionError
    assert told == []


# --- Everything of a person ---


def test_all_that_began_before_a_moment(user, now):
    early = [open_session(user, method="test", now=now - timedelta(hours=hours)) for hours in (3, 2)]
    late = open_session(user, method="test", now=now - timedelta(hours=1))
    moment = now - timedelta(hours=2)
    assert end_all(user.pk, reason=EndReason.CREDENTIALS_CHANGED, issued_before=moment) == 2
    assert reasons([*early, late]) == [EndReason.CREDENTIALS_CHANGED] * 2 + [None]


def test_more_than_a_batch(user, monkeypatch):
    monkeypatch.setattr(accounts, "BATCH", 2)
    opened = [open_session(user, method="test") for _ in range(5)]
    assert end_all(user.pk, reason=EndReason.LOGGED_OUT) == 5
    assert reasons(opened) == [EndReason.LOGGED_OUT] * 5


def test_the_moment_only_ever_moves_on(user, now):
    for hours in (2, 1, 3):
        end_all(user.pk, reason=EndReason.LOGGED_OUT, issued_before=now - timedelta(hours=hours))
    assert Cutoff.objects.get().issued_before == now - timedelta(hours=1)


KEY = "k" * 20 + "shared with rails"


def test_no_token_made_elsewhere_before_opens_another(user, settings):
    settings.TICKETS = {**settings.TICKETS, "JID_KEY": KEY}
    now = timezone.now()

    def token(made, jti):
        ext = json.dumps({"user_id": user.pk})
        claims = {"ext": ext, "exp": int(now.timestamp()) + 600, "jti": jti}
        return jwt.encode(claims | ({"iat": made} if made else {}), KEY, algorithm="HS256")

    shown = tokens.grant_for_token(token(now.timestamp() - 60, "shown"))
    end_all(user.pk, reason=EndReason.LOGGED_OUT, issued_before=now - timedelta(seconds=90))
    for name, made in (("old", now.timestamp() - 100), ("does not say", None)):
        with pytest.raises(TokenRefused):
            identification.identify(token(made, name), now=now)
    assert identification.identify(token(now.timestamp() - 80, "new"), now=now).user == user
    assert tokens.grant_for_token(token(now.timestamp() - 60, "shown")).session_id == shown.session_id
    end_session(shown.session_id)
    with pytest.raises(SessionEnded):
        tokens.grant_for_token(token(now.timestamp() - 60, "shown"))


def test_purposes_are_all_void(user, sessions):
    made = [issue(user=user, session_id=sessions[0], purpose=purpose).ticket for purpose in Purpose]
    change_password(user)
    for ticket, purpose in zip(made, Purpose, strict=True):
        with pytest.raises(TicketRefused):
            redeem(ticket, purposes=frozenset({purpose}), address=None)
