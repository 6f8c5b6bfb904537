import json
import logging
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import transaction

from tickets import api, audit, trail
from tickets.models import AuditEvent, Ticket

DONE = audit.Act("thing_done", "authz_change", "authz_fail", ("user", "resource"), {"too_many": "excess"})


@pytest.fixture
def written(caplog):
    """Calling it returns the lines so far, whole."""
    caplog.set_level(logging.INFO, logger="tickets.audit")
    return lambda: [json.loads(record.getMessage()) for record in caplog.records if record.name == "tickets.audit"]


@pytest.fixture
def rows(settings):
    """Calling it returns the table so far, as staff would search it."""
    settings.TICKETS = settings.TICKETS | {"AUDIT_DAYS": 90}
    trail.flush()
    AuditEvent.objects.all().delete()
    names = ("act", "ok", "event", "level", "details", *AuditEvent.SEARCHED)

    def read():
        trail.flush()
        found = AuditEvent.objects.order_by("id").values(*names)
        return [{name: value for name, value in row.items() if value != ""} for row in found]

    return read


@pytest.fixture
def log_alone(settings):
    settings.TICKETS = settings.TICKETS | {"AUDIT_DAYS": 0}


# A line ---------------------------------------------------------------------------------------------------------------


def test_a_line_is_one_json_object_in_the_words_of_the_vocabulary(written, log_alone):
    before = datetime.now(UTC)
    audit.record(DONE, user=7, resource="a,b:c", ratio=0.5, nothing=None)
    (line,) = written()
    assert before <= datetime.fromisoformat(line.pop("datetime")) <= datetime.now(UTC)
    assert line == {
        "appid": "usher",
        "event": "authz_change:7,a;b:c",
        "level": "INFO",
        "description": "thing done",
        "act": "thing_done",
        "ok": True,
        "user": 7,
        "resource": "a,b:c",
        "ratio": 0.5,
    }


def test_nobody_can_forge_a_second_line(caplog, written, log_alone):
    audit.record(DONE, resource='x"}\r\n{"event": "forged"}\u2028\x1b[2J\udc80\0')
    message = caplog.records[-1].getMessage()
    assert message.isascii()
    assert message.isprintable()
    assert written()[0]["act"] == "thing_done"


def test_long_values_are_cut(written, log_alone):
    audit.record(DONE, resource="x" * 10_000, name="\udc80" * 10_000)
    (line,) = written()
    assert line["resource"] == "x" * audit.LONGEST_VALUE
    assert len(line["name"]) == audit.LONGEST_VALUE
    assert len(line["event"]) == audit.LONGEST_VALUE


@pytest.mark.parametrize(
    ("how", "event", "level"),
    [
        ({"ok": True}, "authz_change:7", "INFO"),
        ({"ok": False}, "authz_fail:7", "CRITICAL"),
        ({"ok": False, "why": "too_many"}, "excess:7", "WARNING"),
    ],
    ids=["done", "refused", "refused for a reason"],
)
def test_the_level_goes_with_the_keyword(caplog, written, log_alone, how, event, level):
    audit.record(DONE, user=7, **how)
    assert (written()[0]["event"], written()[0]["level"]) == (event, level)
    assert caplog.records[-1].levelname == level


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_did_not_happen(written, rows):
    with transaction.atomic():
        audit.record(DONE, user=7)
        assert written() == [], "not before it is so"
    assert [line["user"] for line in written()] == [7]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        audit.record(DONE, user=8)
        audit.record(DONE, user=9, ok=False)
        1 / 0  # noqa: B018
    assert [line["user"] for line in written()] == [7, 9], "refused it was all the same"
    assert [row["user"] for row in rows()] == ["7", "9"]


class Broken(logging.Handler):
    def handle(self, record):
        raise OSError("disk full")


@pytest.fixture
def broken_log():
    handler = Broken()
    logging.getLogger("tickets.audit").addHandler(handler)
    yield
    logging.getLogger("tickets.audit").removeHandler(handler)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("harm", ["log", "table"])
