"""The audit log: one JSON object a line on the logger `tickets.audit`, for every act that grants or takes access.

Lines are spelled as OWASP's Application Logging Vocabulary Cheat Sheet has it: `event` is one of its keywords and what
it is about (`session_expired:7,logged_out`), `act` the same in this project's words. What the vocabulary lacks has a
keyword in its style: `authn_network_change`.

Nothing that a stranger sends can forge or break a line: JSON escapes line ends, and all but ASCII is escaped too.
A ticket, token or password is never passed here; what identifies a ticket is its row's number.

The log is the record, append-only. The table `AuditEvent` is the same for staff to search, for `TICKETS["AUDIT_DAYS"]`,
a second later (`tickets.trail`). What is done in a transaction is recorded when that is committed, and not at all if it
is not. Recording raises nothing and waits for nobody: taking access away must not depend on it.
"""

import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection
from django.db.transaction import on_commit
from rest_framework.utils import json

from tickets import tracing, trail
from tickets.conf import conf
from tickets.models import AuditEvent

_log = logging.getLogger("tickets.audit")

APPID: Final = "usher"

# Longer values are cut: a log is no place to store what a stranger sends.
LONGEST_VALUE: Final = 200

_LEVELS: Final = {  # as the vocabulary gives them; INFO for all others
    "authn_login_fail": logging.WARNING,
    "authn_impossible_travel": logging.CRITICAL,
    "authn_token_reuse": logging.CRITICAL,
    "authz_admin": logging.WARNING,
    "authz_fail": logging.CRITICAL,
    "excess_rate_limit_exceeded": logging.WARNING,
    # Critical in the vocabulary; but it is how an honest client learns that its person signed out elsewhere.
    "session_use_after_expire": logging.WARNING,
    "user_archived": logging.WARNING,
    "user_deleted": logging.WARNING,
}


_SHARED: Final = ("request", "connection")
"""Ids that other lines of the log have as well: the one that asked, or the socket that it was asked on."""

_acts: set[str] = set()


@dataclass(frozen=True, slots=True)
class Act:
    """
    Something that is audited, in OWASP's words.

    `done` and `refused` are keywords, `because` others for some of the reasons of a refusal, `about` the details that
    follow the keyword.
    """

    name: str
    done: str
    refused: str = ""
    about: tuple[str, ...] = ("user",)
    because: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _acts.add(self.name)

    def keyword(self, *, ok: bool, why: Any = None) -> str:
        return self.done if ok else self.because.get(str(why), self.refused)


def names() -> frozenset[str]:
    """Of all acts that there are, other rooms' among them."""
    return frozenset(_acts)


_ENDED = "session_use_after_expire"
_TOO_OFTEN = {"rate_limited": "excess_rate_limit_exceeded"}

SIGNED_IN = Act("signed_in", "authn_login_success", "authn_login_fail", ("user", "name"), _TOO_OFTEN)
PASSWORD_CHANGED = Act("password_changed", "authn_password_change")
ACCOUNT_DISABLED = Act("account_disabled", "user_archived")
ACCOUNT_DELETED = Act("account_deleted", "user_deleted")

SESSION_OPENED = Act("session_opened", "session_created")
SESSION_RENEWED = Act("session_renewed", "session_renewed")
SESSION_USED = Act("session_used", "", _ENDED)
SESSION_ENDED = Act("session_ended", "session_expired", about=("user", "reason"))

TICKET_ISSUED = Act("ticket_issued", "authn_token_created", _ENDED, ("user", "purpose"), _TOO_OFTEN)
TICKET_REVOKED = Act("ticket_revoked", "authn_token_revoked", about=("user", "ticket"))
TICKETS_REVOKED = Act("tickets_revoked", "authn_token_revoked", about=("user", "session", "ticket"))
TICKET_REDEEMED = Act(
    "ticket_redeemed",
    "authn_login_success",
    "authn_login_fail",
    ("user", "ticket"),
    {"used": "authn_token_reuse", "session": _ENDED, "inactive": _ENDED, "outdated": _ENDED},
)
TICKET_NETWORK_CHANGED = Act(
    "ticket_network_changed",
    "authn_network_change",
    "authn_impossible_travel",
    ("user", "issued_to", "address"),
)

