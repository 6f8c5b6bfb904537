"""The public face of this room: who may open a socket, and until when.

Everything here is called with plain values and answers with plain frozen values, see `tickets.grants`. Times are given
as aware UTC datetimes (`now=`; the clock's if left out). The a-twins run on the process's bounded database threads
and turn any database error into `Unavailable`; the plain ones let it through, for a view to answer.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from django.db import Error as DatabaseError

from tickets import tracing
from tickets.accounts import end_all
from tickets.admission import (
    SCOPE_KEY,
    Admission,
    Door,
    TrustedScheme,
    admit,
    caller_of,
    frame_credentials,
    is_network,
    is_socket,
    is_trusted_proxy,
    is_within,
    kept_network,
    path_of,
    socket_place,
    socket_url,
    spoken,
)
from tickets.audit import ORIGIN_REFUSED
from tickets.audit import Act as AuditAct
from tickets.audit import record as audit
from tickets.audit import record_many as audit_many
from tickets.brokers import (
    BrokerPerson,
    OverLogin,
    broker_person,
    forget_broker_logins,
    log_in_to_broker,
    over_broker_logins,
    refuse_broker_login,
)
from tickets.concurrency import PATIENT_SECONDS, PROMPT_SECONDS, Concurrency
from tickets.conf import conf, once
from tickets.grants import (
    EndReason,
    Grant,
    IssuedTicket,
    Purpose,
    RateLimited,
    Refusal,
    SessionEnded,
    SessionState,
    TicketRefused,
    TokenRefused,
    Unavailable,
)
from tickets.issuing import issue, revoke
from tickets.network import allowance_key
from tickets.own import OwnSession, end_other_sessions, end_own_session, own_sessions, seen
from tickets.prepared import cursor as prepared_cursor
from tickets.redeeming import redeem
from tickets.request_ids import RequestIds
from tickets.rows import any_of
from tickets.sessions import (
    SESSION_COLUMNS,
    check_sessions,
    end_session,
    keep_out,
    open_session,
    session_sql,
    session_state,
    settle_sessions,
)
from tickets.threads import in_thread
from tickets.together import Redeemer
from tickets.trail import flush as flush_audit

__all__ = [
    "ORIGIN_REFUSED",
    "PATIENT_SECONDS",
    "PROMPT_SECONDS",
    "SCOPE_KEY",
    "SESSION_COLUMNS",
    "Admission",
    "AuditAct",
    "BrokerPerson",
    "Concurrency",
    "Door",
    "EndReason",
    "Grant",
    "IssuedTicket",
    "OverLogin",
    "OwnSession",
    "Purpose",
    "RateLimited",
    "Redeemer",
    "Refusal",
    "RequestIds",
    "SessionEnded",
    "SessionState",
    "TicketRefused",
    "TokenRefused",
    "TrustedScheme",
    "Unavailable",
    "acheck_sessions",
    "admit",
    "aend_session",
    "aissue",
    "allowance_key",
    "any_of",
    "aopen_session",
    "aredeem",
    "arevoke",
    "asettle_sessions",
    "audit",
    "audit_many",
    "broker_person",
    "caller_of",
    "check_sessions",
    "end_all",
    "end_other_sessions",
    "end_own_session",
    "end_session",
    "flush_audit",
    "forget_broker_logins",
    "frame_credentials",
    "in_thread",
    "is_network",
    "is_socket",
    "is_trusted_proxy",
    "is_within",
    "issue",
    "keep_out",
    "kept_network",
    "log_in_to_broker",
    "once",
    "open_session",
    "over_broker_logins",
    "own_sessions",
    "path_of",
    "prepared_cursor",
    "redeem",
    "refuse_broker_login",
    "revoke",
    "seen",
    "session_sql",
    "session_state",
    "settle_sessions",
    "socket_place",
    "socket_url",
    "spoken",
    "tracing",
]

P = ParamSpec("P")
R = TypeVar("R")


def _twin(fn: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    @functools.wraps(fn)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await in_thread(fn, *args, **kwargs)
        except DatabaseError as error:
            raise Unavailable(f"{fn.__name__}: {type(error).__name__}") from error

    twin.__name__ = twin.__qualname__ = f"a{fn.__name__}"
    return twin


aopen_session = _twin(open_session)
aend_session = _twin(end_session)
aissue = _twin(issue)
arevoke = _twin(revoke)
acheck_sessions = _twin(check_sessions)
asettle_sessions = _twin(settle_sessions)


_aredeem = _twin(redeem)


async def aredeem(ticket: str, **how: Any) -> Grant:
    """`redeem()`, but no longer than `TICKETS["REDEEM_TIMEOUT"]`: then `Unavailable`.

    The ticket may be spent all the same by a query that was under way; its owner fetches another. Who redeems many
    uses a `Redeemer`.
    """
    try:
        async with asyncio.timeout(conf.REDEEM_TIMEOUT):
            return await _aredeem(ticket, **how)
    except TimeoutError as error:
        raise Unavailable("redeem: no answer in time") from error