def test_access_is_taken_away_whatever_becomes_of_the_record(user, heard, broken_log, capsys, monkeypatch, harm):
    """Neither a log that cannot be written nor a table that is locked or gone keeps anybody signed in."""
    if harm == "table":
        monkeypatch.setattr(AuditEvent.objects, "bulk_create", None)
    first, second = (api.open_session(user, method="test") for _ in range(2))
    assert api.end_session(first)
    user.is_active = False
    user.save()
    assert [session_ids for _user, session_ids, _reason in heard] == [[first], [second]]
    assert not any(state.alive for state in api.check_sessions([first, second]).values())
    assert "disk full" in capsys.readouterr().err, "and it is said"


# The table ------------------------------------------------------------------------------------------------------------


def test_a_row_has_columns_to_search_by_and_the_rest_beside_them(db, rows, audited):
    session = UUID(int=5)
    audit.record(DONE, user=7, by=1, session=session, ticket=3, address="192.0.2.1", why="so", resource="r", ratio=0.5)
    assert rows() == [
        {
            "act": "thing_done",
            "ok": True,
            "event": "authz_change:7,r",
            "level": "INFO",
            "user": "7",
            "by": "1",
            "session": str(session),
            "ticket": "3",
            "address": "192.0.2.1",
            "why": "so",
            "details": {"resource": "r", "ratio": 0.5},
        }
    ]


@pytest.mark.parametrize("ok", [True, False])
def test_nobody_waits_for_the_table(db, rows, audited, django_assert_num_queries, ok):
    with django_assert_num_queries(0):
        audit.record(DONE, ok=ok, user=7)
    assert [(row["act"], row["ok"]) for row in rows()] == [("thing_done", ok)]


async def test_not_even_an_event_loop(written, log_alone):
    audit.record(DONE, user=7)
    assert [line["user"] for line in written()] == [7]


@pytest.mark.django_db(transaction=True)
def test_without_a_table_there_is_the_log(rows, written, log_alone, django_assert_num_queries):
    with django_assert_num_queries(0):
        audit.record(DONE, user=7)
    assert (len(written()), rows()) == (1, [])


def test_whatever_a_stranger_sends_can_be_kept(db, rows):
    audit.record(DONE, ok=False, user="\0\udc80" * 500, why="\0" * 500, name='"\\\n' * 500)
    (row,) = rows()
    assert row["user"].startswith("\\0\\udc80")


# What there is ------------------------------------------------------------------------------------------------------


def test_a_ticket_s_life_in_the_words_of_the_vocabulary(user, session_id, now, audited, rows):
    ticket = api.issue(user=user, session_id=session_id, network="192.0.2.1", now=now).ticket
    api.redeem(ticket, address="192.0.2.7", now=now)
    for presented in (ticket, "no ticket"):
        with pytest.raises(api.TicketRefused):
            api.redeem(presented, address="198.51.100.1", now=now)
    api.end_session(session_id, now=now)
    with pytest.raises(api.SessionEnded):
        api.issue(user=user, session_id=session_id, now=now)
    number = Ticket.objects.get().pk
    assert sorted(row["event"] for row in rows()) == sorted(
        [
            f"authn_token_created:{user.pk},connect",
            f"authn_login_success:{user.pk},{number}",
            f"authn_token_reuse:{user.pk},{number}",
            "authn_login_fail",
            f"session_expired:{user.pk},logged_out",
            f"session_use_after_expire:{user.pk}",
        ]
    )


def test_every_act_has_a_keyword_of_the_vocabulary():
    """https://cheatsheetseries.owasp.org/cheatsheets/Logging_Vocabulary_Cheat_Sheet.html"""
    vocabulary = {
        *("authn_login_success", "authn_login_fail", "authn_password_change", "authn_impossible_travel"),
        *("authn_token_created", "authn_token_revoked", "authn_token_reuse", "authz_fail", "authz_admin"),
        *("excess_rate_limit_exceeded", "malicious_cors", "user_archived", "user_deleted"),
        *("session_created", "session_renewed", "session_expired", "session_use_after_expire"),
    }
    own = {"authn_network_change"}
    acts = [act for act in vars(audit).values() if isinstance(act, audit.Act)]
    used = {word for act in acts for word in (act.done, act.refused, *act.because.values()) if word}
    assert used == vocabulary | own
    assert {act.name for act in acts} == {
        name.lower() for name, act in vars(audit).items() if isinstance(act, audit.Act)
    }