TOKEN_REFRESHED = Act("token_refreshed", "authn_token_created", "authn_login_fail", ("user", "session"))
TOKEN_REUSED = Act("token_reused", "", "authn_token_reuse", ("user", "session"))
TOKEN_ACCEPTED = Act(
    "token_accepted",
    "authn_login_success",
    _ENDED,  # the reason is the session's
    because=dict.fromkeys(("token_invalid", "token_expired", "outdated"), "authn_login_fail"),
)

ORIGIN_REFUSED = Act("origin_refused", "", "malicious_cors", ("address", "origin"))

STAFF_ACTED = Act("staff_acted", "authz_admin", "authz_fail", ("by", "action"))


def record(act: Act, *, ok: bool = True, **details: Any) -> None:
    """
    Record that `act` was done (`ok`) or refused, with plain values as details; None is left out.

    `user` (whom it is about), `by` (who asked for it), `session`, `ticket`, `address` (the caller's) and `why` are what
    staff can search by.
    """
    _record(act, ok, [details])


def record_many(act: Act, done: Iterable[Mapping[str, Any]]) -> None:
    """`record()` for an act that was done to many, some hundreds at once."""
    _record(act, True, done)


def _record(act: Act, ok: bool, happened: Iterable[Mapping[str, Any]]) -> None:
    entries = [_Entry.of(act, ok, details) for details in happened]
    if ok and connection.in_atomic_block:
        on_commit(lambda: _write(entries), robust=True)
    else:
        _write(entries)


def _write(entries: Iterable["_Entry"]) -> None:
    kept = bool(conf.AUDIT_DAYS)
    for entry in entries:
        if kept:
            trail.add(entry.columns(), by_stranger=not entry.ok)
        try:
            _log.log(entry.level, "%s", entry.line(), extra={"audited": entry.said()})
        except Exception as error:  # noqa: BLE001 (a handler of the site's own)
            sys.stderr.write(f"not logged ({error}): {entry.line()}\n")


@dataclass(frozen=True, slots=True)
class _Entry:
    at: datetime
    act: Act
    ok: bool
    event: str
    level: int
    values: Mapping[str, Any]

    @classmethod
    def of(cls, act: Act, ok: bool, details: Mapping[str, Any]) -> "_Entry":
        bound = {name: value for name, value in tracing.bound().items() if name in _SHARED and name not in details}
        values = {name: _plain(value) for name, value in {**details, **bound}.items() if value is not None}
        keyword = act.keyword(ok=ok, why=values.get("why"))
        about = ",".join(str(values[name]).replace(",", ";") for name in act.about if name in values)
        event = f"{keyword}:{about}"[:LONGEST_VALUE] if about else keyword
        level = _LEVELS.get(keyword, logging.INFO if ok else logging.WARNING)
        return cls(datetime.now(UTC), act, ok, event, level, values)

    def said(self) -> dict[str, Any]:
        head = {"datetime": self.at.isoformat(), "appid": APPID, "event": self.event}
        head |= {"level": logging.getLevelName(self.level), "description": _description(self.act, self.ok)}
        return {**head, "act": self.act.name, "ok": self.ok, **self.values}

    def line(self) -> str:
        return str(json.dumps(self.said(), ensure_ascii=True))

    def columns(self) -> dict[str, Any]:
        """Of its row."""
        searched = AuditEvent.SEARCHED
        columns = {name: str(value)[: searched[name]] for name, value in self.values.items() if name in searched}
        more = {name: value for name, value in self.values.items() if name not in searched}
        head = {"at": self.at, "act": self.act.name, "ok": self.ok, "event": self.event}
        return {**head, "level": logging.getLevelName(self.level), **columns, "details": more}


def _description(act: Act, ok: bool) -> str:
    words = act.name.replace("_", " ")
    return words if ok else f"{words}: refused"


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    text = str(value)[:LONGEST_VALUE]
    # PostgreSQL keeps neither lone surrogates nor NUL.
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")[:LONGEST_VALUE]
